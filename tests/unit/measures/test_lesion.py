"""Lesion biomarkers in drawn cords where every value is known, and in degenerate masks."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.measures.lesion import labelled_lesions, measure_lesions
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

SPACING = (0.5, 0.5, 2.0)
SHAPE = (41, 41, 12)
MIDDLE = 20


def straight_cord():
    cord = np.zeros(SHAPE, np.uint8)
    cord[10:31, 12:29] = 1  # 21 x 17 voxels, middle at x = 20
    return cord


def with_block(x, y, z):
    lesion = np.zeros(SHAPE, np.uint8)
    lesion[x, y, z] = 1
    return lesion


def test_a_block_in_a_straight_cord_has_its_own_size():
    lesion = with_block(slice(18, 23), slice(16, 22), slice(4, 8))
    found = measure_lesions(lesion, straight_cord(), SPACING)
    (one,) = found.lesions
    assert one.volume_mm3 == pytest.approx(5 * 6 * 4 * 0.5)
    assert one.length_mm == pytest.approx(8.0)
    assert one.width_mm == pytest.approx(3.0)
    assert one.max_equivalent_diameter_mm == pytest.approx(2 * np.sqrt(30 * 0.25 / np.pi))
    assert one.max_axial_damage_ratio == pytest.approx(30 / (21 * 17))
    assert one.bridges is not None
    assert one.bridges.dorsal_mm == pytest.approx(4 * 0.5)
    assert one.bridges.ventral_mm == pytest.approx(7 * 0.5)
    assert one.bridges.dorsal_percent == pytest.approx(100 * 4 / 11)
    assert one.bridges.length_mm == pytest.approx(8.0)
    assert one.bridges.width_mm == pytest.approx(3.0)
    assert not one.bridges.parasagittal


def test_length_and_width_follow_a_cord_that_leans_forward():
    cord, lesion = np.zeros((41, 80, 12), np.uint8), np.zeros((41, 80, 12), np.uint8)
    for k in range(12):  # two voxels (1 mm) forward for each slice of 2 mm
        cord[10:31, 12 + 2 * k : 29 + 2 * k, k] = 1
        lesion[18:23, 18 + 2 * k : 22 + 2 * k, k] = 4 <= k < 8
    (one,) = measure_lesions(lesion, cord, SPACING).lesions
    cosine = 1 / np.sqrt(1 + 0.5**2)
    assert one.length_mm == pytest.approx(8 / cosine, rel=1e-6)
    assert one.width_mm == pytest.approx(2 * cosine, rel=1e-6)
    assert one.bridges is not None
    assert one.bridges.dorsal_mm == pytest.approx(3 * cosine, rel=1e-6)


def test_the_smallest_bridge_counts_for_each_side_apart():
    lesion = with_block(slice(18, 23), slice(16, 22), slice(4, 6))
    lesion[18:23, 18:27, 6] = 1
    (one,) = measure_lesions(lesion, straight_cord(), SPACING).lesions
    assert one.bridges is not None
    assert one.bridges.dorsal_mm == pytest.approx(4 * 0.5)
    assert one.bridges.ventral_mm == pytest.approx(2 * 0.5)


def test_a_lesion_that_misses_the_middle_takes_half_the_cord_and_says_so():
    (one,) = measure_lesions(
        with_block(slice(11, 14), slice(16, 20), slice(4, 6)), straight_cord(), SPACING
    ).lesions
    assert one.bridges is not None
    assert one.bridges.parasagittal
    assert one.bridges.dorsal_mm == one.bridges.ventral_mm == pytest.approx(17 * 0.5 / 2)
    assert one.bridges.length_mm == one.bridges.width_mm == 0


def test_a_lesion_through_the_whole_section_leaves_no_bridge():
    lesion = with_block(slice(10, 31), slice(12, 29), slice(5, 6))
    found = measure_lesions(lesion, straight_cord(), SPACING)
    (one,) = found.lesions
    assert one.max_axial_damage_ratio == found.max_axial_damage_ratio == 1
    assert one.bridges is not None
    assert (one.bridges.total_mm, one.bridges.dorsal_percent) == (0, 0)


def test_what_leaves_the_cord_is_cut_and_told():
    lesion = with_block(slice(18, 23), slice(8, 16), slice(4, 6))  # four of eight rows are outside
    found = measure_lesions(lesion, straight_cord(), SPACING)
    assert found.lesions[0].volume_mm3 == pytest.approx(5 * 4 * 2 * 0.5)
    assert found.removed_mm3 == pytest.approx(5 * 4 * 2 * 0.5)
    assert found.n_outside == 0


def test_a_lesion_outside_the_cord_is_left_out_and_counted():
    lesion = with_block(slice(18, 23), slice(16, 20), slice(4, 6))
    lesion[2:5, 2:5, 2] = 1
    found = measure_lesions(lesion, straight_cord(), SPACING)
    assert len(found.lesions) == 1
    assert found.n_outside == 1
    assert found.removed_mm3 == pytest.approx(9 * 0.5)


def test_parts_that_the_cord_cuts_apart_stay_one_lesion():
    cord = straight_cord()
    cord[19:21, 12:29, :] = 0
    lesion = with_block(slice(16, 24), slice(16, 20), slice(4, 6))
    assert len(measure_lesions(lesion, cord, SPACING).lesions) == 1


def test_edges_join_and_corners_do_not():
    cord = np.ones(SHAPE, bool)
    lesion = np.zeros(SHAPE, np.uint8)
    lesion[10, 10, 5] = lesion[11, 11, 5] = 1
    assert labelled_lesions(lesion, cord)[0].max() == 1
    lesion[11, 11, 5], lesion[11, 11, 6] = 0, 1
    assert labelled_lesions(lesion, cord)[0].max() == 2


def test_lesions_are_numbered_by_volume_and_two_in_a_slice_add_up():
    lesion = with_block(slice(12, 14), slice(16, 20), slice(4, 6))
    lesion[24:29, 16:22, 4:7] = 1
    found = measure_lesions(lesion, straight_cord(), SPACING)
    assert [one.n_voxels for one in found.lesions] == [90, 16]
    single = max(one.max_axial_damage_ratio for one in found.lesions)
    assert single == pytest.approx(30 / 357)
    assert found.max_axial_damage_ratio == pytest.approx(38 / 357)


@pytest.mark.parametrize("cord", [None, np.zeros(SHAPE, np.uint8)])
def test_without_a_cord_size_is_measured_and_the_rest_is_not(cord):
    lesion = with_block(slice(18, 23), slice(16, 22), slice(4, 8))
    found = measure_lesions(lesion, cord, SPACING)
    (one,) = found.lesions
    assert one.length_mm == 8.0
    assert one.bridges is None
    assert np.isnan(one.max_axial_damage_ratio)
    assert np.isnan(found.max_axial_damage_ratio)


def test_no_lesion_is_no_lesion():
    found = measure_lesions(np.zeros(SHAPE), straight_cord(), SPACING)
    assert found.lesions == []
    assert (found.removed_mm3, found.n_outside, found.max_axial_damage_ratio) == (0, 0, 0)


def test_one_voxel_is_measured():
    (one,) = measure_lesions(with_block(MIDDLE, MIDDLE, 5), straight_cord(), SPACING).lesions
    assert (one.n_voxels, one.length_mm, one.width_mm) == (1, 2.0, 0.5)


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.uint8, (9, 9, 5), elements=st.integers(0, 1)))
def test_any_mask_is_measured_within_its_bounds(blob):
    lesion = np.zeros(SHAPE, np.uint8)
    lesion[8:17, 10:19, 3:8] = blob
    found = measure_lesions(lesion, straight_cord(), SPACING)
    total = sum(one.n_voxels for one in found.lesions)
    assert total * 0.5 + found.removed_mm3 == pytest.approx(int(blob.sum()) * 0.5)
    for one in found.lesions:
        assert 0 < one.max_axial_damage_ratio <= found.max_axial_damage_ratio <= 1
        assert one.bridges is not None
        assert 0 <= one.bridges.dorsal_mm <= 17 * 0.5
        assert one.bridges.dorsal_percent + one.bridges.ventral_percent in (
            pytest.approx(100.0), 0.0,
        )  # fmt: skip
