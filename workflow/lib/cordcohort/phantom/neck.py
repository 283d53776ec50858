"""What surrounds the spine: skin, fat, muscles, vessels, airway, oesophagus, glands, lungs, organs.

The structures are tubes that run along the spine: a centre and two radii at a few levels each. The
numbers are round figures of adult anatomy; every person scales them and bends them by waves.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cordcohort.phantom.frame import Frame, build_frame
from cordcohort.phantom.grid import Points
from cordcohort.phantom.person import Person
from cordcohort.phantom.tissues import Tissue

Array = NDArray[Any]

SKIN_MM = 1.8
OUTLINE_EXPONENT = np.float32(2.2)
TUBE_EXPONENT = np.float32(2.4)
END_LEVELS = 0.25
"""Over this many levels the radius of a tube runs to nothing at its ends."""
WAVE_LENGTHS_MM: Final = (55.0, 42.0, 17.0)
RIPPLE_SHARE = 0.4
STILL_MM = 15.0
GROWTH_MM = 20.0
"""No wave within `STILL_MM` of the cord's axis; full waves `GROWTH_MM` further out."""


@dataclass(frozen=True)
class Tube:
    """A structure along the spine.

    Attributes
    ----------
    tissue : Tissue
        What it is made of.
    knots : tuple of tuples
        Level, centre u, centre v, radius u, radius v (mm); increasing levels.
    sides : str
        ``both`` for a mirrored pair, ``one`` for a single structure.
    anchor : str
        ``axis``: v counts from the cord's axis; ``body``: from the front of the vertebral body.
    scale : str
        Which of the person's scales applies: ``muscle``, ``airway`` or ``vessel``.
    """

    tissue: Tissue
    knots: tuple[tuple[float, float, float, float, float], ...]
    sides: str = "both"
    anchor: str = "axis"
    scale: str = "muscle"


