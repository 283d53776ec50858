"""What changed is made anew with all that follows, its neighbours in the batch are left alone."""

from __future__ import annotations

import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from conftest import run_command
from cordcohort.files import read_json
from cordcohort.phantom.config import Difficulty, PhantomStudy, Protocol, Site
from cordcohort.phantom.study import write_study
from hostile_study import study_content, write_config

pytestmark = pytest.mark.slow

PROTOCOLS = [Protocol(c, (40, 48, 40), (1.2, 1.2, 1.6)) for c in ("T1w", "T2w")]
TABLES = ("cohort/measures.parquet", "cohort/measures.tsv", "cohort/scans.parquet",
          "statistics/area.tsv")  # fmt: skip
STAGES = ("segmentation", "images", "measures", "report/pictures")
MODEL = "cord-v1"
SEGMENTATION = f"segmentation/north/{MODEL}"
SCANS = {f"sub-{p}_ses-{s}_{c}" for p in ("01", "02") for s in "12" for c in ("T1w", "T2w")}
T2W = {scan for scan in SCANS if scan.endswith("T2w")}
LEFT = "sub-01_ses-2_T1w"  # its cord mask is withdrawn
CHANGED = "sub-02_ses-1_T2w"


def _config(study, **measures) -> None:
    area = {"name": "area", "kind": "variability", "over": "vendor",
            "select": {"measure": "csa_mm2", "structure": "cord", "statistic": "mean"}}  # fmt: skip
    content = study_content(
        datasets=[{"name": "north", "path": "data/north"}], analyses=[area],
        segmentation={"models": [MODEL], "contrasts": {MODEL: ["T2w"]}, "device": "cpu"},
        images={"soft_truth": {"make": True, "masks": [MODEL, "manual"]}},
        measures={"reference": "manual", "followups": {"make": True, "registration": "masks"},
                  **measures},
    )  # fmt: skip
    write_config(study, content)


def _run(study, *flags) -> str:
    return run_command("cordcohort", "run", study, "--cores", "2", "--quiet", "all", *flags).stdout


def _times(study) -> dict[str, int]:
    """Times of the files of every scan."""
    files = [p for name in STAGES for p in (study / "results" / name).rglob("sub-*")]
    return {str(p.relative_to(study)): p.stat().st_mtime_ns for p in files if p.is_file()}


def _renewed(before, after, stage: str = "") -> set[str]:
    """Scans of the files of a stage that are new, and of those that are gone."""
    files = {name for name in before.keys() | after.keys() if f"results/{stage}" in name}
    assert files
    return {
        re.search(r"sub-\d+_ses-\d+_T\dw", Path(name).name)[0]
        for name in files
        if before.get(name) != after.get(name)
    }


def _drawn(study) -> dict[str, list[tuple[str, ...]]]:
    """What the pictures of every scan show, and of whom."""
    records = sorted((study / "results" / "report" / "pictures").rglob("sub-*.json"))
    return {
        path.name: [(picture["group"], *(one["name"] for one in picture["methods"]))
                    for picture in read_json(path)["pictures"]]
        for path in records
    }  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two people with lesions, seen twice in two contrasts, in one batch a stage, after a run."""
    folder = tmp_path_factory.mktemp("kept")
    phantom = PhantomStudy(
        seed=77, sites=(Site("north", "Siemens", "Prisma", subjects=2),),
        protocols=tuple(PROTOCOLS), patient_share=1.0, returning_share=1.0, traveller=False,
        missing=(), rootlet_labels=False,
        difficulty=Difficulty(compression_share=0.0, lesion_share=1.0, implant_share=0.0,
                              lesion_growth_sd=0.3),
    )  # fmt: skip
    write_study(phantom, folder / "data")
    _config(folder)
    _run(folder)
    return folder


def _change(image: Path) -> None:
    """A brighter image with other noise."""
    old = nib.load(image)
    data = np.asarray(old.dataobj)
    noise = np.random.default_rng(3).normal(0, data.std() / 50, data.shape)
    nib.save(
        nib.Nifti1Image((1.1 * data + noise).astype(data.dtype), old.affine, old.header), image
    )


def test_a_changed_image_and_a_withdrawn_mask_give_what_a_study_from_scratch_gives(study, tmp_path):
    before = _times(study)
    _change(next((study / "data" / "north").glob(f"sub-02/**/anat/{CHANGED}.nii.gz")))
    next((study / "data" / "north").rglob(f"{LEFT}_label-SC_seg.nii.gz")).unlink()
    # Of the second person the follow-up is made anew, too.
    assert "5 scans worked out anew, 3 kept as they were\n" in _run(study)
    after = _times(study)
    sessions = {scan for scan in SCANS if scan[:12] in (CHANGED[:12], LEFT[:12])}
    assert len(sessions) == 4  # of the other session of each of them nothing is touched
    for stage, renewed in {
        SEGMENTATION: {CHANGED}, "images": sessions, "measures/shape": sessions,
        "measures/followup": {scan for scan in T2W if "ses-2" in scan},
        "report/pictures": sessions,
    }.items():  # fmt: skip
        assert _renewed(before, after, stage) == renewed, stage

    (tmp_path / "data").symlink_to(study / "data")
    _config(tmp_path)
    _run(tmp_path)
    for name in TABLES:
        assert (study / "results" / name).read_bytes() == (tmp_path / "results" / name).read_bytes()
    drawn = _drawn(study)
    assert drawn == _drawn(tmp_path)
    assert sorted(drawn) == [f"{scan}.json" for scan in sorted(SCANS)]
    made = _times(study).keys()
    assert made == _times(tmp_path).keys()
    assert not [name for name in made if LEFT in name and "images" in name]

    table = pd.read_parquet(study / "results" / "cohort" / "measures.parquet")
    soft = table[(table["method"] == "soft-truth") & table["value"].notna()]
    assert {*(soft["subject"] + soft["session"])} == {"011", "021", "022"}  # one contrast is none
    followed = table[table["measure"].eq("lesion_change_percent") & table["value"].notna()]
    assert {*(followed["subject"] + followed["session"])} == {"012", "022"}


def test_a_forced_rule_makes_all_its_scans_anew_and_what_follows(study):
    before = _times(study)
    _run(study, "--forcerun", f"results/batches/segment_{MODEL}/north_0000of0001.json")
    after = _times(study)
    assert _renewed(before, after, SEGMENTATION) == T2W
    for stage in ("images", "measures", "report/pictures"):
        assert _renewed(before, after, stage) == SCANS - {LEFT}, stage


def test_a_changed_option_makes_the_measures_of_all_scans_anew_and_no_mask(study):
    before = _times(study)
    _config(study, per_slice=False)
    _run(study)
    after = _times(study)
    assert _renewed(before, after, "measures/shape") == SCANS
    assert _renewed(before, after, "segmentation") == _renewed(before, after, "images") == set()


def test_a_lost_mask_is_drawn_anew_and_no_other(study):
    before = _times(study)
    folder = study / "results" / "segmentation" / "north" / MODEL
    next(folder.glob("sub-02/ses-2/**/*_seg.json")).unlink()
    _run(study)
    assert _renewed(before, _times(study), "segmentation") == {"sub-02_ses-2_T2w"}
