"""A parametric person turned into label volumes on any grid.

World coordinates are the person's own RAS frame: x right, y front, z up, mm; z = 0 at the disc
C2/C3, the cord's axis through the origin there. The labels are analytic: each voxel centre is
evaluated, so any field of view, resolution and orientation is possible and nothing is resampled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cordcohort.phantom.cord import cord_section, inside, region_codes, sac_mask
from cordcohort.phantom.frame import MIN_BULGE, SKULL_LEVEL, Frame, build_frame
from cordcohort.phantom.grid import (
    CHUNK_POINTS,
    Points,
    checked_affine,
    locate,
    voxel_points,
    world_chunks,
)
from cordcohort.phantom.neck import paint_body, paint_tubes
from cordcohort.phantom.parts import lesion_volume, paint_roots, rootlet_volume
from cordcohort.phantom.person import Person, draw_person
from cordcohort.phantom.spine import paint_skull_base, paint_spine
from cordcohort.phantom.tissues import N_TISSUES, Tissue

__all__ = [
    "Person",
    "codes_at",
    "draw_person",
    "fractions",
    "label_volume",
    "lesion_volume",
    "mean_values",
    "rootlet_volume",
]

Array = NDArray[Any]

DURA_MM = 0.5
WIDE = 1.6
"""The canal lies within so many of its half widths of the cord's axis."""
SPINE_REACH_MM = (45.0, -50.0, 75.0)
"""Half width, back and front of the box round the axis that holds the spine."""
ROOT_POSITIONS: tuple[tuple[float, float], ...] = (
    (-0.55, 0.35), (-0.35, 0.8), (0.0, 0.92), (0.35, 0.8), (0.55, 0.35),
    (-0.7, 0.0), (0.7, 0.0), (-0.25, 0.45), (0.25, 0.45),
)  # fmt: skip
"""Cauda equina: places of roots, as shares of the sac's half widths, right and back."""


def label_volume(
    person: Person, shape: tuple[int, int, int], affine: ArrayLike, *, supersample: int = 1
) -> Array:
    """Tissue codes of a person on a grid.

    Parameters
    ----------
    person : Person
        Shape parameters.
    shape : tuple of int
        Voxels along the three axes.
    affine : array, shape (4, 4)
        Voxel index to the person's RAS millimetres; any orientation, spacing or shear.
    supersample : int
        With more than 1, each voxel gets the tissue that fills most of it, found from
        ``supersample**3`` points, instead of the tissue at its centre.

    Returns
    -------
    array of uint8, shape `shape`
        Codes of `Tissue`; the volume may hold no cord at all.

    Raises
    ------
    ValueError
        When the shape, the affine or `supersample` is no grid.

    Examples
    --------
    >>> import numpy as np
    >>> someone = draw_person(np.random.default_rng(0))
    >>> codes = label_volume(someone, (1, 1, 1), np.eye(4))
    >>> 1 <= int(codes[0, 0, 0]) <= 8
    True
    """
    if supersample == 1:
        return _codes(person, shape, checked_affine(shape, affine, 1))
    parts = mean_values(person, shape, affine, np.eye(N_TISSUES), supersample=supersample)
    return parts.argmax(axis=-1).astype(np.uint8)


def codes_at(person: Person, points_mm: ArrayLike) -> Array:
    """Tissue codes at any points, for grids that follow the cord.

    Parameters
    ----------
    person : Person
        Shape parameters.
    points_mm : array, shape (3, N)
        The person's RAS millimetres.

    Returns
    -------
    array of uint8, shape (N,)
        Codes of `Tissue`.

    Examples
    --------
    >>> someone = draw_person(np.random.default_rng(0))
    >>> 1 <= int(codes_at(someone, [[0.0], [0.0], [0.0]])[0]) <= 8
    True
    """
    points = np.asarray(points_mm, dtype=np.float32)
    parts = range(0, points.shape[1], CHUNK_POINTS)
    frame = build_frame(person)
    return np.concatenate([_label_points(frame, points[:, k : k + CHUNK_POINTS]) for k in parts])