T = Tissue
TUBES: Final[tuple[Tube, ...]] = (
    Tube(T.MUSCLE_VENTRAL, ((-1.0, 30, 40, 27, 22), (2.6, 28, 38, 22, 18))),
    Tube(T.MUSCLE_DORSAL, ((0.5, 22, -50, 20, 9), (5, 28, -49, 26, 8), (8, 44, -48, 42, 9),
                           (14, 36, -55, 34, 6))),
    Tube(T.MUSCLE_DORSAL, ((0.0, 32, -36, 11, 11), (3, 29, -35, 14, 9), (7, 22, -38, 15, 8))),
    Tube(T.MUSCLE_DORSAL, ((0.4, 14, -41, 12.5, 9.5), (4, 14.5, -38, 13, 8), (8, 15, -36, 12, 7))),
    Tube(T.MUSCLE_DEEP, ((1.9, 12, -22, 11, 11), (5, 13, -23, 12, 12), (8, 14, -26, 13, 12),
                         (14, 16, -32, 16, 15), (20, 22, -42, 20, 20), (25, 22, -44, 19, 19))),
    Tube(T.MUSCLE_DEEP, ((0.8, 15, -24, 14, 10), (1.9, 19, -19, 12, 10))),
    Tube(T.MUSCLE_LATERAL, ((9, 36, -34, 16, 15), (20, 50, -38, 19, 19), (25, 46, -40, 14, 17))),
    Tube(T.MUSCLE_LATERAL, ((1.2, 33, -9, 10, 12), (4, 37, -15, 10, 13), (8, 52, -26, 12, 13))),
    Tube(T.MUSCLE_LATERAL, ((2.4, 27, 3, 7, 9), (5, 31, 3, 9, 11), (8, 40, 8, 13, 12))),
    Tube(T.MUSCLE_LATERAL, ((0.0, 52, -6, 9, 15), (2.5, 47, 6, 8.5, 17), (5, 43, 20, 8.5, 16),
                            (8, 26, 40, 9, 10))),
    Tube(T.MUSCLE_VENTRAL, ((0.6, 10, 3, 8.5, 4), (4, 10, 3, 8.5, 4.5), (9, 9, 2, 7, 3.5)),
         anchor="body"),
    Tube(T.MUSCLE_VENTRAL, ((4.3, 13, 33, 10, 4), (8.3, 13, 35, 10, 4)), anchor="body"),
    Tube(T.MUSCLE_VENTRAL, ((19, 34, -16, 13, 14), (22, 42, -14, 20, 20), (26, 50, -4, 24, 24)),
         anchor="body"),
    Tube(T.CORTICAL_BONE, ((-0.5, 47, 34, 5.5, 15), (1.8, 44, 38, 6, 15), (2.8, 30, 56, 10, 10))),
    Tube(T.MARROW, ((-0.3, 47, 34, 3.2, 12), (1.8, 44, 38, 3.8, 12.5), (2.7, 30, 56, 7, 7.5))),
    Tube(T.MUSCLE_LATERAL, ((8.6, 95, -20, 55, 26), (12, 110, -40, 40, 14), (14, 110, -40, 20, 8))),
    Tube(T.LUNG, ((8.5, 42, 10, 22, 26), (10, 65, 18, 48, 62), (14, 78, 34, 56, 80),
                  (18, 88, 20, 45, 60), (19.5, 92, -10, 25, 30)), scale="airway"),
    Tube(T.ORGAN, ((12, -12, 80, 45, 35), (16.5, 25, 75, 55, 40)), sides="one"),
    Tube(T.ORGAN, ((16.5, 75, 40, 55, 70), (21, 80, 50, 45, 60)), sides="one"),
    Tube(T.ORGAN, ((19, 58, 5, 22, 26), (22.5, 62, 8, 22, 24))),
    Tube(T.GLAND, ((0.4, 54, 12, 9, 13), (2.4, 50, 20, 7, 12))),
    Tube(T.GLAND, ((2.8, 26, 30, 9, 9), (3.7, 25, 28, 8, 9)), anchor="body"),
    Tube(T.GLAND, ((5.8, 16, 20, 7, 10), (8.2, 17, 18, 9, 11)), anchor="body", scale="airway"),
    Tube(T.TONGUE, ((0.8, 0, 42, 19, 16), (3.0, 0, 36, 17, 17)), sides="one", anchor="body"),
    Tube(T.OESOPHAGUS, ((4.6, 0, 5.5, 11, 3), (6.5, -3, 6, 8, 4), (9, -4, 7, 8, 5),
                        (14, -6, 9, 9, 7), (18.5, -8, 18, 10, 8)), sides="one", anchor="body"),
    Tube(T.CARTILAGE, ((0.2, 0, 12, 14, 8), (4.2, 0, 13, 16, 8), (5, 0, 20, 17, 13),
                       (6.5, 0, 20, 12, 12), (9, 0, 22, 11, 11), (12, 0, 30, 11, 11)),
         sides="one", anchor="body", scale="airway"),
    Tube(T.AIRWAY, ((-2, 0, 14, 12, 10), (0.2, 0, 12, 12, 6), (3.2, 0, 10, 13, 4),
                    (4.2, 0, 13, 13, 5.5), (5.2, 0, 20, 6, 10), (6.5, 0, 20, 9.5, 9.5),
                    (9, 0, 22, 8.5, 9), (12, 0, 30, 9, 8.5)),
         sides="one", anchor="body", scale="airway"),
    Tube(T.AIRWAY, ((-5, 7, 52, 4, 24), (0.0, 8, 50, 4, 22)), anchor="body", scale="airway"),
    Tube(T.AIRWAY, ((0.6, 0, 42, 12, 3), (1.0, 0, 40, 14, 2.5)), sides="one", anchor="body"),
    Tube(T.ARTERY, ((-1, 22, 12, 2.4, 2.4), (4, 24, 9, 3.6, 3.6), (8, 21, 14, 3.6, 3.6),
                    (9.5, 14, 20, 4.5, 4.5)), anchor="body", scale="vessel"),
    Tube(T.ARTERY, ((3.0, 27, 18, 2.2, 2.2), (4.2, 26, 14, 2.2, 2.2)), anchor="body",
         scale="vessel"),
    Tube(T.VEIN, ((-0.5, 27, 6, 3.5, 4), (4, 31, 7, 5.5, 4.5), (8, 29, 16, 7, 5.5),
                  (9.5, 22, 26, 7, 7)), anchor="body", scale="vessel"),
    Tube(T.VEIN, ((2.5, 50, 26, 1.8, 2.6), (7.5, 46, 14, 2.0, 2.6)), scale="vessel"),
    Tube(T.ARTERY, ((1.0, 20.5, 6, 2.0, 2.0), (2.1, 21, 6, 2.0, 2.0), (3, 18.5, 9, 1.9, 1.9),
                    (7, 19, 11, 1.9, 1.9), (8.4, 20, 16, 2.2, 2.2)), scale="vessel"),
    Tube(T.VEIN, ((1.2, 18.0, 8, 1.6, 2.0), (7, 16.5, 12.5, 1.4, 1.8)), scale="vessel"),
    Tube(T.ARTERY, ((11.2, -18, 4, 12, 12), (16, -12, 10, 11, 11), (20, -6, 12, 10, 10),
                    (23.5, -3, 12, 8.5, 8.5)), sides="one", anchor="body", scale="vessel"),
    Tube(T.VEIN, ((18, 20, 14, 12, 10), (24, 15, 11, 11, 9)), sides="one", anchor="body",
         scale="vessel"),
    Tube(T.LYMPH_NODE, ((3.3, 38, 2, 3.2, 2.6), (3.8, 37, 1, 3.0, 2.4))),
    Tube(T.LYMPH_NODE, ((5.1, 44, -2, 2.6, 3.2), (5.5, 44, -3, 2.8, 3.0))),
)  # fmt: skip


