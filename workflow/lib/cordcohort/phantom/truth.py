"""True values of a person's geometry, from the shape parameters and not from voxels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordcohort.phantom.cord import INDENT_WIDTH, Section, region_codes
from cordcohort.phantom.frame import SKULL_LEVEL, build_frame
from cordcohort.phantom.person import N_VERTEBRAE, Person

Array = NDArray[Any]

N_QUADRATURE = 401
N_REGION_GRID = 201
VERTEBRA_NAMES = (
    *(f"C{i}" for i in range(1, 8)),
    *(f"T{i}" for i in range(1, 13)),
    *(f"L{i}" for i in range(1, 6)),
)
"""Name of vertebra number i + 1."""
FIRST_DISC = 3
"""The disc C2/C3 has code 3 in disc label files, C7/T1 has 8."""


def centreline(person: Person, z_mm: Array | float) -> tuple[Array, Array]:
    """Place of the cord's axis at heights z, in mm: x (right) and y (front)."""
    frame = build_frame(person)
    return frame.at("x", z_mm), frame.at("y", z_mm)


def axial_csa_mm2(person: Person, z_mm: Array | float) -> Array:
    """Area of the cord in the axial plane, in mm2; 0 below the conus.

    Parameters
    ----------
    person : Person
        Shape parameters.
    z_mm : float or array
        Heights above the disc C2/C3.

    Returns
    -------
    array, shape of `z_mm`
        The integral over the cord's width of its extent to the front and to the back. Quadrature
        error is below 1e-4 of the area.
    """
    frame = build_frame(person)
    z = np.atleast_1d(np.asarray(z_mm, dtype=float))
    angle = (np.arange(N_QUADRATURE) + 0.5) / N_QUADRATURE * np.pi
    a = -np.cos(angle)  # closer at the rim, where the boundary is steep
    weight = np.sin(angle) * np.pi / N_QUADRATURE
    power = person.cord_exponent
    half = (1.0 - np.abs(a) ** power) ** (1.0 / power)
    bump = np.exp(-0.5 * ((a[None] - frame.at("indent_at", z)[:, None]) / INDENT_WIDTH) ** 2)
    front = half / (1.0 + frame.at("indent", z)[:, None] * bump)
    back = half / (1.0 + person.dorsal_flattening)
    area = ((front + back) * weight).sum(axis=1)
    return (area * frame.at("cord_rx", z) * frame.at("cord_ry", z)).reshape(np.shape(z_mm))


def csa_mm2(person: Person, z_mm: Array | float) -> Array:
    """Area of the cord perpendicular to its axis, in mm2: axial area times cosine of the tilt."""
    frame = build_frame(person)
    dx, dy = frame.at("dx", z_mm), frame.at("dy", z_mm)
    return axial_csa_mm2(person, z_mm) / np.sqrt(1.0 + dx**2 + dy**2)


def region_areas_mm2(person: Person, z_mm: float) -> dict[int, float]:
    """Axial area of each of the eight cord regions at one height, in mm2, by code.

    Counted on a grid of 1/100 of the cord's half width; the areas sum to the axial area within
    0.5 %.
    """
    frame = build_frame(person)
    step = 2.0 / (N_REGION_GRID - 1)
    a, b = np.meshgrid(*(np.linspace(-1.0, 1.0, N_REGION_GRID) + step / 3,) * 2, indexing="ij")
    row = np.full(a.size, int(frame.row(np.asarray(z_mm))))
    depth, at = frame.at("indent", z_mm), frame.at("indent_at", z_mm)
    flat_a, flat_b = a.ravel(), b.ravel()
    bump = np.exp(-0.5 * ((flat_a - at) / INDENT_WIDTH) ** 2)
    stretch = np.where(flat_b > 0.0, 1.0 + depth * bump, 1.0 + person.dorsal_flattening)
    section = Section(flat_a, flat_b * stretch, row)
    power = person.cord_exponent
    held = np.abs(section.a) ** power + np.abs(section.b) ** power <= 1.0
    codes = np.bincount(region_codes(frame, section)[held], minlength=9)
    voxel = step**2 * float(frame.at("cord_rx", z_mm) * frame.at("cord_ry", z_mm))
    return {code: float(codes[code]) * voxel for code in range(1, 9)}


def diameters_mm(person: Person, z_mm: Array | float) -> tuple[Array, Array]:
    """Largest diameters of the cord perpendicular to its axis: front to back, left to right.

    The front-to-back value is taken through the axis.
    """
    frame = build_frame(person)
    bump = np.exp(-0.5 * (np.asarray(frame.at("indent_at", z_mm)) / INDENT_WIDTH) ** 2)
    front = 1.0 / (1.0 + frame.at("indent", z_mm) * bump)
    back = 1.0 / (1.0 + person.dorsal_flattening)
    ap = frame.at("cord_ry", z_mm) * (front + back) / np.hypot(1.0, frame.at("dy", z_mm))
    return ap, 2.0 * frame.at("cord_rx", z_mm) / np.hypot(1.0, frame.at("dx", z_mm))


def disc_positions_mm(person: Person) -> dict[int, tuple[float, float, float]]:
    """Middle of each intervertebral disc's posterior edge, by disc code (3 = C2/C3 ... 25 = L5/S1).

    Returns
    -------
    dict of int to (x, y, z)
        World coordinates in mm: on the front wall of the canal, where raters place the label.
    """
    frame = build_frame(person)
    found: dict[int, tuple[float, float, float]] = {}
    for code in range(FIRST_DISC, N_VERTEBRAE + 2):
        z_axis = float(frame.z_of_level(float(code)))
        ahead = float(frame.at("bone_y", z_axis) + frame.at("bone_ry", z_axis))
        z = z_axis - ahead * float(frame.at("dy", z_axis))
        x = float(frame.at("x", z) + frame.at("bone_x", z))
        found[code] = (x, float(frame.at("y", z)) + ahead, z)
    return found


def vertebral_level(person: Person, z_mm: Array | float) -> Array:
    """Number of the vertebra at heights along the cord: 1 to 7 for C1 to C7, 8 for T1 ...

    Boundaries are the middles of the discs; 0 above C1 and below L5.
    """
    level = np.floor(build_frame(person).at("level", z_mm) + 1e-6).astype(int)
    return np.where((level >= 1) & (level <= N_VERTEBRAE), level, 0)


def pmj_mm(person: Person) -> tuple[float, float, float]:
    """World coordinates of the pontomedullary junction: front of the brain stem under the pons."""
    frame = build_frame(person)
    z = person.pmj_above_c2c3_mm
    return (
        float(frame.at("x", z)),
        float(frame.at("y", z) + frame.at("cord_ry", z)),
        z,
    )


def cord_range_mm(person: Person) -> tuple[float, float]:
    """Lowest (conus tip) and highest (foramen magnum) height of the cord, in mm."""
    frame = build_frame(person)
    return float(frame.z_of_level(person.conus_level)), float(frame.z_of_level(SKULL_LEVEL))
