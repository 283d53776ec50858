"""Plane geometry of outlines and pixels in closed form: moments, ellipses, parts of a pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage.measure import find_contours

from cordcohort.binary import HALF, binarised

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MIN_OUTLINE_MM2 = 1e-9
MIN_WIDTH_MM = 1e-9


def principal_axes(covariance_mm2: Floats) -> tuple[Floats, Floats, Floats]:
    """Ellipse with the same second moments, its axes named by direction.

    The axis that lies closer to right-left (within 45 degrees) is the right-left one.

    Parameters
    ----------
    covariance_mm2 : array, shape (n, 2, 2)

    Returns
    -------
    right_left_mm, front_back_mm : array, shape (n,)
        Full lengths of the axes (four standard deviations).
    direction : array, shape (n, 2)
        Unit vector of the right-left axis, pointing right.
    """
    usable: Any = np.isfinite(covariance_mm2).all(axis=(1, 2))
    safe = np.where(usable[:, None, None], covariance_mm2, np.eye(2))
    variance, vectors = np.linalg.eigh(safe)
    length = 4.0 * np.sqrt(np.maximum(variance, 0.0))
    length[~usable] = np.nan
    major = vectors[:, :, 1]
    is_right_left = np.abs(major[:, 0]) >= np.abs(major[:, 1])
    direction = np.where(is_right_left[:, None], major, vectors[:, :, 0])
    direction = direction * np.where(direction[:, :1] < 0, -1.0, 1.0)
    right_left = np.where(is_right_left, length[:, 1], length[:, 0])
    front_back = np.where(is_right_left, length[:, 0], length[:, 1])
    return right_left, front_back, direction


def outlines(
    planes: Floats, spacing_mm: tuple[float, float, float]
) -> tuple[Floats, Floats, Floats]:
    """Central second moments, area and hull area of each slice's outline, in the slice plane."""
    n_slices = planes.shape[2]
    moments = np.full((n_slices, 2, 2), np.nan)
    area = np.full(n_slices, np.nan)
    hull = np.full(n_slices, np.nan)
    padded = np.pad(planes, ((1, 1), (1, 1), (0, 0)))
    for k in range(n_slices):
        curves = [c * spacing_mm[:2] for c in find_contours(padded[:, :, k], HALF)]
        if not curves:
            continue
        surface, covariance = polygon_moments(curves)
        if surface > MIN_OUTLINE_MM2:
            area[k], moments[k] = surface, covariance
            hull[k] = ConvexHull(np.vstack(curves)).volume  # in two dimensions this is the area
    return moments, area, hull


def polygon_moments(curves: list[Floats]) -> tuple[float, Floats]:
    """Area and second moments of closed curves by Green's theorem; holes turn the other way."""
    start = np.vstack([c[:-1] for c in curves])
    stop = np.vstack([c[1:] for c in curves])
    origin = start.mean(axis=0)
    (x, y), (u, v) = (start - origin).T, (stop - origin).T
    cross = x * v - u * y
    area = cross.sum() / 2
    if abs(area) <= MIN_OUTLINE_MM2:
        return 0.0, np.full((2, 2), np.nan)
    centre_x = ((x + u) * cross).sum() / (6 * area)
    centre_y = ((y + v) * cross).sum() / (6 * area)
    xx = ((x * x + x * u + u * u) * cross).sum() / (12 * area) - centre_x**2
    yy = ((y * y + y * v + v * v) * cross).sum() / (12 * area) - centre_y**2
    xy = ((x * v + 2 * x * y + 2 * u * v + u * y) * cross).sum() / (24 * area) - centre_x * centre_y
    return abs(float(area)), np.array([[xx, xy], [xy, yy]])


def trapezoid_cdf(t: Floats, sides: Floats) -> Floats:
    """Share of a rectangle's projection below ``t``; ``sides`` (n, 2) are short and long."""
    short, long = sides[:, 0], np.maximum(sides[:, 1], MIN_WIDTH_MM)
    reach, flat = (long + short) / 2, (long - short) / 2
    ramp = np.clip(reach - np.abs(t), 0, None) ** 2 / (2 * long * np.maximum(short, MIN_WIDTH_MM))
    tail = np.where(t < 0, ramp, 1 - ramp)
    return np.where(np.abs(t) <= flat, 0.5 + t / long, tail)


def components(planes: Floats) -> Ints:
    """Count components of what reaches 0.5 in each slice; pixels sharing a corner are connected."""
    in_plane = np.zeros((3, 3, 3), dtype=bool)
    in_plane[:, :, 1] = True
    labelled: Any = ndimage.label(binarised(planes), structure=in_plane)
    numbers, first = np.unique(labelled[0], return_index=True)
    slices = (first % planes.shape[2])[numbers > 0]
    return np.bincount(slices, minlength=planes.shape[2])
