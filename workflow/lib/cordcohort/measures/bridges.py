"""Spared tissue beside a lesion, seen in the midsagittal plane of the cord.

References
----------
``sct_analyze_lesion`` (Spinal Cord Toolbox 6.4 and later): definitions and parasagittal fallback.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

MIDPLANE_SLICES = 2  # on either side of the largest lesion's centre
PERCENT = 100.0
NAN = float("nan")


@dataclass(frozen=True)
class Tilt:
    """Cosines of the cord's tilt for every slice of the image: in space and seen from the side."""

    in_space: Floats
    sagittal: Floats


@dataclass(frozen=True)
class SliceBridges:
    """Smallest spared tissue behind and before a lesion in one sagittal slice.

    ``x`` is the slice's number in the array that was measured, from the left on canonical axes.
    """

    x: int
    dorsal_mm: float
    ventral_mm: float

    @property
    def total_mm(self) -> float:
        """Dorsal and ventral bridge together."""
        return self.dorsal_mm + self.ventral_mm


@dataclass(frozen=True)
class Bridges:
    """Lesion and spared tissue in the midsagittal plane of the cord.

    Attributes
    ----------
    length_mm, width_mm : float
        Of the lesion in that plane; 0 where it misses the plane.
    dorsal_mm, ventral_mm : float
        Smallest spared tissue behind and before the lesion. Where the lesion misses the plane, half
        the cord's smallest front-back diameter each.
    parasagittal : bool
        The lesion misses the plane.
    by_slice : tuple of SliceBridges
        The same of every sagittal slice that holds lesion.
    """

    length_mm: float
    width_mm: float
    dorsal_mm: float
    ventral_mm: float
    parasagittal: bool
    by_slice: tuple[SliceBridges, ...] = ()

    @property
    def total_mm(self) -> float:
        """Dorsal and ventral bridge together."""
        return self.dorsal_mm + self.ventral_mm

    @property
    def dorsal_percent(self) -> float:
        """Share of the dorsal bridge; 0 where there is no bridge."""
        return PERCENT * self.dorsal_mm / self.total_mm if self.total_mm > 0 else 0.0

    @property
    def ventral_percent(self) -> float:
        """Share of the ventral bridge; 0 where there is no bridge."""
        return PERCENT * self.ventral_mm / self.total_mm if self.total_mm > 0 else 0.0


def midsagittal_plane(labels: Labels, cord: NDArray[np.bool_]) -> float:
    """Mean x (in voxels) of the cord over five slices about the largest lesion's centre."""
    centre = int(np.rint(np.nonzero(labels == 1)[2].mean()))
    first, last = max(0, centre - MIDPLANE_SLICES), centre + MIDPLANE_SLICES + 1
    columns = cord[:, :, first:last].sum(axis=1).astype(np.float64)
    total = columns.sum(axis=0)
    x = np.arange(cord.shape[0])[:, None]
    return float(((columns * x).sum(axis=0)[total > 0] / total[total > 0]).mean())


def tissue_bridges(
    lesion: NDArray[np.bool_],
    cord: NDArray[np.bool_],
    plane: float,
    tilt: Tilt,
    spacing_mm: tuple[float, float, float],
) -> Bridges:
    """Spared tissue before and behind a lesion in the midsagittal plane.

    The plane lies between two sagittal slices; a value is interpolated between them, or taken from
    the one that holds lesion.

    Parameters
    ----------
    lesion, cord : array of bool, shape (X, Y, Z)
        Canonical axes.
    plane : float
        Place of the plane along x, in voxels.
    tilt : Tilt
    spacing_mm : tuple of float
    """
    beside = [int(np.floor(plane)), int(np.ceil(plane))]
    share = plane - beside[0]
    along_y = spacing_mm[1] * tilt.sagittal
    both = (1 - share) * lesion[beside[0]] + share * lesion[beside[1]]
    if not both.any():
        diameter = np.array([extent_along_y(cord[x]) for x in beside]) * along_y
        mean = (1 - share) * diameter[0] + share * diameter[1]
        half = float(mean[lesion.any(axis=(0, 1))].min()) / 2
        return Bridges(0.0, 0.0, half, half, True, _by_slice(lesion, cord, along_y))
    spared = [_spared(lesion[x], cord[x]) for x in beside]
    dorsal, ventral = (
        _interpolated(spared[0][side], spared[1][side], share) * along_y for side in (0, 1)
    )
    filled = both > 0
    mean_value = both.sum(axis=0) / np.maximum(filled.sum(axis=0), 1)
    return Bridges(
        length_mm=float((mean_value * spacing_mm[2] / tilt.sagittal).sum()),
        width_mm=float((both.sum(axis=0) * along_y).max()),
        dorsal_mm=float(np.nanmin(dorsal)),
        ventral_mm=float(np.nanmin(ventral)),
        parasagittal=False,
        by_slice=_by_slice(lesion, cord, along_y),
    )


def _by_slice(
    lesion: NDArray[np.bool_], cord: NDArray[np.bool_], along_y: Floats
) -> tuple[SliceBridges, ...]:
    """Bridges of every sagittal slice that holds lesion; ``along_y`` is a voxel's mm for each z."""
    found: list[SliceBridges] = []
    for x in np.flatnonzero(lesion.any(axis=(1, 2))):
        dorsal, ventral = (float(np.nanmin(v * along_y)) for v in _spared(lesion[x], cord[x]))
        found.append(SliceBridges(int(x), dorsal, ventral))
    return tuple(found)


def extent_along_y(sagittal: NDArray[np.bool_]) -> Floats:
    """From the first to the last voxel along y, for each z of a (Y, Z) slice; 0 where empty."""
    first, last, held = _ends(sagittal)
    return np.where(held, last - first + 1, 0).astype(np.float64)


def _ends(sagittal: NDArray[np.bool_]) -> tuple[Labels, Labels, NDArray[np.bool_]]:
    first = np.argmax(sagittal, axis=0)
    last = sagittal.shape[0] - 1 - np.argmax(sagittal[::-1], axis=0)
    return first, last, np.asarray(sagittal.any(axis=0), dtype=np.bool_)


def _spared(lesion: NDArray[np.bool_], cord: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Voxels of cord behind and before the lesion for each z; NaN where there is no lesion."""
    first, last, held = _ends(lesion)
    cord_first, cord_last, _ = _ends(cord)
    dorsal = np.where(held, np.maximum(first - cord_first, 0), NAN)
    ventral = np.where(held, np.maximum(cord_last - last, 0), NAN)
    return dorsal, ventral


def _interpolated(left: Floats, right: Floats, share: float) -> Floats:
    """Between two slices; where one holds no lesion, the other's value."""
    a = np.where(np.isnan(left), right, left)
    b = np.where(np.isnan(right), left, right)
    return (1 - share) * a + share * b
