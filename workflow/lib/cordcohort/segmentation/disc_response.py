"""Where a cord may be: response to an elliptic disc in a ring, and the smooth path through it.

In an axial slice the cord is an ellipse in a ring of cerebrospinal fluid. Around the right centre
all edges of the ellipse point the same way (outwards or inwards), and those of the ring's outer
side the other way. The response is the mean, over the outline of an ellipse, of the normalised
gradient along the outward normal, minus the same over the outer side of the ring. It is linear in
the gradient, so a sum over outlines is a convolution, and the other polarity is its negative.

The path from slice to slice is found by dynamic programming: largest sum of responses minus a
penalty on the squared slope.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from cordcohort.nifti import Array

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

GRID_MM = 1.0
SLICE_MM = 2.5
"""The search grid: in plane, and the finest distance of its slices."""
SMOOTHING_MM = 0.8
SMOOTHING_ALONG_MM = 2.0
SEMI_AXES_MM = ((4.8, 3.2), (5.8, 3.9), (6.8, 4.6), (5.2, 4.8))
"""Half widths of the ellipse (right-left, front-back); the last is nearly round (thoracic)."""
RING_MM = (2.0, 3.5)
RING_WEIGHT = 0.4
EDGE_MM = 0.6
"""Half thickness of an outline in the kernel."""
LOCAL_MM = 15.0
"""Gradients are compared with their root mean square within this distance."""
FLOOR_SHARE = 0.15
"""Least local gradient, as a share of the whole volume's: keeps noise in air from counting."""
SLOPE_PENALTY = 0.15
"""Response given up for a slope of 1 (45 degrees) over one slice of the search grid."""
MAX_SLOPE = 1.2
MAX_STEP_PIXELS = 8


@dataclass(frozen=True)
class SearchGrid:
    """A smoothed copy of the scan on a coarser grid.

    Attributes
    ----------
    values : array of float32, shape (X, Y, Z)
    step : tuple of float
        Steps of this grid in voxels of the scan.
    spacing_mm : tuple of float
        Distance of its voxels.
    """

    values: Singles
    step: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]


