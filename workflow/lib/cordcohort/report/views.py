"""Where to look at a cord: which axial slices, how far around, and the sagittal strip.

All arrays are canonical (x to the right, y to the front, z upwards). Pictures stay close to the
cord, so that no face is ever shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from cordcohort.binary import HALF

Floats = NDArray[np.float64]

WINDOW_MM = 30.0  # a cervical cord is about 13 mm wide; the canal with its fluid about 20 mm
TILE_PX = 150
N_COLUMNS = 6
GAP_PX = 4
STRIP_MARGIN_MM = 14.0
STRIP_REACH_MM = 30.0  # of the cord in the same slice: a mask that leaks must not open the face
_OUTSIDE = -10.0  # voxels; shown black
_HALF = 0.5


@dataclass(frozen=True)
class View:
    """A rectangle of picture pixels laid through a volume.

    Attributes
    ----------
    voxels : array, shape (3, H, W)
        The voxel coordinate that each pixel shows; rows go down, columns to the right.
    label : str
        What is written in its corner.
    slice : int
        The axial slice, or -1 for the sagittal strip.
    """

    voxels: Floats
    label: str
    slice: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.voxels.shape[1], self.voxels.shape[2]


def sample(volume: NDArray[np.generic], view: View) -> NDArray[np.float32]:
    """Linear values of a volume on a view, shape (H, W); zero outside the volume."""
    if view.slice >= 0:
        return _sample_slice(volume[:, :, view.slice], view)
    low, high = _box(view, volume.shape)
    part = volume[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    if 0 in part.shape:
        return np.zeros(view.shape, dtype=np.float32)
    coordinates = view.voxels - np.array(low)[:, None, None]
    values = map_coordinates(
        part.astype(np.float32), coordinates, order=1, mode="constant", cval=0.0, prefilter=False
    )
    return np.asarray(values, dtype=np.float32)


def _sample_slice(plane: NDArray[np.generic], view: View) -> NDArray[np.float32]:
    """As :func:`sample` for one axial slice, axis by axis: twenty times faster."""
    along_x = _linear(plane.astype(np.float32), view.voxels[0, 0, :])
    return _linear(along_x.T, view.voxels[1, :, 0])


def _linear(values: NDArray[np.float32], places: Floats) -> NDArray[np.float32]:
    """Linear values at places along the first axis; zero from one voxel outside on."""
    edged = np.pad(values, ((1, 1), (0, 0)))
    clipped = np.clip(places + 1, 0, len(edged) - 1)
    below = np.minimum(clipped.astype(int), len(edged) - 2)
    share = (clipped - below).astype(np.float32)[:, None]
    return (edged[below] * (1 - share) + edged[below + 1] * share).astype(np.float32)


def _box(view: View, shape: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """The part of the volume that a view needs, so that no whole volume is copied."""
    flat = view.voxels.reshape(3, -1)
    low = [max(int(np.floor(v)), 0) for v in flat.min(axis=1)]
    high = [min(int(np.ceil(v)) + 1, n) for v, n in zip(flat.max(axis=1), shape, strict=True)]
    return low, [max(b, a) for a, b in zip(low, high, strict=True)]


def outlines(mask: NDArray[np.generic], view: View) -> list[Floats]:
    """Half-level outlines of a mask on a view: (row, column) polylines in pixels, shape (N, 2)."""
    drawn = sample(mask, view)
    if drawn.max(initial=0.0) < HALF:
        return []
    lines = contour_generator(z=np.pad(drawn, 1)).lines(HALF)
    return [np.asarray(line, dtype=np.float64)[:, ::-1] - 1 for line in lines]


def centres(mask: NDArray[np.bool_]) -> dict[int, tuple[float, float]]:
    """Centre (x, y), in voxels, of a mask in each axial slice that holds some of it.

    Examples
    --------
    >>> mask = np.zeros((5, 5, 3), dtype=bool); mask[1:4, 2, 1] = True
    >>> centres(mask)
    {1: (2.0, 2.0)}
    """
    result: dict[int, tuple[float, float]] = {}
    for z in np.flatnonzero(mask.any(axis=(0, 1))):
        x, y = np.nonzero(mask[:, :, z])
        result[int(z)] = (float(x.mean()), float(y.mean()))
    return result


def chosen_slices(available: Sequence[int], n_wanted: int, wanted: Sequence[int] = ()) -> list[int]:
    """At most ``n_wanted`` slices spread evenly over the available ones, ends included.

    Each of ``wanted`` that is available takes the place of the slice nearest to it.

    Examples
    --------
    >>> chosen_slices(range(10, 31), 3), chosen_slices([4, 7], 3)
    ([10, 20, 30], [4, 7])
    >>> chosen_slices(range(10, 31), 3, [22, 90])
    [10, 22, 30]
    """
    if len(available) <= n_wanted:
        return list(available)
    places = np.linspace(0, len(available) - 1, n_wanted).round().astype(int)
    chosen = [available[i] for i in places]
    kept = list(dict.fromkeys(z for z in wanted if z in available))[:n_wanted]
    free = [z for z in chosen if z not in kept]
    for z in (z for z in kept if z not in chosen):
        free.remove(min(free, key=lambda other: abs(other - z)))
    return sorted([*free, *kept])


def axial_view(
    z: int,
    centre: tuple[float, float],
    spacing_mm: tuple[float, float, float],
    size_px: int = TILE_PX,
) -> View:
    """A square around the cord, seen from the feet: the person's right is on the left.

    Parameters
    ----------
    z : int
        Axial slice.
    centre : (float, float)
        Centre of the cord in voxels.
    spacing_mm : tuple of float
        Voxel size.
    size_px : int
        Side of the square in pixels, which spans :data:`WINDOW_MM`.
    """
    offsets_mm = (np.arange(size_px) + _HALF) / size_px * WINDOW_MM - WINDOW_MM / 2
    x = centre[0] - offsets_mm / spacing_mm[0]
    y = centre[1] - offsets_mm / spacing_mm[1]
    rows, columns = np.meshgrid(y, x, indexing="ij")
    return View(np.stack([columns, rows, np.full_like(rows, z)]), f"{z}", z)


def sagittal_view(
    middle: dict[int, tuple[float, float]],
    spacing_mm: tuple[float, float, float],
    height_px: int,
    max_px_per_mm: float = TILE_PX / WINDOW_MM,
    beside_mm: float = 0.0,
) -> View:
    """A strip along the cord, its own midline in every row, front to the left.

    Parameters
    ----------
    middle : dict
        Centres by slice, from :func:`centres`.
    spacing_mm : tuple of float
        Voxel size.
    height_px : int
        Height that must not be exceeded.
    max_px_per_mm : float
        Magnification that must not be exceeded.
    beside_mm : float
        How far beside the midline it runs, to the person's right.
    """
    slices = np.array(sorted(middle))
    xy = np.array([middle[z] for z in sorted(middle)])
    length_mm = (slices[-1] - slices[0] + 1) * spacing_mm[2]
    scale = min(height_px / length_mm, max_px_per_mm)
    n_rows = max(int(length_mm * scale), 1)
    z = slices[-1] + _HALF - (np.arange(n_rows) + _HALF) / scale / spacing_mm[2]
    low, high = xy[:, 1].min(), xy[:, 1].max()
    margin = STRIP_MARGIN_MM / spacing_mm[1]
    n_columns = max(int((high - low + 2 * margin) * spacing_mm[1] * scale), 1)
    y = high + margin - (np.arange(n_columns) + _HALF) / scale / spacing_mm[1]
    x = np.interp(z, slices, xy[:, 0]) + beside_mm / spacing_mm[0]
    rows_z, columns_y = np.meshgrid(z, y, indexing="ij")
    of_cord = np.interp(z, slices, xy[:, 1])[:, None]
    far = np.abs(columns_y - of_cord) * spacing_mm[1] > STRIP_REACH_MM
    columns_y = np.where(far, _OUTSIDE, columns_y)
    label = f"{abs(beside_mm):.0f} mm {'R' if beside_mm > 0 else 'L'}" if beside_mm else ""
    voxels = np.stack([np.broadcast_to(x[:, None], rows_z.shape), columns_y, rows_z])
    return View(voxels, label, -1)


def beside_midline_mm(
    middle: dict[int, tuple[float, float]],
    lesion: NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
) -> float:
    """How far beside the midline a sagittal strip must run to show a lesion, to the right.

    0 where the midline crosses the lesion in half of its slices or more; else the median distance
    of its voxels.
    """
    slices = [z for z in middle if lesion[:, :, z].any()]
    crossed = [lesion[round(middle[z][0]), :, z].any() for z in slices]
    if not slices or np.mean(crossed) >= _HALF:
        return 0.0
    away = [np.nonzero(lesion[:, :, z])[0] - middle[z][0] for z in slices]
    return float(np.median(np.concatenate(away)) * spacing_mm[0])


def scan_views(
    mask: NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
    n_slices: int,
    lesions: Sequence[NDArray[np.bool_]] = (),
) -> list[View]:
    """The sagittal strip and axial tiles spread over a mask, centred on it in every slice.

    Parameters
    ----------
    mask : array of bool, shape (X, Y, Z)
        Not empty.
    spacing_mm : tuple of float
        Voxel size.
    n_slices : int
        Largest number of tiles.
    lesions : sequence of array of bool
        Each has its largest section among the tiles, and the strip runs through the first.
    """
    middle = centres(mask)
    largest = [_largest_section(lesion, middle) for lesion in lesions]
    slices = chosen_slices(sorted(middle), n_slices, largest)
    n_rows = max(-(-len(slices) // N_COLUMNS), 1)
    height = n_rows * (TILE_PX + GAP_PX) - GAP_PX
    beside_mm = next((beside_midline_mm(middle, one, spacing_mm) for one in lesions), 0.0)
    strip = sagittal_view(middle, spacing_mm, height, beside_mm=beside_mm)
    return [strip, *[axial_view(z, middle[z], spacing_mm) for z in slices]]


def _largest_section(lesion: NDArray[np.bool_], middle: dict[int, tuple[float, float]]) -> int:
    """The slice of the cord that shows most of a lesion."""
    areas = lesion.sum(axis=(0, 1))
    return max(sorted(middle), key=lambda z: int(areas[z]))
