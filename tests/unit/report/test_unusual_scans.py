"""How unusual a scan is, and the masks to correct: honest whatever the number of comparisons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from cordcohort.report.against_cohort import (
    CHANCE,
    OF_THE_SCAN,
    against,
    cohort_ranges,
    most_unusual,
)
from cordcohort.report.corrections import corrections, write_corrections
from cordcohort.report.inputs import Inputs
from cordcohort.table import SCAN_KEY, as_long

TWO_BINOMIAL_SD = 2.0


def cohort(values: np.ndarray) -> pd.DataFrame:
    """A long table of ``values[scan, measure]``."""
    rows = [
        {
            "dataset": "a", "subject": f"{n:03d}", "contrast": "T2w", "method": "cord-v1",
            "structure": "cord", "measure": f"m{k}_mm", "statistic": "mean", "unit": "mm",
            "value": value,
        }
        for n, own in enumerate(values) for k, value in enumerate(own)
    ]  # fmt: skip
    return as_long(pd.DataFrame(rows))


def compared_of(values: np.ndarray) -> pd.DataFrame:
    table = cohort(values)
    return against(table, cohort_ranges(table))


@pytest.mark.parametrize(("n_scans", "n_measures"), [(9, 60), (50, 40), (200, 5)])
def test_studies_without_outliers_are_rarely_marked(n_scans: int, n_measures: int) -> None:
    n_studies = 60
    rng = np.random.default_rng(5)
    # One table for speed: a study is a contrast, and only its own values count as compared.
    values = rng.standard_normal((n_scans, n_measures * n_studies))
    table = cohort(values)
    table["contrast"] = np.tile(np.repeat(np.arange(n_studies).astype(str), n_measures), n_scans)
    ranges = cohort_ranges(table)
    ranges["n_compared"] = ranges["n_compared"] // n_studies
    marked = against(table, ranges).groupby("contrast")["unusual"].any()
    sd = np.sqrt(n_studies * CHANCE * (1 - CHANCE))
    assert len(marked) == n_studies
    assert marked.sum() <= n_studies * CHANCE + TWO_BINOMIAL_SD * sd


def test_an_outlier_is_marked_and_comes_first() -> None:
    values = np.random.default_rng(1).normal(70.0, 5.0, (60, 4))
    values[17, 2] = 140.0
    compared = compared_of(values)
    assert compared.loc[compared["unusual"], ["subject", "measure"]].values.tolist() == [
        ["017", "m2_mm"]
    ]
    first = most_unusual(compared).iloc[0]
    assert (first["subject"], first["measure"]) == ("017", "m2_mm")


def test_the_chance_of_a_scan_has_its_closed_form() -> None:
    compared = compared_of(np.random.default_rng(2).standard_normal((30, 7)))
    own = compared[compared["subject"] == "004"]
    told = most_unusual(compared).set_index("subject").loc["004", "chance"]
    assert told == pytest.approx(1 - (1 - own["p"].min()) ** 7)


def test_values_that_differ_by_rounding_only_have_no_distance() -> None:
    values = np.full((20, 1), 0.6) + np.arange(20)[:, None] * 1e-9
    values[3] = 1.2
    assert compared_of(values)["z"].isna().all()


def inputs_of(table: pd.DataFrame, excluded: tuple[str, ...] = ()) -> Inputs:
    scans = table[SCAN_KEY].drop_duplicates()
    state = np.where(scans["subject"].isin(excluded), "excluded", "measured")
    stem = "sub-" + scans["subject"] + "_T2w"
    empty = pd.DataFrame()
    return Inputs(Path(), scans.assign(stem=stem), empty, scans.assign(state=state), table, (), {})


def test_masks_to_correct_are_those_that_failed_then_the_unusual(tmp_path: Path) -> None:
    values = np.random.default_rng(3).normal(70.0, 5.0, (40, 2))
    values[5, 0], values[9, 1] = 160.0, 170.0
    table = cohort(values)
    failed = table["subject"] == "020"
    table.loc[failed, ["value", "flag", "reason"]] = [np.nan, "failed", "no cord found"]
    compared = against(table, cohort_ranges(table))
    inputs = inputs_of(table, excluded=("009",))
    found = corrections(inputs, compared)
    assert found["subject"].tolist()[:2] == ["020", "005"]
    assert "009" not in set(found["subject"])
    shown = write_corrections(found, inputs, tmp_path)
    assert shown[0]["reason"] == "no cord found"
    assert shown[1]["reason"].startswith("M0 160 mm, cohort median ")
    listed = yaml.safe_load((tmp_path / "tables/masks_to_correct.yml").read_text())
    assert listed["FILES_SEG"][:2] == ["sub-020_T2w.nii.gz", "sub-005_T2w.nii.gz"]


def test_a_measured_mask_is_not_to_be_corrected_where_something_else_failed(tmp_path: Path) -> None:
    table = cohort(np.random.default_rng(3).normal(70.0, 5.0, (40, 2)))
    one = (table["subject"] == "020") & (table["measure"] == table["measure"].iloc[0])
    table.loc[one, ["value", "flag", "reason"]] = [np.nan, "failed", "[bvec_norm] no unit vectors"]
    found = corrections(inputs_of(table), against(table, cohort_ranges(table)))
    assert "failed" not in set(found["why"])


def test_a_study_without_masks_has_nothing_to_correct(tmp_path: Path) -> None:
    table = cohort(np.zeros((0, 0)))
    inputs = inputs_of(table)
    found = corrections(inputs, against(table, cohort_ranges(table)))
    assert found.empty
    assert write_corrections(found, inputs, tmp_path) == []


@pytest.mark.parametrize("measure", OF_THE_SCAN)
def test_how_much_was_scanned_is_never_unusual(measure: str) -> None:
    values = np.random.default_rng(6).normal(100.0, 2.0, (20, 1))
    values[4] = 900.0
    table = cohort(values)
    assert against(table, cohort_ranges(table))["unusual"].sum() == 1
    counts = table.assign(measure=measure)
    found = against(counts, cohort_ranges(counts))
    assert not found["unusual"].any()
    assert (found["n"] == len(values)).all()


def test_sums_and_largest_values_over_lesions_have_a_range_but_are_never_unusual() -> None:
    rng = np.random.default_rng(4)
    rows = [
        {"dataset": "a", "subject": f"{n:02d}", "contrast": "T2w", "method": "manual",
         "structure": "lesion", "measure": "lesion_volume_mm3", "statistic": "sum", "unit": "mm3",
         "value": float(v)}
        for n, v in enumerate(rng.lognormal(4.0, 2.0, 40))
    ]  # fmt: skip
    table = as_long(pd.DataFrame([*rows, rows[0] | {"object": "1", "statistic": ""}]))
    compared = against(table, cohort_ranges(table))
    assert len(compared) == len(rows)
    assert (compared["n"] == len(rows)).all()
    assert compared["median"].iloc[0] == pytest.approx(np.median([r["value"] for r in rows]))
    assert compared["z"].isna().all()
    assert not compared["unusual"].any()
