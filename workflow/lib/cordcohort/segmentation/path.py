"""The cord as one smooth path through the axial slices: dynamic programming over heat maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FloatArray = NDArray[np.floating[Any]]

HEAT_SIGMA_MM = 2.5
PRESENT_HEAT = 0.15
HEAT_FLOOR = 0.02
MOST_PRESENT = 1.4
SLOPE_PENALTY = 1.2
STEEPEST_SLOPE = 1.0
SMOOTH_PATH_MM = 4.0
CENTROID_RADIUS = 3


@dataclass(frozen=True)
class CordPath:
    """Where the cord runs, on the coarse grid.

    Attributes
    ----------
    slices
        Indices of the coarse slices, ascending.
    centres
        ``(n, 2)`` row and column (y, x) in coarse pixels, sub-pixel.
    score
        Sum of the evidence along the path; 1 is about one clear slice.
    heat
        ``(n,)`` smoothed cord probability at the centres, [0, 1].
    """

    slices: NDArray[np.int64]
    centres: FloatArray
    score: float
    heat: FloatArray


def trace_cord(heat: FloatArray, pixel_mm: float, step_mm: float) -> CordPath | None:
    """Best run of slices and the cord's place in each.

    Maximises the sum of evidence minus a penalty on sideways steps. Evidence is the logarithm of
    the smoothed probability over the level that counts as present, so slices without cord cost
    something: a short gap is bridged, a long empty end is left out.

    Parameters
    ----------
    heat
        ``(z, y, x)`` probability of cord per coarse pixel, [0, 1].
    pixel_mm, step_mm
        In-plane pixel and distance of the slices, mm.

    Returns
    -------
    CordPath or None
        None where no slice has evidence above zero.

    Examples
    --------
    >>> heat = np.zeros((3, 16, 16), np.float32); heat[:, 5:9, 7:11] = 1
    >>> [float(v) for v in trace_cord(heat, 2.0, 4.0).centres[1].round(1)]
    [6.5, 8.5]
    """
    sigma = HEAT_SIGMA_MM / pixel_mm
    smooth = ndimage.gaussian_filter(heat, (0, sigma, sigma), mode="constant")
    evidence = np.log(np.maximum(smooth, HEAT_FLOOR) / PRESENT_HEAT).clip(max=MOST_PRESENT)
    best, moves = _forward(evidence.astype(np.float32), pixel_mm, step_mm)
    end = np.unravel_index(int(np.argmax(best)), best.shape)
    score = float(best[end])
    if score <= 0:
        return None
    cells = _backtrack(moves, end)
    slices = np.array([c[0] for c in cells])
    centres = np.stack([_centroid(heat[k], (y, x)) for k, y, x in cells])
    smoothed = ndimage.gaussian_filter1d(centres, SMOOTH_PATH_MM / step_mm, axis=0, mode="nearest")
    along = np.array([smooth[c] for c in cells], np.float32)
    return CordPath(slices, smoothed.astype(np.float32), score, along)


def _moves(pixel_mm: float, step_mm: float) -> tuple[NDArray[np.int64], FloatArray]:
    """Allowed sideways steps between slices (y, x) and their penalties."""
    reach = int(np.ceil(STEEPEST_SLOPE * step_mm / pixel_mm)) + 1
    axis = np.arange(-reach, reach + 1)
    dy, dx = (a.ravel() for a in np.meshgrid(axis, axis, indexing="ij"))
    slope = np.hypot(dy, dx) * pixel_mm / step_mm
    keep = np.hypot(dy, dx) <= reach
    penalty = SLOPE_PENALTY * np.minimum(slope, 2.0) ** 2
    return np.stack([dy, dx], 1)[keep], penalty[keep].astype(np.float32)


def _forward(
    evidence: FloatArray, pixel_mm: float, step_mm: float
) -> tuple[FloatArray, NDArray[np.int16]]:
    """Best score of a run that ends in each cell, and where it came from (-1, a start)."""
    steps, penalty = _moves(pixel_mm, step_mm)
    n_z, n_y, n_x = evidence.shape
    best = evidence.copy()
    came = np.full((n_z, n_y, n_x, 2), np.iinfo(np.int16).min, np.int16)
    reach = int(np.abs(steps).max())
    for k in range(1, n_z):
        padded = np.pad(best[k - 1], reach, constant_values=-np.inf)
        top = np.zeros((n_y, n_x), np.float32)  # 0 is a fresh start
        for (dy, dx), cost in zip(steps, penalty, strict=True):
            view = padded[reach + dy : reach + dy + n_y, reach + dx : reach + dx + n_x] - cost
            better = view > top
            top = np.where(better, view, top)
            came[k][better] = (dy, dx)
        best[k] = evidence[k] + top
    return best, came


def _backtrack(came: NDArray[np.int16], end: tuple[np.intp, ...]) -> list[tuple[int, int, int]]:
    """Cells of the best run, lowest slice first."""
    k, y, x = (int(v) for v in end)
    cells = [(k, y, x)]
    fresh = np.iinfo(np.int16).min
    while k > 0 and came[k, y, x, 0] != fresh:
        dy, dx = (int(v) for v in came[k, y, x])
        k, y, x = k - 1, y + dy, x + dx
        cells.append((k, y, x))
    return cells[::-1]


def _centroid(heat: FloatArray, cell: tuple[int, int]) -> FloatArray:
    """Centre of the probability around a cell; the cell where there is none."""
    y, x = cell
    r = CENTROID_RADIUS
    rows, columns = slice(max(y - r, 0), y + r + 1), slice(max(x - r, 0), x + r + 1)
    part = heat[rows, columns]
    total = float(part.sum())
    if total < HEAT_FLOOR:
        return np.array([y, x], np.float32)
    ys = np.arange(part.shape[0]) + rows.start
    xs = np.arange(part.shape[1]) + columns.start
    return np.array([(part.sum(1) @ ys) / total, (part.sum(0) @ xs) / total], np.float32)
