"""STAPLE against SimpleITK, and consensus label maps."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.measures.staple import consensus, staple

# SimpleITK 2.5.7, STAPLEImageFilter with foreground 1 on the masks of `raters`: the different
# probabilities, rounded to 1e-9, and the sensitivities.
PROBABILITIES = [0.0, 2.7e-08, 3.364e-06, 0.961103558, 0.999674893, 1.0]
SUM, ABOVE = 39.87941329369767, 40


def raters() -> list[np.ndarray]:
    """Four raters of a block: share of voxels missed, and of background drawn."""
    rng = np.random.default_rng(4)
    truth = np.zeros((6, 8, 10), bool)
    truth[2:4, 2:6, 3:8] = True
    found = []
    for missed, drawn in ((0.1, 0.01), (0.2, 0.02), (0.05, 0.05), (0.3, 0.0)):
        mask = truth.copy()
        mask[truth & (rng.random(truth.shape) < missed)] = False
        mask[~truth & (rng.random(truth.shape) < drawn)] = True
        found.append(mask.astype(np.uint8))
    return found


def test_probabilities_are_those_of_simpleitk():
    found = staple(raters())
    # SimpleITK stops a little earlier: its probabilities are 3.4e-6 away where they differ most.
    assert found.sum() == pytest.approx(SUM, abs=1e-5)
    assert int((found > 0.95).sum()) == ABOVE
    for value in np.unique(found):
        assert min(abs(value - p) for p in PROBABILITIES) < 1e-5


def test_raters_who_agree_are_their_own_consensus():
    one = np.zeros((4, 4, 4), int)
    one[1:3, 1:3, 1:3] = 5
    one[0, 0, 0] = 6
    assert np.array_equal(consensus([one, one, one]), one)


def test_a_single_rater_is_refused_and_nothing_drawn_stays_nothing():
    with pytest.raises(ValueError, match="at least two raters"):
        staple([np.ones((2, 2))])
    assert not staple([np.zeros((2, 2)), np.zeros((2, 2))]).any()
    assert not consensus([np.zeros((2, 2), int)] * 2).any()


def test_overlapping_levels_give_a_voxel_to_one_of_them():
    a, b, c = (np.full((3, 3), v) for v in (2, 2, 3))
    found = consensus([a, b, c], threshold=0.0)
    assert set(np.unique(found)) == {2}
