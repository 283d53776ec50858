"""Disc labels as points along straight, slanting and curved cords; labels that contradict."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.measures.centreline import fit_centreline
from cordcohort.measures.discs import disc_points, heights_along, labelled_centre
from cordcohort.measures.levels import levels_from_heights
from hypothesis import given
from hypothesis import strategies as st

SLICE_MM = 2.0


def slanting(slope, n=60):
    """Cord through (0, 50) mm with a slope to the front."""
    z = np.arange(n) * SLICE_MM
    return fit_centreline(np.arange(n), np.zeros(n), 50 + slope * z, SLICE_MM)


def in_front(slope, z_mm, ahead_mm):
    """Point ahead of the cord's axis at height z, across the axis."""
    across = np.array([0.0, 1.0, -slope]) / np.hypot(1.0, slope)
    return np.array([0.0, 50 + slope * z_mm, z_mm]) + ahead_mm * across


@given(slope=st.floats(-0.5, 0.5), ahead=st.floats(0, 20), z=st.floats(20, 90))
def test_a_disc_meets_a_slanting_cord_where_its_plane_does(slope, ahead, z):
    places = {3: in_front(slope, z, ahead), 4: in_front(slope, z - 18, ahead)}
    heights, fault = heights_along(places, slanting(slope), SLICE_MM)
    assert fault == ""
    assert heights[3] == pytest.approx(z / SLICE_MM, abs=1e-6)
    assert heights[4] == pytest.approx((z - 18) / SLICE_MM, abs=1e-6)


def test_projection_on_the_slice_axis_would_be_off_by_the_slope_times_the_distance():
    places = {3: in_front(0.25, 60.0, 8.0), 4: in_front(0.25, 42.0, 8.0)}
    along, _ = heights_along(places, slanting(0.25), SLICE_MM)
    axial, _ = heights_along(places, None, SLICE_MM)
    assert (along[3] - axial[3]) * SLICE_MM == pytest.approx(8.0 * 0.25 / np.hypot(1, 0.25))


def test_a_disc_meets_a_curved_cord_at_its_own_angle():
    radius = 150.0  # mm; the curve of a kyphotic neck
    angle = np.linspace(-0.35, 0.35, 80)
    k = np.arange(-25, 26)
    z = k * SLICE_MM
    y = np.sqrt(radius**2 - z**2)
    line = fit_centreline(k + 25, np.zeros(51), y, SLICE_MM, smooth=0.0)
    for theta in angle[::13]:
        place = (radius + 9.0) * np.array([0.0, np.cos(theta), np.sin(theta)])
        place[2] += 25 * SLICE_MM
        heights, _ = heights_along({3: place, 4: place - [0, 0, 15]}, line, SLICE_MM)
        wanted = radius * np.sin(theta) / SLICE_MM + 25
        # Slices are 2 mm apart and the axis is taken as straight between them.
        assert heights[3] == pytest.approx(wanted, abs=0.05)


def test_discs_beyond_the_ends_of_the_mask_are_followed_along_its_direction():
    line = slanting(0.2, n=20)  # mask up to 38 mm
    places = {3: in_front(0.2, 60.0, 8.0), 4: in_front(0.2, 30.0, 8.0)}
    heights, fault = heights_along(places, line, SLICE_MM)
    assert (fault, heights[3]) == ("", pytest.approx(30.0))


@pytest.mark.parametrize(
    ("places", "fault"),
    [
        ({3: (0, 58, 20), 4: (0, 58, 60)}, "disc 4 does not lie below disc 3"),
        ({3: (0, 58, 60), 5: (0, 58, 20), 6: (0, 58, 20)}, "disc 6 does not lie below disc 5"),
        ({3: (0, 58, 60), 4: (70, 58, 40)}, "disc 4 lies 70 mm from the cord"),
        ({3: (0, 58, 60), 4: (0, 58, -200)}, "disc 4 lies inf mm from the cord"),
        ({3: (0, 58, 60)}, "1 disc labelled: a level needs the disc above and below it"),
        ({}, "0 disc labelled: a level needs the disc above and below it"),
    ],
)
def test_discs_that_contradict_give_no_height_at_all(places, fault):
    found = {code: np.array(place, dtype=float) for code, place in places.items()}
    assert heights_along(found, slanting(0.0), SLICE_MM) == ({}, fault)


def test_a_disc_labelled_twice_is_a_fault_and_a_blot_is_not():
    labels = np.zeros((5, 5, 40), int)
    labels[2, 2, 30] = 3
    labels[1:4, 2, 12] = 4
    assert disc_points(labels, (1.0, 1.0, 1.0)).places_mm[4].tolist() == [2.0, 2.0, 12.0]
    labels[2, 2, 1] = 3
    found = disc_points(labels, (1.0, 1.0, 1.0))
    assert (found.places_mm, found.fault) == ({}, "disc 3 is labelled at more than one place")


def test_landmarks_of_other_conventions_are_named_not_used():
    labels = np.zeros((3, 3, 50), int)
    labels[1, 1, [45, 30, 12, 2]] = [50, 3, 4, 60]
    found = disc_points(labels, (1.0, 1.0, 2.0))
    assert sorted(found.places_mm) == [3, 4]
    assert found.note == "labels that are no discs: 50, 60"
    assert disc_points(np.zeros((2, 2, 2), int), (1.0, 1.0, 1.0)).places_mm == {}


def test_a_slice_belongs_to_the_vertebra_that_its_centre_lies_in():
    assert levels_from_heights({3: 4.6, 4: 2.0, 5: -0.5}) == {
        3: "C3",
        4: "C3",
        0: "C4",
        1: "C4",
        2: "C4",
    }
    assert levels_from_heights({3: 4.6, 5: 2.0}) == {}


def test_a_landmark_is_one_place():
    labels = np.zeros((4, 4, 9), int)
    assert labelled_centre(labels, (1, 1, 1), "PMJ") == (
        None,
        "PMJ: 0 places labelled, expected one",
    )
    labels[1, 1, 2] = labels[1, 2, 3] = 1
    place, reason = labelled_centre(labels, (1.0, 2.0, 1.0), "PMJ")
    assert (place.tolist(), reason) == ([1.0, 3.0, 2.5], "")
    labels[1, 1, 8] = 1
    assert labelled_centre(labels, (1, 1, 1), "PMJ")[1] == "PMJ: 2 places labelled, expected one"
