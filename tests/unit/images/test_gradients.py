"""Gradient tables: layouts that occur, each fault by name, directions under stored axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cordcohort.errors import ImageError
from cordcohort.images.gradients import Gradients, no_b0, read_bvals, read_gradients
from hypothesis import given, settings
from hypothesis import strategies as st

DIRECTIONS = np.array(
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, -1, 0]], dtype=float
)
DIRECTIONS /= np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)
BVALS = [0.0, *[800.0] * 7]
BVECS = np.vstack([np.zeros(3), DIRECTIONS])
N = len(BVALS)


def files(folder, bvals=BVALS, bvecs=BVECS, separator=" ", columns=False):
    bval, bvec = folder / "a.bval", folder / "a.bvec"
    bval.write_text(separator.join(f"{b:g}" for b in bvals) + "\n")
    table = np.asarray(bvecs, dtype=float)
    table = table if columns else table.T
    bvec.write_text("\n".join(separator.join(repr(float(v)) for v in row) for row in table))
    return bval, bvec


@pytest.mark.parametrize("separator", [" ", "\t", ",", ", ", ";", "  "])
@pytest.mark.parametrize("columns", [False, True])
def test_rows_and_columns_and_separators_give_the_same_table(tmp_path, separator, columns):
    table = read_gradients(*files(tmp_path, separator=separator, columns=columns), N)
    np.testing.assert_allclose(table.bvals, BVALS)
    np.testing.assert_allclose(table.bvecs, BVECS, atol=1e-12)
    assert table.is_b0.tolist() == [True] + [False] * 7


def test_b_values_in_a_column_and_with_a_byte_order_mark_are_read(tmp_path):
    path = tmp_path / "a.bval"
    path.write_text("\ufeff0\n800\n800\n", encoding="utf-8")
    assert read_bvals(path, 3).tolist() == [0, 800, 800]


@pytest.mark.parametrize("b0", [0.0, 5.0, 50.0])
def test_small_b_values_count_as_none(tmp_path, b0):
    table = read_gradients(*files(tmp_path, [b0, *BVALS[1:]]), N)
    assert table.is_b0.sum() == 1


def test_vectors_within_ten_percent_are_scaled_to_one(tmp_path):
    table = read_gradients(*files(tmp_path, bvecs=BVECS * 1.05), N)
    np.testing.assert_allclose(np.linalg.norm(table.bvecs[1:], axis=1), 1.0)


def test_vectors_of_volumes_without_weighting_may_be_anything(tmp_path):
    vectors = BVECS.copy()
    vectors[0] = [0.3, 0, 0]
    assert read_gradients(*files(tmp_path, bvecs=vectors), N).bvecs[0].tolist() == [0, 0, 0]


BAD = {
    "bval_count": {"bvals": BVALS[:-1]},
    "bval_values": {"bvals": [-5.0, *BVALS[1:]]},
    "bvec_shape": {"bvecs": BVECS[:-1]},
    "bvec_norm": {"bvecs": BVECS * 0.5},
    "bvec_values": {"bvecs": np.where(BVECS == 1, np.nan, BVECS)},
    "no_b0": {"bvals": [800.0] * N, "bvecs": np.vstack([BVECS[1], DIRECTIONS])},
    "no_weighting": {"bvals": [0.0] * N},
    "directions": {"bvecs": np.vstack([BVECS[0], np.tile(BVECS[1], (7, 1))])},
}


@pytest.mark.parametrize("code", list(BAD))
def test_a_fault_has_its_name_and_its_file(tmp_path, code):
    with pytest.raises(ImageError) as caught:
        read_gradients(*files(tmp_path, **BAD[code]), N)
    assert caught.value.code == code
    assert caught.value.path.name in ("a.bval", "a.bvec")


def test_six_directions_are_enough_and_opposite_ones_count_once(tmp_path):
    six = np.vstack([BVECS[0], DIRECTIONS[:6]])
    assert len(read_gradients(*files(tmp_path, BVALS[:7], six), 7).bvals) == 7
    doubled = np.vstack([BVECS[0], DIRECTIONS[:5], -DIRECTIONS[:2]])
    with pytest.raises(ImageError, match="5 different ones"):
        read_gradients(*files(tmp_path, bvecs=doubled), N)


def test_six_directions_in_a_plane_determine_no_tensor(tmp_path):
    angle = np.linspace(0, np.pi, 7, endpoint=False)
    flat = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    with pytest.raises(ImageError, match="determine a tensor"):
        read_gradients(*files(tmp_path, bvecs=np.vstack([BVECS[0], flat])), N)


@pytest.mark.parametrize("text", ["", "0 800 eight", "\x00\x01", "0 1e999 800"])
def test_text_that_holds_no_table_is_refused(tmp_path, text):
    path = tmp_path / "a.bval"
    path.write_text(text)
    with pytest.raises(ImageError):
        read_bvals(path, 3)


def test_missing_and_huge_files_are_refused(tmp_path):
    with pytest.raises(ImageError, match="bval_missing"):
        read_bvals(tmp_path / "none.bval", 3)
    (tmp_path / "big.bval").write_text("0 " * 600_000)
    with pytest.raises(ImageError, match="small text file"):
        read_bvals(tmp_path / "big.bval", 3)


@settings(max_examples=30, deadline=None)
@given(st.permutations([0, 1, 2]), st.lists(st.sampled_from([-1, 1]), min_size=3, max_size=3))
def test_world_directions_do_not_depend_on_how_axes_are_stored(order, signs):
    """The same physical directions, written for an image whose axes are permuted and flipped."""
    affine = np.eye(4)
    affine[:3, :3] = np.diag([0.9, 0.8, 5.0])
    stored = np.eye(4)
    stored[:3, :3] = affine[:3, :3][:, order] * signs
    # A scanner exports vectors in the stored axes, x flipped where the determinant is positive.
    world = DIRECTIONS
    axes = stored[:3, :3] / np.linalg.norm(stored[:3, :3], axis=0)
    exported = world @ axes
    if np.linalg.det(axes) > 0:
        exported = exported * [-1, 1, 1]
    table = Gradients(np.full(7, 800.0), exported)
    np.testing.assert_allclose(table.world_bvecs(stored), world, atol=1e-12)


@pytest.mark.parametrize(
    ("smallest", "way_out"), [(60, "b0_threshold"), (800, "export the volumes")]
)
def test_a_weighted_volume_is_never_offered_as_one_without_weighting(smallest, way_out):
    assert way_out in no_b0(Path("a.bval"), smallest, 50).reason
