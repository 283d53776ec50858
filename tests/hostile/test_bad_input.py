"""A damaged scan becomes a row with a flag and a reason; the study goes on and says how many."""

from __future__ import annotations

import pandas as pd
import pytest
from conftest import run_command

CODE = {
    "badTruncated": "truncated|checksum",
    "badEmpty": "empty",
    "badPointer": "pointer",
    "badNaN": "not_finite",
    "bad4D": "dimensions",
    "badNoCord": "no_cord|no cord",
}


@pytest.fixture(scope="module")
def cohort(broken_study) -> pd.DataFrame:
    """The long table."""
    return pd.read_parquet(broken_study[0] / "results" / "cohort" / "measures.parquet")


@pytest.mark.parametrize("subject", CODE)
def test_model_row_of_a_broken_scan_is_failed_with_its_reason(cohort, subject):
    rows = cohort[(cohort["subject"] == subject) & (cohort["method"] == "cord-v1")]
    area = rows[rows["measure"] == "csa_mm2"]
    assert len(area) == 1
    assert area["flag"].item() == "failed"
    assert pd.isna(area["value"].item())
    assert pd.Series(area["reason"]).str.contains(CODE[subject]).all(), area["reason"].item()


def test_mask_on_another_grid_is_refused_and_the_models_mask_is_still_measured(cohort):
    rows = cohort[(cohort["subject"] == "badOtherGrid") & (cohort["measure"] == "csa_mm2")]
    manual, model = rows[rows["method"] == "manual"], rows[rows["method"] == "cord-v1"]
    assert set(manual["flag"]) == {"failed"}
    assert manual["reason"].str.contains("shifted_grid").all()
    assert model["value"].notna().any()


def test_neighbours_of_broken_scans_are_measured(cohort):
    good = cohort[~cohort["subject"].str.startswith("bad") & (cohort["contrast"] == "T2w")]
    areas = good[(good["measure"] == "csa_mm2") & (good["statistic"] == "mean")]
    assert (areas[areas["method"] == "manual"]["flag"] != "failed").all()


def test_run_ends_well_and_says_how_many_scans_failed(broken_study):
    folder, done = broken_study
    assert done.returncode == 0
    scans = pd.read_parquet(folder / "results" / "cohort" / "scans.parquet")
    n_failed = int((scans["status"] == "failed").sum())
    assert n_failed >= len(CODE)
    assert f"{n_failed} failed" in done.stdout


def test_report_shows_every_failed_scan_with_its_reason(broken_study):
    page = (broken_study[0] / "results" / "report" / "index.html").read_text()
    for subject in CODE:
        assert f"sub-{subject}" in page


def test_check_names_what_cannot_be_read_before_any_job(small_data):
    shown = run_command("cordcohort", "check", small_data).stdout
    for word in ("badEmpty", "badPointer"):
        assert word in shown
