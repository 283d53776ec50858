"""Exclusion lists as files: our own form, and the one that the Spinal Cord Toolbox saves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cordcohort.cohort.exclusion import (
    apply_entries,
    check_entries,
    read_entries,
    unmatched_names,
)
from cordcohort.errors import ConfigError, SheetError
from cordcohort.exclusion_files import read_exclusions
from cordcohort.table import SCAN_KEY, as_long

QC_FAIL = """\
FILES_SEG:
- sub-amu01_T1w_RPI_r.nii.gz
- sub-cardiff02_dwi_moco_dwi_mean.nii.gz
- processed/sub-07/ses-2/anat/sub-07_ses-2_acq-sag_run-01_T2w.nii.gz
FILES_GMSEG:
- sub-amu01_T2star_rms.nii.gz
FILES_LABEL:
- sub-amu02
FILES_PMJ:
NAME:
- Jane Roe
"""


def listed(folder: Path, text: str = QC_FAIL, dataset: str = "") -> list[dict[str, str]]:
    path = folder / "qc_fail.yml"
    path.write_text(text)
    return read_exclusions(path, dataset)


def scans(*rows: tuple[str, str, str]) -> pd.DataFrame:
    """Scans by data set, subject and contrast."""
    blank = dict.fromkeys(SCAN_KEY, "")
    told = [blank | dict(zip(("dataset", "subject", "contrast"), r, strict=True)) for r in rows]
    return pd.DataFrame(told)


def test_names_of_processed_images_tell_their_scans(tmp_path: Path) -> None:
    entries = listed(tmp_path)
    keys = [tuple(e.get(k) for k in SCAN_KEY[1:]) for e in entries]
    assert keys == [
        ("amu01", "", "", "", "T1w"),
        ("cardiff02", "", "", "", "dwi"),
        ("07", "2", "sag", "01", "T2w"),
        ("amu01", "", "", "", "T2starw"),
        ("amu01", "", "", "", "T2starw"),
        ("amu02", None, None, None, None),
        ("amu02", None, None, None, None),
    ]
    assert [e.get("structure") for e in entries] == [None] * 3 + ["gm", "wm"] + [None] * 2
    assert [e.get("level_kind") for e in entries[-2:]] == ["vertebral", "vertebral_detected"]
    assert entries[0]["reason"] == "failed quality control (qc_fail.yml, FILES_SEG)"
    assert {e["by"] for e in entries} == {"Jane Roe"}
    read_entries(entries)  # all keys are known to the cohort stage


def test_the_listed_scan_alone_is_excluded(tmp_path: Path) -> None:
    text = "FILES_SEG:\n- sub-01_T2w.nii.gz\n"
    known = scans(("a", "01", "T2w"), ("a", "01", "T1w"), ("a", "02", "T2w"))
    known = pd.concat([known, known.iloc[[0]].assign(acquisition="sag")], ignore_index=True)
    table = as_long(pd.concat([known] * 2).assign(structure=["cord"] * 4 + ["gm"] * 4))
    out = apply_entries(table, np.arange(8) % 4, known, listed(tmp_path, text))
    assert out["flag"].tolist() == ["excluded", "", "", ""] * 2


def test_a_failed_part_leaves_the_rest_of_the_scan(tmp_path: Path) -> None:
    known = scans(("a", "amu01", "T2starw"), ("a", "amu02", "T1w"))
    rows = pd.concat([known.iloc[[0]]] * 3 + [known.iloc[[1]]] * 2, ignore_index=True)
    rows = rows.assign(
        structure=["cord", "gm", "wm", "cord", "cord"],
        level_kind=["", "", "", "", "vertebral"],
    )
    out = apply_entries(as_long(rows), np.array([0, 0, 0, 1, 1]), known, listed(tmp_path))
    assert out["flag"].tolist() == ["", "excluded", "excluded", "", "excluded"]


def test_names_without_a_scan_are_told_and_not_refused(tmp_path: Path) -> None:
    known = scans(("a", "amu01", "T1w"), ("a", "amu02", "T1w"))
    entries = listed(tmp_path)
    check_entries(entries, known)
    assert unmatched_names(entries, known) == [
        "sub-cardiff02_dwi_moco_dwi_mean.nii.gz",
        "processed/sub-07/ses-2/anat/sub-07_ses-2_acq-sag_run-01_T2w.nii.gz",
        "sub-amu01_T2star_rms.nii.gz",
    ]


def test_a_name_of_two_data_sets_is_refused_until_one_is_named(tmp_path: Path) -> None:
    known = scans(("a", "amu01", "T1w"), ("b", "amu01", "T1w"))
    with pytest.raises(SheetError, match="dataset: a"):
        check_entries(listed(tmp_path), known, "qc_fail.yml")
    check_entries(listed(tmp_path, dataset="b"), known)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FILES_SEG:\n- T2w.nii.gz\n", "name the subject"),
        ("FILES_SEG:\n- sub-01_b?d.nii.gz\n", "not a BIDS suffix"),
        ("FILES_SEG: sub-01_T2w.nii.gz\n", "a list of file names"),
        ("FILES_SEG:\n- sub-01_T2w.nii.gz\nother: 1\n", "remove or correct the block"),
    ],
)
def test_what_tells_no_scan_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        listed(tmp_path, text)


@pytest.mark.parametrize("text", ["FILES_SEG:\n", "FILES_SEG: []\nFILES_LABEL:\n"])
def test_a_list_without_names_excludes_nothing(tmp_path: Path, text: str) -> None:
    assert listed(tmp_path, text) == []


def test_a_bad_mask_takes_what_was_compared_with_it(tmp_path: Path) -> None:
    own = tmp_path / "exclude.yaml"
    own.write_text("- {dataset: a, subject: sub-01, method: manual, reason: mask is shifted}\n")
    known = scans(("a", "01", "T2w"))
    rows = pd.concat([known] * 3, ignore_index=True)
    rows = rows.assign(method=["manual", "cord-v1", "cord-v1"], reference=["", "", "manual"])
    out = apply_entries(as_long(rows), np.zeros(3, int), known, read_entries(read_exclusions(own)))
    assert out["flag"].tolist() == ["excluded", "", "excluded"]
