"""Registrations in the report: a picture of each, and the list with the worst first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cordcohort.cohort.exclusion import left_out_of, read_entries
from cordcohort.errors import DamagedError
from cordcohort.files import read_json, read_yaml
from cordcohort.images.derive_truth import make_soft_truths
from cordcohort.nifti import write_image
from cordcohort.report.inputs import Inputs
from cordcohort.report.pages import environment
from cordcohort.report.pictures import draw_scan
from cordcohort.report.registrations import (
    FAILED_REGISTRATIONS,
    registration_list,
    registration_picture,
    write_failed_registrations,
)
from cordcohort.scan import SOFT_TRUTH, soft_truth_files
from PIL import Image as Pillow

SHAPE, AFFINE = (40, 40, 10), np.diag([1.0, 1.0, 2.0, 1.0])
OPTIONS = {
    "masks": ["manual"], "reference_contrast": "T2w", "alignment": "centre_of_mass",
    "edge_mm": {}, "min_dice": 0.7,
}  # fmt: skip
CONFIG = {"images": {"soft_truth": {"make": True}}}
# A good one, one that lies 4 mm beside, one of another shape, and one that is listed.
CORDS_MM = {"T2w": (5, 0), "T1w": (5, 0), "MTon": (5, 4), "MToff": (1.5, 0), "dwi": (5, 0)}


def cord(radius_mm: float, shift_mm: float) -> np.ndarray:
    x, y = np.meshgrid(*[np.arange(n) for n in SHAPE[:2]], indexing="ij")
    plane = np.hypot(x - 15 - shift_mm, y - 20) < radius_mm
    return np.repeat(plane[:, :, None], SHAPE[2], axis=2)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inputs:
    monkeypatch.chdir(tmp_path)
    rows: list[dict[str, Any]] = []
    for contrast, (radius_mm, shift_mm) in CORDS_MM.items():
        stem = f"sub-01_{contrast}"
        data = cord(radius_mm, shift_mm)
        mask = tmp_path / "bids" / f"{stem}_label-SC_seg.nii.gz"
        image = tmp_path / "bids" / "sub-01" / "anat" / f"{stem}.nii.gz"
        write_image(mask, data, AFFINE, dtype=np.uint8)
        write_image(image, 100 + 200 * data, AFFINE, dtype=np.int16)
        found = {"method": "manual", "structure": "cord", "kind": "seg", "path": str(mask),
                 "status": "ok", "reason": ""}  # fmt: skip
        rows.append({
            "dataset": "d", "subject": "01", "session": "", "acquisition": "", "run": "",
            "contrast": contrast, "datatype": "anat", "folder": "sub-01/anat", "stem": stem,
            "image": str(image), "status": "ok", "reason": "", "bval": "", "bvec": "",
            "masks": json.dumps([found]),
        })  # fmt: skip
    make_soft_truths(rows, OPTIONS, {"d/sub-01/anat/sub-01_dwi": "moved <b>"})
    empty = pd.DataFrame()
    return Inputs(tmp_path / "results", pd.DataFrame(rows), empty, empty, empty, (), CONFIG)


def test_the_list_starts_with_what_went_wrong_and_names_the_reason(study: Inputs) -> None:
    rows = registration_list(study)["registrations"]
    assert [row["scan"].split()[-1] for row in rows] == ["dwi", "MToff", "MTon", "T1w"]
    by_contrast = {row["scan"].split()[-1]: row for row in rows}
    assert by_contrast["MToff"]["state_text"] == "left out"
    assert "overlap after alignment" in by_contrast["MToff"]["reason"]
    assert by_contrast["dwi"]["state_text"] == "excluded"
    # The list holds text; the template, whose autoescape is always on, makes it markup.
    assert by_contrast["dwi"]["reason"] == "moved <b>"
    page = environment().from_string("<td>{{ row.reason }}</td>").render(row=by_contrast["dwi"])
    assert page == "<td>moved &lt;b&gt;</td>"
    assert by_contrast["T1w"]["numbers"][0] == "1.000"
    assert by_contrast["MTon"]["numbers"][3] == "4.0"
    assert all(row["link"].startswith("subjects/d/sub-01.html#scan-") for row in rows)


def test_failed_registrations_are_drafted_as_entries_that_the_exclusion_list_takes(
    study: Inputs, tmp_path: Path
) -> None:
    write_failed_registrations(study, tmp_path)
    entries = read_entries(read_yaml(tmp_path / FAILED_REGISTRATIONS))
    assert [(e["contrast"], e["from"]) for e in entries] == [("MToff", "soft_truth")]
    left_out = left_out_of("soft_truth", entries, study.index.to_dict("records"))
    assert list(left_out) == ["d/sub-01/anat/sub-01_MToff"]


def test_without_the_key_there_is_no_list(study: Inputs) -> None:
    off = Inputs(study.results, *[study.index] * 4, (), {})
    assert registration_list(off) == {"registrations": []}


@pytest.mark.parametrize(("contrast", "shown"), [("T1w", 1), ("MToff", 1), ("T2w", 0), ("dwi", 0)])
def test_every_registration_has_a_picture_the_failed_ones_too(
    study: Inputs, contrast: str, shown: int
) -> None:
    scan = study.index.set_index("contrast", drop=False).loc[contrast].to_dict()
    draw_scan(scan, study.results, ["manual", SOFT_TRUTH])
    record = read_json(study.results / "report" / "pictures" / "d" / f"sub-01_{contrast}.json")
    entries = [p for p in record["pictures"] if p["group"].startswith("Registration")]
    assert len(entries) == shown
    for entry in entries:
        picture = Pillow.open(study.results / "report" / entry["file"])
        assert picture.size == (entry["width"], entry["height"])
        assert [m["name"] for m in entry["methods"]] == ["T2w (reference)", f"{contrast}, aligned"]
    drawn = [m["method"] for m in record["masks"]]
    assert (SOFT_TRUTH in drawn) is (contrast != "dwi")


def test_the_picture_shows_the_image_of_the_reference_by_its_place_in_the_data_set(
    study: Inputs,
) -> None:
    scan = study.index.set_index("contrast", drop=False).loc["T1w"].to_dict()
    file = study.results / "report" / registration_picture(scan, study.results)[0]["file"]
    shown = np.asarray(Pillow.open(file).convert("L"))
    Path(study.index.iloc[0]["image"]).unlink()
    registration_picture(scan, study.results)
    black = np.asarray(Pillow.open(file).convert("L"))
    assert shown.mean() > black.mean() + 10


@pytest.mark.parametrize("contrast", ["T1w", "T2w"])
def test_a_carried_mask_with_one_changed_byte_is_refused(study: Inputs, contrast: str) -> None:
    rows = study.index.set_index("contrast", drop=False)
    path = study.results.parent / soft_truth_files(rows.loc[contrast].to_dict())["carried"]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedError, match="sha256"):
        draw_scan(rows.loc["T1w"].to_dict(), study.results, ["manual", SOFT_TRUTH])


def test_a_study_without_the_stage_draws_no_registration(study: Inputs) -> None:
    scan = study.index.iloc[1].to_dict()
    record = draw_scan(scan, study.results, ["manual"])
    assert [p["group"] for p in record["pictures"]] == ["Spinal cord"]
