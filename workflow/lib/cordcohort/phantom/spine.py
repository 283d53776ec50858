"""Vertebrae, discs, ligaments, facets, foramina, nerve roots and the skull base of the phantom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordcohort.phantom.frame import MIN_BULGE, SKULL_LEVEL, Frame
from cordcohort.phantom.grid import Points
from cordcohort.phantom.tissues import Tissue

Array = NDArray[Any]

LAST_LEVEL = 25.0
BODY_EXPONENT = np.float32(2.8)
SHELL_MM = 1.0
END_PLATE_SHARE = 0.045
DENS_RADIUS_MM = 5.0
DENS_IN_FRONT_MM = 6.0
PILLAR_RADIUS_MM = (6.5, 7.5)
LAMINA_MM = 4.5
FLAVUM_MM = 2.2
GANGLION_RADIUS_MM = 2.6
ROOT_RADIUS_MM = 1.6
ROOT_REACH_MM = 20.0
FIRST_SPINOUS_LEVEL = 2.0
FIRST_PILLAR_LEVEL = 1.9
FIRST_BODY_LEVEL = 2.3
FIRST_DISC_LEVEL = 2.7
INTERSPINOUS_HALF_MM = 2.0
LAMINA_SHARE = (0.38, 0.92)
"""Part of a vertebra's height, from its upper disc (0) to its lower disc (1)."""
PEDICLE_SHARE = (0.14, 0.55)
PEDICLE_IN_FRONT_MM = 5.0
PEDICLE_REACH_MM = 8.0
PILLAR_CORE = 0.84
JOINT_SHARE = 0.045
NUCLEUS_RADIAL = 0.3
DENS_LEVELS = (1.05, 2.45)
ATLAS_LEVELS = (1.1, 1.9)
ATLAS_ARCH_SHARE = (0.22, 0.78)
ATLAS_ARCH_FROM_MM = 2.0
ATLAS_ARCH_HALF = 0.12
SKULL_SHELL_MM = 1.5
BRAIN_RADIAL = 0.94
MIN_FOSSA_SHARE = 0.25
CEREBELLUM_FRONT_MM = 3.0
PETROUS_MM = (6.0, 13.0)
"""Petrous bone: further to the front and further from the middle than this."""
FOSSA_RADIUS_MM = (48.0, 42.0)
FOSSA_BEHIND_MM = 20.0
CISTERN_MM = 3.0
SKULL_MM = 7.0
PONS_RADIUS_MM = (15.0, 11.0, 13.0)
PONS_IN_FRONT_MM = 7.0
PONS_ABOVE_PMJ_MM = 12.5


@dataclass(frozen=True)
class _Local:
    """Quantities that several parts of the spine share."""

    side: Array
    ahead: Array
    behind: Array
    level: Array
    share: Array
    bone_rx: Array
    bone_ry: Array
    bone_y: Array
    outside: Array


def _local(frame: Frame, points: Points) -> _Local:
    columns = frame.columns
    rx, ry = columns["bone_rx"][points.row], columns["bone_ry"][points.row]
    by, level = columns["bone_y"][points.row], columns["level"][points.up]
    side = np.abs(points.u)
    from_middle = points.v - by
    rho = np.sqrt((side / rx) ** 2 + (from_middle / ry) ** 2)
    return _Local(
        side=side,
        ahead=from_middle - ry,
        behind=-from_middle - ry,
        level=level,
        share=level - np.floor(level),
        bone_rx=rx,
        bone_ry=ry,
        bone_y=by,
        outside=(rho - 1.0) * np.where(from_middle < 0.0, np.minimum(rx, ry), ry),
    )


def _within(values: Array, window: tuple[float, float]) -> Array:
    """Whether values lie inside an open interval."""
    return (values > window[0]) & (values < window[1])


def paint_spine(frame: Frame, points: Points, out: Array) -> None:
    """Write the spine's tissues into `out` where they are; the canal comes later.

    Parameters
    ----------
    frame : Frame
        A person's table.
    points : Points
        N points near the spine.
    out : array of uint8, shape (N,)
        Changed in place.
    """
    here = _local(frame, points)
    spinal = (here.level >= 1.0) & (here.level < LAST_LEVEL)
    _paint_posterior(frame, points, here, spinal, out)
    _paint_lateral(points, here, spinal, out)
    _paint_bodies(frame, points, here, spinal, out)
    _paint_atlas_and_dens(points, here, out)


