"""Points of a grid in a person's coordinates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cordcohort.phantom.frame import MAX_TILT_REACH_MM, Frame

Array = NDArray[Any]
Shape = tuple[int, int, int]

N_AXES = 3
MIN_VOLUME_MM3 = 1e-9
CHUNK_POINTS = 400_000
"""Points evaluated at once: a few dozen float32 arrays of this length fit a small machine."""


@dataclass(frozen=True)
class Points:
    """Points to label.

    Attributes
    ----------
    u, v : arrays, shape (N,)
        Position relative to the cord's axis at the point's own height, mm.
    z : array, shape (N,)
        Height in mm.
    row : array of int32, shape (N,)
        Row of the person's table at the point's height.
    up : array of int32, shape (N,)
        Row of the plane perpendicular to the axis that holds the point (vertebrae tilt with it).
    """

    u: Array
    v: Array
    z: Array
    row: Array
    up: Array

    def take(self, index: Array) -> Points:
        """The points of an index array."""
        return Points(*(np.take(a, index) for a in (self.u, self.v, self.z, self.row, self.up)))


def locate(frame: Frame, world: Array) -> Points:
    """Positions relative to the cord's axis, and table rows, of world coordinates (3, N)."""
    x, y, z = world
    columns = frame.columns
    row = frame.row(z)
    u, v = x - columns["x"][row], y - columns["y"][row]
    reach = np.clip(v, -MAX_TILT_REACH_MM, MAX_TILT_REACH_MM) * columns["dy"][row]
    return Points(u, v, z, row, frame.row(z + reach))


def world_chunks(shape: Shape, affine: Array) -> Iterator[tuple[slice, Array]]:
    """Yield slabs of a grid along its last axis with their world coordinates.

    Yields
    ------
    tuple of slice and array, shape (3, N)
        The slab's range of the last axis, and x, y, z of its voxels in C order, float32.
    """
    per_chunk = max(1, CHUNK_POINTS // (shape[0] * shape[1]))
    matrix = affine.astype(np.float32)
    for first in range(0, shape[2], per_chunk):
        last = min(first + per_chunk, shape[2])
        i, j, k = (np.arange(n, dtype=np.float32) for n in (shape[0], shape[1], last - first))
        world = [
            (
                (matrix[axis, 0] * i)[:, None, None]
                + (matrix[axis, 1] * j)[None, :, None]
                + (matrix[axis, 2] * (k + first))[None, None, :]
                + matrix[axis, 3]
            ).ravel()
            for axis in range(3)
        ]
        yield slice(first, last), np.stack(world)


def voxel_points(
    shape: Shape, affine: Array, factors: Shape, part: range, seen: Array | None
) -> Array:
    """World coordinates of the points inside the voxels of some slices.

    Parameters
    ----------
    shape : tuple of int
        Voxels along the three axes.
    affine : array, shape (4, 4)
        Voxel index to the person's RAS millimetres.
    factors : tuple of int
        Points per voxel and axis.
    part : range
        Slices along the last axis.
    seen : array, shape (Z, 4), or None
        Per slice: magnification and shift, in voxels, of the first and of the second index.

    Returns
    -------
    array of float32, shape (3, N)
        C order over (X * fx, Y * fy, len(part) * fz). Lines and layers of points are shifted
        against each other, so that a border along an axis is not met by whole planes at once.
    """
    fx, fy, fz = factors
    i, j, k = (
        ((np.arange(n * f) + 0.5) / f - 0.5).astype(np.float32)
        for n, f in zip((*shape[:2], len(part)), factors, strict=True)
    )
    k = k + np.float32(part.start)
    layer, line = np.arange(len(k)) % fz, np.arange(len(j)) % fy
    second = j[:, None] + _centred(layer, fz)[None, :] / fy
    own_line = line[:, None] * fz + layer[None, :]
    first = i[:, None, None] + _centred(own_line, fy * fz)[None] / fx
    if seen is not None:
        own = np.repeat(seen[part.start : part.stop], factors[2], axis=0).astype(np.float32)
        first = first * own[:, 0] + own[:, 1]
        second = second * own[:, 2] + own[:, 3]
    matrix = affine.astype(np.float32)
    whole = (len(i), len(j), len(k))
    world = np.empty((3, *whole), dtype=np.float32)
    for axis in range(N_AXES):
        along = matrix[axis, 2] * k + matrix[axis, 3]
        world[axis] = matrix[axis, 0] * first + (matrix[axis, 1] * second + along)
    return world.reshape(3, -1)


def _centred(number: Array, count: int) -> Array:
    """Numbers 0 to count - 1 spread evenly over -0.5 to 0.5, float32."""
    return ((number + 0.5) / count - 0.5).astype(np.float32)


def voxel_step(factors: Iterable[float], offset: Iterable[float]) -> Array:
    """Affine from indices of a finer grid to indices of the coarse one."""
    step = np.diag([*(1.0 / f for f in factors), 1.0])
    step[:3, 3] = list(offset)
    return step


def checked_affine(shape: Shape, affine: ArrayLike, supersample: int) -> Array:
    """The affine as a float matrix, refused when it or the shape describes no grid."""
    matrix = np.asarray(affine, dtype=float)
    if len(shape) != N_AXES or min(shape) < 1 or supersample < 1:
        message = (
            f"shape {shape} with supersample {supersample}: expected three sizes of at least 1"
        )
        raise ValueError(message)
    if matrix.shape != (4, 4) or abs(np.linalg.det(matrix[:3, :3])) < MIN_VOLUME_MM3:
        message = f"affine must be an invertible 4 x 4 matrix, got shape {matrix.shape}"
        raise ValueError(message)
    return matrix
