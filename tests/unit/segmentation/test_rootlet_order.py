"""Names of levels along the cord: what a chain of levels mends, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cordcohort.segmentation.rootlet_order import in_order, level_of_slices

STEP_MM = 1.5
LEVELS = 8
PMJ_MM = 20.0


def spine(length_mm: float = 15.0, first_mm: float = 64.0) -> np.ndarray:
    """True level of each slice, downwards; -1 between the rootlets of two levels."""
    ends = first_mm + length_mm * np.arange(LEVELS)
    at = np.arange(130) * STEP_MM
    level = np.searchsorted(ends, at).clip(0, LEVELS - 1)
    away = np.abs(at[:, None] - (ends - length_mm / 2)).min(1)
    return np.where(away < 0.35 * length_mm, level, -1)


def drawn(named: np.ndarray, doubt: float = 0.2) -> np.ndarray:
    """Evidence of a network that gives each slice this name, and its neighbours a part."""
    out = np.full((LEVELS, len(named)), 0.1)
    for k, c in enumerate(named):
        if c >= 0:
            out[c, k] = 30.0
            for beside in (c - 1, c + 1):
                if 0 <= beside < LEVELS:
                    out[beside, k] += 30.0 * doubt
    return out


@pytest.mark.parametrize("length_mm", [13.0, 15.0, 17.5])
def test_levels_that_are_drawn_rightly_keep_their_names(length_mm):
    true = spine(length_mm)
    found = level_of_slices(drawn(true), STEP_MM, PMJ_MM)
    assert np.all(found[true >= 0] == true[true >= 0])


@pytest.mark.parametrize("length_mm", [15.0, 17.5])
def test_a_level_too_many_does_not_rename_all_below_it(length_mm):
    true = spine(length_mm)
    # From C4 on the network is torn between the true name and the next one, which it likes better.
    torn = drawn(true)
    for k in np.flatnonzero((true >= 2) & (true < LEVELS - 1)):
        torn[true[k], k], torn[true[k] + 1, k] = 18.0, 24.0
    own = torn.argmax(0)
    assert np.mean(own[true >= 0] == true[true >= 0]) < 0.6
    found = level_of_slices(torn, STEP_MM, PMJ_MM)
    assert np.all(found[true >= 0] == true[true >= 0])


def test_a_field_of_view_that_begins_lower_begins_with_a_lower_level():
    true = spine()
    below = slice(60, None)
    found = level_of_slices(drawn(true)[:, below], STEP_MM)
    there = true[below] >= 0
    assert np.all(found[there] == true[below][there])
    assert found[0] > 0


def test_levels_follow_each_other_whatever_is_drawn():
    rng = np.random.default_rng(5)
    for pmj in (None, 12.0):
        found = level_of_slices(rng.uniform(0, 9, (LEVELS, 90)), STEP_MM, pmj)
        assert set(np.diff(found)) <= {0, 1}
    assert set(np.diff(level_of_slices(np.zeros((LEVELS, 40)), STEP_MM))) <= {0, 1}
    assert level_of_slices(np.ones((LEVELS, 1)), STEP_MM).shape == (1,)


def test_what_a_level_holds_far_from_its_slices_is_left_out():
    true = spine()
    shares = torch.from_numpy(drawn(true)[:, ::-1].copy()).view(LEVELS, len(true), 1, 1).float()
    shares[6, -30] += 30.0
    kept = in_order(shares, STEP_MM, len(true) - 1 - PMJ_MM / STEP_MM)
    assert float(kept[6, -30]) == 0
    right = kept.argmax(0).flatten().numpy()[::-1]
    assert np.mean(right[true >= 0] == true[true >= 0]) > 0.99
