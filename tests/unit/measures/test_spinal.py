"""Spinal levels from rootlets: slices, order, distances from the PMJ by hand on curved cords."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cordcohort.measures.spinal import CONTIGUOUS, Extent, Radius, level_extents, level_map
from cordcohort.measures.spinal_place import along_cord, level_places

SHAPE = (40, 40, 60)
SPACING = (0.8, 0.8, 1.0)
NEAR = Radius(2.5)
# Lowest and highest slice of each level, from above to below.
SLICES = {2: (50, 54), 3: (41, 46), 4: (31, 37), 5: (22, 28), 6: (13, 18)}


def curved_cord(first: int = 2, last: int = 57) -> np.ndarray:
    """A cord that leans and bends: its centre moves with the square of the height."""
    cord = np.zeros(SHAPE, np.uint8)
    x, y = np.ogrid[: SHAPE[0], : SHAPE[1]]
    for k in range(first, last + 1):
        cx, cy = centre(k)
        cord[:, :, k] = (x - cx) ** 2 + (y - cy) ** 2 <= 16.5
    return cord


def centre(k: int) -> tuple[int, int]:
    """Whole pixels, so that the mean of each slice's disc is the centre to the bit."""
    return 18 + k // 15, round(12 + 0.004 * k * k)


def rootlets_of(cord: np.ndarray, slices: dict[int, tuple[int, int]]) -> np.ndarray:
    """Two lines of voxels a slice, one pixel off the cord, behind it on both sides."""
    out = np.zeros(SHAPE, np.int32)
    for code, (low, high) in slices.items():
        for k in range(low, high + 1):
            cx, cy = centre(k)
            for side in (-2, 2):
                out[cx + side, cy - 5, k] = code
    return out


