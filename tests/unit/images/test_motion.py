"""Motion that is known is found and taken back; what stands still stays as it is."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.images.diffusion import tensor_maps
from cordcohort.images.motion import (
    Motion,
    find_motion,
    framewise_displacement_mm,
    without_motion,
)
from unit.images.diffusion_phantom import SPACING_MM, phantom

IN_PLANE = SPACING_MM[:2]


def found_motion(one):
    return find_motion(one.series.data, IN_PLANE, one.series.bvals < 50, one.centres)


def in_frame_of_the_truth(one, motion):
    """The truth is told against the first volume, the estimate against the mean b=0."""
    frame = one.series.shifts_mm[one.series.bvals < 50].mean(axis=0)
    return Motion(motion.shifts_mm + frame, motion.framewise_displacement_mm)


def fa_error(one, data):
    """Mean absolute error of FA in the voxels that are all cord."""
    image, gradients = one.stored("RAS")
    found = tensor_maps(type(image)(data, image.affine), gradients, one.cord)
    return float(np.abs(found.maps["fa"][one.cord] - one.fa[one.cord]).mean())


@pytest.fixture(scope="module")
def moved():
    return phantom(motion_mm=1.0)


@pytest.fixture(scope="module")
def motion(moved):
    return found_motion(moved)


def test_shifts_of_the_design_s_noise_are_found_within_a_fifth_of_a_voxel():
    """12 directions at a signal to noise of 15; every slice of every volume moves on its own."""
    one = phantom(seed=13, motion_mm=1.0, snr=15.0, n_directions=12)
    error = in_frame_of_the_truth(one, found_motion(one)).shifts_mm - one.series.shifts_mm
    assert np.median(np.linalg.norm(error, axis=2)) < 0.2 * IN_PLANE[0]


def test_taking_motion_back_halves_the_error_of_fa(moved, motion):
    back = without_motion(moved.series.data, IN_PLANE, in_frame_of_the_truth(moved, motion))
    before, after = fa_error(moved, moved.series.data), fa_error(moved, back)
    assert after < before / 2


def test_a_series_without_motion_keeps_its_fa():
    one = phantom(seed=12, snr=15.0, n_directions=12)
    back = without_motion(one.series.data, IN_PLANE, found_motion(one))
    # Interpolation smooths a little; noise of the estimate may cost no more than it gives.
    assert fa_error(one, back) < 1.1 * fa_error(one, one.series.data)


def test_framewise_displacement_is_that_of_the_true_shifts(moved, motion):
    true = framewise_displacement_mm(moved.series.shifts_mm)
    assert motion.framewise_displacement_mm[0] == 0
    # The noise of two estimates adds to a way, never takes from it: a few percent.
    np.testing.assert_allclose(motion.framewise_displacement_mm, true, rtol=0.15)


def test_a_slice_without_signal_moves_as_its_neighbours_do():
    one = phantom(motion_mm=0.0)
    data = one.series.data.copy()
    steps = np.zeros((data.shape[3], data.shape[2], 2))
    steps[1::2] = (0.9, -0.9)  # all slices of every other volume together, by one voxel
    together = without_motion(data, IN_PLANE, Motion(-steps, np.zeros(len(steps))))
    together[:, :, 3, 5] = 0.0
    found = find_motion(together, IN_PLANE, one.series.bvals < 50, one.centres).shifts_mm
    assert np.linalg.norm(found[5, 3] - found[5, [2, 4]].mean(axis=0)) < 0.3
    assert np.isfinite(found).all()


def test_one_kind_of_volumes_and_one_slice_are_enough():
    one = phantom(motion_mm=1.0)
    only_b0 = one.series.bvals < 50
    data = one.series.data[:, :, 2:3][..., only_b0]
    found = find_motion(data, IN_PLANE, np.ones(data.shape[3], bool), one.centres[2:3])
    true = one.series.shifts_mm[only_b0][:, 2:3]
    error = found.shifts_mm - (true - true.mean(axis=0))
    assert np.abs(error).max() < 0.3 * IN_PLANE[0]


@pytest.mark.parametrize("value", [0.0, 5.0])
def test_an_image_of_one_value_does_not_move(value):
    data = np.full((20, 20, 3, 8), value, np.float32)
    found = find_motion(data, IN_PLANE, np.arange(8) < 2, np.full((3, 2), 10.0))
    np.testing.assert_allclose(found.shifts_mm, 0.0, atol=1e-9)
    np.testing.assert_allclose(without_motion(data, IN_PLANE, found), data, atol=1e-5)


def test_a_cord_at_the_border_of_the_image_gives_finite_shifts(moved):
    cut = moved.series.data[20:]
    centres = moved.centres - [20, 0]
    found = find_motion(cut, IN_PLANE, moved.series.bvals < 50, centres)
    assert np.isfinite(found.shifts_mm).all()
    assert np.abs(found.shifts_mm).max() < 10
