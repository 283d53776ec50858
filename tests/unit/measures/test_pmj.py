"""Distance from the PMJ along straight, slanting and curved cords; slices at a distance."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.measures.pmj import PmjDistances, pmj_distances
from unit.measures.shapes import tube

SPACING = (0.5, 0.5, 2.0)


def middle_mm(shape, z):
    return ((shape[0] - 1) / 2 * SPACING[0], (shape[1] - 1) / 2 * SPACING[1], z)


def test_along_an_upright_cord_the_distance_is_the_height():
    mask = tube(shape=(60, 60, 30))
    found = pmj_distances(mask, SPACING, middle_mm(mask.shape, 58.0))
    assert found.slices.tolist() == list(range(29, -1, -1))
    assert found.distance_mm == pytest.approx(np.arange(30) * 2.0)


@pytest.mark.parametrize("slope", [(0.3, 0.0), (0.0, -0.4), (0.2, 0.2)])
def test_along_a_slanting_cord_the_distance_is_longer_by_its_slope(slope):
    mask = tube(shape=(120, 120, 30), slope=slope, soft=True)
    top = (30 - 1) / 2 * 2.0  # half the height of the tube, in mm
    x, y, z = middle_mm(mask.shape, 58.0)
    found = pmj_distances(mask, SPACING, (x + slope[0] * top, y + slope[1] * top, z))
    wanted = np.arange(30) * 2.0 * np.sqrt(1 + slope[0] ** 2 + slope[1] ** 2)
    # Partial volumes from 7 x 7 points a voxel place a slice's centre within 0.01 mm.
    assert found.distance_mm == pytest.approx(wanted, rel=1e-3, abs=0.05)


def test_along_an_arc_the_distance_is_radius_times_angle():
    radius, n, spacing = 100.0, 41, (0.5, 0.5, 1.5)
    mask = np.zeros((40, 120, n))
    z = np.arange(n) * 1.5
    y = 10 + radius - np.sqrt(radius**2 - (z[-1] - z) ** 2)
    rows = np.arange(120) * 0.5
    for k in range(n):
        mask[15:25, :, k] = np.clip(4.25 - np.abs(rows - y[k]), 0, 0.5)[None, :] * 2
    found = pmj_distances(mask, spacing, (9.75, y[-1], z[-1]))
    wanted = radius * np.arcsin((z[-1] - z[found.slices]) / radius)
    # A window of 50 mm flattens an arc of 100 mm a little.
    assert found.distance_mm == pytest.approx(wanted, rel=0.005, abs=0.05)


def test_the_gap_between_the_pmj_and_the_mask_is_bridged_by_a_straight_line():
    mask = tube(shape=(60, 60, 20))
    place = middle_mm(mask.shape, 78.0)  # 40 mm above the uppermost slice, outside of the image
    found = pmj_distances(mask, SPACING, place)
    assert found.distance_mm[found.slices == 19] == pytest.approx(40.0)
    assert found.distance_mm[found.slices == 0] == pytest.approx(78.0)


def test_a_pmj_between_two_slices_counts_from_where_it_is():
    mask = tube(shape=(60, 60, 20))
    found = pmj_distances(mask, SPACING, middle_mm(mask.shape, 37.0))
    assert found.slices[0] == 18
    assert found.distance_mm[:2] == pytest.approx([1.0, 3.0])


def test_slices_without_mask_do_not_bend_the_curve():
    mask = tube(shape=(60, 60, 30))
    mask[:, :, [4, 5, 17]] = 0
    found = pmj_distances(mask, SPACING, middle_mm(mask.shape, 58.0))
    assert found.distance_mm == pytest.approx(np.arange(30) * 2.0)


def test_a_cord_that_lies_above_the_pmj_has_no_distance():
    mask = np.zeros((60, 60, 30))
    mask[:, :, 20:] = tube(shape=(60, 60, 10))
    with pytest.raises(ValueError, match="below the PMJ"):
        pmj_distances(mask, SPACING, middle_mm(mask.shape, 20.0))


@pytest.mark.parametrize(
    ("distance", "extent", "slices", "reason"),
    [
        (30.0, 20.0, [10, 11, 12, 13], ""),  # 25, 30, 35 and 40 mm; 20 mm, the upper end, is out
        (30.0, 5.0, [12], ""),
        (0.0, 10.0, [], "-5 to 5 mm from the PMJ: above the PMJ"),
        (90.0, 20.0, [], "80 to 100 mm from the PMJ: the cord mask ends at 90 mm"),
        (32.0, 2.0, [], "31 to 33 mm from the PMJ: no slice there"),
    ],
)
def test_slices_at_a_distance_by_hand(distance, extent, slices, reason):
    found = PmjDistances(np.arange(18, -1, -1), np.arange(19) * 5.0)
    assert found.within(distance, extent) == (slices, reason)


def test_one_slice_below_the_pmj_has_a_distance():
    mask = np.zeros((9, 9, 5))
    mask[4, 4, 1] = 1
    found = pmj_distances(mask, (1.0, 1.0, 2.0), (4.0, 4.0, 8.0))
    assert found.distance_mm[found.slices == 1] == pytest.approx(6.0)
