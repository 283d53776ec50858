"""The stage of the soft ground truth in a run: what it makes, and what an exclusion reruns."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from conftest import run_command
from cordcohort.files import read_json
from cordcohort.nifti import write_image
from hostile_study import write_config

CONTENT = {
    "study": {"name": "truth"},
    "datasets": [{"name": "d", "path": "data"}],
    "segmentation": {"models": []},
    "images": {"soft_truth": {"make": True}},
    "measures": {"reference": "soft-truth", "per_slice": False},
    "report": {"pictures": False},
}


def _planned(study) -> set[str]:
    done = run_command("cordcohort", "run", study, "--cores", "1", "--dry-run")
    return {*re.findall(r"^(?:local)?rule (\S+):", done.stdout, re.MULTILINE)} - {"all"}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two people with masks of three contrasts, no image, after a run."""
    folder = tmp_path_factory.mktemp("truth")
    x, y = np.meshgrid(np.arange(40), np.arange(40), indexing="ij")
    for number, subject in enumerate(("01", "02")):
        for contrast, radius_mm in (("T1w", 4.4), ("T2w", 5.0), ("T2starw", 5.6)):
            plane = np.hypot(x - 20 - number, y - 20) < radius_mm
            mask = np.repeat(plane[:, :, None], 30, axis=2)
            labels = folder / "data" / "derivatives" / "labels" / f"sub-{subject}" / "anat"
            name = f"sub-{subject}_{contrast}_label-SC_seg.nii.gz"
            write_image(labels / name, mask, np.diag([1.0, 1.0, 1.0, 1.0]), dtype=np.uint8)
    (folder / "data" / "dataset_description.json").write_text(
        json.dumps({"Name": "d", "BIDSVersion": "1.9.0"})
    )
    write_config(folder, CONTENT)
    run_command("cordcohort", "run", folder, "--cores", "1", "--quiet", "all")
    return folder


@pytest.mark.slow
def test_a_run_measures_the_truth_and_an_exclusion_averages_without_it(study):
    def areas() -> pd.DataFrame:
        table = pd.read_parquet(study / "results" / "cohort" / "measures.parquet")
        table = table[(table["measure"] == "csa_soft_mm2") & (table["statistic"] == "mean")]
        return table.set_index(["subject", "contrast", "method"])["value"]

    before = areas()
    assert set(before.index.get_level_values("method")) == {"soft-truth"}
    assert len(before) == 6
    table = pd.read_parquet(study / "results" / "cohort" / "measures.parquet")
    compared = table[(table["measure"] == "dice") & (table["reference"] == "soft-truth")]
    assert set(compared["method"]) == {"manual", "soft-truth-bin"}
    assert _planned(study) == set()

    (study / "config" / "exclude.yaml").write_text(
        "- {subject: '01', contrast: T2starw, from: soft_truth, reason: registration failed}\n"
    )
    assert _planned(study) == {
        "soft_truth", "shape", "agreement", "cohort", "subject_pages", "report",
    }  # fmt: skip
    run_command("cordcohort", "run", study, "--cores", "1", "--quiet", "all")
    after = areas()
    assert ("01", "T2starw", "soft-truth") not in after.index
    assert after["01", "T2w", "soft-truth"] < before["01", "T2w", "soft-truth"]
    assert after["02", "T2w", "soft-truth"] == before["02", "T2w", "soft-truth"]
    record = study / "results/images/d/sub-01/anat/sub-01_T2w_label-SC_softseg.json"
    left_out = [{"name": "T2starw", "reason": "registration failed"}]
    assert read_json(record)["left_out"] == left_out
    page = (study / "results" / "report" / "index.html").read_text()
    assert 'id="registrations"' in page
    assert page.count("registration failed") >= 1
