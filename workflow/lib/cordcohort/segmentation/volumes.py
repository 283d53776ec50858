"""Networks of volumes: a scan on an isotropic grid, blocks around the cord, blended, brought back.

Images go to the network's grid by a quadratic spline, fractions come back by the mean over each
scan voxel. Where the network's voxel is larger than the scan's, the scan is smoothed first, so that
a voxel stands for what it covers; the published resampling leaves this out and lets noise through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from cordcohort.binary import binarised
from cordcohort.errors import ConfigError
from cordcohort.segmentation.centreline import SOFT_FLOOR, Centreline, Volume
from cordcohort.segmentation.registry import Stage
from cordcohort.segmentation.resample import Axis, from_crop

FloatArray = NDArray[np.floating[Any]]

IMAGE_ORDER = 2  # quadratic spline, as published
OVERLAP = 0.5
BLEND_SIGMA = 0.125  # of a block's side
LEAST_WEIGHT = 1e-3
LEAST_SD = 1e-6


@dataclass(frozen=True)
class Grid:
    """Isotropic grid over a scan: voxels (z, y, x), their size, and where voxel 0 lies.

    ``low_mm`` is measured along each scan axis from the centre of the scan's voxel 0.
    """

    shape: tuple[int, int, int]
    step_mm: float
    low_mm: tuple[float, float, float]

    def centres_mm(self, axis: int) -> FloatArray:
        """Positions of the voxel centres along an axis, mm."""
        return self.low_mm[axis] + np.arange(self.shape[axis]) * self.step_mm


def whole_grid(
    shape: Sequence[int],
    spacing_mm: Sequence[float],
    step_mm: float,
    least: Sequence[int] = (1,) * 3,
) -> Grid:  # fmt: skip
    """Grid over a whole scan ``(z, y, x)``, centred on it, of at least ``least`` voxels a side.

    Examples
    --------
    >>> whole_grid((4, 10, 10), (5.0, 0.5, 0.5), 1.0)
    Grid(shape=(20, 5, 5), step_mm=1.0, low_mm=(-2.0, 0.25, 0.25))
    """
    sizes = [
        max(round(n * mm / step_mm), low, 1)
        for n, mm, low in zip(shape, spacing_mm, least, strict=True)
    ]
    lows = [
        ((n - 1) * mm - (size - 1) * step_mm) / 2
        for n, mm, size in zip(shape, spacing_mm, sizes, strict=True)
    ]
    return Grid((sizes[0], sizes[1], sizes[2]), step_mm, (lows[0], lows[1], lows[2]))


def on_grid(data: FloatArray, spacing_mm: Sequence[float], grid: Grid, order: int) -> FloatArray:
    """Values of a scan ``(z, y, x)`` on a grid; beyond the scan its border goes on.

    Parameters
    ----------
    order
        Of the spline: 2 for images, 1 for fractions.

    Examples
    --------
    >>> ramp = np.tile(np.arange(8.0), (2, 2, 1))
    >>> grid = Grid((2, 2, 4), 2.0, (0.0, 0.0, 0.5))
    >>> [round(float(v), 2) for v in on_grid(ramp, (2.0, 2.0, 1.0), grid, 1)[0, 0]]
    [0.55, 2.5, 4.5, 6.45]
    """
    factors = [grid.step_mm / mm for mm in spacing_mm]
    sigma = [max(0.0, (f - 1) / 2) for f in factors]
    smooth = ndimage.gaussian_filter(data, sigma, mode="nearest") if any(sigma) else data
    offset: Any = [low / mm for low, mm in zip(grid.low_mm, spacing_mm, strict=True)]
    return ndimage.affine_transform(
        np.asarray(smooth, np.float32), np.array(factors), offset, grid.shape,
        order=order, mode="nearest",
    )  # fmt: skip


def inside_scan(shape: Sequence[int], spacing_mm: Sequence[float], grid: Grid) -> NDArray[np.bool_]:
    """Whether each grid voxel's centre lies inside the scan's field of view."""
    sides = []
    for axis, (n, mm) in enumerate(zip(shape, spacing_mm, strict=True)):
        at = grid.centres_mm(axis)
        sides.append((at >= -mm / 2) & (at <= (n - 1) * mm + mm / 2))
    return sides[0][:, None, None] & sides[1][None, :, None] & sides[2][None, None, :]


def standardised(block: Tensor, inside: Tensor) -> Tensor:
    """Zero mean and unit SD of ``(..., z, y, x)`` over what lies inside the scan, 0 outside.

    The published z-score counts the zeros of the padding, so that the same tissue gets another
    brightness in another field of view; this one does not.

    Examples
    --------
    >>> standardised(torch.tensor([[[1.0, 3.0, 9.0]]]), torch.tensor([[[1.0, 1.0, 0.0]]])).tolist()
    [[[-1.0, 1.0, 0.0]]]
    """
    weight = inside.to(block.dtype)
    axes = (-3, -2, -1)
    count = weight.sum(axes, keepdim=True).clamp(min=1)
    centred = (block - (block * weight).sum(axes, keepdim=True) / count) * weight
    sd = torch.sqrt((centred**2).sum(axes, keepdim=True) / count)
    return centred / sd.clamp(min=LEAST_SD)


def refine_blocks(stage: Stage, volume: Volume, line: Centreline, *, mirror: bool) -> FloatArray:
    """Soft masks ``(c, z, y, x)``, one an output, from blocks along the cord's centre line."""
    spacing = (volume.step_mm, volume.y.pixel_mm, volume.x.pixel_mm)
    block, h = stage.block, stage.spacing_mm
    ends = np.array([line.index[0], line.index[-1]]) * volume.step_mm
    n_z = max(block[0], int(np.ceil((ends[1] - ends[0]) / h)) + 1)
    low_z = float(ends.mean() - (n_z - 1) / 2 * h)
    first_z = first_voxels(n_z, block[0])
    centres = [_centre(line, volume, low_z + z * h, block[0] * h) for z in first_z]
    lows = np.array(centres) - (np.array(block[1:]) - 1) / 2 * h
    least = lows.min(axis=0)
    starts = [
        (z, *np.rint((low - least) / h).astype(int)) for z, low in zip(first_z, lows, strict=True)
    ]
    size = np.max([s[1:] for s in starts], axis=0) + np.array(block[1:])
    grid = Grid((n_z, int(size[0]), int(size[1])), h, (low_z, float(least[0]), float(least[1])))
    return _blended(stage, volume, spacing, grid, starts, mirror=mirror)


