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
from cordcohort.phantom.grid import Points, checked_affine, locate, voxel_step, world_chunks
from cordcohort.phantom.neck import paint_body, paint_tubes
from cordcohort.phantom.parts import lesion_volume, paint_roots, rootlet_volume
from cordcohort.phantom.person import Person, draw_person
from cordcohort.phantom.spine import paint_skull_base, paint_spine
from cordcohort.phantom.tissues import N_TISSUES, Tissue

__all__ = [
    "Person",
    "draw_person",
    "fractions",
    "label_volume",
    "lesion_volume",
    "mean_values",
    "rootlet_volume",
]

Array = NDArray[Any]

DURA_MM = 0.5
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

    Returns
    -------
    array of float32, shape (*shape, K)
        Means over the points of each voxel.
    """
    table = np.asarray(values, dtype=np.float32)
    factors = (supersample,) * 3 if isinstance(supersample, int) else supersample
    fine = tuple(n * f for n, f in zip(shape, factors, strict=True))
    sub_affine = checked_affine(shape, affine, min(factors))
    offset = [(1.0 / f - 1.0) / 2.0 for f in factors]
    sub_affine = sub_affine @ voxel_step(factors, offset)
    out = np.empty((*shape, table.shape[1]), dtype=np.float32)
    fx, fy, fz = factors
    for k in range(shape[2]):
        slab = sub_affine @ voxel_step((1, 1, 1), (0.0, 0.0, float(k * fz)))
        codes = _codes(person, (fine[0], fine[1], fz), slab)
        blocks = table[codes].reshape(shape[0], fx, shape[1], fy, fz, -1)
        out[:, :, k] = blocks.mean(axis=(1, 3, 4))
    return out


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
    widest = float(frame.columns["bone_rx"][np.unique(points.row)].max()) + 1.0
    tallest = float(frame.columns["bone_ry"][np.unique(points.row)].max()) * 2.0
    central = (np.abs(points.u) < widest) & (np.abs(points.v) < tallest)
    _paint_part(frame, points, out, np.flatnonzero(central), _paint_canal)
    return out


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
