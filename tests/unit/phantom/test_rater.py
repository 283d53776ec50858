"""Masks as raters draw them."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.phantom.acquisition import Acquisition, Pose, acquire
from cordcohort.phantom.person import Person
from cordcohort.phantom.rater import Rater, draw
from cordcohort.phantom.slices import true_shares


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2.0 * np.logical_and(a, b).sum() / (a.sum() + b.sum())


def test_without_jitter_the_drawing_is_the_truth(healthy: Person, axial: Acquisition):
    drawn = draw(healthy, axial, Rater(), None)
    shares = true_shares(healthy, axial)
    for mask, share in ((drawn.cord, shares[..., :8].sum(axis=-1)), (drawn.canal, shares[..., 8])):
        tie = np.abs(share - 0.5) < 1e-3
        assert np.array_equal(mask[~tie], share[~tie] > 0.5)


def test_masks_have_no_lasting_bias_in_area(healthy: Person):
    # 30 slices of 1 mm: each slice's area errs by some 2 % of chance (90 border voxels), their mean
    # by 0.4 %; 1 % is allowed.
    grid = acquire(healthy, (40, 40, 30), (1.0, 1.0, 1.0), centre_level=5.0, pose=Pose())
    drawn = draw(healthy, grid, Rater(), np.random.default_rng(3)).cord.sum()
    true = true_shares(healthy, grid)[..., :8].sum()
    assert drawn / true == pytest.approx(1.0, abs=0.01)


def test_regions_tile_the_mask_and_grey_matter_lies_inside(healthy: Person, axial: Acquisition):
    drawn = draw(healthy, axial, Rater(), np.random.default_rng(0))
    assert np.array_equal(drawn.regions > 0, drawn.cord > 0)
    assert set(np.unique(drawn.regions)) == set(range(9))
    assert not drawn.grey[drawn.cord == 0].any()
    assert drawn.canal[drawn.cord > 0].all()


def test_two_raters_agree_well_but_not_wholly(healthy: Person, axial: Acquisition):
    masks = [draw(healthy, axial, Rater(), np.random.default_rng(s)).cord for s in (1, 2)]
    assert 0.88 < _dice(*masks) < 0.999


def test_a_generous_rater_draws_a_larger_area(healthy: Person, axial: Acquisition):
    still = {"shift_sd_mm": 0.0, "magnification_sd": 0.0}
    rng = np.random.default_rng(0)
    plain = draw(healthy, axial, Rater("a", 1.0, **still), rng).cord.sum()
    wide = draw(healthy, axial, Rater("b", 1.1, **still), rng).cord.sum()
    # Half a voxel at the border of some 40 border voxels a slice rounds by a few percent.
    assert wide / plain == pytest.approx(1.21, abs=0.05)
    assert plain == draw(healthy, axial, Rater(), None).cord.sum()