def sweep(stage: Stage, volume: Volume, *, mirror: bool) -> FloatArray:
    """Soft mask from blocks over the whole scan; the largest object only.

    For models without a localiser. It takes several times as long as :func:`refine_blocks`.

    Raises
    ------
    ConfigError
        A network of slices, which needs a localiser.
    """
    if not stage.block:
        raise ConfigError("stages", "cord", "a localiser beside a cord network of slices",
                          "add the stage to the model's card")  # fmt: skip
    spacing = (volume.step_mm, volume.y.pixel_mm, volume.x.pixel_mm)
    shape = tuple(volume.slices.shape)
    grid = whole_grid(shape, spacing, stage.spacing_mm, stage.block)
    firsts = [first_voxels(n, side) for n, side in zip(grid.shape, stage.block, strict=True)]
    starts = [(z, y, x) for z in firsts[0] for y in firsts[1] for x in firsts[2]]
    soft = _blended(stage, volume, spacing, grid, starts, mirror=mirror)[0]
    labels = cc3d.connected_components(binarised(soft).astype(np.uint8), connectivity=26)
    if labels.max() == 0:
        return np.zeros_like(soft)
    largest = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    near = ndimage.binary_dilation(largest, iterations=2)
    return np.where(near & (largest | (labels == 0)) & (soft >= SOFT_FLOOR), soft, 0)


def first_voxels(n: int, side: int) -> list[int]:
    """First voxels of blocks that cover an axis with half a block of overlap."""
    if n <= side:
        return [0]
    count = int(np.ceil((n - side) / (side * (1 - OVERLAP)))) + 1
    return [int(v) for v in np.rint(np.linspace(0, n - side, count))]


def _centre(line: Centreline, volume: Volume, low_mm: float, length_mm: float) -> FloatArray:
    """Middle of the centre line (y, x) over the height of a block, mm."""
    at = line.index * volume.step_mm
    there = (at >= low_mm) & (at <= low_mm + length_mm)
    known = line.centres[there] if there.any() else line.centres
    return (known.min(axis=0) + known.max(axis=0)) / 2


def _blended(
    stage: Stage, volume: Volume, spacing_mm: tuple[float, float, float], grid: Grid,
    starts: Sequence[tuple[int, int, int]], *, mirror: bool,
) -> FloatArray:  # fmt: skip
    """Weighted mean of the raw outputs of blocks; fractions ``(c, z, y, x)`` on the scan's grid."""
    device = volume.slices.device
    data = volume.slices.cpu().numpy()
    image = torch.from_numpy(on_grid(data, spacing_mm, grid, IMAGE_ORDER)).to(device)
    inside = torch.from_numpy(inside_scan(data.shape, spacing_mm, grid)).to(device)
    weight = bell(stage.block, device)
    total, count = torch.zeros_like(image)[None], torch.zeros_like(image)
    for start in starts:
        part = tuple(slice(s, s + n) for s, n in zip(start, stage.block, strict=True))
        block = standardised(image[part], inside[part])[None, None]
        raw = stage.network(block).float()[0]
        if mirror:
            raw = (raw + stage.network(block.flip(-1)).float()[0].flip(-1)) / 2
        if len(total) < len(raw):
            total = total.repeat(len(raw), 1, 1, 1)
        total[:, *part] += weight * raw
        count[part] += weight
    soft = stage.probability(total / count.clamp(min=LEAST_WEIGHT * LEAST_WEIGHT))
    soft = soft * inside * (count > 0)
    return np.stack([_on_scan(one, volume, grid).cpu().numpy() for one in soft])


def bell(block: Sequence[int], device: torch.device) -> Tensor:
    """Gaussian weight of a block, 1 in its middle."""
    sides = []
    for n in block:
        at = (torch.arange(n, device=device) - (n - 1) / 2) / (BLEND_SIGMA * n)
        sides.append(torch.exp(-0.5 * at**2))
    bell = sides[0][:, None, None] * sides[1][None, :, None] * sides[2][None, None, :]
    return bell.clamp(min=LEAST_WEIGHT)


def _on_scan(soft: Tensor, volume: Volume, grid: Grid) -> Tensor:
    """Fractions of the grid as means over the scan's voxels."""
    n_z = volume.slices.shape[0]
    axes = (Axis(n_z, volume.step_mm), volume.y, volume.x)
    back = []
    for i, axis in enumerate(axes):
        middle = grid.low_mm[i] + (grid.shape[i] - 1) / 2 * grid.step_mm
        centre = torch.tensor([middle], dtype=torch.float32, device=soft.device)
        back.append(from_crop(axis, centre, grid.shape[i], grid.step_mm)[0])
    soft = torch.einsum("zyx,wx->zyw", soft, back[2])
    soft = torch.einsum("zyx,wy->zwx", soft, back[1])
    return torch.einsum("zyx,wz->wyx", soft, back[0])
