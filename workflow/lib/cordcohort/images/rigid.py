"""Rigid registration of two scans of one person, for contrasts that are not co-registered.

Six parameters are searched: with the masks alone, their overlap decides, and what a tube does not
show (sliding along it, turning about it) is held to the header by a small penalty; with the images,
normalised mutual information in the neighbourhood of the cord decides, so that sliding is found too
and the contrasts may look different.

References
----------
Studholme, Hill, Hawkes. An overlap invariant entropy measure of 3D medical image alignment.
Pattern Recognition 1999;32:71-86.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize
from scipy.spatial.transform import Rotation

from cordcohort.nifti import Array, Image

Floats = NDArray[np.float64]

MASK_SMOOTHING_MM = 2.0
MASK_STEP_MM = 2.0
MASK_MARGIN_MM = 6.0
IMAGE_STEPS_MM = (3.0, 2.0)
IMAGE_MARGIN_MM = 20.0
N_BINS = 24
INTENSITY_PERCENTILES = (1.0, 99.0)
SCALES = np.array([5.0, 5.0, 5.0, 5.0, 5.0, 5.0])
"""One unit of the search: degrees about x, y, z, then mm along x, y, z."""
UNSEEN_PENALTY = 0.01
"""Cost of one unit of what the masks of a tube do not show (turn about z, slide along z)."""
MIN_INSIDE_SHARE = 0.3
"""Part of the sampled points that must lie in the moving image for a position to count."""
SEARCH_TOLERANCE = 1e-3


@dataclass(frozen=True)
class _Sampler:
    """Values of a moving volume at points of the world."""

    values: Array
    to_voxel: Floats

    def at(self, points_mm: Array) -> Floats:
        places = self.to_voxel[:3, :3] @ points_mm + self.to_voxel[:3, 3:]
        return ndimage.map_coordinates(
            self.values, places, order=1, mode="constant", cval=np.nan, prefilter=False
        )


def rigid_transform(
    fixed_mask: Image,
    moving_mask: Image,
    fixed_image: Image | None = None,
    moving_image: Image | None = None,
) -> Floats:
    """Find where points of the fixed scan lie in the world of the moving scan.

    Parameters
    ----------
    fixed_mask, moving_mask : Image
        Cord masks on canonical grids, neither empty.
    fixed_image, moving_image : Image, optional
        The scans. With both, mutual information refines what the masks gave.

    Returns
    -------
    array, shape (4, 4)
        World of the fixed scan to world of the moving scan, mm; a rotation and a translation.
    """
    centre = _centre_mm(fixed_mask)
    found = _by_masks(fixed_mask, moving_mask, centre)
    if fixed_image is not None and moving_image is not None:
        found = _by_images(fixed_mask, fixed_image, moving_image, centre, found)
    return _matrix(found, centre)


def _by_masks(fixed: Image, moving: Image, centre: Floats) -> Floats:
    points = _points_around(fixed, MASK_MARGIN_MM, MASK_STEP_MM)
    target = _smoothed(fixed, MASK_SMOOTHING_MM).at(points)
    target = np.nan_to_num(target)
    sampler = _smoothed(moving, MASK_SMOOTHING_MM)

    def cost(parameters: Floats) -> float:
        values = sampler.at(_moved(parameters, centre, points))
        inside = np.isfinite(values)
        if inside.mean() < MIN_INSIDE_SHARE:
            return 1.0
        values = values[inside]
        shared = float((target[inside] ** 2).sum()) + float((values**2).sum())
        overlap = 2.0 * float((target[inside] * values).sum()) / max(shared, 1e-12)
        unseen = parameters[2] ** 2 + parameters[5] ** 2
        return 1.0 - overlap + UNSEEN_PENALTY * float(unseen)

    start = _first_shift(fixed, moving)
    return _search(cost, start)


def _by_images(mask: Image, fixed: Image, moving: Image, centre: Floats, start: Floats) -> Floats:
    found = start
    for step_mm in IMAGE_STEPS_MM:
        points = _points_around(mask, IMAGE_MARGIN_MM, step_mm)
        reference = _smoothed(fixed, step_mm / 2.0).at(points)
        known = np.isfinite(reference)
        points, reference = points[:, known], reference[known]
        bins = _binned(reference)
        sampler = _smoothed(moving, step_mm / 2.0)
        low, high = np.percentile(np.asarray(moving.data), INTENSITY_PERCENTILES)

        def cost(
            parameters: Floats, *, points: Array = points, bins: Array = bins,
            sampler: _Sampler = sampler, low: float = float(low), high: float = float(high),
        ) -> float:  # fmt: skip
            values = sampler.at(_moved(parameters, centre, points))
            inside = np.isfinite(values)
            if inside.mean() < MIN_INSIDE_SHARE:
                return 0.0
            return -_normalised_information(bins[inside], values[inside], low, high)

        found = _search(cost, found)
    return found


def _search(cost: Callable[[Floats], float], start: Floats) -> Floats:
    step = np.eye(len(start)) * 0.5
    result = optimize.minimize(
        cost, start, method="Powell",
        options={"direc": step, "xtol": SEARCH_TOLERANCE, "ftol": SEARCH_TOLERANCE},
    )  # fmt: skip
    return np.asarray(result.x, dtype=np.float64)


def _first_shift(fixed: Image, moving: Image) -> Floats:
    """Start of the search: in-plane offset of the two cords, nothing along them."""
    offset = (_centre_mm(moving) - _centre_mm(fixed)) / SCALES[3:]
    return np.array([0.0, 0.0, 0.0, offset[0], offset[1], 0.0])


def _moved(parameters: Floats, centre: Floats, points_mm: Array) -> Floats:
    matrix = _matrix(parameters, centre)
    return matrix[:3, :3] @ points_mm + matrix[:3, 3:]


def _matrix(parameters: Floats, centre: Floats) -> Floats:
    scaled = parameters * SCALES
    turn = Rotation.from_euler("xyz", scaled[:3], degrees=True).as_matrix()
    out = np.eye(4)
    out[:3, :3] = turn
    out[:3, 3] = centre + scaled[3:] - turn @ centre
    return out


def _centre_mm(mask: Image) -> Floats:
    place = np.array(ndimage.center_of_mass(np.asarray(mask.data, dtype=np.float64)))
    return mask.affine[:3, :3] @ place + mask.affine[:3, 3]


def _smoothed(image: Image, sigma_mm: float) -> _Sampler:
    sigmas = [sigma_mm / spacing for spacing in image.spacing_mm]
    values = ndimage.gaussian_filter(
        np.asarray(image.data, dtype=np.float32), sigmas, mode="nearest"
    )
    return _Sampler(values, np.asarray(np.linalg.inv(image.affine), dtype=np.float64))


def _points_around(mask: Image, margin_mm: float, step_mm: float) -> Floats:
    """World points on a lattice in the box of the mask, `margin_mm` wider in plane."""
    found = np.argwhere(np.asarray(mask.data) > 0)
    spacing = np.asarray(mask.spacing_mm)
    margin = np.array([margin_mm, margin_mm, 0.0]) / spacing
    low, high = found.min(axis=0) - margin, found.max(axis=0) + margin
    axes = [
        np.arange(a, b + 1e-6, max(step_mm / s, 1e-3))
        for a, b, s in zip(low, high, spacing, strict=True)
    ]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(3, -1)
    return mask.affine[:3, :3] @ lattice + mask.affine[:3, 3:]


def _binned(values: Array, low: float | None = None, high: float | None = None) -> NDArray[np.intp]:
    if low is None or high is None:
        low, high = (float(p) for p in np.percentile(values, INTENSITY_PERCENTILES))
    share = (values - low) / max(high - low, 1e-12)
    return np.clip((share * N_BINS).astype(np.intp), 0, N_BINS - 1)


def _normalised_information(bins: Array, values: Array, low: float, high: float) -> float:
    """``(H(a) + H(b)) / H(a, b)``: 1 for unrelated, 2 for one determined by the other.

    The moving value is shared between its two nearest bins, so that the cost is smooth.
    """
    place = np.clip((values - low) / max(high - low, 1e-12), 0.0, 1.0) * (N_BINS - 1)
    lower = np.minimum(place.astype(np.intp), N_BINS - 2)
    upper_share = place - lower
    at = bins * N_BINS + lower
    n = N_BINS * N_BINS
    joint = np.bincount(at, 1.0 - upper_share, n) + np.bincount(at + 1, upper_share, n)
    joint = joint[:n].reshape(N_BINS, N_BINS) / len(bins)
    whole = _entropy(joint)
    return (_entropy(joint.sum(0)) + _entropy(joint.sum(1))) / max(whole, 1e-12)


def _entropy(share: Array) -> float:
    positive = share[share > 0]
    return float(-(positive * np.log(positive)).sum())
