"""Surface distances: closed forms, a brute-force second implementation, edges, empty masks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cordcohort.measures import surface
from cordcohort.measures.surface import surface_pair
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist

SPACING = (0.5, 0.8, 2.0)
ALL = ("asd_mm", "hd_mm", "hd95_mm", "contour_mean_distance_mm", "asd_anima_mm")
masks = hnp.arrays(np.uint8, (6, 5, 4), elements=st.integers(0, 1))


def cube(first, last, shape=(20, 20, 20)):
    mask = np.zeros(shape, np.uint8)
    mask[first:last, 5:15, 5:15] = 1
    return mask


def surface_points(mask):
    padded = np.pad(mask, 1, mode="edge")
    points = []
    for index in zip(*np.nonzero(mask), strict=True):
        i, j, k = (n + 1 for n in index)
        faces = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
        if any(padded[i + a, j + b, k + c] == 0 for a, b, c in faces):
            points.append(index)
    return np.array(points, dtype=float).reshape(-1, 3) * SPACING


@settings(max_examples=60, deadline=None)
@given(masks, masks)
def test_distances_equal_a_search_over_all_pairs(a, b):
    pair = surface_pair(a, b, SPACING)
    first, second = surface_points(a), surface_points(b)
    if not len(first) or not len(second):
        assert all(math.isnan(getattr(surface, name)(pair)) for name in ALL)
        return
    distance = cdist(first, second)
    there, back = distance.min(axis=1), distance.min(axis=0)
    assert surface.asd_mm(pair) == pytest.approx(np.concatenate([there, back]).mean())
    assert surface.hd_mm(pair) == pytest.approx(max(there.max(), back.max()))
    percentiles = [np.percentile(d, 95) for d in (there, back)]
    assert surface.hd95_mm(pair) == pytest.approx(max(percentiles))


@settings(max_examples=30, deadline=None)
@given(masks, masks)
def test_distances_do_not_depend_on_which_mask_comes_first(a, b):
    here, there = surface_pair(a, b, SPACING), surface_pair(b, a, SPACING)
    for name in ("asd_mm", "hd_mm", "hd95_mm", "contour_mean_distance_mm"):
        np.testing.assert_allclose(
            getattr(surface, name)(here), getattr(surface, name)(there), rtol=1e-12
        )


def test_a_mask_has_no_distance_from_itself():
    pair = surface_pair(cube(5, 15), cube(5, 15), SPACING)
    assert all(getattr(surface, name)(pair) == 0 for name in ALL)


def test_a_shift_is_measured_in_mm_along_its_axis():
    a, b = np.zeros((20, 9, 9), np.uint8), np.zeros((20, 9, 9), np.uint8)
    a[4, 4, 4] = b[10, 4, 4] = 1
    pair = surface_pair(a, b, SPACING)
    assert surface.hd_mm(pair) == surface.asd_mm(pair) == pytest.approx(3.0)


def test_the_end_of_the_image_is_a_surface_only_on_request():
    through = np.zeros((9, 9, 6), np.uint8)
    through[3:6, 3:6] = 1
    assert surface.surface(through).sum() == 8 * 6
    assert surface.surface(through, edge=True).sum() == 8 * 6 + 2


def test_one_shared_voxel_early_in_the_image_hides_everything_from_the_running_minimum():
    a, b = cube(5, 15), cube(8, 18)
    a[0, 0, 0] = b[0, 0, 0] = 1
    pair = surface_pair(a, b, (1.0, 1.0, 1.0))
    assert surface.asd_anima_mm(pair) == 0
    assert surface.asd_mm(pair) > 0.5


@pytest.mark.parametrize("empty", ["mask", "reference", "both"])
def test_an_empty_mask_has_no_distance(empty):
    full, none = cube(5, 15), np.zeros((20, 20, 20), np.uint8)
    a = none if empty in ("mask", "both") else full
    b = none if empty in ("reference", "both") else full
    pair = surface_pair(a, b, SPACING)
    assert all(math.isnan(getattr(surface, name)(pair)) for name in ALL)


def test_masks_of_other_shape_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        surface_pair(np.ones((2, 2, 2)), np.ones((2, 2, 3)), SPACING)
