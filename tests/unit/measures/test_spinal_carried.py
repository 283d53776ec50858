"""Spinal levels of a session's T2w scan give diffusion, area and lesions of its other scans."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cordcohort.bids.peers import add_peers
from cordcohort.images.level_maps import make_level_map
from cordcohort.measures.lesions import measure_lesion
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.regions import measure_regions
from cordcohort.measures.shape import measure_shape
from cordcohort.measures.tasks import level_labels
from cordcohort.nifti import write_image

T2W = np.diag([1.0, 1.0, 1.0, 1.0])
DWI = np.array([[1.5, 0, 0, 0], [0, 1.5, 0, 0], [0, 0, 4.0, 5.5], [0, 0, 0, 1.0]])
LEVELS = {3: (38, 46), 4: (27, 34), 5: (14, 22)}  # lowest and highest slice, 1 mm each
NAMES = {3: "C3", 4: "C4", 5: "C5"}
OPTIONS = MeasureOptions(level_kind="spinal", level_ranges=("C4-C5",), per_slice=False)


def scan(contrast: str, masks: list[dict]) -> dict:
    stem = f"sub-01_{contrast}"
    return {
        "dataset": "a", "subject": "01", "session": "", "acquisition": "", "run": "",
        "contrast": contrast, "folder": "sub-01/anat", "stem": stem, "datatype": "anat",
        "status": "no_image", "reason": "", "image": "", "masks": json.dumps(masks),
    }  # fmt: skip


def entry(structure: str, kind: str, data: np.ndarray, affine: np.ndarray) -> dict:
    path = Path(f"{structure}-{data.shape[2]}.nii.gz").resolve()
    write_image(path, data.astype(np.uint8), affine, dtype=np.uint8)
    return {"method": "manual", "structure": structure, "kind": kind, "path": str(path),
            "status": "ok", "reason": ""}  # fmt: skip


def slices_of(code: int) -> list[int]:
    """Slices of the diffusion series whose centre lies in a slice of the level."""
    low, high = LEVELS[code]
    return [k for k in range(12) if low <= np.rint(5.5 + 4.0 * k) <= high]


@pytest.fixture
def session(tmp_path, monkeypatch) -> tuple[dict, list[dict], dict[str, str]]:
    """The diffusion scan, its masks with what the session lends it, and maps of its tensor."""
    monkeypatch.chdir(tmp_path)
    cord = np.zeros((24, 24, 60), np.uint8)
    cord[8:16, 8:16, 2:58] = 1
    rootlets = np.zeros_like(cord)
    for code, (low, high) in LEVELS.items():
        rootlets[[7, 16], 7, low : high + 1] = code
    anatomy = [entry("cord", "seg", cord, T2W), entry("rootlets", "dseg", rootlets, T2W)]
    own = np.zeros((16, 16, 12), np.uint8)
    own[5:11, 5:11] = 1
    lesion = np.zeros_like(own)
    lesion[6:8, 6:8, [*slices_of(4), slices_of(5)[-1]]] = 1
    drawn = [entry("cord", "seg", own, DWI), entry("lesion", "seg", lesion, DWI)]
    rows = [scan("T2w", anatomy), scan("dwi", drawn)]
    add_peers(rows)
    make_level_map(rows[0], anatomy, OPTIONS)
    masks = [*json.loads(rows[1]["masks"]), *level_labels(rows[1])]
    fa = np.broadcast_to(0.01 * np.arange(12) ** 2, own.shape).astype(np.float32)
    maps = {}
    for name in ("fa", "md", "ad", "rd"):
        maps[name] = str(tmp_path / f"{name}.nii.gz")
        write_image(Path(maps[name]), fa if name == "fa" else fa * 0 + 1e-3, DWI, dtype=np.float32)
    return rows[1], masks, maps


@pytest.mark.parametrize("code", LEVELS)
def test_fa_of_a_level_is_that_of_the_slices_that_lie_in_it(session, code):
    row, masks, maps = session
    table = measure_regions(row, masks, maps, OPTIONS)
    own = table[(table["structure"] == "cord") & (table["measure"] == "fa")
                & (table["statistic"] == "mean") & (table["level"] == NAMES[code])]  # fmt: skip
    (found,) = own.to_dict("records")
    assert found["level_kind"] == "spinal"
    expected = np.mean([0.01 * k**2 for k in slices_of(code)])
    assert found["value"] == pytest.approx(expected, rel=1e-5)  # stored in single precision
    assert "of sub-01_T2w, carried by world coordinates" in found["reason"]


def test_area_and_lesions_are_told_by_the_same_levels_and_not_by_vertebrae(session):
    row, masks, _ = session
    area = measure_shape(row, masks, OPTIONS)
    assert set(area.loc[area["level"] != "", "level_kind"]) == {"spinal"}
    one = area[(area["measure"] == "csa_mm2") & (area["statistic"] == "mean")]
    assert one.set_index("level")["value"]["C4-C5"] == pytest.approx(36 * 1.5**2, rel=0.02)
    lesions = measure_lesion(row, masks, OPTIONS)
    shares = lesions[(lesions["level_kind"] == "spinal") & (lesions["object"] == "")
                     & (lesions["measure"] == "lesion_share_percent")]  # fmt: skip
    found = shares.set_index("level")["value"].to_dict()
    n = len(slices_of(4))
    assert found["C4"] == pytest.approx(100 * n / (n + 1))
    assert found["C5"] == pytest.approx(100 / (n + 1))
    assert found["C3"] == 0


def test_without_the_map_no_level_is_guessed(session):
    row, masks, maps = session
    alone = [m for m in masks if m["structure"] != "spinal"]
    assert set(measure_regions(row, alone, maps, OPTIONS)["level"]) == {""}
