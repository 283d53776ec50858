"""True values slice by slice, and point and level labels, of a scan on its own grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordcohort.phantom.acquisition import Acquisition
from cordcohort.phantom.frame import SKULL_LEVEL, build_frame
from cordcohort.phantom.person import Person
from cordcohort.phantom.rater import Rater, part_shares
from cordcohort.phantom.tissues import GREY_MATTER, REGIONS
from cordcohort.phantom.truth import (
    csa_mm2,
    diameters_mm,
    disc_positions_mm,
    pmj_mm,
    vertebral_level,
)

Array = NDArray[Any]

__all__ = ["disc_labels", "pmj_label", "slice_heights", "slice_truth", "vertebra_labels"]


def slice_heights(person: Person, grid: Acquisition) -> Array:
    """Height (person's mm) at which the cord's axis crosses each axial slice.

    Parameters
    ----------
    person : Person
        Who is scanned.
    grid : Acquisition
        The scan's grid.

    Returns
    -------
    array, shape (Z,)
        NaN where the axis passes above or below the tabulated spine.
    """
    columns = build_frame(person).columns
    axis = np.stack([columns["x"], columns["y"], columns["z"], np.ones_like(columns["z"])])
    slices = (np.linalg.inv(grid.to_person) @ axis)[2]
    wanted = np.arange(grid.shape[2], dtype=float)
    return np.interp(wanted, slices, columns["z"], left=np.nan, right=np.nan)


def slice_truth(person: Person, grid: Acquisition, shares: Array) -> list[dict[str, float | int]]:
    """True shape of the cord in each slice.

    Parameters
    ----------
    person, grid
        Who is scanned, and how.
    shares : array, shape (*grid.shape, 9)
        From `rater.part_shares` without jitter.

    Returns
    -------
    list of dict
        One a slice with cord: slice (canonical index), z_mm, vertebra, csa_mm2 (perpendicular to
        the cord, in the image's millimetres: what a perfect mask gives), csa_true_mm2 (in true
        millimetres, without the scanner's scale error), axial_csa_mm2 and grey_csa_mm2 (sums of
        the voxels' shares, in the plane of the slice), diameter_ap_mm, diameter_rl_mm.
    """
    heights = slice_heights(person, grid)
    voxel = grid.spacing_mm[0] * grid.spacing_mm[1]
    cord = shares[..., : len(REGIONS)].sum(axis=(0, 1, 3), dtype=float) * voxel
    codes = [int(g) - 1 for g in GREY_MATTER]
    grey = shares[..., codes].sum(axis=(0, 1, 3), dtype=float) * voxel
    held = np.isfinite(heights) & (cord > 0.0)
    perpendicular = np.nan_to_num(csa_mm2(person, heights))
    ap, rl = diameters_mm(person, heights)
    level = vertebral_level(person, np.nan_to_num(heights))
    size = grid.scale
    return [
        {
            "slice": int(k),
            "z_mm": float(heights[k]),
            "vertebra": int(level[k]),
            "csa_mm2": float(perpendicular[k] / size**2),
            "csa_true_mm2": float(perpendicular[k]),
            "axial_csa_mm2": float(cord[k]),
            "grey_csa_mm2": float(grey[k]),
            "diameter_ap_mm": float(ap[k] / size),
            "diameter_rl_mm": float(rl[k] / size),
        }
        for k in np.flatnonzero(held)
    ]


def tilt_cosine(person: Person, grid: Acquisition) -> Array:
    """Cosine of the angle between the cord and the normal of each slice, shape (Z,)."""
    frame = build_frame(person)
    z = np.nan_to_num(slice_heights(person, grid))
    along = np.stack([frame.at("dx", z), frame.at("dy", z), np.ones_like(z)])
    along /= np.linalg.norm(along, axis=0)
    normal = np.cross(grid.to_person[:3, 0], grid.to_person[:3, 1])
    return np.abs(normal / np.linalg.norm(normal) @ along)


def axial_area_mm2(person: Person, grid: Acquisition) -> Array:
    """Area that a perfect mask shows in the plane of each slice, in the image's mm2, shape (Z,).

    The cord is taken as a straight tube through the slice: exact to second order in slice thickness
    times curvature.
    """
    heights = slice_heights(person, grid)
    area = np.nan_to_num(csa_mm2(person, heights)) / tilt_cosine(person, grid)
    return area / grid.scale**2


def vertebra_labels(person: Person, grid: Acquisition, cord: Array) -> Array:
    """Vertebral level (1 = C1) of each voxel of a cord mask, uint8; other voxels 0."""
    level = vertebral_level(person, np.nan_to_num(slice_heights(person, grid), nan=1e6))
    return (cord > 0) * level[None, None, :].astype(np.uint8)


def disc_labels(person: Person, grid: Acquisition) -> Array:
    """One voxel at the back of each disc in the field of view, with the disc's code, uint8."""
    out = np.zeros(grid.shape, dtype=np.uint8)
    for code, place in disc_positions_mm(person).items():
        _mark(out, grid, place, code)
    return out


def pmj_label(person: Person, grid: Acquisition) -> Array:
    """One voxel at the pontomedullary junction, uint8; empty where it is not in view."""
    out = np.zeros(grid.shape, dtype=np.uint8)
    _mark(out, grid, pmj_mm(person), 1)
    return out


def _mark(out: Array, grid: Acquisition, place: tuple[float, float, float], value: int) -> None:
    index = np.rint((np.linalg.inv(grid.to_person) @ [*place, 1.0])[:3]).astype(int)
    if np.all(index >= 0) and np.all(index < grid.shape):
        out[tuple(index)] = value


def true_shares(person: Person, grid: Acquisition) -> Array:
    """Shares of the eight regions and of the dural sac in each voxel, without any rater."""
    return part_shares(person, grid, Rater(), None)


def has_cord(person: Person, grid: Acquisition) -> bool:
    """Whether any slice crosses the cord between the foramen magnum and the conus' tip."""
    frame = build_frame(person)
    heights = slice_heights(person, grid)
    heights = heights[np.isfinite(heights)]
    low = float(frame.z_of_level(person.conus_level))
    high = float(frame.z_of_level(SKULL_LEVEL))
    return bool(np.any((heights > low) & (heights < high)))