@lru_cache(maxsize=64)
def _tube_columns(person: Person) -> tuple[tuple[Array, Array, Array, Array], ...]:
    """Centre and radii of every tube at every row of the person's table, float32."""
    columns = build_frame(person).columns
    level = columns["level"]
    front = columns["bone_y"] + columns["bone_ry"] + columns["body_ap_mm"]
    scales = {
        "muscle": person.muscle_scale,
        "airway": person.airway_scale,
        "vessel": person.vessel_scale,
    }
    tables = []
    for tube in TUBES:
        knots = np.array(tube.knots)
        u, v, ru, rv = (np.interp(level, knots[:, 0], knots[:, k]) for k in range(1, 5))
        end = np.minimum(level - knots[0, 0], knots[-1, 0] - level) / END_LEVELS + 0.5
        taper = np.sqrt(np.clip(end, 0.0, 1.0)) * scales[tube.scale]
        ahead = v * person.neck_scale_ap + (front if tube.anchor == "body" else 0.0)
        table = (u * person.neck_scale_rl, ahead, ru * taper, rv * taper)
        tables.append(tuple(np.ascontiguousarray(a, dtype=np.float32) for a in table))
    return tuple(tables)


def paint_body(frame: Frame, points: Points, out: Array) -> Array:
    """Write skin, subcutaneous fat and fat; return which points lie inside the body.

    Parameters
    ----------
    frame : Frame
        A person's table.
    points : Points
        N points.
    out : array of uint8, shape (N,)
        Changed in place.

    Returns
    -------
    array of bool, shape (N,)
        True inside the skin.
    """
    columns = frame.columns
    rx, ry = columns["outline_rx"][points.row], columns["outline_ry"][points.row]
    ahead = points.v - columns["outline_y"][points.row]
    radial = np.abs(points.u / rx) ** OUTLINE_EXPONENT + np.abs(ahead / ry) ** OUTLINE_EXPONENT
    body = radial < 1.0
    depth = (1.0 - np.sqrt(radial)) * np.minimum(rx, ry)
    behind = 1.0 + 0.6 * np.clip(-ahead / ry, 0.0, 1.0)
    fat = depth < frame.person.fat_mm * behind
    out[body] = Tissue.FAT
    out[body & fat] = Tissue.SUBCUTANEOUS_FAT
    out[body & (depth < SKIN_MM)] = Tissue.SKIN
    return body & ~fat


def paint_tubes(frame: Frame, points: Points, out: Array) -> None:
    """Write muscles, vessels, airway and organs into points that lie within the fascia."""
    person = frame.person
    u, v = _waved(person, points)
    side = np.abs(u)
    present = slice(int(points.row.min()), int(points.row.max()) + 1)
    for tube, columns in zip(TUBES, _tube_columns(person), strict=True):
        cu, cv, ru, rv = columns
        if not np.any(ru[present] > 0.0):
            continue
        index = _near(columns, side if tube.sides == "both" else u, v, present)
        if index.size == 0:
            continue
        row = points.row[index]
        across = side[index] if tube.sides == "both" else u[index]
        tiny = np.float32(1e-3)
        radial = np.abs((across - cu[row]) / (ru[row] + tiny)) ** TUBE_EXPONENT
        radial += np.abs((v[index] - cv[row]) / (rv[row] + tiny)) ** TUBE_EXPONENT
        out[index[radial < 1.0]] = tube.tissue


def _near(columns: tuple[Array, ...], across: Array, v: Array, present: slice) -> Array:
    """Indices of the points within the box that holds the tube over the rows present."""
    cu, cv, ru, rv = (c[present] for c in columns)
    box = (across > (cu - ru).min()) & (across < (cu + ru).max())
    box &= (v > (cv - rv).min()) & (v < (cv + rv).max())
    return np.flatnonzero(box)


def _waved(person: Person, points: Points) -> tuple[Array, Array]:
    """Shift positions by slow waves, growing from nothing at the spine, so no one is symmetric."""
    p0, p1, p2, p3, p4, p5 = person.wave_phase
    long, short, ripple = (2.0 * np.pi / w for w in WAVE_LENGTHS_MM)
    far = np.clip((np.hypot(points.u, points.v) - STILL_MM) / GROWTH_MM, 0.0, 1.0) * person.wave_mm
    fine_u = RIPPLE_SHARE * np.sin(points.v * ripple + points.u * long + p4)
    fine_v = RIPPLE_SHARE * np.sin(points.u * ripple - points.v * long + p5)
    u = points.u + far * (np.sin(points.z * long + p0) + np.sin(points.v * short + p1) + fine_u)
    v = points.v + far * (np.sin(points.z * short + p2) + np.sin(points.u * long + p3) + fine_v)
    return u.astype(np.float32), v.astype(np.float32)
