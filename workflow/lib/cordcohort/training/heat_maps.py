"""Heat maps of regions and the distance loss of the earlier eight-region network, and thresholds.

References
----------
Fei et al. Diagnostics 2023;13(5):817 and its code, FNBbarry/SpinalCordSegDTI.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LEVEL_AT_EXTENT = 4.6052
"""Minus the logarithm of 0.01: the heat at a distance of one region's extent."""
INSIDE = 0.5
THRESHOLDS = np.round(np.arange(0.100, 1.0, 0.001), 3)
LEAST_SQUARE = 1e-12


def heat_map(region: Tensor) -> Tensor:
    """Heat of one region: 1 inside, outside a Gaussian of the distance to its *farthest* pixel.

    ``exp(-d2 / (2 s2))`` with ``s = max(height, width) / sqrt(2 * 4.6052)``: 0.01 at a distance of
    one extent. As published; all 0 where the region is empty.

    Parameters
    ----------
    region
        ``(y, x)`` bool.

    Examples
    --------
    >>> heat_map(torch.tensor([[True, False]])).round(decimals=2).tolist()
    [[1.0, 0.009999999776482582]]
    """
    places = region.nonzero().float()
    if not len(places):
        return torch.zeros(region.shape, device=region.device)
    low, high = places.amin(0), places.amax(0)
    extent = (high - low + 1).amax()
    sigma2 = extent**2 / (2 * LEVEL_AT_EXTENT)
    y, x = (torch.arange(n, device=region.device, dtype=torch.float32) for n in region.shape)
    # The farthest pixel lies on the outline; the ends of each row hold all that can be farthest.
    ends = _row_ends(region)
    away = (y[None, :, None] - ends[:, 0, None, None]) ** 2
    away = away + (x[None, None, :] - ends[:, 1, None, None]) ** 2
    heat = torch.exp(-away.amax(0) / (2 * sigma2))
    return torch.where(region, torch.ones_like(heat), heat)


def _row_ends(region: Tensor) -> Tensor:
    """First and last pixel ``(n, 2)`` of each row that holds some."""
    rows = region.any(1).nonzero()[:, 0]
    first = region[rows].float().argmax(1)
    last = region.shape[1] - 1 - region[rows].flip(1).float().argmax(1)
    return torch.cat([torch.stack([rows, first], 1), torch.stack([rows, last], 1)]).float()


def heat_maps(target: Tensor) -> Tensor:
    """Heat maps ``(n, 8, y, x)`` of class shares ``(n, 9, y, x)``."""
    inside = target[:, 1:] > INSIDE
    return torch.stack([torch.stack([heat_map(r) for r in one]) for one in inside])


def heat_map_distance(output: Tensor, target: Tensor) -> Tensor:
    """Mean Euclidean distance between raw outputs and heat maps.

    The batch is reshaped into as many rows as there are channels, as the published code does; a row
    then mixes channels of several images unless the batch is one image.

    Parameters
    ----------
    output
        ``(n, 8, y, x)``, linear.
    target
        Class shares ``(n, 9, y, x)``, background first.

    Examples
    --------
    >>> target = torch.zeros(1, 9, 2, 2); target[:, 0] = 1
    >>> round(float(heat_map_distance(torch.ones(1, 8, 2, 2), target)), 4)
    2.0
    """
    rows = output.shape[1]
    difference = (output - heat_maps(target)).reshape(rows, -1)
    return torch.sqrt((difference**2).sum(1) + LEAST_SQUARE).mean()


def best_thresholds(output: NDArray[np.floating], regions: NDArray[np.bool_]) -> list[float]:
    """Threshold of each region with the largest overlap (IoU) over a validation set.

    Parameters
    ----------
    output, regions
        ``(n, 8, y, x)``: raw maps and true regions.

    Returns
    -------
    list of float
        0.100 to 0.999 in steps of 0.001, the lowest of equals.

    Examples
    --------
    >>> best_thresholds(np.array([[[[0.2, 0.6]]]]), np.array([[[[False, True]]]]))
    [0.2]
    """
    found: list[float] = []
    for k in range(output.shape[1]):
        values, true = output[:, k].ravel(), regions[:, k].ravel()
        inside, all_values = np.sort(values[true]), np.sort(values)
        both = len(inside) - np.searchsorted(inside, THRESHOLDS, side="right")
        drawn = len(all_values) - np.searchsorted(all_values, THRESHOLDS, side="right")
        overlap = both / np.maximum(drawn + len(inside) - both, 1)
        found.append(float(THRESHOLDS[int(np.argmax(overlap))]))
    return found
