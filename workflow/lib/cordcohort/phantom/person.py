"""One person of the phantom: every number that decides a shape, and how such numbers are drawn.

A `Person` is frozen and hashable; the derived geometry is cached in `cordcohort.phantom.frame`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cordcohort.phantom.central_canal import CentralCanal

N_VERTEBRAE = 24
"""C1 to C7, T1 to T12, L1 to L5: vertebra number 1 is C1."""
N_SHAPE_KNOTS = 9
"""Knots, spread evenly along the cord, of each person's own deviation from the mean profile."""
N_SLOPE_KNOTS = 8
N_WAVES = 6
N_ROOTLET_LEVELS = 7
"""Dorsal rootlets C2 to C8."""


@dataclass(frozen=True)
class Compression:
    """A disc or osteophyte that flattens the cord from the front.

    Attributes
    ----------
    level : float
        Place along the spine in level units: 6.0 is the disc C5/C6 (the disc above vertebra 6).
    depth : float
        0 none to 1 severe.
    length_mm : float
        Standard deviation of its extent along the cord.
    side : float
        Lateral place as a share of the cord's half width, negative left.
    """

    level: float
    depth: float
    length_mm: float
    side: float


@dataclass(frozen=True)
class Lesion:
    """An ellipsoidal lesion inside the cord; position relative to the cord's axis in mm."""

    x_mm: float
    y_mm: float
    z_mm: float
    radius_x_mm: float
    radius_y_mm: float
    radius_z_mm: float
    roughness: float


@dataclass(frozen=True)
class Blob:
    """An ellipsoid of any tissue outside the canal, put there to distract a network."""

    tissue: int
    x_mm: float
    y_mm: float
    z_mm: float
    radius_x_mm: float
    radius_y_mm: float
    radius_z_mm: float


@dataclass(frozen=True)
class Person:
    """All shape parameters of one person (lengths in mm, scales relative to the mean adult)."""

    vertebra_mm: tuple[float, ...]
    pmj_above_c2c3_mm: float
    slope_ap: tuple[float, ...]
    slope_rl: tuple[float, ...]
    cord_ap_scale: float
    cord_rl_scale: float
    cord_ap_waves: tuple[float, ...]
    cord_rl_waves: tuple[float, ...]
    cord_exponent: float
    dorsal_flattening: float
    grey_scale: float
    dorsal_horn_spread: float
    ventral_horn_width: float
    canal_ap_scale: float
    canal_rl_scale: float
    cord_offset_ap: tuple[float, ...]
    cord_offset_rl: tuple[float, ...]
    epidural_mm: tuple[float, float, float]
    body_scale: float
    disc_share: float
    neck_scale_rl: float
    neck_scale_ap: float
    fat_mm: float
    muscle_scale: float
    airway_scale: float
    vessel_scale: float
    wave_phase: tuple[float, ...]
    wave_mm: float
    conus_level: float
    rootlet_shift_mm: tuple[float, ...]
    rootlet_length_scale: float
    rootlet_count: int
    compressions: tuple[Compression, ...] = ()
    lesions: tuple[Lesion, ...] = ()
    blobs: tuple[Blob, ...] = ()
    implant_levels: tuple[float, ...] = ()
    central_canal: CentralCanal | None = None


def draw_person(
    rng: np.random.Generator,
    *,
    compression: bool = False,
    lesion: bool = False,
    implant: bool = False,
    distractors: int = 0,
    lesion_diameter_mm: tuple[float, float] = (2.0, 9.0),
    levels: tuple[float, float] = (3.5, 8.0),
) -> Person:
    """Draw one person with the spread that adults show.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of every number; the same state gives the same person.
    compression, lesion, implant : bool
        Whether the person has one or two compressions, one or two lesions, an implant.
    distractors : int
        Number of additional ellipsoids of random tissue around the spine.
    lesion_diameter_mm : tuple of float
        Smallest and largest lesion diameter across the cord, in mm.
    levels : tuple of float
        Range of level units (3 = disc C2/C3, 8 = C7/T1) in which damage is placed.

    Returns
    -------
    Person
        Frozen, hashable parameters.

    Examples
    --------
    >>> import numpy as np
    >>> draw_person(np.random.default_rng(1)) == draw_person(np.random.default_rng(1))
    True
    """
    size = float(np.clip(rng.normal(1.0, 0.06), 0.84, 1.16))
    heights = _vertebra_heights(rng, size)
    chosen = (
        tuple(_draw_compression(rng, levels) for _ in range(int(rng.integers(1, 3))))
        if compression
        else ()
    )
    lesions = draw_lesions(rng, heights, levels, lesion_diameter_mm) if lesion else ()
    blobs = tuple(_draw_blob(rng) for _ in range(distractors))
    implants = (float(rng.uniform(*levels)),) if implant else ()
    return Person(
        vertebra_mm=heights,
        pmj_above_c2c3_mm=float(rng.normal(57.0, 2.5) * size),
        compressions=chosen,
        lesions=lesions,
        blobs=blobs,
        implant_levels=implants,
        **_draw_cord(rng),
        **_draw_surroundings(rng, size),
    )


def _normals(rng: np.random.Generator, n: int, sd: float, bound: float = 2.5) -> tuple[float, ...]:
    """`n` normal numbers of standard deviation `sd`, cut at `bound` standard deviations."""
    return tuple(float(v) * sd for v in np.clip(rng.standard_normal(n), -bound, bound))


def _scale(rng: np.random.Generator, sd: float) -> float:
    return 1.0 + _normals(rng, 1, sd)[0]


