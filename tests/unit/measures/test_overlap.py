"""Overlap: identities, the slices that were drawn, empty masks, a second implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cordcohort.measures import overlap
from cordcohort.measures.overlap import compare
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import dice as dice_distance

masks = hnp.arrays(np.uint8, (4, 5, 6), elements=st.integers(0, 1))


@settings(deadline=None)
@given(masks, masks)
def test_identities_of_overlap_hold_for_all_masks(a, b):
    pair = compare(a, b, 1.0, drawn_slices_only=False)
    d, j = overlap.dice(pair), overlap.iou(pair)
    if not b.any():
        assert math.isnan(d)
        assert math.isnan(overlap.rve_percent(pair))
        return
    assert 0 <= j <= d <= 1
    assert d == pytest.approx(2 * j / (1 + j))
    assert d == pytest.approx(1 - dice_distance(a.ravel() > 0, b.ravel() > 0))
    p, r = overlap.precision(pair), overlap.recall(pair)
    if d > 0:
        assert d == pytest.approx(2 * p * r / (p + r))
    assert overlap.rve_percent(pair) == pytest.approx(100 * (int(a.sum()) / int(b.sum()) - 1))


@settings(deadline=None)
@given(masks, masks)
def test_cord_found_where_nothing_was_drawn_changes_no_overlap(a, b):
    drawn = b.any(axis=(0, 1))
    inside = a * drawn
    full, cut = compare(a, b, 2.0), compare(inside, b, 2.0)
    for name in ("dice", "iou", "precision", "recall", "rve_percent"):
        function = getattr(overlap, name)
        np.testing.assert_equal(function(full), function(cut))
    assert overlap.outside_slices_mm3(full) == 2.0 * (int(a.sum()) - int(inside.sum()))
    assert overlap.outside_slices_mm3(cut) == 0


@settings(deadline=None)
@given(masks)
def test_a_mask_agrees_with_itself(a):
    pair = compare(a, a, 1.0)
    expected = 1.0 if a.any() else math.nan
    for name in ("dice", "iou", "precision", "recall", "soft_dice"):
        np.testing.assert_equal(getattr(overlap, name)(pair), expected)


def test_over_segmentation_is_positive():
    b = np.zeros((4, 4, 1))
    b[:2, :2] = 1
    a = np.zeros((4, 4, 1))
    a[:3, :2] = 1
    assert overlap.rve_percent(compare(a, b, 1.0)) == pytest.approx(50)
    assert overlap.rve_percent(compare(b, a, 1.0)) == pytest.approx(-100 / 3)


def test_an_empty_mask_against_a_drawn_reference_scores_zero():
    b = np.ones((3, 3, 2), np.uint8)
    pair = compare(np.zeros_like(b), b, 1.0)
    assert (overlap.dice(pair), overlap.recall(pair), overlap.rve_percent(pair)) == (0, 0, -100)
    assert math.isnan(overlap.precision(pair))


def test_an_empty_reference_leaves_overlap_undefined_and_tells_the_volume_found():
    a = np.ones((3, 3, 2), np.uint8)
    pair = compare(a, np.zeros_like(a), 0.5)
    for name in ("dice", "iou", "precision", "recall", "rve_percent", "soft_dice"):
        assert math.isnan(getattr(overlap, name)(pair))
    assert overlap.outside_slices_mm3(pair) == 9.0
    assert overlap.outside_slices_n(pair) == 2
    assert overlap.scored_slices_n(pair) == 0


def test_soft_dice_follows_its_formula():
    rng = np.random.default_rng(0)
    a, b = rng.random((4, 4, 3)), rng.random((4, 4, 3))
    expected = (2 * (a * b).sum() + 1) / (a.sum() + b.sum() + 1)
    assert overlap.soft_dice(compare(a, b, 1.0, drawn_slices_only=False)) == pytest.approx(expected)


def test_masks_of_other_shape_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        compare(np.zeros((2, 2, 2)), np.zeros((2, 2, 3)), 1.0)
