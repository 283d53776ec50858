"""Masks on their way to a reference grid and back, with the slices that they cover."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cordcohort.images.alignment import (
    Box,
    SliceShifts,
    bounding_box,
    mapped_box,
    occupied_slices,
    pad_ends,
    sample,
    sample_back,
)
from cordcohort.nifti import Array, Image

Floats = NDArray[np.float64]

BOX_MARGIN_VOXELS = 3
MIN_COUNT = 0.5
"""A native slice is known where the carried map of what is known (0 or 1) is above this."""
ROUNDING_SLICES = 1e-6
SAME_SLICE = 1e-6


@dataclass(frozen=True)
class MovingMask:
    """The mask of one contrast on its way to the reference grid.

    Attributes
    ----------
    contrast : str
    mask : Image
        On its canonical grid.
    ends : tuple of int
        First and last slice that it covers.
    to_moving : array, shape (4, 4)
        Voxel of the reference to voxel of this mask.
    world : array, shape (4, 4)
        World of the reference to world of this contrast.
    """

    contrast: str
    mask: Image
    ends: tuple[int, int]
    to_moving: Floats
    world: Floats

    def padded(self) -> tuple[Array, Array, Floats]:
        """Padded mask, padded coverage, and reference voxel to padded voxel."""
        mask, origin = pad_ends(np.asarray(self.mask.data, dtype=np.float32), *self.ends)
        matrix = self.to_moving.copy()
        matrix[2, 3] -= origin
        return mask, np.ones_like(mask), matrix


def common_box(fixed: Image, moving: list[MovingMask]) -> Box:
    """Box of the reference grid that holds every cord before and after alignment, all slices."""
    shape = fixed.data.shape
    boxes = [b for b in [bounding_box(fixed.data)] if b]
    for one in moving:
        own = bounding_box(one.mask.data)
        mapped = own and mapped_box(own, np.linalg.inv(one.to_moving), shape, BOX_MARGIN_VOXELS)
        boxes += [mapped] if mapped else []
    x, y = (
        slice(
            max(min(b[axis].start for b in boxes) - BOX_MARGIN_VOXELS, 0),
            min(max(b[axis].stop for b in boxes) + BOX_MARGIN_VOXELS, shape[axis]),
        )
        for axis in range(2)
    )
    return x, y, slice(0, shape[2])


def own_coverage(fixed: Image, box: Box) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mask and coverage of the reference itself, in the box."""
    mask = np.array(fixed.data[box], dtype=np.float32)
    coverage = np.zeros_like(mask)
    ends = occupied_slices(fixed.data)
    if ends:
        coverage[:, :, ends[0] : ends[1] + 1] = 1.0
    return mask, coverage


def slices_of_edge(edge_mm: float, slice_mm: float) -> int:
    """Slices of the reference that cover a length at an end of a contrast.

    Examples
    --------
    >>> slices_of_edge(6.4, 0.8), slices_of_edge(6.4, 5.0), slices_of_edge(0.0, 0.8)
    (8, 2, 0)
    """
    return int(np.ceil(edge_mm / slice_mm - SAME_SLICE))