def _vertebra_heights(rng: np.random.Generator, size: float) -> tuple[float, ...]:
    """Height of each vertebra with the disc below it, C1 to L5, in mm."""
    cervical = np.array([15.0, 21.0, 17.0, 16.8, 16.6, 16.8, 18.0])
    thoracic = np.linspace(19.5, 27.0, 12)
    lumbar = np.linspace(31.0, 34.0, 5)
    mean = np.concatenate([cervical, thoracic, lumbar])
    own = 1.0 + np.array(_normals(rng, N_VERTEBRAE, 0.025))
    return tuple(float(h) for h in mean * own * size)


def _draw_cord(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "slope_ap": _normals(rng, N_SLOPE_KNOTS, 0.07),
        "slope_rl": _normals(rng, N_SLOPE_KNOTS, 0.03),
        "cord_ap_scale": _scale(rng, 0.065),
        "cord_rl_scale": _scale(rng, 0.06),
        "cord_ap_waves": _normals(rng, N_SHAPE_KNOTS, 0.03),
        "cord_rl_waves": _normals(rng, N_SHAPE_KNOTS, 0.03),
        "cord_exponent": float(rng.uniform(1.95, 2.45)),
        "dorsal_flattening": float(rng.uniform(0.0, 0.12)),
        "grey_scale": _scale(rng, 0.08),
        "dorsal_horn_spread": _scale(rng, 0.12),
        "ventral_horn_width": _scale(rng, 0.12),
        "canal_ap_scale": _scale(rng, 0.08),
        "canal_rl_scale": _scale(rng, 0.06),
        "cord_offset_ap": _normals(rng, N_SHAPE_KNOTS, 0.4),
        "cord_offset_rl": _normals(rng, N_SHAPE_KNOTS, 0.25),
        "conus_level": float(np.clip(rng.normal(20.6, 0.5), 19.4, 21.9)),
        "rootlet_shift_mm": _normals(rng, N_ROOTLET_LEVELS, 1.0),
        "rootlet_length_scale": _scale(rng, 0.1),
        "rootlet_count": int(rng.integers(4, 8)),
    }


def _draw_surroundings(rng: np.random.Generator, size: float) -> dict[str, Any]:
    epidural = (rng.uniform(0.4, 1.0), rng.uniform(0.6, 2.8), rng.uniform(0.8, 2.2))
    return {
        "epidural_mm": tuple(float(v) for v in epidural),
        "body_scale": size * _scale(rng, 0.06),
        "disc_share": float(rng.uniform(0.11, 0.18)),
        "neck_scale_rl": size * _scale(rng, 0.1),
        "neck_scale_ap": size * _scale(rng, 0.1),
        "fat_mm": float(rng.uniform(2.5, 14.0)),
        "muscle_scale": 1.1 * size * _scale(rng, 0.08),
        "airway_scale": _scale(rng, 0.2),
        "vessel_scale": _scale(rng, 0.15),
        "wave_phase": tuple(float(v) for v in rng.uniform(0.0, 2.0 * np.pi, N_WAVES)),
        "wave_mm": float(rng.uniform(0.8, 2.5)),
    }


def _draw_compression(rng: np.random.Generator, levels: tuple[float, float]) -> Compression:
    lowest, highest = int(np.ceil(levels[0])), int(np.floor(levels[1]))
    disc = float(rng.integers(lowest, highest + 1))
    return Compression(
        level=disc,
        depth=float(rng.uniform(0.3, 1.0)),
        length_mm=float(rng.uniform(2.5, 6.0)),
        side=_normals(rng, 1, 0.2)[0],
    )


def height_of_level(vertebra_mm: tuple[float, ...], level: float) -> float:
    """Height above the disc C2/C3, in mm, of a place given in level units.

    Parameters
    ----------
    vertebra_mm : tuple of float
        Height of each vertebra, C1 first.
    level : float
        3.0 is the disc C2/C3, 3.5 the middle of C3, 8.0 the disc C7/T1.

    Returns
    -------
    float
        Distance along the spine's axis, positive above C2/C3.

    Examples
    --------
    >>> height_of_level((10.0,) * 24, 4.5)
    -15.0
    """
    edges = np.concatenate([[0.0], np.cumsum(vertebra_mm)])
    below_top = np.interp(level - 1.0, np.arange(N_VERTEBRAE + 1), edges)
    return float(edges[2] - below_top)


def draw_lesions(
    rng: np.random.Generator,
    heights: tuple[float, ...],
    levels: tuple[float, float],
    diameter_mm: tuple[float, float],
) -> tuple[Lesion, ...]:
    """One or two lesions at random places among some levels."""
    lesions = []
    for _ in range(int(rng.integers(1, 3))):
        width = float(rng.uniform(*diameter_mm)) / 2.0
        lesions.append(
            Lesion(
                x_mm=_normals(rng, 1, 1.5, bound=2.0)[0],
                y_mm=_normals(rng, 1, 0.9, bound=2.0)[0],
                z_mm=height_of_level(heights, float(rng.uniform(*levels))),
                radius_x_mm=width,
                radius_y_mm=width * float(rng.uniform(0.6, 1.0)),
                radius_z_mm=width * float(rng.uniform(1.2, 4.0)),
                roughness=float(rng.uniform(0.0, 0.3)),
            )
        )
    return tuple(lesions)


def _draw_blob(rng: np.random.Generator) -> Blob:
    """Draw a tube or a ball anywhere in the neck; the canal is drawn over it afterwards."""
    tissues = (12, 14, 20, 24, 28, 30, 31, 32, 33, 40)
    radius = float(rng.uniform(2.0, 9.0))
    stretch = rng.uniform([0.7, 0.7, 0.6], [1.4, 1.4, 6.0])
    place = rng.uniform([-55.0, -55.0, -130.0], [55.0, 60.0, 50.0])
    return Blob(int(rng.choice(tissues)), *map(float, place), *map(float, radius * stretch))
