"""A block of a scan that follows the cord slice by slice, for the network of rootlets, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as nnf

Floats = NDArray[np.floating[Any]]

BLOCK = (128, 40, 40)
"""Voxels (z, y, x): up, front, right."""
STEP_MM = (1.5, 0.6, 0.6)
ABOVE_MM = 30.0
"""How far a block begins above the upper end of the cord that was found."""
END_MM = 15.0
STEEPEST_END = 0.4
LEAST_SPREAD = 1e-4
HALF = 0.5


@dataclass(frozen=True)
class CordAxis:
    """The cord's axis in a canonical scan: height and place of points, mm from voxel 0, rising."""

    z_mm: Floats
    y_mm: Floats
    x_mm: Floats

    def at(self, z_mm: Floats) -> tuple[Floats, Floats]:
        """Place (y, x) at heights; beyond an end the axis goes on straight, at most by 22 degrees.

        Examples
        --------
        >>> axis = CordAxis(np.array([0.0, 30.0]), np.array([5.0, 8.0]), np.array([4.0, 4.0]))
        >>> [v.round(6).tolist() for v in axis.at(np.array([15.0, 40.0]))]
        [[6.5, 9.0], [4.0, 4.0]]
        """
        y, x = (self._one(np.asarray(z_mm, float), values) for values in (self.y_mm, self.x_mm))
        return y, x

    def _one(self, wanted: Floats, values: Floats) -> Floats:
        out = np.interp(wanted, self.z_mm, values)
        for end, beyond in ((0, wanted < self.z_mm[0]), (-1, wanted > self.z_mm[-1])):
            near = np.abs(self.z_mm - self.z_mm[end]) <= END_MM
            if near.sum() < 2:  # noqa: PLR2004 - one point has no direction
                near = np.argsort(np.abs(self.z_mm - self.z_mm[end]))[:2]
            if np.ptp(self.z_mm[near]) <= 0:
                continue
            slope = np.polyfit(self.z_mm[near], values[near], 1)[0]
            slope = np.clip(slope, -STEEPEST_END, STEEPEST_END)
            out[beyond] += (wanted[beyond] - self.z_mm[end]) * slope
        return out


@dataclass(frozen=True)
class Block:
    """A straightened block: what a network sees, and where it lies.

    Attributes
    ----------
    shown : Tensor, shape (2, z, y, x)
        Intensity (zero mean, unit SD inside the scan, 0 outside) and 1 inside the scan.
    bottom_mm : float
        Height of its lowest slice.
    axis : CordAxis
    spacing_mm : tuple of float
        Of the scan, x, y, z.
    step_mm : tuple of float
        Voxel of the block, z, y, x.
    """

    shown: Tensor
    bottom_mm: float
    axis: CordAxis
    spacing_mm: tuple[float, float, float]
    step_mm: tuple[float, float, float] = STEP_MM

    @property
    def size(self) -> tuple[int, int, int]:
        """Voxels, z, y, x."""
        z, y, x = self.shown.shape[1:]
        return int(z), int(y), int(x)

    def place_mm(self, voxel: Floats) -> Floats:
        """Place (x, y, z) in the scan, mm from voxel 0, of a fractional voxel (z, y, x)."""
        height = self.bottom_mm + float(voxel[0]) * self.step_mm[0]
        y, x = (float(v[0]) for v in self.axis.at(np.array([height])))
        sides = zip(voxel[1:], self.size[1:], self.step_mm[1:], strict=True)
        aside = [(float(v) - (n - 1) / 2) * mm for v, n, mm in sides]
        return np.array([x + aside[1], y + aside[0], height])


def cut_block(data: Tensor, spacing_mm: tuple[float, float, float], axis: CordAxis) -> Block:
    """Cut the block of a scan whose upper end lies a little above the cord that was found.

    Parameters
    ----------
    data : Tensor, shape (z, y, x)
        Canonical scan.
    spacing_mm : tuple of float
        x, y, z.
    axis : CordAxis
    """
    top = min((data.shape[0] - 1) * spacing_mm[2], float(axis.z_mm[-1]) + ABOVE_MM)
    bottom = top - (BLOCK[0] - 1) * STEP_MM[0]
    places, inside = places_along(
        data, spacing_mm, axis, bottom_mm=bottom, size=BLOCK, step_mm=STEP_MM
    )
    image = sampled(data[None], places)[0]
    values = image[inside]
    spread = values.std().clamp(min=LEAST_SPREAD) if values.numel() > 1 else torch.tensor(1.0)
    mean = values.mean() if values.numel() else torch.tensor(0.0)
    shown = torch.stack([(image - mean) / spread * inside, inside.float()])
    return Block(shown, bottom, axis, spacing_mm)


