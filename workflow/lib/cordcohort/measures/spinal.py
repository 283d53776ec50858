"""Spinal levels from rootlets: where each level's rootlets meet the cord, and how far from the PMJ.

The cord mask is dilated by a ball (a radius in mm, or in voxels as published); the slices in which
a level's rootlets lie inside it are the level's. Distances run along the cord's smoothed axis from
the pontomedullary junction (PMJ), see :mod:`cordcohort.measures.pmj`.

References
----------
Valosek et al. Automatic segmentation of the spinal cord nerve rootlets. Imaging Neuroscience 2024,
and the code beside it (ivadomed/model-spinal-rootlets). Four things differ on purpose: the radius
is in mm unless voxels are asked for; a level that is found twice, out of order, or cut off by the
end of the image or of the cord mask has no place instead of a wrong one; a level's covered extent
stands beside its height between slice centres; and levels without gaps are a rule of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cordcohort.nifti import Array
from cordcohort.spinal_names import spinal_name

Floats = NDArray[np.float64]

GAPS, CONTIGUOUS = "gaps", "contiguous"
"""Rules of the level map: slices without rootlets stay empty (published), or go to the nearest."""
RULES = (GAPS, CONTIGUOUS)


@dataclass(frozen=True)
class Extent:
    """Slices of one level.

    Attributes
    ----------
    lowest, highest : int
        First and last slice, canonical, in which its rootlets meet the dilated cord; -1 where none
        does.
    n_voxels : int
        Voxels of the intersection.
    fault : str
        Why the level has no place; else empty.
    note : str
        What a reader of its place must know.
    """

    lowest: int
    highest: int
    n_voxels: int
    fault: str = ""
    note: str = ""

    @property
    def middle(self) -> float:
        """Middle slice, fractional."""
        return (self.lowest + self.highest) / 2


@dataclass(frozen=True)
class Radius:
    """How far from the cord's surface rootlets count as meeting it.

    Attributes
    ----------
    mm : float
        Radius of the ball in mm.
    voxels : int
        As published, in voxels along each axis; 0 takes the mm.
    """

    mm: float = 2.5
    voxels: int = 0


def dilated(cord: Array, spacing_mm: tuple[float, float, float], radius: Radius) -> Array:
    """Cord mask dilated by a ball.

    Examples
    --------
    >>> cord = np.zeros((7, 7, 7)); cord[3, 3, 3] = 1
    >>> int(dilated(cord, (1.0, 1.0, 1.0), Radius(1.0)).sum())
    7
    >>> int(dilated(cord, (1.0, 1.0, 2.0), Radius(1.0)).sum())
    5
    >>> int(dilated(cord, (1.0, 1.0, 2.0), Radius(voxels=1)).sum())
    7
    """
    spacing = (1.0, 1.0, 1.0) if radius.voxels else spacing_mm
    reach = float(radius.voxels or radius.mm)
    held = np.argwhere(cord > 0)
    out = np.zeros(cord.shape, dtype=bool)
    if not len(held):
        return out
    margin = np.ceil(reach / np.asarray(spacing)).astype(int)
    low = np.maximum(held.min(axis=0) - margin, 0)
    high = np.minimum(held.max(axis=0) + margin + 1, cord.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    away = ndimage.distance_transform_edt(~(cord[box] > 0), sampling=spacing)
    out[box] = np.asarray(away) <= reach + _ROUNDING
    return out


_ROUNDING = 1e-6


def level_extents(
    rootlets: Array, cord: Array, spacing_mm: tuple[float, float, float], radius: Radius
) -> dict[int, Extent]:
    """Slices of every level that a rootlet map holds.

    Parameters
    ----------
    rootlets : array of int, shape (X, Y, Z)
        Canonical axes; 2 is C2, 8 is C8, 9 is T1; other labels without a name are left out.
    cord : array
        Binary cord mask on the same grid.
    spacing_mm : tuple of float
    radius : Radius

    Returns
    -------
    dict
        Code to extent, from above to below. A level whose place cannot be told has a ``fault``.

    Examples
    --------
    >>> cord = np.zeros((9, 9, 20)); cord[4, 4] = 1
    >>> rootlets = np.zeros((9, 9, 20), int)
    >>> rootlets[6, 4, 12:16] = 3; rootlets[6, 4, 4:8] = 4
    >>> found = level_extents(rootlets, cord, (1.0, 1.0, 1.0), Radius(2.0))
    >>> [(code, e.lowest, e.highest) for code, e in found.items()]
    [(3, 12, 15), (4, 4, 7)]
    """
    held = np.flatnonzero((cord > 0).any(axis=(0, 1)))
    near = dilated(cord, spacing_mm, radius)
    codes = [int(c) for c in np.unique(rootlets) if spinal_name(int(c))]
    presence = {c: _slices(rootlets == c) for c in codes}
    inside = {c: (rootlets == c) & near for c in codes}
    found = {c: _extent(inside[c], presence[c], held, rootlets.shape[2]) for c in codes}
    return _in_order(found, {c: _slices(inside[c]) for c in codes})


def _slices(mask: Array) -> NDArray[np.intp]:
    return np.flatnonzero(mask.any(axis=(0, 1)))


def _extent(
    inside: Array, present: NDArray[np.intp], held: NDArray[np.intp], n_slices: int
) -> Extent:
    """Extent of one level, with what is wrong with its ends."""
    slices = _slices(inside)
    if not slices.size:
        beyond = not held.size or present.max() < held[0] or present.min() > held[-1]
        reason = (
            "the cord mask does not reach it" if beyond else "its rootlets do not meet the cord"
        )
        return Extent(-1, -1, 0, reason)
    low, high, count = int(slices[0]), int(slices[-1]), int(inside.sum())
    if low == 0 or high == n_slices - 1:
        return Extent(low, high, count, "cut off by the edge of the image")
    if (low <= held[0] and present[0] < low) or (high >= held[-1] and present[-1] > high):
        return Extent(low, high, count, "the cord mask ends inside it")
    if low < held[0] or high > held[-1]:
        return Extent(low, high, count, "the cord mask ends inside it")
    return Extent(low, high, count)


def _in_order(
    found: dict[int, Extent], slices: Mapping[int, NDArray[np.intp]]
) -> dict[int, Extent]:
    """Extents with the faults of levels that lie twice or out of order, and shared slices."""
    placed = {c: e for c, e in found.items() if e.lowest >= 0}
    wrong: dict[int, str] = {}
    for code in placed:
        for other in placed:
            if other != code and _splits(slices[code], slices[other]):
                wrong[code] = f"found twice: {spinal_name(other)} lies within it"
                wrong.setdefault(other, f"within two parts of {spinal_name(code)}")
    sound = [c for c in sorted(placed) if c not in wrong]
    for upper, lower in pairwise(sound):
        if placed[lower].middle >= placed[upper].middle:
            both = f"{spinal_name(lower)} does not lie below {spinal_name(upper)}"
            wrong[upper] = wrong[lower] = both
    out: dict[int, Extent] = {}
    for code, one in found.items():
        fault = wrong.get(code, "") or one.fault
        shared = "" if fault else _shared(code, placed, slices)
        out[code] = Extent(one.lowest, one.highest, one.n_voxels, fault, shared)
    return out


def _splits(own: NDArray[np.intp], other: NDArray[np.intp]) -> bool:
    """Whether a whole other level lies in a gap between two parts of one."""
    return any(a < other[0] and other[-1] < b for a, b in pairwise(own.tolist()))


def _shared(code: int, placed: Mapping[int, Extent], slices: Mapping[int, NDArray[np.intp]]) -> str:
    """How many slices also hold rootlets of a neighbour: legal, and worth telling."""
    told = [
        f"{n} slices also hold {spinal_name(other)}"
        for other in placed
        if other != code and (n := np.intersect1d(slices[code], slices[other]).size)
    ]
    return "; ".join(told)


@dataclass(frozen=True)
class LevelMap:
    """Level of each slice of a cord.

    Attributes
    ----------
    by_slice : dict
        Slice to code.
    faults : dict
        Level to why it is not there.
    """

    by_slice: dict[int, int] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)


def level_map(extents: Mapping[int, Extent], rule: str = GAPS) -> LevelMap:
    """Level of each slice.

    Parameters
    ----------
    extents : mapping
        Of :func:`level_extents`.
    rule : {"gaps", "contiguous"}
        ``gaps`` (published): slices from a level's first to its last; where two overlap the lower
        level wins; others stay empty. ``contiguous``: between two neighbouring levels each slice
        goes to the nearer one (the middle one to the upper), so that no gap remains; a missing
        level leaves its gap.

    Examples
    --------
    >>> extents = {3: Extent(7, 9, 5), 4: Extent(1, 3, 5)}
    >>> level_map(extents).by_slice
    {7: 3, 8: 3, 9: 3, 1: 4, 2: 4, 3: 4}
    >>> sorted(level_map(extents, "contiguous").by_slice.items())[3:6]
    [(4, 4), (5, 3), (6, 3)]
    """
    out: dict[int, int] = {}
    sound = {c: e for c, e in sorted(extents.items()) if not e.fault}
    for code, one in sound.items():
        out.update(dict.fromkeys(range(one.lowest, one.highest + 1), code))
    if rule == CONTIGUOUS:
        for code, one in sound.items():
            below = sound.get(code + 1)
            if below is None:
                continue
            between = (below.highest + one.lowest) / 2
            for k in range(below.highest + 1, one.lowest):
                out[k] = code if k >= between else code + 1
    faults = {spinal_name(c): e.fault for c, e in extents.items() if e.fault}
    return LevelMap(out, faults)
