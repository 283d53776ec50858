"""Disc labels as points: what is wrong with them, and where they cross the cord.

A set of labels that contradicts itself gives no level at all: one wrong name would shift every
level after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cordcohort.measures.centreline import Centreline
from cordcohort.measures.levels import VERTEBRAE
from cordcohort.nifti import Array

Floats = NDArray[np.float64]

FIRST_CODE, LAST_CODE = 1, len(VERTEBRAE)
"""Codes of discs: 1 is above C1, 3 is C2/C3, 25 is L5/S1."""
ONE_PLACE_MM = 5.0
"""Voxels of one label lie within this distance of their centre."""
NEAR_CORD_MM = 40.0
"""No disc lies further than this from the cord's axis, across it."""
FEWEST = 2
BEYOND_MM = 60.0
"""Discs are followed so far beyond the ends of the cord mask."""


@dataclass(frozen=True)
class DiscPoints:
    """Labelled discs of a scan.

    Attributes
    ----------
    places_mm : dict
        Code to place in mm from the centre of voxel 0 (canonical axes).
    fault : str
        Why the labels cannot be used; then there are no places.
    note : str
        What was left out.
    """

    places_mm: dict[int, Floats]
    fault: str = ""
    note: str = ""


def disc_points(labels: Array, spacing_mm: tuple[float, float, float]) -> DiscPoints:
    """Places of labelled discs, one each.

    Parameters
    ----------
    labels : array of int, shape (X, Y, Z)
        Canonical axes.
    spacing_mm : tuple of float

    Returns
    -------
    DiscPoints

    Examples
    --------
    >>> labels = np.zeros((3, 3, 40), int)
    >>> labels[1, 1, [30, 12, 2]] = [3, 4, 60]
    >>> found = disc_points(labels, (1.0, 1.0, 1.0))
    >>> sorted(found.places_mm), found.note
    ([3, 4], 'labels that are no discs: 60')
    """
    numbers = [int(n) for n in np.unique(labels) if n != 0]
    known = [n for n in numbers if FIRST_CODE <= n <= LAST_CODE]
    unknown = [str(n) for n in numbers if n not in known]
    note = f"labels that are no discs: {', '.join(unknown)}" if unknown else ""
    places: dict[int, Floats] = {}
    for code in known:
        voxels = np.argwhere(labels == code) * np.asarray(spacing_mm, dtype=np.float64)
        centre = voxels.mean(axis=0)
        if np.linalg.norm(voxels - centre, axis=1).max() > ONE_PLACE_MM:
            return DiscPoints({}, f"disc {code} is labelled at more than one place", note)
        places[code] = centre
    return DiscPoints(places, "", note)


def heights_along(
    places_mm: Mapping[int, Floats], line: Centreline | None, slice_mm: float
) -> tuple[dict[int, float], str]:
    """Slice (fractional) in which each disc's plane, perpendicular to the cord, meets the cord.

    Parameters
    ----------
    places_mm : mapping
        Code to place in mm from voxel 0.
    line : Centreline or None
        The cord's, in mm from voxel 0; without it discs are projected on the slice axis.
    slice_mm : float
        Distance of slices.

    Returns
    -------
    heights : dict
        Code to slice; empty where there is a fault.
    fault : str
        Why the discs cannot be used.

    Examples
    --------
    >>> places = {3: np.array([0.0, 8.0, 30.0]), 4: np.array([0.0, 8.0, 12.0])}
    >>> heights_along(places, None, 3.0)
    ({3: 10.0, 4: 4.0}, '')
    """
    if len(places_mm) < FEWEST:
        return {}, f"{len(places_mm)} disc labelled: a level needs the disc above and below it"
    heights: dict[int, float] = {}
    for code, place in sorted(places_mm.items()):
        height, away_mm = _meeting(place, line, slice_mm)
        if not away_mm <= NEAR_CORD_MM:
            return {}, f"disc {code} lies {away_mm:.0f} mm from the cord"
        heights[code] = height
    codes = list(heights)
    for upper, lower in pairwise(codes):
        if heights[lower] >= heights[upper]:
            return {}, f"disc {lower} does not lie below disc {upper}"
    return heights, ""


def _meeting(place: Floats, line: Centreline | None, slice_mm: float) -> tuple[float, float]:
    """Slice in which a disc's plane meets the cord, and the disc's distance from there in mm."""
    if line is None:
        return float(place[2]) / slice_mm, 0.0
    reach = int(np.ceil(BEYOND_MM / slice_mm))
    k = np.arange(line.slices[0] - reach, line.slices[-1] + reach + 1)
    axis, slope = _followed(line, k, slice_mm)
    along = np.column_stack([slope, np.ones(len(k))])
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    ahead = ((place - axis) * along).sum(axis=1)
    # Planes across a curved cord meet far from it: the one nearest to the disc's slice counts.
    crossings = np.flatnonzero((ahead[:-1] >= 0) & (ahead[1:] < 0))
    if crossings.size == 0:
        return float("nan"), float("inf")
    at = crossings[np.argmin(np.abs(k[crossings] - place[2] / slice_mm))]
    share = ahead[at] / (ahead[at] - ahead[at + 1])
    meets = axis[at] + share * (axis[at + 1] - axis[at])
    return float(k[at] + share), float(np.linalg.norm(place - meets))


def _followed(line: Centreline, k: NDArray[Any], slice_mm: float) -> tuple[Floats, Floats]:
    """Points (n, 3) in mm and slopes (n, 2) of the cord; straight on beyond its ends."""
    at = np.clip(k - line.slices[0], 0, len(line.slices) - 1)
    slope = np.column_stack([line.slope_x, line.slope_y])[at]
    beyond = (k - np.clip(k, line.slices[0], line.slices[-1])) * slice_mm
    place = np.column_stack([line.x_mm, line.y_mm])[at] + slope * beyond[:, None]
    return np.column_stack([place, k * slice_mm]), slope


def labelled_centre(
    labels: Array, spacing_mm: tuple[float, float, float], what: str
) -> tuple[Floats | None, str]:
    """Place of a landmark that is one point, or why there is none.

    Examples
    --------
    >>> labels = np.zeros((2, 2, 9), int); labels[1, 0, 4] = 1
    >>> labelled_centre(labels, (1.0, 1.0, 2.0), "PMJ")[0].tolist()
    [1.0, 0.0, 8.0]
    """
    found: Any = ndimage.label(labels != 0, np.ones((3, 3, 3)))
    if found[1] != 1:
        return None, f"{what}: {found[1]} places labelled, expected one"
    return np.argwhere(labels != 0).mean(axis=0) * np.asarray(spacing_mm), ""
