"""Parts with label volumes of their own: lesions, central canal, dorsal rootlets C2 to T1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cordcohort.phantom.cord import cord_section, inside
from cordcohort.phantom.frame import Frame, build_frame
from cordcohort.phantom.grid import Points, Shape, checked_affine, locate, world_chunks
from cordcohort.phantom.person import Lesion, Person
from cordcohort.phantom.tissues import Tissue

Array = NDArray[Any]

ROOTLET_LEVELS = tuple(range(2, 10))
"""Codes of the rootlet volume: 2 for C2 to 8 for C8, 9 for T1."""
RISE_MM = (2.0, 5.0, 7.0, 8.0, 10.0, 12.0, 14.0, 16.0)
"""How far above its foramen the middle of each level leaves the cord, C2 to T1."""
LENGTH_SHARE = 0.68
"""Length of a level along the cord as a share of its vertebra's height."""
ATTACH_A = 0.45
"""Place of the dorsolateral sulcus, as a share of the cord's half width."""
ROOTLET_RADIUS_MM = 0.55
EXIT_HALF_MM = 1.5
BOW_MM = 1.2
FIRST_SHARE = -0.06
"""Where the fan begins between cord (0) and dura (1): a little inside the cord's border."""
FILAMENT_SHARE = 0.72
"""Share of the fan that the filaments fill; the rest is CSF between them."""


@dataclass(frozen=True)
class RootletLevel:
    """Where one level's dorsal rootlets leave the cord, and its foramen (heights in mm)."""

    level: int
    lowest_mm: float
    highest_mm: float
    exit_mm: float


def rootlet_levels(person: Person) -> tuple[RootletLevel, ...]:
    """Extent of each spinal level C2 to T1 along the cord; T1 is shifted as C8.

    Parameters
    ----------
    person : Person
        Shape parameters.

    Returns
    -------
    tuple of RootletLevel
        From C2 downwards; the extents do not overlap.

    Examples
    --------
    >>> import numpy as np
    >>> from cordcohort.phantom.person import draw_person
    >>> levels = rootlet_levels(draw_person(np.random.default_rng(0)))
    >>> [one.level for one in levels]
    [2, 3, 4, 5, 6, 7, 8, 9]
    """
    frame = build_frame(person)
    found: list[RootletLevel] = []
    shifts = (*person.rootlet_shift_mm, person.rootlet_shift_mm[-1])
    for level, rise, shift in zip(ROOTLET_LEVELS, RISE_MM, shifts, strict=True):
        leave = float(frame.z_of_level(float(level)))
        half = person.vertebra_mm[level - 1] * LENGTH_SHARE * person.rootlet_length_scale / 2
        middle = leave + rise + shift
        top = middle + half
        if found:
            top = min(top, found[-1].lowest_mm - 0.5)
        found.append(RootletLevel(level, middle - half, top, leave))
    return tuple(found)


def rootlet_volume(person: Person, shape: Shape, affine: ArrayLike) -> Array:
    """Dorsal rootlets C2 to T1 on a grid.

    Parameters
    ----------
    person : Person
        Shape parameters.
    shape : tuple of int
        Voxels along the three axes.
    affine : array, shape (4, 4)
        Voxel index to the person's RAS millimetres.

    Returns
    -------
    array of uint8, shape `shape`
        2 to 8 for C2 to C8, 9 for T1, both sides, between cord and dura; 0 elsewhere.
    """
    out = np.zeros(shape, dtype=np.uint8)
    for part, world in world_chunks(shape, checked_affine(shape, affine, 1)):
        out[:, :, part] = rootlets_at(person, world).reshape(shape[0], shape[1], -1)
    return out


def rootlets_at(person: Person, points_mm: ArrayLike) -> Array:
    """Level of the dorsal rootlet at any points, 0 where there is none, for grids along the cord.

    Parameters
    ----------
    person : Person
        Shape parameters.
    points_mm : array, shape (3, N)
        The person's RAS millimetres.

    Returns
    -------
    array of uint8, shape (N,)

    Examples
    --------
    >>> from cordcohort.phantom.person import draw_person
    >>> someone = draw_person(np.random.default_rng(0))
    >>> rootlets_at(someone, [[0.0], [0.0], [0.0]]).tolist()
    [0]
    """
    frame = build_frame(person)
    points = locate(frame, np.asarray(points_mm, dtype=np.float32))
    codes = np.zeros(points.u.shape, dtype=np.uint8)
    near = np.abs(points.u) <= frame.columns["sac_rx"][points.row] * 1.4
    index = np.flatnonzero(near)
    chosen = points.take(index)
    section = cord_section(frame, chosen.u, chosen.v, chosen.row)
    outside = ~inside(section, person.cord_exponent)
    codes[index] = np.where(outside, _rootlet_codes(frame, chosen, dorsal=True), 0)
    return codes


