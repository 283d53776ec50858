"""Move axial slices between a scan's grid and a network's square grid, by small matrices.

A slice is resampled by ``rows @ slice @ columns.T``; the matrices know pixel sizes, so that coarse
pixels are interpolated, fine pixels averaged, and nothing is shifted by half a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Axis:
    """One in-plane axis of a scan: number of pixels and pixel size in mm; 0 mm is pixel 0."""

    n: int
    pixel_mm: float


def to_crop(axis: Axis, centre_mm: Tensor, n: int, pixel_mm: float) -> tuple[Tensor, Tensor]:
    """Matrices ``(b, n, axis.n)`` that sample crops, and what of them lies inside ``(b, n)``.

    Parameters
    ----------
    centre_mm
        ``(b,)`` position of each crop's centre, mm from the centre of pixel 0.
    n, pixel_mm
        Grid of the crop.

    Examples
    --------
    >>> matrix, inside = to_crop(Axis(5, 1.0), torch.tensor([2.0]), 3, 1.0)
    >>> matrix[0].argmax(1).tolist(), inside[0].tolist()
    ([1, 2, 3], [True, True, True])
    """
    offset = (torch.arange(n, device=centre_mm.device) - (n - 1) / 2) * pixel_mm
    wanted = centre_mm[:, None] + offset[None]
    given = torch.arange(axis.n, device=centre_mm.device) * axis.pixel_mm
    width = max(axis.pixel_mm, pixel_mm)
    half = axis.pixel_mm / 2
    inside = (wanted >= -half) & (wanted <= (axis.n - 1) * axis.pixel_mm + half)
    near = wanted.clamp(0, (axis.n - 1) * axis.pixel_mm)
    weight = (1 - (near[:, :, None] - given[None, None]).abs() / width).clamp(min=0)
    weight = weight / weight.sum(2, keepdim=True).clamp(min=1e-6)
    return weight * inside[:, :, None], inside


def from_crop(axis: Axis, centre_mm: Tensor, n: int, pixel_mm: float) -> Tensor:
    """Matrices ``(b, axis.n, n)`` that bring crops back: the mean over each scan pixel.

    The area of a crop pixel that a scan pixel covers is its weight, hence fractions stay
    fractions (partial volume) and areas are kept. Outside the crop the value is 0.

    Examples
    --------
    >>> back = from_crop(Axis(4, 1.0), torch.tensor([1.5]), 8, 0.5)
    >>> back[0].sum(1).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    offset = (torch.arange(n, device=centre_mm.device) - (n - 1) / 2) * pixel_mm
    crop = centre_mm[:, None] + offset[None]
    scan = torch.arange(axis.n, device=centre_mm.device) * axis.pixel_mm
    width = max(axis.pixel_mm, pixel_mm)
    high = torch.minimum(scan[None, :, None] + width / 2, crop[:, None] + pixel_mm / 2)
    low = torch.maximum(scan[None, :, None] - width / 2, crop[:, None] - pixel_mm / 2)
    return (high - low).clamp(min=0) / width


def neighbours(index: Tensor, step: int, n_slices: int) -> Tensor:
    """Indices ``(b, 3)`` of a slice and its neighbours ``step`` away, repeated at the ends.

    Examples
    --------
    >>> neighbours(torch.tensor([0, 4]), 2, 6).tolist()
    [[0, 0, 2], [2, 4, 5]]
    """
    around = torch.tensor([-step, 0, step], device=index.device)
    return (index[:, None] + around).clamp(0, n_slices - 1)
