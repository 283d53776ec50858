"""Pictures: what they show, how near they stay to the cord, and faults that become reasons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cordcohort.measures.region_codes import REGION_CODES
from cordcohort.nifti import write_image
from cordcohort.report.palette import OKABE_ITO
from cordcohort.report.pictures import draw_scan
from cordcohort.report.views import (
    WINDOW_MM,
    axial_view,
    beside_midline_mm,
    centres,
    chosen_slices,
    outlines,
    sagittal_view,
    sample,
    scan_views,
)
from PIL import Image as Pillow

SHAPE = (60, 64, 20)
SPACING_MM = (1.0, 0.5, 3.0)
AFFINE = np.diag([*SPACING_MM, 1.0])


def disc(x: float, y: float, radius_mm: float) -> np.ndarray:
    grid = np.meshgrid(*[np.arange(n) * s for n, s in zip(SHAPE, SPACING_MM, strict=True)],
                       indexing="ij")  # fmt: skip
    return np.hypot(grid[0] - x, grid[1] - y) <= radius_mm


def scan_of(folder: Path, image: np.ndarray | None, masks: dict[str, np.ndarray]) -> dict[str, Any]:
    path = folder / "image.nii.gz"
    if image is not None:
        write_image(path, image, AFFINE, dtype=np.float32)
    told = []
    for name, mask in masks.items():
        method, structure = name.split("/")
        kind = "dseg" if mask.max() > 1 else "seg"
        file = folder / f"{method}_{structure}.nii.gz"
        write_image(file, mask, AFFINE, dtype=np.uint8)
        told.append({"method": method, "structure": structure, "kind": kind, "path": str(file),
                     "status": "ok", "reason": ""})  # fmt: skip
    return {
        "dataset": "d", "folder": "sub-01/anat", "stem": "sub-01_T2w", "datatype": "anat",
        "acquisition": "", "bval": "", "bvec": "",
        "image": str(path) if image is not None else "", "masks": json.dumps(told),
    }  # fmt: skip


def test_the_view_looks_from_the_feet_with_the_front_up() -> None:
    volume = np.zeros(SHAPE, dtype=np.float32)
    volume[30:, :, 5] += 1.0  # the person's left is at small x: this is the right half
    volume[:, 32:, 5] += 10.0  # the front half
    tile = sample(volume, axial_view(5, (30.0, 32.0), SPACING_MM))
    upper_left, lower_right = tile[10, 10], tile[-10, -10]
    assert upper_left == pytest.approx(11.0)
    assert lower_right == pytest.approx(0.0)


def test_an_outline_encloses_the_area_of_its_mask() -> None:
    view = axial_view(5, (30.0, 32.0), SPACING_MM)
    lines = outlines(disc(30.0, 16.0, 6.0), view)
    assert len(lines) == 1
    y, x = lines[0].T
    pixels = 0.5 * abs(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1]))
    area_mm2 = pixels * (WINDOW_MM / view.shape[0]) ** 2
    assert area_mm2 == pytest.approx(np.pi * 36, rel=0.04)


def test_slices_are_chosen_evenly_with_both_ends() -> None:
    assert chosen_slices(range(5, 66), 4) == [5, 25, 45, 65]


def test_the_strip_is_no_wider_than_the_cord_and_its_margin() -> None:
    middle = centres(disc(30.0, 16.0, 6.0))
    view = sagittal_view(middle, SPACING_MM, 304)
    y_mm = view.voxels[1] * SPACING_MM[1]
    assert y_mm.max() - y_mm.min() <= 28.0
    assert np.ptp(view.voxels[0]) == 0.0


def test_a_mask_that_leaks_forward_in_some_slices_opens_no_face_in_the_others() -> None:
    spacing = (1.0, 1.0, 1.0)
    middle = {z: (20.0, 30.0 if z < 40 else 110.0) for z in range(50)}
    face = np.zeros((40, 160, 50), dtype=np.float32)
    face[:, 65:, :39] = 1.0  # in front of the cord, in the slices where the mask is right
    strip = sagittal_view(middle, spacing, 300)
    assert strip.shape[1] > 80  # wide enough to hold the face
    shown = sample(face, strip)
    right = strip.voxels[2] < 37
    assert shown[right].max() == 0.0
    cord = np.zeros_like(face)
    cord[:, 28:33, :39] = 1.0
    assert sample(cord, strip)[right].max() == pytest.approx(1.0)


def test_nothing_far_from_the_cord_is_shown(tmp_path: Path) -> None:
    """A face is more than a window away from the cord: its brightness must not enter."""
    image = np.full(SHAPE, 100.0, dtype=np.float32)
    image[30, 32, :] = 110.0
    far = image.copy()
    far[:, : 32 - 31, :] = 9e4
    far[:, 32 + 31 :, :] = 9e4
    far[:13], far[48:] = 9e4, 9e4
    near_png, far_png = (
        _png(tmp_path / str(i), scan_of(_made(tmp_path / str(i)), img, {"manual/cord": cord()}))
        for i, img in enumerate((image, far))
    )
    assert near_png == far_png


def cord() -> np.ndarray:
    return disc(30.0, 16.0, 6.0).astype(np.uint8)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _png(folder: Path, scan: dict[str, Any]) -> bytes:
    record = draw_scan(scan, folder / "results")
    return (folder / "results/report" / record["pictures"][0]["file"]).read_bytes()


def test_the_outline_has_the_colour_of_its_method(tmp_path: Path) -> None:
    masks = {"manual/cord": cord(), "cord-v1/cord": disc(30.0, 16.0, 8.0).astype(np.uint8)}
    scan = scan_of(tmp_path, np.full(SHAPE, 1.0, dtype=np.float32), masks)
    record = draw_scan(scan, tmp_path / "results", ["manual", "cord-v1"])
    picture = Pillow.open(tmp_path / "results/report" / record["pictures"][0]["file"])
    found = {tuple(c) for c in np.asarray(picture.convert("RGB")).reshape(-1, 3).tolist()}
    for look in record["pictures"][0]["methods"]:
        assert tuple(bytes.fromhex(look["colour"][1:])) in found
    assert [look["dashed"] for look in record["pictures"][0]["methods"]] == [False, True]


def test_methods_that_meet_in_a_picture_never_share_a_colour(tmp_path: Path) -> None:
    methods = ["manual", *(f"net-{k}" for k in range(10))]
    shown = ["manual", "net-0", "net-6", "net-7"]  # the eighth method has the colour of the first
    masks = {f"{m}/cord": disc(30.0, 16.0, 6.0 + i).astype(np.uint8) for i, m in enumerate(shown)}
    scan = scan_of(tmp_path, np.ones(SHAPE), masks)
    legend = draw_scan(scan, tmp_path / "results", methods)["pictures"][0]["methods"]
    assert len({m["colour"] for m in legend}) == len(shown)
    assert legend[0]["colour"] == OKABE_ITO[0]


def test_structures_that_share_a_picture_are_told_apart(tmp_path: Path) -> None:
    lesion = disc(30.0, 16.0, 2.0).astype(np.uint8)
    masks = {"manual/cord": cord(), "manual/lesion": lesion, "manual/gm": cord()}
    record = draw_scan(scan_of(tmp_path, np.ones(SHAPE), masks), tmp_path / "results")
    assert [p["group"] for p in record["pictures"]] == ["Spinal cord", "Inside the cord"]
    inside = record["pictures"][1]["methods"]
    assert [m["name"] for m in inside] == ["grey matter, manual", "lesion, manual"]
    assert len({m["colour"] for m in inside}) == 2


def test_masks_without_an_image_are_drawn_on_black(tmp_path: Path) -> None:
    record = draw_scan(scan_of(tmp_path, None, {"manual/cord": cord()}), tmp_path / "results")
    assert record["note"] == "No image: outlines alone."
    assert len(record["pictures"]) == 1


def test_an_image_without_a_mask_is_not_shown(tmp_path: Path) -> None:
    record = draw_scan(scan_of(tmp_path, np.ones(SHAPE), {}), tmp_path / "results")
    assert record["pictures"] == []
    assert "without one it is not shown" in record["reason"]


def test_an_empty_mask_gives_a_reason_and_no_picture(tmp_path: Path) -> None:
    scan = scan_of(tmp_path, np.ones(SHAPE), {"manual/cord": cord() * 0})
    assert "no mask could be drawn" in draw_scan(scan, tmp_path / "results")["reason"]


def test_a_mask_on_another_grid_is_a_reason_beside_the_others(tmp_path: Path) -> None:
    scan = scan_of(tmp_path, np.ones(SHAPE), {"manual/cord": cord()})
    other = tmp_path / "other.nii.gz"
    write_image(other, cord()[:-1], AFFINE, dtype=np.uint8)
    masks = json.loads(scan["masks"])
    masks.append(masks[0] | {"method": "cord-v1", "path": str(other)})
    record = draw_scan(scan | {"masks": json.dumps(masks)}, tmp_path / "results")
    assert [m["status"] for m in record["masks"]] == ["ok", "failed"]
    assert record["masks"][1]["reason"].startswith("[other_grid]")
    assert str(tmp_path) not in json.dumps(record)


def test_a_broken_image_is_a_reason(tmp_path: Path) -> None:
    scan = scan_of(tmp_path, np.ones(SHAPE), {"manual/cord": cord()})
    path = Path(scan["image"])
    path.write_bytes(path.read_bytes()[:-40])
    record = draw_scan(scan, tmp_path / "results")
    assert record["pictures"] == []
    assert record["reason"].startswith("[")


@pytest.mark.parametrize("n_slices", [1, 2, 20])
def test_a_cord_of_few_slices_has_a_picture(tmp_path: Path, n_slices: int) -> None:
    mask = cord()
    mask[:, :, n_slices:] = 0
    record = draw_scan(scan_of(tmp_path, np.ones(SHAPE), {"manual/cord": mask}), tmp_path / "r")
    assert len(record["pictures"][0]["slices"]) == min(n_slices, 12)


@pytest.mark.parametrize("turned", [False, True])
def test_only_a_mask_stored_along_other_axes_than_its_image_is_told_as_such(
    tmp_path: Path, turned: bool
) -> None:
    mask = disc(30.0, 16.0, 5.0).astype(np.uint8)
    scan = scan_of(tmp_path, 100.0 * mask, {"manual/cord": mask})
    flipped = AFFINE @ np.diag([-1.0, 1, 1, 1])
    flipped[0, 3] = (SHAPE[0] - 1) * SPACING_MM[0]
    write_image(tmp_path / "image.nii.gz", 100.0 * mask[::-1], flipped, dtype=np.float32)
    if not turned:
        write_image(tmp_path / "manual_cord.nii.gz", mask[::-1], flipped, dtype=np.uint8)
    record = draw_scan(scan, tmp_path / "results", ["manual"])
    assert len(record["pictures"]) == 1
    assert ("other axes" in record["masks"][0]["reason"]) == turned


def eight_regions(shift: int = 0) -> np.ndarray:
    """The cord in eight sectors with the codes 1 to 8."""
    x, y = np.meshgrid(np.arange(SHAPE[0]) - 30 - shift, np.arange(SHAPE[1]) - 32, indexing="ij")
    sector = np.floor((np.arctan2(y, x) / np.pi + 1) * 4 * (1 - 1e-9)).astype(np.uint8) + 1
    return (sector[:, :, None] * cord()).astype(np.uint8)


def test_each_region_has_a_colour_and_a_name_and_each_method_its_picture(tmp_path: Path) -> None:
    masks = {"manual/cord": cord(), "manual/regions": eight_regions()}
    masks |= {f"scsnet-{k}/regions": eight_regions(k) for k in (1, 2)}
    scan = scan_of(tmp_path, np.ones(SHAPE), masks)
    pictures = draw_scan(scan, tmp_path / "results")["pictures"]
    assert [p["group"] for p in pictures] == [
        "Spinal cord",
        "Regions of the cord: scsnet-1 (broken), manual (whole)",
        "Regions of the cord: scsnet-2 (broken), manual (whole)",
    ]
    assert len({p["file"] for p in pictures}) == 3
    legend = pictures[1]["methods"]
    assert [m["name"] for m in legend][::4] == [
        "left lateral white matter", "right lateral white matter",
    ]  # fmt: skip
    assert len({m["colour"] for m in legend}) == len(legend) == len(REGION_CODES)
    picture = Pillow.open(tmp_path / "results/report" / pictures[1]["file"])
    found = {tuple(c) for c in np.asarray(picture.convert("RGB")).reshape(-1, 3).tolist()}
    assert {tuple(bytes.fromhex(m["colour"][1:])) for m in legend} <= found


def test_rootlets_are_named_by_level_and_what_has_no_name_is_not_drawn(tmp_path: Path) -> None:
    levels = cord()
    levels[:, :, :5] *= 2
    levels[:, :, 5:10] *= 109
    levels[:, :, 10:] *= 77
    masks = {"manual/cord": cord(), "rootlets-v1/rootlets": levels}
    pictures = draw_scan(scan_of(tmp_path, np.ones(SHAPE), masks), tmp_path / "r")["pictures"]
    assert [m["name"] for m in pictures[1]["methods"]] == ["C2", "T1"]
    assert pictures[1]["group"] == "Rootlets by level: rootlets-v1"


@pytest.mark.parametrize("other", [False, True])
def test_the_largest_section_of_every_lesion_is_among_the_slices(
    tmp_path: Path, other: bool
) -> None:
    lesion = {m: np.zeros(SHAPE, dtype=np.uint8) for m in ("manual", "net")}
    lesion["manual"][29:32, 30:34, 12] = lesion["manual"][30, 31:33, 13] = 1
    lesion["net"][29:32, 30:34, 8] = 1
    methods = ["manual", "net"] if other else ["manual"]
    masks = {"manual/cord": cord()} | {f"{m}/lesion": lesion[m] for m in methods}
    record = draw_scan(scan_of(tmp_path, np.ones(SHAPE), masks), tmp_path / "r", n_slices=4)
    slices = record["pictures"][0]["slices"]
    assert slices == ([0, 8, 12, 19] if other else [0, 6, 12, 19])  # evenly: 0, 6, 13, 19


@pytest.mark.parametrize(("x", "beside_mm"), [(30, 0.0), (33, 3.0), (26, -4.0)])
def test_the_strip_runs_through_the_lesion_where_the_midline_misses_it(
    x: int, beside_mm: float
) -> None:
    lesion = np.zeros(SHAPE, dtype=bool)
    lesion[x, 30:34, 8:12] = True
    strip = scan_views(cord() > 0, SPACING_MM, 6, [lesion])[0]
    assert sample(lesion, strip).max() > 0.9
    side = {0.0: "", 3.0: "3 mm R", -4.0: "4 mm L"}
    assert strip.label == side[beside_mm]
    assert beside_midline_mm(centres(cord() > 0), lesion & False, SPACING_MM) == 0.0
