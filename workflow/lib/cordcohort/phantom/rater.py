"""Masks as a human rater would draw them: slice by slice, never quite on the border.

A rater draws each axial slice with an own small shift and magnification about the cord, and has a
lasting habit (drawing a little too large or too small).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordcohort.phantom.acquisition import Acquisition
from cordcohort.phantom.anatomy import mean_values
from cordcohort.phantom.frame import build_frame
from cordcohort.phantom.imaging import box_affine, box_shape, factors, near_cord
from cordcohort.phantom.person import N_ROOTLET_LEVELS, Person
from cordcohort.phantom.tissues import CANAL, GREY_MATTER, N_TISSUES, REGIONS

Array = NDArray[Any]

RATER_STEP_MM = 0.5
HALF = 0.5
TIE = 1e-4
LENGTH_SD_PER_MM = 0.2
N_PARTS = len(REGIONS) + 1
"""Columns: the eight regions, then the dural sac."""


@dataclass(frozen=True)
class Rater:
    """A rater's habit.

    Attributes
    ----------
    name : str
        Shown in the label's sidecar.
    magnification : float
        Lasting: 1.01 draws 1 % too wide and 1 % too high.
    shift_sd_mm, magnification_sd : float
        From slice to slice.
    level_shift_mm : float
        Lasting: how much higher the rootlets of every level are drawn.
    level_sd_mm : float
        From level to level, of the middle; the length of the levels varies by 2 % for each 0.1 mm.
    """

    name: str = "rater-1"
    magnification: float = 1.0
    shift_sd_mm: float = 0.12
    magnification_sd: float = 0.012
    level_shift_mm: float = 0.0
    level_sd_mm: float = 0.0


@dataclass(frozen=True)
class Drawing:
    """What a rater drew, on canonical axes: masks of cord, grey matter and canal, region codes."""

    cord: Array
    grey: Array
    canal: Array
    regions: Array


def draw(
    person: Person, grid: Acquisition, rater: Rater, rng: np.random.Generator | None
) -> Drawing:
    """Draw a scan's masks.

    Parameters
    ----------
    person : Person
        Who is scanned.
    grid : Acquisition
        The scan's grid.
    rater : Rater
        Who draws.
    rng : numpy.random.Generator or None
        Jitter; None draws the truth, without any.

    Returns
    -------
    Drawing
        uint8 volumes of the grid's shape; a voxel belongs to a mask that fills half of it, and to
        the region that fills most of the cord in it.
    """
    shares = part_shares(person, grid, rater, rng)
    regions = shares[..., : len(REGIONS)]
    total = regions.sum(axis=-1)
    cord = filled_half(total)
    grey = regions[..., [int(g) - 1 for g in GREY_MATTER]].sum(axis=-1)
    codes = np.where(cord, regions.argmax(axis=-1) + 1, 0)
    canal = filled_half(shares[..., -1])
    return Drawing(*(a.astype(np.uint8) for a in (cord, filled_half(grey) & cord, canal, codes)))


def as_rater_sees(person: Person, rater: Rater, rng: np.random.Generator) -> Person:
    """The person whose true rootlets are those that a rater draws.

    Examples
    --------
    >>> from cordcohort.phantom.person import draw_person
    >>> someone = draw_person(np.random.default_rng(0))
    >>> as_rater_sees(someone, Rater(), np.random.default_rng(1)) == someone
    True
    """
    if not (rater.level_sd_mm or rater.level_shift_mm):
        return person
    moved = rater.level_shift_mm + rater.level_sd_mm * rng.standard_normal(N_ROOTLET_LEVELS)
    longer = 1.0 + LENGTH_SD_PER_MM * rater.level_sd_mm * float(rng.standard_normal())
    shifts = np.asarray(person.rootlet_shift_mm) + moved
    return replace(
        person,
        rootlet_shift_mm=tuple(float(v) for v in shifts),
        rootlet_length_scale=person.rootlet_length_scale * longer,
    )


def filled_half(share: Array) -> Array:
    """Whether more than half of each voxel is filled.

    Shares are counted from few points, so that many border voxels are filled to exactly one half:
    every other one of these counts, as on a checkerboard. With all of them, masks would be some
    3 % too large.
    """
    odd = sum(np.ogrid[tuple(slice(n) for n in share.shape)]) % 2 == 1
    return (share > HALF + TIE) | ((np.abs(share - HALF) <= TIE) & odd)


def part_shares(
    person: Person, grid: Acquisition, rater: Rater, rng: np.random.Generator | None
) -> Array:
    """Share of every voxel that each region and the dural sac fill, as seen by a rater.

    Returns
    -------
    array of float32, shape (*grid.shape, 9)
        Regions in the order of their codes, then the dural sac.
    """
    out = np.zeros((*grid.shape, N_PARTS), dtype=np.float32)
    box = near_cord(person, grid)
    x, y, n_slices = box_shape(box)
    if min(x, y) == 0:
        return out
    values = np.zeros((N_TISSUES, N_PARTS), dtype=np.float32)
    for column, region in enumerate(REGIONS):
        values[region, column] = 1.0
    values[list(CANAL), -1] = 1.0
    affine = box_affine(grid.to_person, box)
    out[box] = mean_values(
        person,
        (x, y, n_slices),
        affine,
        values,
        supersample=factors(grid.spacing_mm, RATER_STEP_MM),
        canal_only=True,
        seen=None if rng is None else _jitter(person, affine, grid, rater, rng),
    )
    return out


def _jitter(
    person: Person, affine: Array, grid: Acquisition, rater: Rater, rng: np.random.Generator
) -> Array:
    """Magnification and shift about the cord of every slice of a box, as a rater sees it."""
    frame, n_slices = build_frame(person), grid.shape[2]
    z = affine[2, 2] * np.arange(n_slices) + affine[2, 3]
    axis = np.stack([frame.at("x", z), frame.at("y", z), z, np.ones_like(z)])
    centre = (np.linalg.inv(affine) @ axis)[:2].T
    habit = rater.magnification + rater.magnification_sd * rng.standard_normal((n_slices, 2))
    size = 1.0 / habit
    move = rater.shift_sd_mm * rng.standard_normal((n_slices, 2))
    shift = centre * (1.0 - size) + move / np.asarray(grid.spacing_mm[:2])
    return np.stack([size[:, 0], shift[:, 0], size[:, 1], shift[:, 1]], axis=1)
