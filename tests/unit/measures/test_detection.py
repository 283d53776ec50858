"""Lesion-wise detection: each rule on its own, and the conventions for empty masks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cordcohort.measures.detection import (
    DetectionRule,
    detect,
    lesion_f1,
    lesion_ppv,
    lesion_sensitivity,
    lesions,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

RULE = DetectionRule()
masks = hnp.arrays(np.uint8, (6, 6, 5), elements=st.sampled_from([0, 0, 0, 1]))


def blank():
    return np.zeros((30, 12, 12), np.uint8)


def block(mask, first, last):
    mask[first:last, 2:6, 2:6] = 1
    return mask


def test_three_mm3_exactly_is_too_small_and_one_voxel_more_is_not():
    mask = blank()
    mask[1:4, 1, 1] = 1
    mask[6:10, 1, 1] = 1
    assert lesions(mask, RULE.min_voxels(1.0)).max() == 1
    assert lesions(mask, 1).max() == 2
    assert lesions(mask, RULE.min_voxels(0.5)).max() == 0


def test_lesions_that_touch_by_an_edge_only_are_two():
    mask = blank()
    mask[2:4, 2:4, 2:4] = 1
    mask[4:6, 4:6, 2:4] = 1
    assert lesions(mask, RULE.min_voxels(1.0)).max() == 2


def test_ten_percent_of_a_lesion_is_not_enough():
    reference = block(blank(), 5, 15)  # 160 voxels
    exact, more = blank(), blank()
    exact[5, 2:6, 2:6] = 1  # 16 of 160
    more[5, 2:6, 2:6] = 1
    more[6, 2, 2] = 1
    assert lesion_sensitivity(detect(exact, reference, 1.0)) == 0
    assert lesion_sensitivity(detect(more, reference, 1.0)) == 1


def test_a_component_that_lies_mostly_elsewhere_detects_nothing():
    reference = block(blank(), 5, 8)
    wide = blank()
    wide[5:8, 2:6, 2:12] = 1  # 48 of 120 inside: 60 % outside
    wider = blank()
    wider[5:8, 0:12, 2:12] = 1  # 48 of 360 inside
    assert lesion_sensitivity(detect(wide, reference, 1.0)) == 1
    assert lesion_sensitivity(detect(wider, reference, 1.0)) == 0


def test_a_part_in_another_lesion_counts_as_inside():
    reference = block(block(blank(), 2, 6), 10, 22)
    merged = block(blank(), 2, 22)
    found = detect(merged, reference, 1.0)
    assert found.n_detected == 2  # 4 of 20 slices lie outside both


def test_a_false_positive_lowers_ppv_only():
    reference = block(blank(), 5, 10)
    mask = block(block(blank(), 5, 10), 20, 24)
    found = detect(mask, reference, 1.0)
    assert lesion_sensitivity(found) == 1
    assert lesion_ppv(found) == 0.5
    assert lesion_f1(found) == pytest.approx(2 / 3)


def test_conventions_for_empty_masks():
    drawn = block(blank(), 5, 10)
    nothing = detect(blank(), drawn, 1.0)
    assert (lesion_sensitivity(nothing), lesion_ppv(nothing), lesion_f1(nothing)) == (0, 0, 0)
    no_reference = detect(drawn, blank(), 1.0)
    for score in (lesion_sensitivity, lesion_ppv, lesion_f1):
        assert math.isnan(score(no_reference))
        assert math.isnan(score(detect(blank(), blank(), 1.0)))
    assert (no_reference.n_mask, no_reference.mask_mm3) == (1, 80.0)


def test_a_reference_of_small_lesions_only_has_no_sensitivity_and_f1_zero():
    small = blank()
    small[1, 1, 1] = 1
    found = detect(block(blank(), 5, 10), small, 1.0)
    assert math.isnan(lesion_sensitivity(found))
    assert lesion_f1(found) == 0


@settings(deadline=None)
@given(masks)
def test_a_mask_detects_all_of_itself(a):
    found = detect(a, a, 1.0, DetectionRule(min_volume_mm3=0))
    assert found.n_detected == found.n_confirmed == found.n_reference
    if a.any():
        assert lesion_f1(found) == 1


@settings(deadline=None)
@given(masks, masks)
def test_scores_stay_between_zero_and_one_and_roles_exchange(a, b):
    rule = DetectionRule(min_volume_mm3=0)
    here, there = detect(a, b, 1.0, rule), detect(b, a, 1.0, rule)
    assert (here.n_detected, here.n_confirmed) == (there.n_confirmed, there.n_detected)
    for score in (lesion_sensitivity, lesion_ppv, lesion_f1):
        assert math.isnan(score(here)) or 0 <= score(here) <= 1
