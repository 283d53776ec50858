"""A mask that does not belong to its image is told apart: accepted, reordered or refused."""

from __future__ import annotations

import ast
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cordcohort.errors import ImageError
from cordcohort.fault_codes import FAULT_CODES, codes_of
from cordcohort.nifti import Image, check_same_grid, on_grid_of, read_mask, write_image
from cordcohort.nifti.grids import MAX_GRID_SHIFT_VOXELS, NOTED_SHIFT_VOXELS
from hypothesis import given
from hypothesis import strategies as st
from nibabel.orientations import apply_orientation, inv_ornt_aff

SHAPE = (6, 7, 8)
SPACING = np.array([0.5, 0.7, 3.0])


def _affine(turn_degrees: float = 0.0) -> np.ndarray:
    turn = np.deg2rad(turn_degrees)
    rotation = np.array(
        [[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]]
    )
    affine = np.eye(4)
    affine[:3, :3] = rotation * SPACING
    affine[:3, 3] = (-10, 5, 40)
    return affine


def _image(affine: np.ndarray) -> Image:
    return Image(np.zeros(SHAPE, np.float32), affine, Path("sub-01_T2w.nii.gz"))


def _mask(affine: np.ndarray) -> Image:
    data = np.random.default_rng(3).integers(0, 2, SHAPE).astype(np.uint8)
    return Image(data, affine, Path("mask.nii.gz"))


def _moved(affine: np.ndarray, voxels: tuple[float, float, float]) -> np.ndarray:
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ np.array(voxels)
    return moved


@given(
    turn=st.floats(0, 90),
    noise=st.lists(st.floats(-1, 1), min_size=12, max_size=12),
)
def test_affines_that_differ_by_rounding_are_one_grid_without_a_note(turn, noise):
    affine = _affine(turn)
    rounded = affine.copy()
    rounded[:3] += np.reshape(noise, (3, 4)) * 5e-5 * np.array([1, 1, 1, 10])
    mask = on_grid_of(_mask(rounded), _image(affine))
    assert mask.notes == ()
    np.testing.assert_array_equal(mask.data, _mask(affine).data)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_shift_is_accepted_noted_or_refused_by_its_size_in_voxels(axis):
    image = _image(_affine(20))
    smallest = SPACING.min() / SPACING[axis]  # the rule counts in sides of the smallest voxel side
    step = np.eye(3)[axis] * smallest
    inside = _mask(_moved(image.affine, tuple(step * (MAX_GRID_SHIFT_VOXELS - 0.01))))
    assert "voxels off" in on_grid_of(inside, image).notes[0]
    unseen = _mask(_moved(image.affine, tuple(step * NOTED_SHIFT_VOXELS / 2)))
    assert on_grid_of(unseen, image).notes == ()
    outside = _mask(_moved(image.affine, tuple(step * (MAX_GRID_SHIFT_VOXELS + 0.01))))
    with pytest.raises(ImageError, match="shifted_grid"):
        on_grid_of(outside, image)


@pytest.mark.parametrize("voxels", [(0.5, 0, 0), (1, 0, 0), (1, 1, 1), (0, 0, -2)])
def test_the_same_grid_moved_by_voxels_is_refused_as_shifted_and_says_how_far(voxels):
    image = _image(_affine(20))
    with pytest.raises(ImageError, match="shifted_grid") as caught:
        on_grid_of(_mask(_moved(image.affine, voxels)), image)
    assert ", ".join(f"{v:g}" for v in voxels) in str(caught.value)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, -1)])
@pytest.mark.parametrize("turn", [0, 30])
def test_the_same_voxels_in_any_storage_order_are_the_same_mask(order, flips, turn):
    image = _image(_affine(turn))
    mask = _mask(image.affine)
    orientation = np.array([order, flips], dtype=float).T
    stored = replace(
        mask,
        data=apply_orientation(mask.data, orientation),
        affine=mask.affine @ inv_ornt_aff(orientation, SHAPE),
    )
    found = on_grid_of(stored, image)
    np.testing.assert_array_equal(found.data, mask.data)
    np.testing.assert_allclose(found.affine, image.affine, atol=1e-9)
    plain = order == (0, 1, 2) and flips == (1, 1, 1)
    assert bool(found.notes) != plain


def test_an_axis_that_runs_the_other_way_from_the_same_corner_is_refused_as_mirrored():
    image = _image(_affine())
    flipped = image.affine.copy()
    flipped[0, 0] *= -1
    with pytest.raises(ImageError, match="mirrored_grid"):
        on_grid_of(_mask(flipped), image)


@pytest.mark.parametrize("change", ["spacing", "angle", "shape"])
def test_other_voxels_angles_and_shapes_are_another_grid(change):
    image = _image(_affine(10))
    affine, shape = image.affine.copy(), SHAPE
    if change == "spacing":
        affine[:3, 0] *= 1.05
        affine[:3, 3] = image.affine[:3, 3]
        shape = (40, *SHAPE[1:])
        image = replace(image, data=np.zeros(shape))
    elif change == "angle":
        affine = _affine(14)
    else:
        shape = (*SHAPE[:2], SHAPE[2] - 1)
    mask = Image(np.ones(shape, np.uint8), affine, Path("mask.nii.gz"))
    with pytest.raises(ImageError, match="other_grid"):
        on_grid_of(mask, image)


def test_maps_must_lie_on_the_same_axes_too():
    image = _image(_affine())
    turned = replace(image, data=image.data[::-1], affine=_moved(image.affine, (5, 0, 0)))
    turned.affine[:3, 0] *= -1
    with pytest.raises(ImageError, match="another order"):
        check_same_grid(turned, image)


def test_labels_outside_of_a_closed_table_are_refused_and_named(tmp_path):
    data = np.zeros(SHAPE, np.int16)
    data[2, 2, 2:5] = (1, 8, 9)
    write_image(tmp_path / "m.nii.gz", data, _affine(), dtype=np.int16)
    assert read_mask(tmp_path / "m.nii.gz", kind="dseg").data.max() == 9
    with pytest.raises(ImageError, match=r"unknown_labels.*\[9\]"):
        read_mask(tmp_path / "m.nii.gz", kind="dseg", labels=range(1, 9))


def _codes_in_source(root: Path) -> set[str]:
    """Second argument of every ``ImageError(...)`` in the package, where it is a plain text."""
    found: set[str] = set()
    for path in (root / "workflow" / "lib").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(getattr(node, "func", None), "id", "")
            if name in ("ImageError", "_reason") and len(node.args) > 1:
                code = node.args[1]
                if isinstance(code, ast.Constant):
                    found.add(str(code.value))
    return found


def test_every_code_of_the_package_is_listed_with_its_meaning(root):
    used = _codes_in_source(root) | {
        f"{k}_{e}" for k in ("bval", "bvec") for e in ("missing", "text")
    }
    assert len(used) > 30
    assert used <= set(FAULT_CODES)
    page = (root / "docs" / "integrity.md").read_text(encoding="utf-8")
    missing = [code for code in FAULT_CODES if f"| `{code}` |" not in page]
    assert missing == []


def test_codes_of_a_reason_are_found_whatever_stands_around_them():
    reason = "manual: [shifted_grid] expected ...; cord-v1: a.nii.gz: [empty] expected ...; [odd]"
    assert codes_of(reason) == ("empty", "shifted_grid")