def distance_by_hand(pmj_mm: tuple[float, float, float], lowest: int) -> dict[int, float]:
    """Arc length slice by slice, written out with explicit loops."""
    top = round(pmj_mm[2] / SPACING[2])
    points = [pmj_mm[:2]]
    last_with_cord = 57
    for k in range(top - 1, lowest - 1, -1):
        if k > last_with_cord:
            share = (top - k) / (top - last_with_cord)
            cx, cy = (c * 0.8 for c in centre(last_with_cord))
            points.append(
                (pmj_mm[0] + share * (cx - pmj_mm[0]), pmj_mm[1] + share * (cy - pmj_mm[1]))
            )
        else:
            points.append((centre(k)[0] * 0.8, centre(k)[1] * 0.8))
    n = len(points)
    half = (min(round(50 / SPACING[2]), n - 1) // 2 * 2) // 2
    weights = [0.5 - 0.5 * math.cos(math.pi * (i + 1) / (half + 1)) for i in range(2 * half + 1)]
    smooth = []
    for i in range(n):
        total = [0.0, 0.0]
        for j, w in enumerate(weights):
            at = i + j - half
            for axis in range(2):
                if at < 0:
                    value = 2 * points[0][axis] - points[-at][axis]
                elif at >= n:
                    value = 2 * points[-1][axis] - points[2 * (n - 1) - at][axis]
                else:
                    value = points[at][axis]
                total[axis] += w * value
        smooth.append([t / sum(weights) for t in total])
    found, away = {top: 0.0}, 0.0
    for i in range(1, n):
        across = sum((smooth[i][a] - smooth[i - 1][a]) ** 2 for a in range(2))
        away += math.sqrt(across + SPACING[2] ** 2)
        found[top - i] = away
    return found


def test_given_label_maps_reproduce_hand_computed_distances_on_a_curved_cord():
    cord = curved_cord()
    extents = level_extents(rootlets_of(cord, SLICES), cord, SPACING, NEAR)
    assert {c: (e.lowest, e.highest) for c, e in extents.items()} == SLICES
    pmj_mm = (17.0, 20.0, 59.0)
    places = level_places(extents, along_cord(cord, SPACING, pmj_mm))
    by_hand = distance_by_hand(pmj_mm, 2)
    for code, (low, high) in SLICES.items():
        place = places[code]
        # Two ways to the same sums of square roots: rounding only.
        assert place.start_mm == pytest.approx(by_hand[low], abs=1e-9)
        assert place.end_mm == pytest.approx(by_hand[high], abs=1e-9)
        assert place.height_mm == pytest.approx(by_hand[low] - by_hand[high], abs=1e-9)
        middle = (by_hand[low] + by_hand[high]) / 2
        assert place.midpoint_mm == pytest.approx(middle, abs=1e-9)
        border = (by_hand[low - 1] + by_hand[low]) / 2 - (by_hand[high] + by_hand[high + 1]) / 2
        assert place.extent_mm == pytest.approx(border, abs=1e-9)
    curved = sum(p.height_mm for p in places.values())
    assert curved > sum(high - low for low, high in SLICES.values())


def test_a_straight_slanting_cord_has_distances_of_its_slope():
    cord = np.zeros((60, 20, 50), np.uint8)
    for k in range(50):
        cord[5 + k, 10, k] = 1
    rootlets = np.zeros(cord.shape, np.int32)
    for k in range(20, 30):
        rootlets[5 + k, 12, k] = 5
    extents = level_extents(rootlets, cord, (1.0, 1.0, 1.0), NEAR)
    along = along_cord(cord, (1.0, 1.0, 1.0), (54.0, 10.0, 49.0))
    place = level_places(extents, along)[5]
    # Each slice down is sqrt(2) mm along the cord.
    assert place.end_mm == pytest.approx(20 * math.sqrt(2), abs=1e-9)
    assert place.height_mm == pytest.approx(9 * math.sqrt(2), abs=1e-9)
    assert place.extent_mm == pytest.approx(10 * math.sqrt(2), abs=1e-9)


def test_without_a_pmj_heights_stay_and_distances_are_unknown():
    cord = curved_cord()
    extents = level_extents(rootlets_of(cord, SLICES), cord, SPACING, NEAR)
    with_pmj = level_places(extents, along_cord(cord, SPACING, (17.0, 20.0, 59.0)))
    without = level_places(extents, along_cord(cord, SPACING, None))
    for code in SLICES:
        assert np.isnan(without[code].midpoint_mm)
        # The curve is smoothed over 50 mm from another upper end: the length hardly moves.
        assert without[code].height_mm == pytest.approx(with_pmj[code].height_mm, rel=0.03)


def test_a_larger_radius_makes_levels_longer_and_voxels_follow_the_voxel_size():
    cord = np.zeros((21, 21, 40), np.uint8)
    cord[8:13, 8:13, :] = 1
    rootlets = np.zeros(cord.shape, np.int32)
    for step in range(6):  # leaves the cord while it runs down
        rootlets[10, 7 - step, 30 - 2 * step : 33 - 2 * step] = 4
    fine, coarse = (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)
    near = level_extents(rootlets, cord, fine, Radius(1.0))[4]
    far = level_extents(rootlets, cord, fine, Radius(2.0))[4]
    assert far.highest == near.highest
    assert far.lowest < near.lowest
    in_voxels = [level_extents(rootlets, cord, mm, Radius(voxels=2))[4] for mm in (fine, coarse)]
    assert in_voxels[0] == in_voxels[1]
    in_mm = [level_extents(rootlets, cord, mm, Radius(2.0))[4] for mm in (fine, coarse)]
    assert in_mm[0].lowest < in_mm[1].lowest


def test_a_level_that_is_there_twice_has_no_place_and_its_neighbours_keep_theirs():
    cord = curved_cord()
    twice = rootlets_of(cord, SLICES) + rootlets_of(cord, {4: (5, 8)})
    extents = level_extents(twice, cord, SPACING, NEAR)
    assert extents[4].fault == "found twice: C5 lies within it" or "C6" in extents[4].fault
    assert extents[2].fault == extents[3].fault == ""
    assert 4 not in level_places(extents, along_cord(cord, SPACING, (17.0, 20.0, 59.0)))
    assert set(level_map(extents).by_slice.values()) <= {2, 3, 5, 6}


def test_levels_in_the_wrong_order_have_no_place():
    cord = curved_cord()
    swapped = {**SLICES, 3: SLICES[4], 4: SLICES[3]}
    extents = level_extents(rootlets_of(cord, swapped), cord, SPACING, NEAR)
    assert extents[3].fault == extents[4].fault == "C4 does not lie below C3"
    assert all(not extents[code].fault for code in (2, 5, 6))


def test_a_missing_level_leaves_its_place_empty_under_both_rules():
    cord = curved_cord()
    there = {c: s for c, s in SLICES.items() if c != 4}
    extents = level_extents(rootlets_of(cord, there), cord, SPACING, NEAR)
    assert 4 not in extents
    for rule in ("gaps", CONTIGUOUS):
        by_slice = level_map(extents, rule).by_slice
        assert not any(k in by_slice for k in range(29, 41))


def test_contiguous_levels_have_no_gap_and_meet_in_its_middle():
    by_slice = level_map({3: Extent(20, 24, 9), 4: Extent(10, 15, 9)}, CONTIGUOUS).by_slice
    assert sorted(by_slice) == list(range(10, 25))
    assert [by_slice[k] for k in (16, 17, 18, 19)] == [4, 4, 3, 3]


def test_two_levels_in_one_slice_keep_their_extents_and_say_so():
    cord = curved_cord()
    touching = {3: (35, 46), 4: (31, 37)}
    both = np.maximum(rootlets_of(cord, {3: touching[3]}), rootlets_of(cord, {4: touching[4]}))
    # The sheet of C3 covers one side, that of C4 the other, where they share slices.
    for k in (35, 36, 37):
        both[centre(k)[0] - 2, centre(k)[1] - 5, k] = 3
    extents = level_extents(both, cord, SPACING, NEAR)
    assert (extents[3].lowest, extents[4].highest) == (35, 37)
    assert extents[3].note == "3 slices also hold C4"
    assert extents[4].note == "3 slices also hold C3"
    by_slice = level_map(extents).by_slice  # as published, the lower level has shared slices
    assert by_slice[36] == 4
    assert by_slice[38] == 3


def test_a_cord_mask_that_ends_inside_a_level_gives_it_no_place():
    cord = curved_cord(first=25)
    rootlets = rootlets_of(cord, SLICES)
    extents = level_extents(rootlets, cord, SPACING, NEAR)
    assert extents[5].fault == "the cord mask ends inside it"
    assert extents[6].fault == "the cord mask does not reach it"
    assert not extents[4].fault


def test_a_level_at_the_edge_of_the_image_has_no_place():
    cord = curved_cord(first=0)
    extents = level_extents(rootlets_of(cord, {6: (0, 4), 5: (20, 25)}), cord, SPACING, NEAR)
    assert extents[6].fault == "cut off by the edge of the image"
    assert not extents[5].fault


def test_rootlets_far_from_the_cord_are_no_level():
    cord = curved_cord()
    rootlets = np.zeros(SHAPE, np.int32)
    rootlets[0, 39, 20:25] = 5
    assert level_extents(rootlets, cord, SPACING, NEAR)[5].fault == (
        "its rootlets do not meet the cord"
    )


def test_labels_without_a_name_and_empty_maps_give_nothing():
    cord = curved_cord()
    strange = rootlets_of(cord, {2: (50, 54)})
    strange[0, 0, 0] = 99
    assert set(level_extents(strange, cord, SPACING, NEAR)) == {2}
    assert level_extents(np.zeros(SHAPE, np.int32), cord, SPACING, NEAR) == {}
    assert along_cord(np.zeros(SHAPE), SPACING, None) is None
