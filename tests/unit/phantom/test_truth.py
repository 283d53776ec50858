"""True values against closed forms, and damage where it was put."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cordcohort.phantom import truth
from cordcohort.phantom.cohort import without_damage
from cordcohort.phantom.frame import build_frame
from cordcohort.phantom.person import Compression, Person, height_of_level
from scipy.special import gamma


def test_area_of_a_round_section_is_that_of_a_superellipse(healthy: Person):
    plain = replace(healthy, dorsal_flattening=0.0)
    frame = build_frame(plain)
    n = plain.cord_exponent
    shape = 4.0 * gamma(1.0 + 1.0 / n) ** 2 / gamma(1.0 + 2.0 / n)
    expected = shape * frame.at("cord_rx", -40.0) * frame.at("cord_ry", -40.0)
    assert float(truth.axial_csa_mm2(plain, -40.0)) == pytest.approx(float(expected), rel=1e-4)


def test_perpendicular_area_is_that_of_the_plane_across_the_axis(healthy: Person):
    frame = build_frame(healthy)
    axis = np.array([float(frame.at("dx", -60.0)), float(frame.at("dy", -60.0)), 1.0])
    axis /= np.linalg.norm(axis)
    # A small patch of the axial plane, seen along the axis, shrinks by the angle between normals.
    right, front = np.eye(3)[0], np.eye(3)[1]
    seen = [edge - (edge @ axis) * axis for edge in (right, front)]
    share = float(np.linalg.norm(np.cross(*seen)))
    axial = float(truth.axial_csa_mm2(healthy, -60.0))
    assert float(truth.csa_mm2(healthy, -60.0)) == pytest.approx(axial * share, rel=1e-9)


@pytest.mark.parametrize("z", [-10.0, -40.0, -70.0])
def test_region_areas_sum_to_the_area(damaged: Person, z: float):
    total = sum(truth.region_areas_mm2(damaged, z).values())
    assert total == pytest.approx(float(truth.axial_csa_mm2(damaged, z)), rel=0.005)


def test_grey_matter_is_a_plausible_share_and_sides_match(healthy: Person):
    areas = truth.region_areas_mm2(healthy, float(build_frame(healthy).z_of_level(5.5)))
    assert 0.12 < (areas[4] + areas[8]) / sum(areas.values()) < 0.3
    for left in range(1, 5):
        assert areas[left] == pytest.approx(areas[left + 4], rel=0.1)


def test_discs_follow_each_other_downwards_and_bound_the_vertebrae(healthy: Person):
    frame = build_frame(healthy)
    discs = truth.disc_positions_mm(healthy)
    heights = [discs[code][2] for code in sorted(discs)]
    assert sorted(discs) == list(range(3, 26))
    assert np.all(np.diff(heights) < 0.0)
    for code in range(3, 25):
        z = float(frame.z_of_level(code + 0.5))
        assert int(truth.vertebral_level(healthy, z)) == code


def test_levels_run_from_c1_to_l5_and_are_zero_beyond(healthy: Person):
    frame = build_frame(healthy)
    assert int(truth.vertebral_level(healthy, float(frame.z_of_level(0.5)))) == 0
    assert int(truth.vertebral_level(healthy, float(frame.z_of_level(1.5)))) == 1
    assert int(truth.vertebral_level(healthy, float(frame.z_of_level(25.5)))) == 0
    assert truth.VERTEBRA_NAMES[7] == "T1"


def test_the_pmj_lies_above_the_first_vertebra(healthy: Person):
    highest = height_of_level(healthy.vertebra_mm, 1.0)
    assert truth.pmj_mm(healthy)[2] > highest


def test_a_compression_takes_area_at_its_level_and_nowhere_else(healthy: Person):
    pressed = replace(healthy, compressions=(Compression(5.0, 0.9, 3.0, 0.0),))
    frame = build_frame(healthy)
    here, far = float(frame.z_of_level(5.0)), float(frame.z_of_level(3.2))
    ratio_here = float(truth.csa_mm2(pressed, here) / truth.csa_mm2(healthy, here))
    ratio_far = float(truth.csa_mm2(pressed, far) / truth.csa_mm2(healthy, far))
    assert ratio_here < 0.7
    assert ratio_far == pytest.approx(1.0, abs=1e-6)
    assert float(truth.diameters_mm(pressed, here)[0]) < float(truth.diameters_mm(healthy, here)[0])


def test_without_damage_is_the_same_person(damaged: Person):
    z = float(build_frame(damaged).z_of_level(2.6))
    whole = without_damage(damaged)
    assert not whole.compressions
    assert float(truth.csa_mm2(whole, z)) == pytest.approx(float(truth.csa_mm2(damaged, z)), 1e-3)


def test_area_below_the_conus_is_zero(healthy: Person):
    z = float(build_frame(healthy).z_of_level(healthy.conus_level + 0.3))
    assert float(truth.csa_mm2(healthy, z)) == 0.0
    assert truth.cord_range_mm(healthy)[0] > z
