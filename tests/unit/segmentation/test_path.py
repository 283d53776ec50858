"""The path through heat maps: smooth, bridging gaps, leaving empty ends out."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.segmentation.path import trace_cord


def heat_of(centres: list[tuple[float, float] | None], radius: float = 2.5) -> np.ndarray:
    y, x = np.mgrid[:48, :48]
    slices = [
        np.zeros((48, 48)) if c is None else (np.hypot(y - c[0], x - c[1]) < radius) * 1.0
        for c in centres
    ]
    return np.stack(slices).astype(np.float32)


def test_follows_an_oblique_cord() -> None:
    truth = [(20.0 + k, 24.0) for k in range(10)]
    path = trace_cord(heat_of(truth), 2.0, 4.0)
    assert path is not None
    assert np.abs(path.centres[2:-2] - np.array(truth)[2:-2]).max() < 0.6


def test_bridges_a_short_gap_and_leaves_empty_ends_out() -> None:
    cord = (24.0, 20.0)
    path = trace_cord(heat_of([None] * 4 + [cord] * 5 + [None] + [cord] * 5 + [None] * 4), 2.0, 4.0)
    assert path is not None
    assert path.slices.tolist() == list(range(4, 15))


def test_a_bright_object_far_from_the_cord_is_not_visited() -> None:
    heat = heat_of([(24.0, 24.0)] * 9)
    heat[4] = heat_of([(8.0, 40.0)])[0]
    path = trace_cord(heat, 2.0, 4.0)
    assert path is not None
    assert np.hypot(*(path.centres[4] - 24)) < 3


def test_the_longer_of_two_objects_wins() -> None:
    heat = heat_of([(10.0, 10.0)] * 8)
    heat[:3] += heat_of([(36.0, 36.0)] * 3)
    path = trace_cord(heat, 2.0, 4.0)
    assert path is not None
    assert path.centres[0] == pytest.approx([10, 10], abs=0.5)


def test_nothing_is_found_in_nothing() -> None:
    assert trace_cord(np.zeros((5, 32, 32), np.float32), 2.0, 4.0) is None
