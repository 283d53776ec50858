"""Rootlets and lesions: where they are, and that they are nowhere else."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from cordcohort.phantom.anatomy import label_volume, lesion_volume, rootlet_volume
from cordcohort.phantom.frame import build_frame
from cordcohort.phantom.parts import rootlet_levels
from cordcohort.phantom.person import Lesion, Person, draw_person
from cordcohort.phantom.tissues import CANAL, CORD
from scipy.ndimage import binary_dilation

SHAPE = (60, 60, 320)


def _affine() -> np.ndarray:
    affine = np.diag([0.5, 0.5, 0.5, 1.0])
    affine[:3, 3] = [-15.0, -25.0, -128.0]
    return affine


def test_rootlets_of_all_levels_follow_each_other_downwards_on_both_sides(healthy: Person):
    volume = rootlet_volume(healthy, SHAPE, _affine())
    codes = label_volume(healthy, SHAPE, _affine())
    assert sorted(np.unique(volume).tolist()) == [0, 2, 3, 4, 5, 6, 7, 8, 9]
    assert not np.isin(codes[volume > 0], CORD).any()
    middles = [np.argwhere(volume == level)[:, 2].mean() for level in range(2, 10)]
    assert np.all(np.diff(middles) < 0.0)
    axis = np.argwhere(np.isin(codes, CORD))[:, 0].mean()
    for level in range(2, 10):
        x = np.argwhere(volume == level)[:, 0]
        assert x.min() < axis - 4
        assert x.max() > axis + 4


def test_each_level_touches_the_cord_over_its_true_extent(healthy: Person):
    affine = _affine()
    volume = rootlet_volume(healthy, SHAPE, affine)
    cord = np.isin(label_volume(healthy, SHAPE, affine), CORD)
    near = binary_dilation(cord, iterations=2) & ~cord
    for one in rootlet_levels(healthy):
        z = affine[2, 3] + 0.5 * np.argwhere((volume == one.level) & near)[:, 2]
        assert z.min() >= one.lowest_mm - 3.0
        assert z.max() <= one.highest_mm + 0.5
        assert z.max() - z.min() > 0.7 * (one.highest_mm - one.lowest_mm)


@pytest.mark.parametrize("seed", range(10))
def test_extents_of_levels_never_overlap(seed: int):
    levels = rootlet_levels(draw_person(np.random.default_rng(seed)))
    for upper, lower in pairwise(levels):
        assert lower.highest_mm < upper.lowest_mm
    assert all(one.lowest_mm < one.highest_mm for one in levels)


def test_a_smooth_lesion_inside_the_cord_has_the_volume_of_its_ellipsoid(healthy: Person):
    z = float(build_frame(healthy).z_of_level(5.0))
    radii = (1.5, 1.2, 5.0)
    person = replace(healthy, lesions=(Lesion(0.0, 0.0, z, *radii, 0.0),))
    volume = lesion_volume(person, SHAPE, _affine())
    expected = 4.0 / 3.0 * np.pi * np.prod(radii)
    assert volume.sum() * 0.125 == pytest.approx(expected, rel=0.03)


def test_lesions_are_clipped_to_the_cord(healthy: Person):
    z = float(build_frame(healthy).z_of_level(5.0))
    person = replace(healthy, lesions=(Lesion(5.0, 0.0, z, 6.0, 6.0, 6.0, 0.0),))
    volume = lesion_volume(person, SHAPE, _affine())
    codes = label_volume(person, SHAPE, _affine())
    assert volume.any()
    assert np.isin(codes[volume > 0], CORD).all()
    assert np.isin(codes[volume > 0], CANAL).all()


def test_a_person_without_lesions_has_none(healthy: Person):
    assert not lesion_volume(healthy, (20, 20, 20), _affine()).any()
