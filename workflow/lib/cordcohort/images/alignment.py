"""Alignment of the same cord in two images: slice by slice, or as one rigid body.

All arrays lie on canonical (RAS+) grids; the *fixed* image is the reference, the *moving* one is
another contrast of the same person. A slice-wise shift ``s(k)`` says by how many mm the moving cord
must go to the right and to the front, in slice ``k`` of the reference, to lie on the reference
cord. So the aligned image at reference voxel ``(i, j, k)`` is the moving image at
``(i - s_x, j - s_y, k)``, and a voxel of the moving image that lies at ``(i, j, k)`` of the
reference belongs to ``(i + s_x, j + s_y, k)``: both directions use the same numbers, and neither
needs a stored field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cordcohort.nifti import Array

Floats = NDArray[np.float64]
Box = tuple[slice, slice, slice]

MIN_SLICE_SHARE = 1e-3
"""A slice with less than this share of the largest slice sum is a rounding rest, not a mask."""
ROUNDING_DECIMALS = 6


@dataclass(frozen=True)
class SliceShifts:
    """In-plane shifts of one contrast against the reference.

    Attributes
    ----------
    slices : array of int, shape (n,)
        Reference slices (canonical, from below) where both masks are present.
    shift_mm : array, shape (n, 2)
        To the right and to the front.
    dice_before, dice_after : array, shape (n,)
        Overlap of the two masks in these slices, soft Dice, 0 to 1.
    spacing_mm : tuple of float
        In-plane spacing of the reference.
    """

    slices: NDArray[np.int64]
    shift_mm: Floats
    dice_before: Floats
    dice_after: Floats
    spacing_mm: tuple[float, float]

    def in_voxels(self, slices: Array) -> Floats:
        """Shifts at any (fractional) slice positions, in reference voxels.

        Linear between slices; beyond the first and the last one their shift is held.

        Parameters
        ----------
        slices : array, any shape

        Returns
        -------
        array, shape (2, *slices.shape)
        """
        if not len(self.slices):
            return np.zeros((2, *np.shape(slices)))
        return np.stack(
            [
                np.interp(slices, self.slices, self.shift_mm[:, axis] / self.spacing_mm[axis])
                for axis in range(2)
            ]
        )


def voxel_map(source: Array, target: Array, world: Array | None = None) -> Floats:
    """The affine from voxels of one grid to voxels of another.

    Parameters
    ----------
    source, target : array, shape (4, 4)
        Voxel to world, mm.
    world : array, shape (4, 4), optional
        Where a world point of the source lies in the world of the target (rigid motion).

    Examples
    --------
    >>> voxel_map(np.eye(4), np.diag([2.0, 2.0, 2.0, 1.0]))[0, 0]
    np.float64(0.5)
    """
    motion = np.eye(4) if world is None else world
    return np.asarray(np.linalg.solve(target, motion @ source), dtype=np.float64)


def pad_ends(values: Array, first: int, last: int) -> tuple[Array, int]:
    """Repeat the outermost covered slices once beyond both ends.

    Linear interpolation would otherwise mix the end slices with the nothing beyond them.

    Parameters
    ----------
    values : array, shape (X, Y, Z)
    first, last : int
        First and last slice that count.

    Returns
    -------
    padded : array, shape (X, Y, last - first + 3)
    origin : int
        Slice number, on the grid of `values`, of the first padded slice.
    """
    covered = values[:, :, first : last + 1]
    return np.pad(covered, ((0, 0), (0, 0), (1, 1)), mode="edge"), first - 1


def occupied_slices(mask: Array) -> tuple[int, int] | None:
    """First and last slice that hold a value above zero; ``None`` for an empty mask."""
    found = np.flatnonzero((mask > 0).any(axis=(0, 1)))
    return (int(found[0]), int(found[-1])) if found.size else None


def sample(
    moving: Array,
    matrix: Array,
    box: Box,
    shifts: SliceShifts | None = None,
) -> NDArray[np.float32]:
    """Carry a moving image into a box of the fixed grid, linearly, zero outside.

    Parameters
    ----------
    moving : array, shape (X, Y, Z)
    matrix : array, shape (4, 4)
        Fixed voxel to moving voxel (:func:`voxel_map`).
    box : tuple of three slices
        Part of the fixed grid that is asked for.
    shifts : SliceShifts, optional
        In-plane shifts to apply.

    Returns
    -------
    array of float32
        On the box.
    """
    i, j, k = (np.arange(s.start, s.stop, dtype=np.float64) for s in box)
    moved = np.zeros((2, k.size)) if shifts is None else shifts.in_voxels(k)
    x = i[:, None, None] - moved[0][None, None, :]
    y = j[None, :, None] - moved[1][None, None, :]
    places = _places(matrix, x, y, k[None, None, :])
    return _interpolate(moving, places)


def sample_back(
    fixed: Array,
    matrix: Array,
    box: Box,
    shifts: SliceShifts | None = None,
) -> NDArray[np.float32]:
    """Carry a fixed image back into a box of the moving grid: the inverse of :func:`sample`.

    Parameters
    ----------
    fixed : array, shape (X, Y, Z)
    matrix : array, shape (4, 4)
        Moving voxel to fixed voxel.
    box : tuple of three slices
        Part of the moving grid that is asked for.
    shifts : SliceShifts, optional
        The shifts that :func:`sample` was given.
    """
    i, j, k = (np.arange(s.start, s.stop, dtype=np.float64) for s in box)
    places = _places(matrix, i[:, None, None], j[None, :, None], k[None, None, :])
    if shifts is not None:
        places[:2] += shifts.in_voxels(places[2])
    return _interpolate(fixed, places)


def _places(matrix: Array, x: Array, y: Array, z: Array) -> Floats:
    shape = np.broadcast_shapes(x.shape, y.shape, z.shape)
    places = np.empty((3, *shape))
    for axis in range(3):
        row = matrix[axis]
        places[axis] = row[0] * x + row[1] * y + row[2] * z + row[3]
    return places


def _interpolate(values: Array, places: Array) -> NDArray[np.float32]:
    # A point on the last voxel centre must not fall outside by a rounding error.
    places = np.round(places, ROUNDING_DECIMALS)
    out = np.empty(places.shape[1:], dtype=np.float32)
    ndimage.map_coordinates(
        np.asarray(values, dtype=np.float32), places, order=1, mode="constant", cval=0.0,
        prefilter=False, output=out,
    )  # fmt: skip
    return out


def centres(mask: Array) -> Floats:
    """Centre of mass of every slice, in voxels; NaN where the slice is empty.

    Parameters
    ----------
    mask : array, shape (X, Y, Z)
        Values from 0 to 1.

    Returns
    -------
    array, shape (2, Z)

    Examples
    --------
    >>> m = np.zeros((5, 5, 2)); m[1:4, 2, 0] = 1
    >>> centres(m)[:, 0].tolist()
    [2.0, 2.0]
    """
    mask = np.asarray(mask, dtype=np.float64)
    along_x, along_y = mask.sum(axis=1), mask.sum(axis=0)
    total = along_x.sum(axis=0)
    present = total > MIN_SLICE_SHARE * max(float(total.max(initial=0.0)), 1e-30)
    safe = np.where(present, total, 1.0)
    found = np.stack(
        [
            (np.arange(part.shape[0])[:, None] * part).sum(axis=0) / safe
            for part in (along_x, along_y)
        ]
    )
    return np.where(present, found, np.nan)


def slice_dice(a: Array, b: Array) -> Floats:
    """Soft Dice of every slice, ``2 sum(ab) / sum(a^2 + b^2)``; NaN where both are empty."""
    both = 2.0 * np.einsum("xyz,xyz->z", a, b, dtype=np.float64)
    total = np.einsum("xyz,xyz->z", a, a, dtype=np.float64)
    total += np.einsum("xyz,xyz->z", b, b, dtype=np.float64)
    return np.where(total > 0, both / np.where(total > 0, total, 1.0), np.nan)


def fit_shifts(
    fixed: Array, moving: Array, matrix: Array, box: Box, spacing_mm: tuple[float, float]
) -> SliceShifts:
    """Shifts that bring the centre of mass of the moving mask onto the fixed one, slice by slice.

    Parameters
    ----------
    fixed : array, shape of the box
        Reference mask in the box.
    moving : array, shape (X, Y, Z)
        The other mask on its own (padded) grid.
    matrix : array, shape (4, 4)
        Fixed voxel to moving voxel.
    box : tuple of three slices
        The box on the fixed grid; it holds both cords.
    spacing_mm : tuple of float
        In-plane spacing of the fixed grid.
    """
    carried = sample(moving, matrix, box)
    offset = centres(fixed) - centres(carried)
    index = np.flatnonzero(np.isfinite(offset).all(axis=0))
    shift_mm = (offset[:, index] * np.asarray(spacing_mm)[:, None]).T
    first = SliceShifts(
        index + int(box[2].start), shift_mm, slice_dice(fixed, carried)[index],
        np.empty(0), spacing_mm,
    )  # fmt: skip
    aligned = sample(moving, matrix, box, first)
    after = slice_dice(fixed, aligned)[index]
    return SliceShifts(first.slices, shift_mm, first.dice_before, after, spacing_mm)


def mapped_box(
    corners_of: Box, matrix: Array, shape: tuple[int, ...], margin: float = 0.0
) -> Box | None:
    """Box on another grid that holds a mapped box; ``None`` if they do not meet.

    Parameters
    ----------
    corners_of : tuple of three slices
        Box on the source grid.
    matrix : array, shape (4, 4)
        Source voxel to target voxel.
    shape : tuple of int
        Shape of the target grid, which clips the result.
    margin : float
        Voxels of the target grid added on every side.
    """
    ends = np.array(np.meshgrid(*[(s.start, s.stop - 1) for s in corners_of])).reshape(3, -1)
    mapped = matrix[:3, :3] @ ends + matrix[:3, 3:]
    low = np.maximum(np.floor(mapped.min(axis=1) - margin).astype(int), 0)
    high = np.minimum(np.ceil(mapped.max(axis=1) + margin).astype(int) + 1, shape[:3])
    if (low >= high).any():
        return None
    x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return x, y, z


def bounding_box(mask: Array) -> Box | None:
    """Smallest box that holds every value above zero; ``None`` for an empty mask."""
    found: list[Any] = ndimage.find_objects((np.asarray(mask) > 0).astype(np.uint8))
    return found[0] if found else None