def _paint_posterior(frame: Frame, points: Points, here: _Local, spinal: Array, out: Array) -> None:
    """Laminae, spinous processes and the ligaments between them."""
    length = frame.columns["spinous_mm"][points.row]
    back = spinal & (points.v < here.bone_y)
    slanted = here.level - 0.02 * np.maximum(here.behind, 0.0)
    share = slanted - np.floor(slanted)
    midline = (
        back & (here.behind > 0.0) & (here.behind < length) & (here.level > FIRST_SPINOUS_LEVEL)
    )
    out[midline & (here.side < INTERSPINOUS_HALF_MM)] = Tissue.LIGAMENT
    flavum = back & (here.outside > 0.0) & (here.outside < FLAVUM_MM) & (here.side < here.bone_rx)
    out[flavum] = Tissue.LIGAMENT
    lamina = back & (here.outside > 0.0) & (here.outside < LAMINA_MM)
    lamina &= _within(here.share, LAMINA_SHARE) & (here.side < here.bone_rx + LAMINA_MM)
    out[lamina] = Tissue.CORTICAL_BONE
    inner = _within(here.outside, (SHELL_MM, LAMINA_MM - SHELL_MM))
    out[lamina & inner] = Tissue.POSTERIOR_ARCH
    half = 0.24 - 0.004 * here.behind
    width = 2.6 + 1.6 * (here.behind > length - 6.0)
    process = midline & (np.abs(share - 0.62) < half) & (here.side < width)
    out[process] = Tissue.CORTICAL_BONE
    out[process & (here.side < width - SHELL_MM) & (np.abs(share - 0.62) < half - 0.05)] = (
        Tissue.POSTERIOR_ARCH
    )


def _paint_lateral(points: Points, here: _Local, spinal: Array, out: Array) -> None:
    """Articular pillars with facet joints, pedicles, foramina with ganglion and nerve root."""
    radius_u, radius_v = PILLAR_RADIUS_MM
    du = here.side - here.bone_rx - radius_u + 0.5
    dv = points.v - here.bone_y + 0.35 * here.bone_ry
    rho = np.sqrt((du / radius_u) ** 2 + (dv / radius_v) ** 2)
    pillar = spinal & (rho < 1.0) & (here.outside > 0.0) & (here.level > FIRST_PILLAR_LEVEL)
    out[pillar] = Tissue.CORTICAL_BONE
    out[pillar & (rho < PILLAR_CORE)] = Tissue.POSTERIOR_ARCH
    joint = here.share + 0.035 * dv
    out[pillar & (np.abs(joint - np.rint(joint)) < JOINT_SHARE)] = Tissue.FACET
    lateral = spinal & (here.side > here.bone_rx - 1.5) & (here.outside > 0.0)
    lateral &= here.level > FIRST_BODY_LEVEL
    between = (
        lateral & (points.v > here.bone_y - 0.2 * here.bone_ry) & (here.ahead < PEDICLE_IN_FRONT_MM)
    )
    near = between & (here.side < here.bone_rx + PEDICLE_REACH_MM)
    out[near & (rho >= 1.0)] = Tissue.FAT
    out[near & _within(here.share, PEDICLE_SHARE)] = Tissue.POSTERIOR_ARCH
    _paint_roots(points, here, lateral, out)


def _paint_roots(points: Points, here: _Local, lateral: Array, out: Array) -> None:
    from_disc = (here.level - np.rint(here.level)) * 17.0
    outward = here.side - here.bone_rx
    dv = points.v - here.bone_y - 0.35 * here.bone_ry - 0.3 * outward
    down = from_disc - 0.5 * outward + 2.0
    distance = np.sqrt(dv * dv + down * down)
    out[lateral & (outward < ROOT_REACH_MM) & (distance < ROOT_RADIUS_MM)] = Tissue.NERVE_ROOT
    along = (outward - 4.0) / 1.8
    ganglion = np.sqrt(dv * dv + (down * 0.8) ** 2 + along * along)
    out[lateral & (ganglion < GANGLION_RADIUS_MM)] = Tissue.NERVE_ROOT


def _paint_bodies(frame: Frame, points: Points, here: _Local, spinal: Array, out: Array) -> None:
    columns = frame.columns
    depth, width = columns["body_ap_mm"][points.row], columns["body_rl_mm"][points.row]
    waist = 1.0 - 0.06 * np.sin(np.pi * here.share) ** 2
    radial = np.abs(here.side / (0.5 * width * waist)) ** BODY_EXPONENT
    radial += np.abs((here.ahead - 0.5 * depth) / (0.5 * depth * waist)) ** BODY_EXPONENT
    whole = spinal & (radial < 1.0) & (here.level > FIRST_BODY_LEVEL)
    from_disc = np.abs(here.level - np.rint(here.level))
    half = frame.person.disc_share
    is_disc = (from_disc < half) & (here.level > FIRST_DISC_LEVEL)
    shell = (1.0 - 2.0 * SHELL_MM / depth) ** BODY_EXPONENT
    out[whole] = Tissue.CORTICAL_BONE
    out[whole & (radial < shell) & (from_disc > half + END_PLATE_SHARE)] = Tissue.MARROW
    out[whole & (here.level < FIRST_DISC_LEVEL) & (radial < shell)] = Tissue.MARROW
    out[whole & is_disc] = Tissue.DISC_ANNULUS
    out[whole & is_disc & (radial < NUCLEUS_RADIAL)] = Tissue.DISC_NUCLEUS
    bulge = spinal & (np.abs(here.ahead + 0.5 * here.bone_ry) <= 0.5 * here.bone_ry)
    bulge &= columns["depth"][points.row] > MIN_BULGE
    out[bulge & (here.side < 0.9 * here.bone_rx)] = Tissue.DISC_ANNULUS


