"""A changed image reruns what follows from it and leaves its neighbours in the batch alone."""

from __future__ import annotations

import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import run_command
from cordcohort.phantom.config import PhantomStudy, Protocol, Site
from cordcohort.phantom.study import write_study
from hostile_study import study_content, write_config

pytestmark = pytest.mark.slow

PROTOCOL = Protocol("T2w", (40, 48, 40), (1.2, 1.2, 1.6))
TABLES = ("cohort/measures.parquet", "cohort/measures.tsv", "cohort/scans.parquet",
          "statistics/area.tsv")  # fmt: skip
STAGES = ("segmentation", "measures", "report/pictures")
MODEL = "cord-v1"


def _config(study, **changes) -> None:
    area = {"name": "area", "kind": "variability", "over": "vendor",
            "select": {"measure": "csa_mm2", "structure": "cord", "statistic": "mean"}}  # fmt: skip
    content = study_content(
        datasets=[{"name": "north", "path": "data/north"}], analyses=[area],
        segmentation={"models": [MODEL], "device": "cpu"},
    )  # fmt: skip
    write_config(study, content | changes)


def _run(study, *flags) -> str:
    return run_command("cordcohort", "run", study, "--cores", "2", "--quiet", "all", *flags).stdout


def _times(study) -> dict[str, int]:
    """Times of the files of every scan."""
    files = [p for name in STAGES for p in (study / "results" / name).rglob("sub-*")]
    return {str(p.relative_to(study)): p.stat().st_mtime_ns for p in files if p.is_file()}


def _renewed(before, after, stage: str = "") -> set[str]:
    """Subjects of the files of a stage that are new, and of those that are gone."""
    files = {name for name in before.keys() | after.keys() if stage in name}
    assert files
    return {
        re.search(r"sub-\d+", Path(name).name)[0]
        for name in files
        if before.get(name) != after.get(name)
    }


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Three people in one batch a stage, after a run."""
    folder = tmp_path_factory.mktemp("kept")
    site = Site("north", "Siemens", "Prisma", subjects=3)
    phantom = PhantomStudy(sites=(site,), protocols=(PROTOCOL,), sessions=1, missing=())
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


def test_a_changed_image_makes_its_own_files_anew_and_the_tables_of_a_study_from_scratch(
    study, tmp_path
):
    before = _times(study)
    _change(next((study / "data" / "north").glob("sub-02/**/anat/*_T2w.nii.gz")))
    assert "1 scan worked out anew, 2 kept as they were\n" in _run(study)
    after = _times(study)
    for stage in (*STAGES, f"segmentation/north/{MODEL}", "measures/shape"):
        assert _renewed(before, after, stage) == {"sub-02"}, stage
    (tmp_path / "data").symlink_to(study / "data")
    _config(tmp_path)
    _run(tmp_path)
    for name in TABLES:
        assert (study / "results" / name).read_bytes() == (tmp_path / "results" / name).read_bytes()


def test_a_forced_rule_makes_all_its_scans_anew_and_what_follows(study):
    before = _times(study)
    _run(study, "--forcerun", f"results/batches/segment_{MODEL}/north_0000of0001.json")
    for stage in STAGES:
        assert _renewed(before, _times(study), stage) == {"sub-01", "sub-02", "sub-03"}, stage


def test_a_changed_option_makes_the_measures_of_all_scans_anew_and_no_mask(study):
    before = _times(study)
    _config(study, measures={"reference": "manual", "per_slice": False})
    _run(study)
    after = _times(study)
    assert _renewed(before, after, "measures/shape") == {"sub-01", "sub-02", "sub-03"}
    assert _renewed(before, after, "segmentation") == set()


def test_a_lost_mask_is_drawn_anew_and_no_other(study):
    before = _times(study)
    folder = study / "results" / "segmentation" / "north" / MODEL
    next(folder.glob("sub-03/**/*_seg.json")).unlink()
    _run(study)
    assert _renewed(before, _times(study), "segmentation") == {"sub-03"}