def places_along(
    data: Tensor, spacing_mm: tuple[float, float, float], axis: CordAxis, *, bottom_mm: float,
    size: tuple[int, int, int], step_mm: tuple[float, float, float],
) -> tuple[list[Tensor], Tensor]:  # fmt: skip
    """Voxel positions (z, y, x) in a scan of a straightened grid, and which lie inside the scan.

    Parameters
    ----------
    data : Tensor, shape (z, y, x)
        Canonical scan.
    spacing_mm : tuple of float
        Of the scan, x, y, z.
    bottom_mm : float
        Height of the grid's lowest slice.
    size, step_mm
        Of the grid, z, y, x.
    """
    z = bottom_mm + np.arange(size[0]) * step_mm[0]
    middle = [
        torch.as_tensor(v, dtype=torch.float32, device=data.device).view(-1, 1, 1)
        for v in axis.at(z)
    ]
    y, x = (
        (torch.arange(n, device=data.device) - (n - 1) / 2) * mm
        for n, mm in zip(size[1:], step_mm[1:], strict=True)
    )
    at_z = torch.as_tensor(z, dtype=torch.float32, device=data.device).view(-1, 1, 1)
    places = [
        (at_z / spacing_mm[2]).expand(size),
        ((middle[0] + y.view(1, -1, 1)) / spacing_mm[1]).expand(size),
        ((middle[1] + x.view(1, 1, -1)) / spacing_mm[0]).expand(size),
    ]
    inside = torch.stack(
        [(p >= -HALF) & (p <= n - HALF) for p, n in zip(places, data.shape, strict=True)]
    ).all(0)
    return places, inside


def back_to_scan(
    block: Block, drawn: Tensor, shape: tuple[int, int, int], part: range
) -> Tensor | None:
    """Values (c, z, y, x) of a block on some slices of its scan's canonical grid.

    Parameters
    ----------
    drawn : Tensor, shape (c, z, y, x)
        On the block's grid.
    shape : tuple of int
        Of the scan, z, y, x.
    part : range
        Slices of the scan.

    Returns
    -------
    Tensor or None
        0 outside the block; ``None`` where none of the slices lies in it.
    """
    sx, sy, sz = block.spacing_mm
    k = np.asarray(part)
    at_z = (k * sz - block.bottom_mm) / block.step_mm[0]
    if not np.any((at_z > -1) & (at_z < block.size[0])):
        return None
    middle = block.axis.at(k * sz)
    places = [torch.as_tensor(at_z, dtype=torch.float32).view(-1, 1, 1)]
    for axis, (n, mm, centre) in enumerate(zip(shape[1:], (sy, sx), middle, strict=True)):
        along = torch.arange(n, dtype=torch.float32) * mm
        offset = along.view(1, -1) - torch.as_tensor(centre, dtype=torch.float32).view(-1, 1)
        place = offset / block.step_mm[1 + axis] + (block.size[1 + axis] - 1) / 2
        places.append(place.view(-1, n, 1) if axis == 0 else place.view(-1, 1, n))
    size = torch.broadcast_shapes(*(p.shape for p in places))
    spread = [p.expand(size).to(drawn.device) for p in places]
    return sampled(drawn, spread, padding="zeros")


def sampled(values: Tensor, places: list[Tensor], padding: str = "border") -> Tensor:
    """Trilinear values (c, ...) at voxel positions z, y, x."""
    grid = torch.stack(
        [p * (2.0 / max(values.shape[1 + i] - 1, 1)) - 1.0
         for i, p in reversed(list(enumerate(places)))], -1,
    )  # fmt: skip
    return nnf.grid_sample(
        values[None].float(), grid[None].float(), mode="bilinear", padding_mode=padding,
        align_corners=True,
    )[0]  # fmt: skip