def search_grid(values: Array, spacing_mm: tuple[float, float, float]) -> SearchGrid:
    """Smooth a scan and sample it at about 1 x 1 x 2.5 mm (never finer along z than it is).

    Parameters
    ----------
    values : array, shape (X, Y, Z)
        Canonical axes, any intensity unit.
    spacing_mm : tuple of float
    """
    wanted = np.array([GRID_MM, GRID_MM, max(SLICE_MM, spacing_mm[2])])
    step = wanted / np.asarray(spacing_mm)
    smoothing = (SMOOTHING_MM, SMOOTHING_MM, SMOOTHING_ALONG_MM)
    sigmas = [
        s / d if s / d > 0.3 else 0.0  # noqa: PLR2004 - less blurs nothing
        for s, d in zip(smoothing, spacing_mm, strict=True)
    ]
    smooth = ndimage.gaussian_filter(values.astype(np.float32), sigmas, truncate=2.5)
    shape = tuple(int((n - 1) // s) + 1 for n, s in zip(values.shape, step, strict=True))
    sampled: Any = ndimage.affine_transform(
        smooth, step, output_shape=shape, order=1, mode="nearest", prefilter=False
    )
    x, y, z = (float(s) for s in step)
    return SearchGrid(sampled, (x, y, z), (GRID_MM, GRID_MM, float(wanted[2])))


def disc_response(grid: SearchGrid) -> Singles:
    """Response to a bright ellipse in a dark ring; the negative is for a dark one in a bright ring.

    Parameters
    ----------
    grid : SearchGrid

    Returns
    -------
    array of float32, shape (2, X, Y, Z)
        The largest value over all ellipses for a bright one, then for a dark one; at most
        ``1 + RING_WEIGHT``.
    """
    gradient = _normalised_gradient(grid.values)
    n_x, n_y, n_z = grid.values.shape
    reach = int(np.ceil(max(max(axes) for axes in SEMI_AXES_MM) + max(RING_MM) + EDGE_MM)) + 1
    fast: Any = fft.next_fast_len
    shape = (int(fast(n_x + reach, real=True)), int(fast(n_y + reach, real=True)))
    out = np.full((2, n_x, n_y, n_z), -np.inf, dtype=np.float32)
    kernels = [_kernel(axes, ring, shape) for axes in SEMI_AXES_MM for ring in RING_MM]
    for k in range(n_z):
        spectrum: Any = fft.rfft2(gradient[:, :, :, k], s=shape)
        for kernel in kernels:
            whole: Any = fft.irfft2((spectrum * kernel).sum(axis=0), s=shape)
            found = whole[:n_x, :n_y]
            np.maximum(out[0, :, :, k], found, out=out[0, :, :, k])
            np.maximum(out[1, :, :, k], -found, out=out[1, :, :, k])
    return out


def _normalised_gradient(values: Array) -> Singles:
    """In-plane gradient divided by its local size, float32, shape (2, X, Y, Z)."""
    along = [
        ndimage.correlate1d(values, [-0.5, 0.0, 0.5], axis=axis, mode="nearest")
        for axis in range(2)
    ]
    gradient = np.stack(along)
    square = (gradient**2).sum(axis=0)
    local = ndimage.gaussian_filter(square, (LOCAL_MM / 2, LOCAL_MM / 2, 0.0), truncate=2.0)
    floor = FLOOR_SHARE**2 * float(square.mean())
    gradient /= np.sqrt(square + 0.5 * local + max(floor, 1e-30))
    return gradient


def _kernel(
    semi_axes_mm: tuple[float, float], ring_mm: float, shape: tuple[int, int]
) -> NDArray[np.complex64]:
    """Spectrum of the correlation kernel of one ellipse and its ring."""
    inner = _outline(semi_axes_mm, shape)
    a, b = semi_axes_mm
    outer = _outline((a + ring_mm, b + ring_mm), shape)
    # A bright disc has gradients that point inwards, hence the sign.
    kernel = RING_WEIGHT * outer - inner
    spectrum: Any = fft.rfft2(kernel.astype(np.float32))
    return np.conj(spectrum).astype(np.complex64)


def _outline(semi_axes_mm: tuple[float, float], shape: tuple[int, int]) -> Floats:
    """Outward normals on an elliptic outline with weights that sum to one, origin at (0, 0)."""
    x, y = np.meshgrid(*[np.fft.fftfreq(n, 1.0 / n) * GRID_MM for n in shape], indexing="ij")
    a, b = semi_axes_mm
    rho = np.hypot(x / a, y / b)
    normal = np.stack([x / a**2, y / b**2])
    length = np.hypot(*normal)
    length[0, 0] = 1.0
    distance_mm = (rho - 1.0) * rho / np.maximum(length, 1e-9)
    weight = np.exp(-0.5 * (distance_mm / EDGE_MM) ** 2)
    weight[0, 0] = 0.0
    # Equal weight for every direction seen from the centre, whatever the outline's length there.
    weight /= np.maximum(np.hypot(x, y), GRID_MM)
    return normal / length * (weight / weight.sum())


def best_path(
    response: Array, slice_mm: float, pixel_mm: float = GRID_MM
) -> tuple[NDArray[np.intp], Floats]:
    """The smooth path of largest response through all slices.

    Parameters
    ----------
    response : array, shape (X, Y, Z)
    slice_mm, pixel_mm : float
        Distance of slices and of pixels.

    Returns
    -------
    path : array of int, shape (Z, 2)
        Pixel of the path in each slice.
    score : array, shape (Z,)
        Response there.

    Examples
    --------
    >>> r = np.zeros((9, 9, 3)); r[4, 5, :] = 1.0
    >>> best_path(r, 2.5)[0].tolist()
    [[4, 5], [4, 5], [4, 5]]
    """
    reach = int(np.clip(np.ceil(MAX_SLOPE * slice_mm / pixel_mm), 1, MAX_STEP_PIXELS))
    offset = np.arange(-reach, reach + 1) * (pixel_mm / slice_mm)
    penalty = SLOPE_PENALTY * (offset[:, None] ** 2 + offset[None, :] ** 2)
    n_z = response.shape[2]
    best = np.empty((n_z, *response.shape[:2]), dtype=np.float32)
    best[0] = response[:, :, 0]
    for k in range(1, n_z):
        reached = ndimage.grey_dilation(
            best[k - 1], structure=-penalty, mode="constant", cval=-np.inf
        )
        best[k] = reached + response[:, :, k]
    path = np.empty((n_z, 2), dtype=np.intp)
    path[-1] = np.unravel_index(int(best[-1].argmax()), best[-1].shape)
    for k in range(n_z - 2, -1, -1):
        path[k] = _step_back(best[k], path[k + 1], penalty, reach)
    score = response[path[:, 0], path[:, 1], np.arange(n_z)]
    return path, np.asarray(score, dtype=np.float64)


def _step_back(best: Array, place: Array, penalty: Array, reach: int) -> tuple[int, int]:
    low = np.maximum(place - reach, 0)
    high = np.minimum(place + reach + 1, best.shape)
    inner = low - (place - reach)
    size = high - low
    cost = penalty[inner[0] : inner[0] + size[0], inner[1] : inner[1] + size[1]]
    window = best[low[0] : high[0], low[1] : high[1]] - cost
    x, y = np.unravel_index(int(window.argmax()), window.shape)
    return int(low[0] + x), int(low[1] + y)
