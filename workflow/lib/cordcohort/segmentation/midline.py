"""What else tells the cord from other round things: mirror symmetry, depth, and no air inside.

The neck and the trunk are nearly mirror images of themselves about the plane that holds the cord,
in any contrast. Vessels and muscles beside it are not on that plane; fat under the skin is shallow;
the windpipe holds air.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cordcohort.nifti import Array

Singles = NDArray[np.float32]

COARSE_MM = 2.0
HALF_WIDTH_MM = 24.0
"""Symmetry is judged this far to both sides."""
FRONT_BACK_MM = 7.5
ALONG_MM = 10.0
"""Neighbourhood (standard deviations) over which symmetry is averaged."""
LOCAL_MM = 6.0
"""Structures much larger than this (bias fields, the body's outline) do not count."""
FLOOR_SHARE = 0.3
VARIANCE_FLOOR_SHARE = 0.1
"""Least local energy and variance, as shares of the whole scan's: flat places count little."""
BACKGROUND_PERCENTILE = 1.0
BRIGHT_PERCENTILE = 75.0
AIR_SHARE = 0.2
"""Air is darker than this share of the mean of its neighbourhood."""
AIR_NEIGHBOURHOOD_MM = 20.0
AIR_FLOOR_SHARE = 0.1
FLOOR_PERCENTILE = 90.0
"""Below this share of the bright part of the scan there is nothing but noise."""
AIR_DISC_MM = 3.0
DEPTH_MM = 25.0
AIR_COST = 1.0
SHALLOW_COST = 0.5
"""Response taken from places inside air, and at the skin."""


def mirror_symmetry(values: Array, spacing_mm: tuple[float, float, float]) -> Singles:
    """Correlation of each place's neighbourhood with its left-right mirror image.

    Parameters
    ----------
    values : array, shape (X, Y, Z)
        Canonical axes.
    spacing_mm : tuple of float

    Returns
    -------
    array of float32, shape (X, Y, Z)
        Range about -1 to 1; 0 where there is nothing to compare.
    """
    factors = [min(d / COARSE_MM, 1.0) for d in spacing_mm[:2]] + [1.0]
    detail = _detail(_resized(_compressed(values), factors))
    n, half = detail.shape[0], int(HALF_WIDTH_MM / COARSE_MM)
    padded = np.pad(detail, ((half, half), (0, 0), (0, 0)))
    product, energy = np.zeros_like(detail), np.zeros_like(detail)
    for u in range(1, half + 1):
        right, left = padded[half + u : half + u + n], padded[half - u : half - u + n]
        product += right * left
        energy += 0.5 * (right * right + left * left)
    sigma = (0.5, FRONT_BACK_MM / COARSE_MM / 2.0, ALONG_MM / spacing_mm[2])
    product = ndimage.gaussian_filter(product, sigma, truncate=3.0)
    energy = ndimage.gaussian_filter(energy, sigma, truncate=3.0)
    share = product / np.maximum(energy, max(FLOOR_SHARE * float(energy.mean()), 1e-30))
    back = [a / b for a, b in zip(values.shape, share.shape, strict=True)]
    return _resized(share, back)


def misplacement(values: Array, spacing_mm: tuple[float, float, float]) -> Singles:
    """What to take from the response: places in air, and places near the skin.

    Parameters
    ----------
    values : array, shape (X, Y, Z)
        Smoothed scan, canonical axes.
    spacing_mm : tuple of float

    Returns
    -------
    array of float32, shape (X, Y, Z)
        0 deep inside the body; at most ``AIR_COST + SHALLOW_COST``.
    """
    pixel = np.asarray(spacing_mm[:2])
    level = np.maximum(values - np.percentile(values, BACKGROUND_PERCENTILE), 0.0)
    wide = [*(AIR_NEIGHBOURHOOD_MM / 2.0 / pixel), 0.0]
    near = ndimage.gaussian_filter(level, wide, truncate=2.0)
    least = AIR_FLOOR_SHARE * float(np.percentile(level, FLOOR_PERCENTILE))
    air = level < np.maximum(AIR_SHARE * near, least)
    filled: Any = air.astype(np.float32)
    for axis in range(2):
        width = max(round(2.0 * AIR_DISC_MM / float(pixel[axis])), 1)
        filled = ndimage.uniform_filter1d(filled, width, axis=axis)
    outside = _outside(air)
    cost: Singles = AIR_COST * filled
    for k in range(values.shape[2]):
        if outside[:, :, k].any():
            depth: Any = ndimage.distance_transform_edt(~outside[:, :, k], sampling=pixel)
            cost[:, :, k] += SHALLOW_COST * (1.0 - np.minimum(depth / DEPTH_MM, 1.0))
    return cost


def _outside(air: Array) -> Array:
    """Air that touches the border of its slice."""
    in_plane = np.zeros((3, 3, 3), dtype=bool)
    in_plane[:, :, 1] = ndimage.generate_binary_structure(2, 1)
    found: Any = ndimage.label(ndimage.binary_opening(air, in_plane), in_plane)
    labels = found[0]
    border = np.zeros(labels.shape[:2], dtype=bool)
    border[[0, -1], :] = True
    border[:, [0, -1]] = True
    touching = np.unique(labels[border])
    return np.isin(labels, touching[touching > 0])


def _compressed(values: Array) -> Singles:
    """Logarithm above the background, so that bright fat does not rule."""
    level = np.maximum(values - np.percentile(values, BACKGROUND_PERCENTILE), 0.0)
    bright = max(float(np.percentile(level, BRIGHT_PERCENTILE)), 1e-30)
    return np.log1p(level / bright).astype(np.float32)


def _detail(values: Singles) -> Singles:
    """Local mean removed, local standard deviation one."""
    sigma = (LOCAL_MM / COARSE_MM * 2.0, LOCAL_MM / COARSE_MM * 2.0, 0.0)
    high = values - ndimage.gaussian_filter(values, sigma, truncate=2.0)
    local = ndimage.gaussian_filter(high**2, sigma, truncate=2.0)
    floor = VARIANCE_FLOOR_SHARE * float(high.var())
    return (high / np.sqrt(local + max(floor, 1e-30))).astype(np.float32)


def _resized(values: Array, factors: list[float]) -> Singles:
    sigma = [0.5 / f if f < 1.0 else 0.0 for f in factors]
    smooth = ndimage.gaussian_filter(values.astype(np.float32), sigma) if any(sigma) else values
    resized: Any = ndimage.zoom(
        smooth, factors, order=1, mode="nearest", grid_mode=True, prefilter=False
    )
    return resized