def fractions(
    person: Person,
    shape: tuple[int, int, int],
    affine: ArrayLike,
    labels: Iterable[int],
    *,
    supersample: int | tuple[int, int, int] = 4,
) -> Array:
    """Share of each voxel that a set of tissues fills.

    Parameters
    ----------
    person, shape, affine
        As in `label_volume`.
    labels : iterable of int
        Tissue codes that count, for example `tissues.CORD`.
    supersample : int or tuple of int
        Points per voxel and axis.

    Returns
    -------
    array of float32, shape `shape`
        0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> someone = draw_person(np.random.default_rng(0))
    >>> float(fractions(someone, (1, 1, 1), np.eye(4), range(1, 9))[0, 0, 0])
    1.0
    """
    values = np.zeros((N_TISSUES, 1), dtype=np.float32)
    values[[int(label) for label in labels]] = 1.0
    return mean_values(person, shape, affine, values, supersample=supersample)[..., 0]


def mean_values(
    person: Person,
    shape: tuple[int, int, int],
    affine: ArrayLike,
    values: ArrayLike,
    *,
    supersample: int | tuple[int, int, int] = 2,
    canal_only: bool = False,
    seen: Array | None = None,
) -> Array:
    """Mean over each voxel of quantities that depend on the tissue only (partial volume).

    Parameters
    ----------
    person, shape, affine
        As in `label_volume`.
    values : array, shape (N_TISSUES, K)
        K quantities of each tissue.
    supersample : int or tuple of int
        Points per voxel and axis.
    canal_only : bool
        Everything outside the spinal canal counts as air; several times quicker.
    seen : array, shape (Z, 4), optional
        Per slice: magnification and shift, in voxels, of the first and of the second index.

    Returns
    -------
    array of float32, shape (*shape, K)
        Means over the points of each voxel.
    """
    table = np.asarray(values, dtype=np.float32)
    fx, fy, fz = (supersample,) * 3 if isinstance(supersample, int) else supersample
    matrix, frame = checked_affine(shape, affine, min(fx, fy, fz)), build_frame(person)
    label = _label_canal if canal_only else _label_points
    out = np.empty((*shape, table.shape[1]), dtype=np.float32)
    per_chunk = max(1, CHUNK_POINTS // (shape[0] * fx * shape[1] * fy * fz))
    for first in range(0, shape[2], per_chunk):
        part = range(first, min(first + per_chunk, shape[2]))
        codes = label(frame, voxel_points(shape, matrix, (fx, fy, fz), part, seen))
        counts = _counts(codes, (shape[0], shape[1], len(part)), (fx, fy, fz))
        means = np.einsum("vt,tk->vk", counts, table / np.float32(fx * fy * fz))
        out[:, :, part.start : part.stop] = means.reshape(shape[0], shape[1], len(part), -1)
    return out


def _counts(codes: Array, shape: tuple[int, int, int], factors: tuple[int, int, int]) -> Array:
    """How many points of each voxel hold each tissue, float32, shape (voxels, N_TISSUES)."""
    voxel = np.arange(np.prod(shape), dtype=np.int64).reshape(shape) * N_TISSUES
    for axis, factor in enumerate(factors):
        voxel = np.repeat(voxel, factor, axis=axis)
    counted = np.bincount(voxel.ravel() + codes, minlength=int(np.prod(shape)) * N_TISSUES)
    return counted.reshape(-1, N_TISSUES).astype(np.float32)


def _codes(person: Person, shape: tuple[int, int, int], affine: Array) -> Array:
    frame = build_frame(person)
    out = np.empty(shape, dtype=np.uint8)
    for part, world in world_chunks(shape, affine):
        out[:, :, part] = _label_points(frame, world).reshape(shape[0], shape[1], -1)
    return out


def _label_points(frame: Frame, world: Array) -> Array:
    points = locate(frame, world)
    out = np.zeros(points.u.shape, dtype=np.uint8)
    within = paint_body(frame, points, out)
    _paint_part(frame, points, out, np.flatnonzero(within), paint_tubes)
    _paint_blobs(frame, world, out)
    half, back, front = SPINE_REACH_MM
    near = (np.abs(points.u) < half) & (points.v > back) & (points.v < front)
    bony = replace(points, u=points.u - frame.columns["bone_x"][points.row])
    _paint_part(frame, bony, out, np.flatnonzero(near), paint_spine)
    high = within & (points.z > frame.z_of_level(SKULL_LEVEL))
    _paint_part(frame, points, out, np.flatnonzero(high), paint_skull_base)
    _paint_central(frame, points, out)
    return out


def _label_canal(frame: Frame, world: Array) -> Array:
    points = locate(frame, world)
    out = np.zeros(points.u.shape, dtype=np.uint8)
    _paint_central(frame, points, out)
    return out


def _paint_central(frame: Frame, points: Points, out: Array) -> None:
    """Paint the canal where it can be: within a box round the axis."""
    rows = slice(int(points.row.min()), int(points.row.max()) + 1)
    widest = float(frame.columns["bone_rx"][rows].max()) * WIDE
    tallest = float(frame.columns["bone_ry"][rows].max()) * WIDE
    central = (np.abs(points.u) < widest) & (np.abs(points.v) < tallest)
    _paint_part(frame, points, out, np.flatnonzero(central), _paint_canal)


def _paint_part(frame: Frame, points: Points, out: Array, index: Array, paint: Any) -> None:
    if index.size == 0:
        return
    part = out[index]
    paint(frame, points.take(index), part)
    out[index] = part


def _paint_blobs(frame: Frame, world: Array, out: Array) -> None:
    for blob in frame.person.blobs:
        x, y, z = world
        rho = ((x - blob.x_mm) / blob.radius_x_mm) ** 2
        rho += ((y - blob.y_mm) / blob.radius_y_mm) ** 2
        rho += ((z - blob.z_mm) / blob.radius_z_mm) ** 2
        out[(rho < 1.0) & (out != Tissue.AIR)] = blob.tissue


def _paint_canal(frame: Frame, points: Points, out: Array) -> None:
    columns, row = frame.columns, points.row
    bone = np.hypot(
        (points.u - columns["bone_x"][row]) / columns["bone_rx"][row],
        (points.v - columns["bone_y"][row]) / columns["bone_ry"][row],
    )
    above = columns["level"][row] < SKULL_LEVEL
    pressed = (columns["depth"][row] > MIN_BULGE) & (points.v > 0.0)
    out[(bone < 1.0) & ~above & ~pressed] = Tissue.EPIDURAL_FAT
    out[sac_mask(frame, points.u, points.v, row, DURA_MM) & ~above] = Tissue.DURA
    sac = sac_mask(frame, points.u, points.v, row)
    out[sac] = Tissue.CSF
    paint_roots(frame, points, sac, out)
    _paint_cauda(frame, points, sac, out)
    section = cord_section(frame, points.u, points.v, row)
    index = np.flatnonzero(inside(section, frame.person.cord_exponent))
    part = points.take(index)
    codes = region_codes(frame, cord_section(frame, part.u, part.v, part.row))
    out[index] = np.where(above[index], np.uint8(Tissue.BRAINSTEM), codes)


def _paint_cauda(frame: Frame, points: Points, sac: Array, out: Array) -> None:
    """Thin roots that hang in the sac below the cord's enlargement."""
    columns, row = frame.columns, points.row
    low = sac & (columns["level"][row] > frame.person.conus_level - 1.0)
    if not low.any():
        return
    for across, back in ROOT_POSITIONS:
        du = points.u - columns["sac_x"][row] - across * columns["sac_rx"][row]
        dv = points.v - columns["sac_y"][row] + back * columns["sac_ry"][row]
        out[low & (du * du + dv * dv < 1.0)] = Tissue.NERVE_ROOT
