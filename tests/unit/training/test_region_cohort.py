"""Manual regions of a cohort: what is read, how it is cut, and that persons are split."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cordcohort.errors import ConfigError, ImageError
from cordcohort.files import read_yaml
from cordcohort.measures.regions import REGION_CODES
from cordcohort.nifti import write_image
from cordcohort.phantom.diffusion import directions
from cordcohort.segmentation.registry import load_model
from cordcohort.training.cohort import check_entries
from cordcohort.training.engine import train
from cordcohort.training.publish import publish
from cordcohort.training.region_cohort import RegionScans, load_region_scan
from cordcohort.training.split import SPLIT_FILE, read_split

ENTRY = check_entries([{"folder": "cohort"}])[0]
SPACING = (0.9, 0.9, 5.0)
N_DIRECTIONS = 8
PAINTING = {"grid": 32, "pixel_mm": 0.9, "neighbour_mm": 1.0}


def write_person(folder: Path, person: str, axes: tuple[int, int] = (1, 1)) -> dict[str, Any]:
    """A series of 30 x 26 x 3 voxels whose regions are blocks; one row of the index."""
    codes = np.zeros((30, 26, 3), np.uint8)
    for code in REGION_CODES.values():
        side, row = divmod(code - 1, 4)
        codes[9 + 6 * side : 15 + 6 * side, 5 + 4 * row : 9 + 4 * row] = code
    base = np.where(codes > 0, 100.0, 20.0) + 10.0 * codes
    bvals = np.r_[0.0, np.full(N_DIRECTIONS, 800.0)]
    vectors = np.vstack([np.zeros((1, 3)), directions(N_DIRECTIONS)])
    decay = np.exp(-bvals * (0.5e-3 + 1.0e-3 * vectors[:, 2] ** 2))
    series = np.where(codes[..., None] > 0, base[..., None] * decay, base[..., None])
    affine = np.diag([*SPACING, 1.0])
    flips = tuple(i for i, sign in enumerate(axes) if sign < 0)
    for axis in flips:
        affine[axis, axis] *= -1
        series, codes = np.flip(series, axis), np.flip(codes, axis)
    stem = folder / f"{person}_dwi"
    write_image(stem.with_suffix(".nii.gz"), series, affine, dtype=np.float32)
    write_image(folder / f"{person}_regions.nii.gz", codes, affine, dtype=np.uint8)
    np.savetxt(stem.with_suffix(".bval"), bvals[None], fmt="%g")
    np.savetxt(stem.with_suffix(".bvec"), vectors.T, fmt="%.6f")
    mask = {"structure": "regions", "method": "manual", "kind": "dseg", "status": "ok",
            "path": str(folder / f"{person}_regions.nii.gz")}  # fmt: skip
    return {
        "status": "ok", "reason": "", "dataset": "cohort", "subject": person, "session": "",
        "acquisition": "", "run": "", "contrast": "dwi", "person": person, "split": "",
        "folder": f"sub-{person}/dwi",
        "stem": f"sub-{person}_dwi", "image": f"{stem}.nii.gz",
        "bval": f"{stem}.bval", "bvec": f"{stem}.bvec",
        "masks": json.dumps([mask]),
    }  # fmt: skip


def test_a_series_is_seen_through_its_mean_b0_on_canonical_axes(tmp_path: Path):
    plain = load_region_scan(write_person(tmp_path, "a"), ENTRY, "b0")
    turned = load_region_scan(write_person(tmp_path, "b", (-1, -1)), ENTRY, "b0")
    assert np.array_equal(plain.codes, turned.codes)
    np.testing.assert_allclose(plain.image, turned.image)
    assert plain.image[0][plain.codes[0] == 3].max() == pytest.approx(130.0)
    assert plain.spacing_mm == pytest.approx((5.0, 0.9, 0.9))
    left = np.argwhere((plain.codes > 0) & (plain.codes < 5))
    assert left[:, 2].mean() < plain.places[0, 2]


def test_fa_is_fitted_round_the_drawn_cord_and_0_elsewhere(tmp_path: Path):
    scan = load_region_scan(write_person(tmp_path, "a"), ENTRY, "fa")
    inside = scan.image[scan.codes > 0]
    axial, radial = 1.5e-3, 0.5e-3
    mean = (axial + 2 * radial) / 3
    wanted = np.sqrt(1.5 * ((axial - mean) ** 2 + 2 * (radial - mean) ** 2)
                     / (axial**2 + 2 * radial**2))  # fmt: skip
    np.testing.assert_allclose(inside, wanted, rtol=0.02)  # no noise: rounding of the vectors
    assert scan.image[0, 0, 0] == 0


@pytest.mark.parametrize("fault", ["no mask", "empty", "unknown code"])
def test_a_scan_that_cannot_be_used_says_why(fault: str, tmp_path: Path):
    row = write_person(tmp_path, "a")
    path = tmp_path / "a_regions.nii.gz"
    if fault == "no mask":
        row["masks"] = "[]"
    else:
        codes = np.zeros((30, 26, 3), np.uint8)
        codes[4, 4, 1] = 0 if fault == "empty" else 9
        write_image(path, codes, np.diag([*SPACING, 1.0]), dtype=np.uint8)
    with pytest.raises(ImageError):
        load_region_scan(row, ENTRY, "b0")


def test_a_patch_without_changes_is_the_scan_itself(tmp_path: Path):
    scan = load_region_scan(write_person(tmp_path, "a"), ENTRY, "b0")
    image, target = RegionScans([scan], PAINTING, 1, changed=False).batch(0, 3)
    assert image.shape == (3, 1, 32, 32)
    torch.testing.assert_close(target.sum(1), torch.ones(3, 32, 32))
    for code in REGION_CODES.values():
        wanted = (scan.codes[0] == code).sum()
        # Blocks of 24 pixels; the grid lies between pixels, so edges are shared out.
        assert float(target[0, code].sum()) == pytest.approx(float(wanted), rel=0.02)


def test_changed_patches_keep_sides(tmp_path: Path):
    scan = load_region_scan(write_person(tmp_path, "a"), ENTRY, "b0")
    _, target = RegionScans([scan], PAINTING, 1).batch(0, 16)
    x = torch.arange(32.0)
    for one in target:
        left, right = one[1:5].sum((0, 1)), one[5:9].sum((0, 1))
        assert (left @ x) / left.sum() < (right @ x) / right.sum()


@pytest.mark.parametrize(("network", "options", "loss", "seen"), [
    ("scs_net", {"width": 4, "levels": 3}, "dice_ce", "b0"),
    ("vgg16_unet", {"divisor": 32}, "heat_map_distance", "fa"),
])  # fmt: skip
def test_both_networks_train_on_a_cohort_split_by_person(
    network: str, options: dict[str, int], loss: str, seen: str, tmp_path: Path
):
    rows = [write_person(tmp_path, f"p{i}") for i in range(5)]
    rows += [rows[0] | {"session": "2", "folder": "sub-p0/ses-2/dwi"}]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps({
        "name": "own", "task": "regions", "seed": 3,
        "sources": {"cohort": [{"folder": "cohort"}],
                    "split": {"seed": 1, "train": 0.6, "validation": 0.2}},
        "painting": PAINTING | {"input": seen}, "network": {"name": network, "options": options},
        "loss": {"name": loss}, "schedule": {"steps": 2, "batch_size": 2, "warmup": 1},
        "validation": {"every": 1, "samples": 2}, "checkpoint": {"every": 2},
    }))  # fmt: skip
    train(recipe, tmp_path / "run", {}, rows={"cohort": rows}, threads=1)
    split = read_split(tmp_path / "run" / SPLIT_FILE)
    assert sorted(split.values()) == ["test", "train", "train", "train", "validation"]
    publish(tmp_path / "own", {"regions": tmp_path / "run"}, name="own", register=False)
    stage = load_model(tmp_path / "own").stages["regions"]
    if loss == "dice_ce":
        assert stage.activation == "softmax"
    else:
        assert stage.activation == "thresholds"
        assert len(stage.thresholds) == 8
        assert all(0.1 <= t < 1.0 for t in stage.thresholds)
    assert read_yaml(tmp_path / "own" / "model.yaml")["task"] == "regions"


def test_a_cohort_without_regions_is_refused(tmp_path: Path):
    rows = [write_person(tmp_path, "a") | {"masks": "[]"}]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps({
        "name": "own", "task": "regions", "seed": 3, "sources": {"cohort": [{"folder": "cohort"}]},
    }))  # fmt: skip
    with pytest.raises(ConfigError, match="regions_dseg"):
        train(recipe, tmp_path / "run", {}, rows={"cohort": rows}, threads=1)
