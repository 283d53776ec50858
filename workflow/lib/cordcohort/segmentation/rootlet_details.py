"""Where dorsal rootlets are, voxel by voxel at a scan's own voxel size, in blocks by the cord."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as nnf

from cordcohort.segmentation.registry import Stage
from cordcohort.segmentation.rootlet_block import CordAxis
from cordcohort.segmentation.volumes import bell, first_voxels

LEAST_SPREAD = 1e-4
LEAST_MM = 0.55
"""Finer voxels are averaged: a network has not seen them."""
WIDTH_MM = (18.0, 25.0)
"""What is looked at, back to front and left to right, around the cord's axis."""


def standardised_block(block: Tensor) -> Tensor:
    """Zero mean and unit SD.

    Examples
    --------
    >>> standardised_block(torch.tensor([[[1.0, 2.0, 3.0]]])).tolist()
    [[[-1.0, 0.0, 1.0]]]
    """
    return (block - block.mean()) / block.std().clamp(min=LEAST_SPREAD)


def grid_step(spacing_mm: float, wanted_mm: float) -> float:
    """Voxel of the network's grid along an axis: the scan's own, a part of it, or some together.

    Examples
    --------
    >>> [round(grid_step(mm, 0.8), 3) for mm in (0.3, 0.8, 1.1, 1.6, 2.0)]
    [0.6, 0.8, 1.1, 0.8, 1.0]
    """
    if spacing_mm < LEAST_MM:
        return spacing_mm * math.ceil(LEAST_MM / spacing_mm)
    return spacing_mm / max(1, round(spacing_mm / wanted_mm))


def likely(
    stage: Stage, data: Tensor, spacing_mm: tuple[float, float, float], axis: CordAxis,
    *, mirror: bool,
) -> Tensor:  # fmt: skip
    """Probability of a rootlet in each voxel of a scan, 0 far from the cord.

    Parameters
    ----------
    stage : Stage
        Network of blocks of one channel.
    data : Tensor, shape (z, y, x)
        Canonical scan.
    spacing_mm : tuple of float
        x, y, z.
    axis : CordAxis
    mirror : bool
        Average with the left-right mirrored blocks.

    Returns
    -------
    Tensor, shape (z, y, x)
    """
    own = spacing_mm[::-1]
    step = [grid_step(mm, stage.spacing_mm) for mm in own]
    size = [max(1, round(n * mm / s)) for n, mm, s in zip(data.shape, own, step, strict=True)]
    grid = _resized(data.float(), size)
    total, weight = torch.zeros_like(grid), torch.zeros_like(grid)
    shape = bell(stage.block, grid.device)
    for corner in _corners(stage.block, size, step, own, axis):
        if any(c + b <= 0 or c >= n for c, b, n in zip(corner, stage.block, size, strict=True)):
            continue  # an oblique cord that goes on beyond the scan
        block, inside = _cut(grid, corner, stage.block)
        shown = standardised_block(block)[None, None]
        out = torch.sigmoid(stage.network(shown).float() + stage.logit_offset)[0, 0]
        if mirror:
            other = torch.sigmoid(stage.network(shown.flip(4)).float() + stage.logit_offset)[0, 0]
            out = (out + other.flip(2)) / 2
        here = tuple(
            slice(max(0, c), min(c + b, n))
            for c, b, n in zip(corner, stage.block, size, strict=True)
        )
        total[here] += (out * shape)[inside]
        weight[here] += shape[inside]
    return _resized(total / weight.clamp(min=1e-6), data.shape)


def _corners(
    block: Sequence[int], size: Sequence[int], step: Sequence[float], own: Sequence[float],
    axis: CordAxis,
) -> list[tuple[int, int, int]]:  # fmt: skip
    """First voxels (z, y, x) of blocks that cover the cord's surroundings from end to end."""
    found: list[tuple[int, int, int]] = []
    for z in first_voxels(size[0], block[0]):
        middle_mm = (z + (block[0] - 1) / 2 + 0.5) * step[0] - own[0] / 2
        centre = [float(v[0]) for v in axis.at(np.array([middle_mm]))]
        sides: list[list[int]] = []
        for k, (place, width) in enumerate(zip(centre, WIDTH_MM, strict=True), start=1):
            n = max(block[k], math.ceil(width / step[k]))
            first = round((place + own[k] / 2) / step[k] - n / 2)
            sides.append([first + s for s in first_voxels(n, block[k])])
        found += [(z, y, x) for y in sides[0] for x in sides[1]]
    return found


def _cut(
    grid: Tensor, corner: Sequence[int], block: Sequence[int]
) -> tuple[Tensor, tuple[slice, ...]]:
    """A block whose outside repeats the scan's border, and what of it lies inside the scan."""
    index = [
        torch.arange(c, c + b, device=grid.device).clamp(0, n - 1)
        for c, b, n in zip(corner, block, grid.shape, strict=True)
    ]
    inside = tuple(
        slice(max(0, -c), max(0, min(b, n - c)))
        for c, b, n in zip(corner, block, grid.shape, strict=True)
    )
    return grid[index[0]][:, index[1]][:, :, index[2]], inside


def _resized(data: Tensor, size: Sequence[int]) -> Tensor:
    """Values on a grid over the same field of view: means where it is coarser, linear between."""
    fewer = [min(a, b) for a, b in zip(data.shape, size, strict=True)]
    if list(data.shape) != fewer:
        data = nnf.adaptive_avg_pool3d(data[None, None], (fewer[0], fewer[1], fewer[2]))[0, 0]
    if fewer == list(size):
        return data
    goal = (size[0], size[1], size[2])
    return nnf.interpolate(data[None, None], size=goal, mode="trilinear", align_corners=False)[0, 0]