def mean_of_contrasts(
    parts: Sequence[tuple[str, NDArray[np.float32], NDArray[np.float32]]],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Average of masks where they cover, in which every contrast counts as one.

    Each of the n scans of a contrast (runs, acquisitions) counts 1/n, its coverage too.

    Parameters
    ----------
    parts : sequence of (contrast, mask, coverage)
        At least one; arrays of one shape, 0 to 1.

    Returns
    -------
    soft, count : array of float32
        The average, 0 where nothing covers, and how many contrasts cover.

    Examples
    --------
    >>> one, nil = np.ones(1, np.float32), np.zeros(1, np.float32)
    >>> soft, count = mean_of_contrasts([("T2w", nil, one), ("T1w", one, one), ("T1w", one, one)])
    >>> soft.item(), count.item()
    (0.5, 2.0)
    """
    n_scans = Counter(contrast for contrast, _, _ in parts)
    total, count = np.zeros_like(parts[0][1]), np.zeros_like(parts[0][2])
    for contrast, mask, coverage in parts:
        total += mask / np.float32(n_scans[contrast])
        count += coverage / np.float32(n_scans[contrast])
    return np.divide(total, count, out=np.zeros_like(total), where=count > 0), count


def to_reference(
    one: MovingMask, box: Box, shifts: SliceShifts, edge_slices: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mask and coverage in a box of the reference grid, the outermost slices cleared.

    Parameters
    ----------
    one : MovingMask
    box : tuple of three slices
        Part of the reference grid.
    shifts : SliceShifts
        From the mask to the reference.
    edge_slices : int
        Slices of the reference grid to clear at both ends of what this contrast covers.

    Returns
    -------
    mask, coverage : array of float32
        On the box, 0 to 1.
    """
    mask, ones, matrix = one.padded()
    carried = sample(mask, matrix, box, shifts)
    coverage = sample(ones, matrix, box, shifts)
    if edge_slices > 0:
        first, last = _extent(one, ones.shape[2], matrix)
        k = np.arange(box[2].start, box[2].stop)
        keep = (k >= first + edge_slices) & (k <= last - edge_slices)
        carried *= keep
        coverage *= keep
    return carried, coverage


def _extent(one: MovingMask, n_slices: int, matrix: Array) -> tuple[int, int]:
    """First and last reference slice within the padded mask, on the reference grid or beyond it.

    Found in the middle of the cord: an oblique slab covers other slices at its corners.
    """
    own = bounding_box(one.mask.data)
    middle = [(s.start + s.stop - 1) / 2.0 for s in own[:2]] if own else [0.0, 0.0]
    ends = np.array([[*middle, z, 1.0] for z in (0.0, n_slices - 1.0)]).T
    low, high = np.sort((np.linalg.inv(matrix) @ ends)[2])
    return int(np.ceil(low - ROUNDING_SLICES)), int(np.floor(high + ROUNDING_SLICES))


def to_native(
    one: MovingMask, soft: Array, count: Array, box: Box, shifts: SliceShifts
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Bring the average of the reference grid back to the grid of one contrast.

    Parameters
    ----------
    one : MovingMask
    soft, count : array, shape of the box
        The average, and how many contrasts cover.
    box : tuple of three slices
        Part of the reference grid.
    shifts : SliceShifts
        From this contrast to the reference.

    Returns
    -------
    soft : array of float32, shape of the mask
        On the canonical native grid, 0 where this contrast does not cover.
    covered : array of bool, shape (Z,)
        Slices where the average is known.
    """
    out: NDArray[np.float32] = np.zeros(one.mask.data.shape, dtype=np.float32)
    covered = np.zeros(one.mask.data.shape[2], dtype=bool)
    native = mapped_box(box, one.to_moving, out.shape, margin=_shift_margin(one, shifts))
    if native is None:
        return out, covered
    ends = slice(max(native[2].start, one.ends[0]), min(native[2].stop, one.ends[1] + 1))
    if ends.start >= ends.stop:
        return out, covered
    native = (native[0], native[1], ends)
    # The outer slices reach half their thickness beyond their centres: repeat them once.
    values, origin = pad_ends(soft, 0, soft.shape[2] - 1)
    known, _ = pad_ends((count > 0).astype(np.float32), 0, soft.shape[2] - 1)
    matrix = np.linalg.inv(one.to_moving)
    start = (box[0].start, box[1].start, box[2].start + origin)
    matrix[:3, 3] -= start
    inner = replace(shifts, slices=shifts.slices - start[2])
    out[native] = np.clip(sample_back(values, matrix, native, inner), 0.0, 1.0)
    covered[ends] = (sample_back(known, matrix, native, inner) > MIN_COUNT).any(axis=(0, 1))
    out *= covered
    return out, covered


def _shift_margin(one: MovingMask, shifts: SliceShifts) -> float:
    """Voxels of the native grid that the largest shift can span, and one."""
    largest_mm = float(np.abs(shifts.shift_mm).max(initial=0.0))
    return largest_mm / min(one.mask.spacing_mm) + 1.0
