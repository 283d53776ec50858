"""Diffusion images simulated from one tensor per cord region, with spread inside each region.

Every voxel is a mixture of its tissues: each contributes its own signal times exp(-b g'Dg), so the
tensor fitted at a border is wrong in the way a real one is. The true maps hold the cord tissue's
own values.

References
----------
Basser PJ, Mattiello J, LeBihan D. MR diffusion tensor spectroscopy and imaging. Biophys J
1994;66:259-267.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import shift as shift_image

from cordcohort.phantom.acquisition import Acquisition
from cordcohort.phantom.frame import build_frame
from cordcohort.phantom.imaging import implant_survival, mean_over_voxels, rician
from cordcohort.phantom.person import Person
from cordcohort.phantom.tensors import GROUPS, Protocol, TensorTruth, eigenvalues
from cordcohort.phantom.tissues import CORD, N_TISSUES, REGIONS, Tissue

Array = NDArray[Any]

SIDE_TILT_DEG = 4.0
"""Fibres of the two sides lean apart from the cord's axis by this angle."""
FREE_WATER_MD = 3.0e-3
MUSCLE_MD = 1.5e-3
OTHER_MD = 0.9e-3


@dataclass(frozen=True)
class Series:
    """A simulated series: images (X, Y, Z, T), b-values, directions in scanner axes, shifts."""

    data: Array
    bvals: Array
    directions: Array
    shifts_mm: Array


def directions(n: int) -> Array:
    """Unit vectors spread evenly over a half sphere (Fibonacci spiral), shape (n, 3).

    Examples
    --------
    >>> import numpy as np
    >>> bool(np.allclose(np.linalg.norm(directions(12), axis=1), 1.0))
    True
    """
    k = np.arange(n) + 0.5
    up = k / n
    around = np.pi * (1.0 + np.sqrt(5.0)) * k
    flat = np.sqrt(1.0 - up**2)
    return np.stack([flat * np.cos(around), flat * np.sin(around), up], axis=1)


def fibre_directions(person: Person, grid: Acquisition) -> tuple[Array, Array]:
    """Fibre direction of the left and the right side in each slice, scanner axes, shape (Z, 3)."""
    frame = build_frame(person)
    middle = [(n - 1) / 2.0 for n in grid.shape[:2]]
    z = np.array([(grid.to_person @ [*middle, k, 1.0])[2] for k in range(grid.shape[2])])
    sides = []
    for sign in (-1.0, 1.0):
        lean = sign * np.tan(np.radians(SIDE_TILT_DEG))
        along = np.stack([frame.at("dx", z) + lean, frame.at("dy", z), np.ones_like(z)], axis=1)
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        sides.append(along @ grid.rotation.T)
    return sides[0], sides[1]


def simulate(
    person: Person,
    grid: Acquisition,
    truth: TensorTruth,
    signals: Array,
    *,
    protocol: Protocol,
    snr: float,
    rng: np.random.Generator,
) -> Series:
    """Simulate a series with Rician noise and, where asked for, motion.

    Parameters
    ----------
    person, grid
        Who is scanned, and how.
    truth : TensorTruth
        From `tensor_truth`.
    signals : array, shape (N_TISSUES,)
        Signal at b = 0.
    protocol : Protocol
        Volumes, b-value and motion.
    snr : float
        White matter at b = 0 over the noise's standard deviation.
    rng : numpy.random.Generator
        Noise and motion.

    Returns
    -------
    Series
        Canonical axes; the first volume is a b = 0.
    """
    bvals, vectors = _table(protocol)
    sigma = float(signals[Tissue.LEFT_LATERAL_WM]) / snr
    survival = implant_survival(person, grid)
    base = _base_signal(truth, signals, person, grid) * survival[..., None]
    shifts = protocol.motion_mm * rng.standard_normal((len(bvals), grid.shape[2], 2))
    shifts[0] = 0.0
    data = np.empty((*grid.shape, len(bvals)), dtype=np.float32)
    fibres = fibre_directions(person, grid)
    along, across = eigenvalues(truth.fa, truth.md)
    for volume, (b, vector) in enumerate(zip(bvals, vectors, strict=True)):
        clean = _weighted(base, (along, across), fibres, float(b), vector)
        if protocol.motion_mm > 0.0:
            clean = _moved(clean, shifts[volume], grid.spacing_mm)
        data[..., volume] = rician(clean, sigma, rng)
    return Series(data, bvals, vectors, shifts)


def _table(protocol: Protocol) -> tuple[Array, Array]:
    """b-values and directions, with the b = 0 volumes spread over the series."""
    n = protocol.n_b0 + protocol.n_directions
    is_b0 = np.zeros(n, dtype=bool)
    is_b0[np.unique((np.arange(protocol.n_b0) * n) // max(protocol.n_b0, 1))] = True
    bvals = np.where(is_b0, 0.0, protocol.b_value)
    vectors = np.zeros((n, 3))
    vectors[~is_b0] = directions(int((~is_b0).sum()))
    return bvals, vectors


def _base_signal(truth: TensorTruth, signals: Array, person: Person, grid: Acquisition) -> Array:
    """Signal at b = 0 that each group of tissues adds to each voxel, shape (X, Y, Z, 11)."""
    levels = np.array([float(np.mean(signals[list(group)])) for group in GROUPS], dtype=np.float32)
    base = np.empty(truth.fraction.shape, dtype=np.float32)
    base[..., :-1] = truth.fraction[..., :-1] * levels
    held = {int(tissue) for group in GROUPS for tissue in group}
    rest = np.where([code in held for code in range(N_TISSUES)], 0.0, signals)
    base[..., -1] = mean_over_voxels(person, grid, rest[:, None].astype(np.float32))[..., 0]
    return base


def _weighted(
    base: Array, eigen: tuple[Array, Array], fibres: tuple[Array, Array], b: float, vector: Array
) -> Array:
    """Signal under one gradient; `base` is each group's own signal without it."""
    if b == 0.0:
        return base.sum(axis=-1)
    n = len(CORD)
    along, across = eigen
    decay = np.exp(-b * np.array([FREE_WATER_MD, MUSCLE_MD, OTHER_MD]))
    clean = base[..., n:] @ decay.astype(np.float32)
    for k, region in enumerate(REGIONS):
        fibre = fibres[0] if region.name.startswith("LEFT") else fibres[1]
        cosine = ((fibre @ vector) ** 2).astype(np.float32)[None, None, :]
        diffusivity = across[..., k] + (along[..., k] - across[..., k]) * cosine
        clean = clean + base[..., k] * np.exp(np.float32(-b) * diffusivity)
    return clean


def _moved(clean: Array, shifts_mm: Array, spacing_mm: tuple[float, float, float]) -> Array:
    moved = np.empty_like(clean)
    for k in range(clean.shape[2]):
        voxels = shifts_mm[k] / np.asarray(spacing_mm[:2])
        moved[..., k] = shift_image(clean[..., k], voxels, order=3, mode="nearest")
    return moved