def paint_roots(frame: Frame, points: Points, sac: Array, out: Array) -> None:
    """Write dorsal and ventral rootlets into the dural sac as nerve roots."""
    index = np.flatnonzero(sac)
    if index.size == 0:
        return
    chosen = points.take(index)
    roots = _rootlet_codes(frame, chosen, dorsal=True) > 0
    roots |= _rootlet_codes(frame, chosen, dorsal=False) > 0
    out[index[roots]] = Tissue.NERVE_ROOT


def _rootlet_codes(frame: Frame, points: Points, *, dorsal: bool) -> Array:
    """Level of the rootlet fan that holds each point, 0 for none."""
    columns, row, person = frame.columns, points.row, frame.person
    sign = np.float32(-1.0 if dorsal else 1.0)
    from_u = ATTACH_A * columns["cord_rx"][row]
    exponent = person.cord_exponent
    from_v = (1.0 - ATTACH_A**exponent) ** (1.0 / exponent) * columns["cord_ry"][row]
    to_u = columns["sac_rx"][row] + 1.0
    share = (np.abs(points.u) - from_u) / (to_u - from_u)
    arc = sign * from_v * (1.0 - share) + sign * BOW_MM * share * (1.0 - share) * 4.0
    on_sheet = np.abs(points.v - arc) < ROOTLET_RADIUS_MM
    codes = np.zeros(points.u.shape, dtype=np.uint8)
    index = np.flatnonzero(on_sheet & (share > FIRST_SHARE) & (share <= 1.0))
    if index.size == 0:
        return codes
    t, z = np.clip(share[index], 0.0, 1.0), points.z[index]
    for one in rootlet_levels(person):
        low = one.lowest_mm * (1.0 - t) + (one.exit_mm - EXIT_HALF_MM) * t
        high = one.highest_mm * (1.0 - t) + (one.exit_mm + EXIT_HALF_MM) * t
        along = (z - low) / (high - low)
        filament = along * person.rootlet_count
        solid = np.abs(filament - np.floor(filament) - 0.5) < FILAMENT_SHARE / 2
        codes[index[(along >= 0.0) & (along <= 1.0) & solid]] = one.level
    return codes


def lesion_volume(person: Person, shape: Shape, affine: ArrayLike) -> Array:
    """Lesions of a person on a grid, clipped to the cord.

    Parameters
    ----------
    person, shape, affine
        As in `rootlet_volume`.

    Returns
    -------
    array of uint8, shape `shape`
        1 for the first lesion, 2 for the second, 0 elsewhere.
    """
    frame = build_frame(person)
    out = np.zeros(shape, dtype=np.uint8)
    matrix = checked_affine(shape, affine, 1)
    if not person.lesions:
        return out
    for part, world in world_chunks(shape, matrix):
        points = locate(frame, world)
        codes = np.zeros(points.u.shape, dtype=np.uint8)
        for number, lesion in reversed(list(enumerate(person.lesions, start=1))):
            codes[_in_lesion(lesion, points)] = number
        index = np.flatnonzero(codes)
        section = cord_section(frame, points.u[index], points.v[index], points.row[index])
        codes[index[~inside(section, person.cord_exponent)]] = 0
        out[:, :, part] = codes.reshape(shape[0], shape[1], -1)
    return out


def _in_lesion(lesion: Lesion, points: Points) -> Array:
    du = (points.u - lesion.x_mm) / lesion.radius_x_mm
    dv = (points.v - lesion.y_mm) / lesion.radius_y_mm
    dz = (points.z - lesion.z_mm) / lesion.radius_z_mm
    ripple = np.sin(3.0 * du + lesion.x_mm) * np.sin(3.0 * dv) * np.sin(3.0 * dz + lesion.y_mm)
    return du * du + dv * dv + dz * dz < 1.0 + lesion.roughness * ripple


def central_canal_volume(person: Person, shape: Shape, affine: ArrayLike) -> Array:
    """Open central canal of a person on a grid; parameters as in `rootlet_volume`.

    Returns
    -------
    array of uint8, shape `shape`
        1 inside it.
    """
    out = np.zeros(shape, dtype=np.uint8)
    matrix = checked_affine(shape, affine, 1)
    canal = person.central_canal
    if canal is None:
        return out
    frame = build_frame(person)
    for part, world in world_chunks(shape, matrix):
        points = locate(frame, world)
        du, dv = 2 * points.u / canal.width_mm, 2 * points.v / canal.depth_mm
        open_there = (points.z >= canal.low_mm) & (points.z <= canal.high_mm)
        tube = (du * du + dv * dv < 1.0) & open_there
        out[:, :, part] = tube.reshape(shape[0], shape[1], -1)
    return out
