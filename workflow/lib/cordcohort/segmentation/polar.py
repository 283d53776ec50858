"""The cord's outline in each axial slice, found in polar coordinates by dynamic programming.

Around a centre, the outline is one radius for each direction. It runs where the intensity changes
most in the wanted sense (from a bright cord outwards down, from a dark one up), does not jump
between neighbouring directions, closes, and stays near the outline of the whole scan's mean shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cordcohort.nifti import Array

Floats = NDArray[np.float64]

N_DIRECTIONS = 48
FIRST_RADIUS_MM = 1.0
LAST_RADIUS_MM = 10.5
RADIUS_STEP_MM = 0.25
EDGE_WIDTH_MM = 1.0
"""An edge is the difference between this far outside and inside, symmetric, in total."""
SMOOTHING_MM = 0.6
SMOOTHING_ALONG_MM = 2.5
PRIOR_MM = (6.3, 4.2)
"""Half widths of the first guess, right-left and front-back."""
FIRST_PRIOR_WEIGHT = 1.5
PRIOR_WEIGHT = 4.0
"""Cost of a squared relative deviation from the guess: first round, refinements."""
JUMP_STEPS = 2
JUMP_COST = 0.04
SHAPE_ALONG_MM = 12.0
"""Later guesses are the outline averaged this far along the cord (standard deviation)."""
CENTRE_ALONG_MM = 4.0
N_REFINEMENTS = 2
SCALE_PERCENTILE = 90.0
LEAST_SIGMA = 0.3
"""Smoothing by less than this many slices changes nothing."""


@dataclass(frozen=True)
class Outline:
    """Outline of the cord in every slice.

    Attributes
    ----------
    centre_mm : array, shape (Z, 2)
        In-plane centre, mm from the first voxel's centre.
    radius_mm : array, shape (Z, N_DIRECTIONS)
        Radius in each direction, counted from the right towards the front.
    contrast : array, shape (Z,)
        Mean step of intensity over the outline in the wanted sense, in the image's unit.
    coherence : array, shape (Z,)
        That mean divided by the root mean square of the steps: 1 where all directions agree, 0
        for no edge at all.
    """

    centre_mm: Floats
    radius_mm: Floats
    contrast: Floats
    coherence: Floats

    @property
    def area_mm2(self) -> Floats:
        """Area inside the outline, shape (Z,)."""
        return 0.5 * (self.radius_mm**2).sum(axis=1) * (2.0 * np.pi / N_DIRECTIONS)


def directions() -> Floats:
    """Angles of the directions in radians, shape (N_DIRECTIONS,)."""
    return np.arange(N_DIRECTIONS, dtype=np.float64) * (2.0 * np.pi / N_DIRECTIONS)


def find_outline(
    values: Array, spacing_mm: tuple[float, float, float], centre_mm: Array, sign: int
) -> Outline:
    """Find the outline of the cord in every slice.

    Parameters
    ----------
    values : array, shape (X, Y, Z)
        Canonical axes, any intensity unit.
    spacing_mm : tuple of float
    centre_mm : array, shape (Z, 2)
        First guess of the cord's centre in each slice, mm from the first voxel's centre.
    sign : {-1, 1}
        -1 for a cord brighter than what surrounds it, 1 for a darker one.
    """
    sigma = [
        SMOOTHING_MM / spacing_mm[0], SMOOTHING_MM / spacing_mm[1],
        SMOOTHING_ALONG_MM / spacing_mm[2] if spacing_mm[2] < SMOOTHING_ALONG_MM else 0.0,
    ]  # fmt: skip
    smooth, offset = _cropped(values, spacing_mm, centre_mm, sigma)
    radii = np.arange(FIRST_RADIUS_MM, LAST_RADIUS_MM + 1e-9, RADIUS_STEP_MM)
    centre = np.array(centre_mm, dtype=np.float64)
    guess = np.broadcast_to(_ellipse(*PRIOR_MM), (len(centre), N_DIRECTIONS))
    step = _steps(smooth, spacing_mm, centre - offset, radii) * sign
    chosen = _closed_path(_cost(step, radii, guess, FIRST_PRIOR_WEIGHT))
    for _ in range(N_REFINEMENTS):
        centre = _along(centre + _centroid(radii[chosen]), CENTRE_ALONG_MM / spacing_mm[2])
        guess = _along(radii[chosen], SHAPE_ALONG_MM / spacing_mm[2])
        step = _steps(smooth, spacing_mm, centre - offset, radii) * sign
        chosen = _closed_path(_cost(step, radii, guess, PRIOR_WEIGHT))
    found = np.take_along_axis(step, chosen[:, :, None], axis=2)[:, :, 0]
    size = np.sqrt((found**2).mean(axis=1))
    mean = found.mean(axis=1)
    return Outline(centre, radii[chosen], mean, mean / np.maximum(size, 1e-30))


def fill(
    outline: Outline, shape: tuple[int, ...], spacing_mm: tuple[float, float, float]
) -> NDArray[np.uint8]:
    """Voxels whose centre lies inside the outline.

    Parameters
    ----------
    outline : Outline
    shape : tuple of int
        (X, Y, Z) with Z slices as in the outline.
    spacing_mm : tuple of float
    """
    mask = np.zeros(shape, dtype=np.uint8)
    reach = outline.radius_mm.max() + 1.0
    closed = np.concatenate([outline.radius_mm, outline.radius_mm[:, :1]], axis=1)
    for k, centre in enumerate(outline.centre_mm):
        low = [max(int((centre[a] - reach) / spacing_mm[a]), 0) for a in range(2)]
        high = [min(int((centre[a] + reach) / spacing_mm[a]) + 2, shape[a]) for a in range(2)]
        x = np.arange(low[0], high[0])[:, None] * spacing_mm[0] - centre[0]
        y = np.arange(low[1], high[1])[None, :] * spacing_mm[1] - centre[1]
        place = np.mod(np.arctan2(y, x), 2.0 * np.pi) * (N_DIRECTIONS / (2.0 * np.pi))
        limit = np.interp(place, np.arange(N_DIRECTIONS + 1), closed[k])
        mask[low[0] : high[0], low[1] : high[1], k] = np.hypot(x, y) < limit
    return mask


def _cropped(
    values: Array, spacing_mm: tuple[float, float, float], centre_mm: Array, sigma: list[float]
) -> tuple[NDArray[np.float32], Floats]:
    """The smoothed part of the scan round the cord, and the place of its first voxel in mm."""
    margin = LAST_RADIUS_MM * 2.0
    low = [max(int((centre_mm[:, a].min() - margin) / spacing_mm[a]), 0) for a in range(2)]
    high = [int((centre_mm[:, a].max() + margin) / spacing_mm[a]) + 2 for a in range(2)]
    part = values[low[0] : high[0], low[1] : high[1]].astype(np.float32)
    smooth: Any = ndimage.gaussian_filter(part, sigma, mode="nearest", truncate=3.0)
    return smooth, np.array([low[0] * spacing_mm[0], low[1] * spacing_mm[1]])


def _ellipse(a: float, b: float) -> Floats:
    angle = directions()
    radius: Floats = a * b / np.hypot(b * np.cos(angle), a * np.sin(angle))
    return radius


def _steps(
    values: Array, spacing_mm: tuple[float, float, float], centre_mm: Array, radii: Array
) -> Floats:
    """Intensity outside minus inside of every radius, shape (Z, directions, radii)."""
    half = max(round(EDGE_WIDTH_MM / 2.0 / RADIUS_STEP_MM), 1)
    pad = half * RADIUS_STEP_MM
    longer = np.arange(radii[0] - pad, radii[-1] + pad + 1e-9, RADIUS_STEP_MM)
    angle = directions()
    x = centre_mm[:, :1, None] + np.cos(angle)[None, :, None] * longer
    y = centre_mm[:, 1:, None] + np.sin(angle)[None, :, None] * longer
    z = np.broadcast_to(np.arange(len(centre_mm))[:, None, None], x.shape)
    places = np.stack([x / spacing_mm[0], y / spacing_mm[1], z])
    profile = ndimage.map_coordinates(values, places, order=1, mode="nearest", prefilter=False)
    return (profile[:, :, 2 * half :] - profile[:, :, : -2 * half]).astype(np.float64)


def _cost(step: Floats, radii: Array, guess: Array, weight: float) -> Floats:
    """Low where the step has the wanted sense and the radius is near the guess."""
    scale = np.percentile(np.abs(step), SCALE_PERCENTILE, axis=(1, 2), keepdims=True)
    edge = np.clip(step / np.maximum(scale, 1e-30), -0.5, 1.5)
    deviation = (radii[None, None, :] - guess[:, :, None]) / guess[:, :, None]
    return weight * deviation**2 - edge


def _closed_path(cost: Floats) -> NDArray[np.intp]:
    """Cheapest radius in each direction; two laps are run, and the middle of them is closed."""
    n_slices, n_directions, n_radii = cost.shape
    start = n_directions // 2
    order = np.arange(2 * n_directions) % n_directions
    best = cost[:, order[0]].copy()
    came = np.empty((len(order), n_slices, n_radii), dtype=np.intp)
    jumps = np.arange(-JUMP_STEPS, JUMP_STEPS + 1)
    for t in range(1, len(order)):
        padded = np.pad(best, ((0, 0), (JUMP_STEPS, JUMP_STEPS)), constant_values=np.inf)
        reached = np.stack(
            [
                padded[:, JUMP_STEPS + j : JUMP_STEPS + j + n_radii] + JUMP_COST * j * j
                for j in jumps
            ]
        )
        which = reached.argmin(axis=0)
        came[t] = np.arange(n_radii) + jumps[which]
        best = np.take_along_axis(reached, which[None], axis=0)[0] + cost[:, order[t]]
    place = best.argmin(axis=1)
    path = np.empty((n_slices, len(order)), dtype=np.intp)
    rows = np.arange(n_slices)
    for t in range(len(order) - 1, -1, -1):
        path[:, t] = place
        if t:
            place = came[t][rows, place]
    middle = path[:, start : start + n_directions]
    return np.roll(middle, start, axis=1)


def _centroid(radius: Floats) -> Floats:
    """Centre of mass of the area inside the outline, relative to its centre, shape (Z, 2)."""
    angle = directions()
    cube = radius**3 / 3.0
    area = np.maximum((radius**2 / 2.0).sum(axis=1), 1e-12)
    return np.stack([(cube * f(angle)).sum(axis=1) / area for f in (np.cos, np.sin)], axis=1)


def _along(values: Floats, sigma: float) -> Floats:
    if sigma < LEAST_SIGMA:
        return values
    smooth: Any = ndimage.gaussian_filter1d(values, sigma, axis=0, mode="nearest")
    return smooth
