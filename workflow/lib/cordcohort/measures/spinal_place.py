"""Where spinal levels lie along the cord: distances from the PMJ, heights and extents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cordcohort.measures.pmj import PmjDistances, pmj_distances
from cordcohort.measures.spinal import Extent
from cordcohort.nifti import Array


@dataclass(frozen=True)
class LevelPlace:
    """Where a level lies along the cord, in mm.

    Attributes
    ----------
    start_mm, end_mm, midpoint_mm : float
        Distance from the PMJ of its lowest slice (larger), its highest slice and their middle; NaN
        without a PMJ.
    height_mm : float
        Between the centres of its first and last slice, as published: 0 for one slice.
    extent_mm : float
        Length of the cord that its slices cover: from border to border.
    contiguous_mm : float
        Length between the middles of the gaps to its neighbours; NaN where a neighbour is missing.
    """

    start_mm: float
    end_mm: float
    midpoint_mm: float
    height_mm: float
    extent_mm: float
    contiguous_mm: float


@dataclass(frozen=True)
class Along:
    """Distance along the cord's axis of slices, from the PMJ where there is one.

    Attributes
    ----------
    distances : PmjDistances
    from_pmj : bool
        False: from the mask's highest slice; only differences mean anything.
    """

    distances: PmjDistances
    from_pmj: bool

    def at(self, slice_number: float) -> float:
        """Distance at a fractional slice; half a slice beyond an end goes on, further is NaN."""
        slices, values = self.distances.slices, self.distances.distance_mm
        if not slices[-1] - 0.5 <= slice_number <= slices[0] + 0.5 or len(slices) < 2:  # noqa: PLR2004
            return float("nan")
        inside = np.interp(-slice_number, -slices.astype(float), values)
        if slice_number < slices[-1]:
            inside = values[-1] + (slices[-1] - slice_number) * (values[-1] - values[-2])
        if slice_number > slices[0]:
            inside = values[0] - (slice_number - slices[0]) * (values[1] - values[0])
        return float(inside)


def along_cord(
    cord: Array, spacing_mm: tuple[float, float, float], pmj_mm: Sequence[float] | None
) -> Along | None:
    """Distances along a cord mask; ``None`` where the mask gives no axis.

    Parameters
    ----------
    cord : array
        Binary, canonical.
    spacing_mm : tuple of float
    pmj_mm : sequence of 3 floats or None
        The PMJ in mm from voxel 0.

    Raises
    ------
    ValueError
        If no slice of the mask lies below the PMJ.
    """
    if pmj_mm is not None:
        return Along(pmj_distances(cord, spacing_mm, pmj_mm), from_pmj=True)
    held = np.flatnonzero((cord > 0).any(axis=(0, 1)))
    if held.size < 2:  # noqa: PLR2004 - one slice has no direction
        return None
    top = np.argwhere(cord[:, :, held[-1]] > 0).mean(axis=0) * np.asarray(spacing_mm[:2])
    place = [*top.tolist(), float(held[-1]) * spacing_mm[2]]
    return Along(pmj_distances(cord, spacing_mm, place), from_pmj=False)


def level_places(extents: Mapping[int, Extent], along: Along | None) -> dict[int, LevelPlace]:
    """Distances and heights of the levels that have a place.

    Examples
    --------
    >>> cord = np.zeros((5, 5, 30)); cord[2, 2] = 1
    >>> along = along_cord(cord, (1.0, 1.0, 2.0), (2.0, 2.0, 60.0))
    >>> place = level_places({3: Extent(20, 25, 9)}, along)[3]
    >>> [round(v, 6) for v in (place.start_mm, place.end_mm, place.midpoint_mm, place.height_mm)]
    [20.0, 10.0, 15.0, 10.0]
    >>> round(place.extent_mm, 6)
    12.0
    """
    sound = {c: e for c, e in extents.items() if not e.fault}
    if along is None:
        return {}
    borders = _borders(sound)
    return {code: _place(one, along, borders.get(code)) for code, one in sound.items()}


def _place(one: Extent, along: Along, border: tuple[float, float] | None) -> LevelPlace:
    start, end = along.at(one.lowest), along.at(one.highest)
    nan = float("nan")
    whole = nan if border is None else along.at(border[0]) - along.at(border[1])
    extent = along.at(one.lowest - 0.5) - along.at(one.highest + 0.5)
    if not along.from_pmj:
        return LevelPlace(nan, nan, nan, start - end, extent, whole)
    return LevelPlace(start, end, end + (start - end) / 2, start - end, extent, whole)


def _borders(sound: Mapping[int, Extent]) -> dict[int, tuple[float, float]]:
    """Lower and upper border (fractional slice) of levels whose two neighbours have a place."""
    out: dict[int, tuple[float, float]] = {}
    for code, one in sound.items():
        above, below = sound.get(code - 1), sound.get(code + 1)
        if above is not None and below is not None:
            out[code] = ((below.highest + one.lowest) / 2, (one.highest + above.lowest) / 2)
    return out


def pmj_distance_mm(place: LevelPlace) -> float:
    """Distance of the level's midpoint from the PMJ."""
    return place.midpoint_mm


def pmj_distance_start_mm(place: LevelPlace) -> float:
    """Distance of the centre of its lowest slice from the PMJ."""
    return place.start_mm


def pmj_distance_end_mm(place: LevelPlace) -> float:
    """Distance of the centre of its highest slice from the PMJ."""
    return place.end_mm


def level_height_mm(place: LevelPlace) -> float:
    """Length between the centres of its first and last slice."""
    return place.height_mm


def level_extent_mm(place: LevelPlace) -> float:
    """Length of the cord that its slices cover."""
    return place.extent_mm


def level_contiguous_mm(place: LevelPlace) -> float:
    """Length between the middles of the gaps to its neighbours."""
    return place.contiguous_mm
