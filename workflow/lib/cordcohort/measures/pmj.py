"""Distance from the pontomedullary junction (PMJ) along the cord, and slices at a distance.

The centres of the cord's slices and the PMJ are joined by straight lines and smoothed by a Hanning
window of 50 mm; the arc length from the PMJ downwards is a slice's distance. Slices belong to a
distance d with extent e if they lie within ``d - e/2 < distance <= d + e/2``: of the two slices at
the ends, the upper one is left out.

References
----------
``sct_process_segmentation -pmj`` (Spinal Cord Toolbox) does the same in its own image grid. One
thing differs on purpose: it continues the curve at its ends by mirroring, which bends a slanting
cord there; here the continuation is point-symmetric, so that a straight cord stays straight.

Bedard S, Cohen-Adad J. Automatic measure and normalization of spinal cord cross-sectional area
using the pontomedullary junction. Frontiers in Neuroimaging 2022;1:1031253.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cordcohort.measures.centreline import Floats
from cordcohort.nifti import Array

WINDOW_MM = 50.0
SMALLEST_WINDOW = 3


@dataclass(frozen=True)
class PmjDistances:
    """How far slices lie from the PMJ along the cord.

    Attributes
    ----------
    slices : array of int, shape (n,)
        From the PMJ's slice (or the highest one below it) downwards, falling.
    distance_mm : array, shape (n,)
        Rising, from the PMJ.
    """

    slices: NDArray[np.int64]
    distance_mm: Floats

    def within(self, distance_mm: float, extent_mm: float) -> tuple[list[int], str]:
        """Slices at a distance, or why there are none.

        Parameters
        ----------
        distance_mm : float
            Of the middle.
        extent_mm : float
            Length along the cord.

        Returns
        -------
        slices : list of int
            Rising; empty where the cord does not cover the whole extent.
        reason : str

        Examples
        --------
        >>> d = PmjDistances(np.arange(9, -1, -1), np.arange(10.0) * 5)
        >>> d.within(20.0, 20.0)
        ([3, 4, 5, 6], '')
        >>> d.within(40.0, 20.0)
        ([], '30 to 50 mm from the PMJ: the cord mask ends at 45 mm')
        """
        low, high = distance_mm - extent_mm / 2, distance_mm + extent_mm / 2
        last = float(self.distance_mm[-1])
        span = f"{low:g} to {high:g} mm from the PMJ"
        if high > last + _ROUNDING_MM:
            return [], f"{span}: the cord mask ends at {last:.0f} mm"
        if low < -_ROUNDING_MM:
            return [], f"{span}: above the PMJ"
        chosen = (self.distance_mm > low + _ROUNDING_MM) & (self.distance_mm <= high + _ROUNDING_MM)
        found = sorted(int(k) for k in self.slices[chosen])
        return found, "" if found else f"{span}: no slice there"


_ROUNDING_MM = 1e-6


def pmj_distances(
    mask: Array, spacing_mm: tuple[float, float, float], pmj_mm: Sequence[float]
) -> PmjDistances:
    """Distance of each slice of a cord mask from the PMJ.

    Parameters
    ----------
    mask : array, shape (X, Y, Z)
        Cord, canonical axes; not empty below the PMJ.
    spacing_mm : tuple of float
    pmj_mm : sequence of 3 floats
        The PMJ in mm from the centre of voxel 0; it may lie above the image.

    Returns
    -------
    PmjDistances

    Raises
    ------
    ValueError
        If no slice of the mask lies below the PMJ.

    Examples
    --------
    >>> mask = np.zeros((5, 5, 30)); mask[2, 2, :25] = 1
    >>> found = pmj_distances(mask, (1.0, 1.0, 2.0), (2.0, 2.0, 56.0))
    >>> [round(float(found.distance_mm[found.slices == k][0]), 6) for k in (28, 27, 0)]
    [0.0, 2.0, 56.0]
    """
    top = float(pmj_mm[2]) / spacing_mm[2]
    held = np.flatnonzero(mask.any(axis=(0, 1)))
    held = held[held < top - _ROUNDING_MM][::-1]
    if held.size == 0:
        raise ValueError("no slice of the cord mask lies below the PMJ")
    centres = np.array([_centre(mask[:, :, k], spacing_mm) for k in held])
    known = np.concatenate([[top], held])
    points = np.vstack([np.asarray(pmj_mm, dtype=float)[:2], centres])
    every = np.linspace(top, held[-1], int(np.ceil(top - held[-1])) + 1)
    line = np.column_stack([np.interp(-every, -known, points[:, k]) for k in range(2)])
    smooth = np.column_stack([_smoothed(line[:, k], spacing_mm[2]) for k in range(2)])
    path = np.column_stack([smooth, every * spacing_mm[2]])
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    distance = np.concatenate([[0.0], np.cumsum(steps)])
    slices = np.arange(int(np.floor(top + _ROUNDING_MM)), held[-1] - 1, -1)
    return PmjDistances(slices, np.interp(-slices, -every, distance))


def _centre(plane: Array, spacing_mm: tuple[float, float, float]) -> Floats:
    x, y = np.nonzero(plane)
    weight = np.asarray(plane[x, y], dtype=float)
    return np.array([(weight * x).sum() * spacing_mm[0], (weight * y).sum() * spacing_mm[1]]) / (
        weight.sum()
    )


def _smoothed(values: Floats, slice_mm: float) -> Floats:
    """Hanning window of 50 mm; beyond an end the curve goes on point-symmetrically."""
    width = min(round(WINDOW_MM / slice_mm), len(values) - 1) // 2 * 2 + 1
    if width < SMALLEST_WINDOW:
        return values
    half = width // 2
    before = 2 * values[0] - values[half:0:-1]
    after = 2 * values[-1] - values[-2 : -half - 2 : -1]
    window = np.hanning(width + 2)[1:-1]
    padded = np.concatenate([before, values, after])
    return np.asarray(np.convolve(padded, window / window.sum(), mode="valid"), dtype=np.float64)