def _paint_atlas_and_dens(points: Points, here: _Local, out: Array) -> None:
    dens = np.sqrt(here.side**2 + (here.ahead - DENS_IN_FRONT_MM) ** 2)
    tall = _within(here.level, DENS_LEVELS)
    out[tall & (dens < DENS_RADIUS_MM)] = Tissue.CORTICAL_BONE
    out[tall & (dens < DENS_RADIUS_MM - SHELL_MM)] = Tissue.MARROW
    atlas = _within(here.level, ATLAS_LEVELS)
    ring = np.sqrt((here.side / 20.0) ** 2 + ((here.ahead + 4.0) / 18.5) ** 2)
    front = atlas & _within(here.share, ATLAS_ARCH_SHARE) & (here.ahead > ATLAS_ARCH_FROM_MM)
    out[front & (np.abs(ring - 1.0) < ATLAS_ARCH_HALF)] = Tissue.POSTERIOR_ARCH
    du, dv = here.side - here.bone_rx - 7.0, points.v - here.bone_y - 0.5 * here.bone_ry
    mass = np.sqrt((du / 7.5) ** 2 + (dv / 8.5) ** 2)
    out[atlas & (mass < 1.0)] = Tissue.CORTICAL_BONE
    out[atlas & (mass < PILLAR_CORE)] = Tissue.POSTERIOR_ARCH


def paint_skull_base(frame: Frame, points: Points, out: Array) -> None:
    """Write skull, posterior fossa, cerebellum, brain stem and pons above the foramen magnum."""
    level = frame.columns["level"][points.row]
    open_share = np.sqrt(np.clip((SKULL_LEVEL - level) / 1.6, 0.0, 1.0))
    sac_rx, sac_ry = frame.columns["sac_rx"][points.row], frame.columns["sac_ry"][points.row]
    rx = np.maximum(FOSSA_RADIUS_MM[0] * open_share, sac_rx)
    ry = np.maximum(FOSSA_RADIUS_MM[1] * open_share, sac_ry)
    dv = points.v + FOSSA_BEHIND_MM * open_share
    rho = np.sqrt((points.u / rx) ** 2 + (dv / ry) ** 2)
    above = level < SKULL_LEVEL
    wall = (rho - 1.0) * np.minimum(rx, ry)
    out[above & (wall < SKULL_MM)] = Tissue.SKULL
    out[above & _within(wall, (SKULL_SHELL_MM, SKULL_MM - SKULL_SHELL_MM))] = Tissue.MARROW
    out[above & (rho < 1.0)] = Tissue.CSF
    stem = np.hypot(points.u, np.minimum(points.v, 0.0)) - frame.columns["cord_rx"][points.row]
    folia = 0.8 * np.sin(points.z * 1.6 + 0.15 * np.abs(points.u))
    brain = above & (rho < BRAIN_RADIAL) & (stem > CISTERN_MM + folia)
    brain &= open_share > MIN_FOSSA_SHARE
    out[brain & (points.v < CEREBELLUM_FRONT_MM)] = Tissue.CEREBELLUM
    out[brain & (points.v > PETROUS_MM[0]) & (np.abs(points.u) > PETROUS_MM[1])] = Tissue.SKULL
    out[brain & (points.v > PETROUS_MM[0] + 2.0) & (np.abs(points.u) > PETROUS_MM[1] + 3.0)] = (
        Tissue.MARROW
    )
    pmj = frame.person.pmj_above_c2c3_mm
    pu, pv, pz = PONS_RADIUS_MM
    pons = (points.u / pu) ** 2 + ((points.v - PONS_IN_FRONT_MM) / pv) ** 2
    pons += ((points.z - pmj - PONS_ABOVE_PMJ_MM) / pz) ** 2
    out[above & (pons < 1.0) & (points.z > pmj)] = Tissue.BRAINSTEM
