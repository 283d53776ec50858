"""Crops: nothing shifts, fractions and areas are kept."""

from __future__ import annotations

import pytest
import torch
from cordcohort.segmentation.resample import Axis, from_crop, neighbours, to_crop
from hypothesis import given
from hypothesis import strategies as st


@given(pixel=st.floats(0.3, 3.0), centre=st.floats(15, 25))
def test_a_linear_ramp_is_sampled_exactly_inside(pixel: float, centre: float) -> None:
    axis = Axis(200, pixel)
    ramp = torch.arange(200) * pixel
    matrix, inside = to_crop(axis, torch.tensor([centre + 20]), 32, 0.5)
    wanted = centre + 20 + (torch.arange(32) - 15.5) * 0.5
    got = matrix[0] @ ramp
    assert bool(inside.all())
    # pixels below the crop's are averaged: the sample moves by a fraction of a pixel at most
    assert torch.allclose(got, wanted, atol=1e-3 if pixel >= 0.5 else 0.3 * pixel)


@given(pixel=st.floats(0.3, 4.0), centre=st.floats(20, 30))
def test_areas_survive_the_way_back(pixel: float, centre: float) -> None:
    axis = Axis(int(50 / pixel) + 1, pixel)
    crop = torch.zeros(96)
    crop[38:58] = 1  # 10 mm
    back = from_crop(axis, torch.tensor([centre]), 96, 0.5)[0] @ crop
    assert float(back.sum()) * pixel == pytest.approx(10, abs=0.06 if pixel >= 0.5 else 0.3)
    assert float(back.max()) <= 1 + 1e-4


def test_outside_the_scan_is_told_apart() -> None:
    matrix, inside = to_crop(Axis(10, 1.0), torch.tensor([0.1]), 8, 1.0)
    assert inside[0].tolist() == [False] * 3 + [True] * 5
    assert float(matrix[0, :3].sum()) == 0


def test_neighbours_repeat_the_ends() -> None:
    assert neighbours(torch.tensor([0, 1]), 3, 2).tolist() == [[0, 0, 1], [0, 1, 1]]
