"""Fine blocks along the cord: every voxel is seen, on the scan's own grid, and nothing moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cordcohort.segmentation.registry import Stage
from cordcohort.segmentation.rootlet_block import CordAxis
from cordcohort.segmentation.rootlet_details import likely
from torch import nn

BLOCK = (16, 24, 32)


class _Bright(nn.Module):
    """A rootlet is what is brighter than the block's mean by two SD."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 20 * (x - 2)


def stage() -> Stage:
    return Stage(_Bright(), 0.8, max(BLOCK), 0.0, "sigmoid", 0.0, BLOCK)


def scan(spacing_mm: tuple[float, float, float]) -> tuple[torch.Tensor, torch.Tensor, CordAxis]:
    """A scan of 45 mm in which two lines run beside a slanting axis, and where they are."""
    sx, sy, sz = spacing_mm
    size = [round(45.0 / mm) for mm in (sz, sy, sx)]
    z, y, x = np.meshgrid(*(np.arange(n) for n in size), indexing="ij")
    middle = 18.0 + 0.1 * z * sz
    wide = max(0.7, 0.55 * max(sx, sy))
    there = (np.abs(np.abs(x * sx - middle) - 6.0) < wide) & (np.abs(y * sy - 16.0) < wide)
    axis = CordAxis(np.array([0.0, 45.0]), np.array([20.0, 20.0]), np.array([18.0, 22.5]))
    data = torch.from_numpy(np.where(there, 100.0, 10.0).astype(np.float32))
    return data, torch.from_numpy(there), axis


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("spacing", [(0.8, 0.8, 0.8), (0.8, 0.9, 1.1)])
def test_a_line_is_found_where_it_is(spacing, mirror):
    data, there, axis = scan(spacing)
    found = likely(stage(), data, spacing, axis, mirror=mirror)
    assert found.shape == data.shape
    assert torch.equal(found > 0.5, there)


@pytest.mark.parametrize("spacing", [(0.4, 0.4, 0.4), (1.6, 1.6, 1.6), (1.0, 1.0, 2.0)])
def test_of_other_voxel_sizes_the_line_is_where_it_was(spacing):
    data, there, axis = scan(spacing)
    found = likely(stage(), data, spacing, axis, mirror=False) > 0.5
    overlap = 2 * float((found & there).sum()) / float(found.sum() + there.sum())
    # What is a rootlet is decided on a grid of about 0.8 mm: borders move by a part of its voxel.
    assert overlap > 0.6
    where = [torch.nonzero(m).float().mean(0) * torch.tensor(spacing[::-1]) for m in (found, there)]
    assert float((where[0] - where[1]).abs().max()) < 0.25 * max(0.8, *spacing)


def test_far_from_the_cord_and_beyond_the_scan_there_is_nothing():
    data, _, axis = scan((0.8, 0.8, 0.8))
    data[:, 50:, :] = 500.0
    found = likely(stage(), data, (0.8, 0.8, 0.8), axis, mirror=False)
    assert not found[:, 50:].any()
    beside = CordAxis(axis.z_mm, axis.y_mm, np.array([0.0, 0.0]))
    cut = likely(stage(), data, (0.8, 0.8, 0.8), beside, mirror=False)
    assert cut.shape == data.shape
    assert bool(torch.isfinite(cut).all())


def test_a_cord_that_runs_out_of_the_scan_stops_nothing():
    data, _, _ = scan((0.8, 0.8, 0.8))
    away = CordAxis(np.array([0.0, 45.0]), np.array([20.0, 20.0]), np.array([-60.0, 18.0]))
    found = likely(stage(), data, (0.8, 0.8, 0.8), away, mirror=False)
    assert found.shape == data.shape
    assert bool(torch.isfinite(found).all())


def test_a_scan_smaller_than_a_block_has_its_answer():
    data, _, axis = scan((0.8, 0.8, 0.8))
    small = data[:9, :20, :30]
    assert likely(stage(), small, (0.8, 0.8, 0.8), axis, mirror=True).shape == small.shape
