"""From heat to named discs: chains, gaps, doubts, and what has no name."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.segmentation.disc_reading import NO_DISC, NO_JOINT, read_discs
from hypothesis import given
from hypothesis import strategies as st

ROWS = 240
SPACINGS = [18, 17, 16, 17, 18, 20, 21, 22]


def heat_of(discs, joint=None, junction=None, top=0.9):
    """Bumps of heat, 2 mm wide, at the rows of the landmarks."""
    row = np.arange(ROWS)
    out = np.zeros((3, ROWS))
    marks = [(0, d) for d in discs] + [(1, junction), (2, joint)]
    for curve, place in marks:
        if place is not None:
            bump = top * np.exp(-0.5 * ((row - place) / 2.0) ** 2)
            out[curve] = np.maximum(out[curve], bump)
    return out


def discs_from(first):
    return (first + np.concatenate([[0], np.cumsum(SPACINGS)])).tolist()


@given(first=st.floats(40, 70), size=st.floats(0.82, 1.2), above=st.floats(16, 28))
def test_every_disc_of_a_short_or_tall_neck_gets_its_own_name(first, size, above):
    places = first + size * (np.array(discs_from(0)))
    places = [p for p in places if p < ROWS - 3]
    reading = read_discs(heat_of(places, joint=first - above))
    assert reading.reason == ""
    wanted = dict(enumerate(places, start=3)) | {2: first - above}
    assert reading.rows == pytest.approx(wanted, abs=0.6)
    assert reading.overall > 0.8


def test_names_are_counted_from_the_joint_and_not_from_the_uppermost_disc():
    low = discs_from(20)  # the uppermost of these lies above the joint: something else
    reading = read_discs(heat_of(low, joint=33))
    assert reading.rows[3] == pytest.approx(55, abs=0.6)


def test_without_the_joint_no_disc_has_a_name():
    reading = read_discs(heat_of(discs_from(30)))
    assert (reading.rows, reading.reason) == ({}, NO_JOINT)
    assert read_discs(np.zeros((3, 5))).reason == NO_JOINT
    assert read_discs(np.zeros((3, 0))).reason == NO_JOINT


def test_a_disc_that_is_not_seen_ends_the_names_and_shifts_none():
    places = discs_from(50)
    seen = [p for n, p in enumerate(places) if n != 4]
    reading = read_discs(heat_of(seen, joint=30))
    assert sorted(reading.rows) == [2, 3, 4, 5, 6]
    assert reading.rows[6] == pytest.approx(places[3], abs=0.6)


def test_when_the_first_disc_is_not_seen_the_second_does_not_take_its_name():
    places = discs_from(50)[1:]
    reading = read_discs(heat_of(places, joint=30))
    # The joint is at 30, the second disc at 68: further than C2/C3 can lie below the joint.
    assert (reading.rows, reading.reason) == ({}, NO_DISC)


def test_a_second_joint_takes_the_confidence_away():
    heat = heat_of(discs_from(50), joint=30)
    sure = read_discs(heat).overall
    heat[2] = np.maximum(heat[2], heat_of([], joint=120)[2] * 0.8)
    assert read_discs(heat).overall < 0.4 * sure


def test_a_junction_at_an_impossible_distance_halves_the_confidence():
    plain = read_discs(heat_of(discs_from(120), joint=100)).overall
    right = read_discs(heat_of(discs_from(120), joint=100, junction=62)).overall
    wrong = read_discs(heat_of(discs_from(120), joint=100, junction=20)).overall
    assert right == plain
    assert wrong == pytest.approx(plain / 2)


def test_one_disc_alone_bounds_no_vertebra():
    reading = read_discs(heat_of([50], joint=30))
    assert reading.reason == "only one disc was found"


def test_a_disc_that_is_nearly_halfway_between_its_neighbours_is_doubted():
    plain = read_discs(heat_of([50, 67, 84, 101], joint=30)).overall
    shifted = read_discs(heat_of([50, 77, 88, 101], joint=30)).overall
    assert shifted < 0.6 * plain
