"""How far the tensor fit of a series can be trusted: signal to noise, slices that do not fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
N_PARAMETERS = 7  # of a tensor with its signal at b=0
MAD_TO_SD = 1.4826
OUTLIER_SD = 4.0
LEAST_OUTLIER_SHARE = 0.05
"""A slice is an outlier from this share of its signal on, however small the noise is."""
LEAST_VOXELS = 5
SMALLEST_RATIO = 1e-3
LOW_SNR = 10.0
"""Below, noise alone raises FA of grey matter and lowers MD (Jones & Basser 2004)."""


@dataclass(frozen=True)
class FitQuality:
    """Quality of a tensor fit.

    Attributes
    ----------
    s0_snr : float
        Median over voxels of the signal at b=0 over the noise's SD, which is the residuals'; NaN
        where there are no more volumes than parameters.
    outliers : list of tuple of int
        Volume and slice of means that lie further from the fit than :data:`OUTLIER_SD`.
    n_slices : int
        Slices of all volumes that were looked at.
    """

    s0_snr: float
    outliers: list[tuple[int, int]]
    n_slices: int

    @property
    def warnings(self) -> list[str]:
        """What a person should know before trusting the maps."""
        told: list[str] = []
        if self.s0_snr < LOW_SNR:
            told.append(f"signal to noise at b=0 is {self.s0_snr:.1f}, below {LOW_SNR:g}")
        if self.outliers:
            volumes = ", ".join(str(v) for v in sorted({v for v, _ in self.outliers}))
            told.append(
                f"{len(self.outliers)} of {self.n_slices} slices do not fit (volumes {volumes})"
            )
        return told


def predicted_signal(
    signal: Floats, bvals: Floats, directions: Floats, evals: Floats, evecs: Floats
) -> Floats:
    """Signal that fitted tensors give, with the b=0 signal that fits best.

    Parameters
    ----------
    signal : array, shape (n, T)
        Measured.
    bvals, directions : arrays, shapes (T,) and (T, 3)
        In s/mm2; in the axes of the tensors.
    evals, evecs : arrays, shapes (n, 3) and (n, 3, 3)
        Eigenvalues in mm2/s; eigenvectors as columns.
    """
    along = np.einsum("ti,nij->ntj", directions, evecs) ** 2
    decay = np.exp(-bvals * np.einsum("ntj,nj->nt", along, evals))
    power = (decay**2).sum(axis=1, keepdims=True)
    return decay * (decay * signal).sum(axis=1, keepdims=True) / np.where(power > 0, power, 1.0)


def fit_quality(
    signal: Floats,
    predicted: Floats,
    slices: NDArray[np.integer],
    bvals: Floats,
    directions: Floats,
) -> FitQuality:
    """Judge a fit by its residuals.

    A lost slice bends the tensor that is fitted to it as well, so that others seem not to fit: a
    slice's mean log ratios to the fit are fitted anew by a tensor, and the volume that fits worst
    is left out, until all others fit.

    Parameters
    ----------
    signal, predicted : arrays, shape (n, T)
        Measured, and of the fitted tensors.
    slices : array, shape (n,)
        Slice of each voxel.
    bvals, directions : arrays, shapes (T,) and (T, 3)

    Returns
    -------
    FitQuality
        Volumes are numbered as in ``signal``.

    References
    ----------
    J. L. R. Andersson et al. NeuroImage 2016;141:556-572 (slices judged by their mean residual).
    """
    n, n_volumes = signal.shape
    freedom = n_volumes - N_PARAMETERS
    if n == 0 or freedom <= 0:
        return FitQuality(float("nan"), [], 0)
    residual = signal - predicted
    noise = np.sqrt((residual**2).sum(axis=1) / freedom)
    s0 = predicted[:, np.argmin(bvals)]
    snr = float(np.median(s0 / np.maximum(noise, 1e-9 * np.maximum(s0, 1e-30))))
    numbers, place, counts = np.unique(slices, return_inverse=True, return_counts=True)
    means, levels = np.zeros((2, len(numbers), n_volumes))
    np.add.at(means, place, signal)
    np.add.at(levels, place, predicted)
    enough = counts >= LEAST_VOXELS
    ratio = np.maximum(means[enough], 0) / np.maximum(levels[enough], 1e-30)
    logs = np.log(np.maximum(ratio, SMALLEST_RATIO))
    found = _outliers(logs, _design(bvals, directions))
    named = [(t, int(numbers[enough][k])) for k, t in found]
    return FitQuality(snr, sorted(named), int(logs.size))


def _design(bvals: Floats, directions: Floats) -> Floats:
    """Logarithm of a signal as a linear function of a tensor and the signal at b=0 (T, 7)."""
    x, y, z = directions.T
    terms = [x * x, y * y, z * z, 2 * x * y, 2 * x * z, 2 * y * z]
    scaled = bvals / max(float(bvals.max()), 1.0)
    return np.stack([np.ones_like(bvals), *[-scaled * term for term in terms]], axis=1)


def _outliers(logs: Floats, design: Floats) -> list[tuple[int, int]]:
    """Row and volume of log ratios (slices, T) that do not fit; the worst of a slice goes first."""
    if not logs.size:
        return []
    whole = logs - (design @ np.linalg.lstsq(design, logs.T, rcond=None)[0]).T
    typical = MAD_TO_SD * float(np.median(np.abs(whole)))
    limit = max(OUTLIER_SD * typical, LEAST_OUTLIER_SHARE)
    found: list[tuple[int, int]] = []
    for k in np.flatnonzero((np.abs(whole) > limit).any(axis=1)):
        kept = np.ones(len(design), dtype=bool)
        while kept.sum() > N_PARAMETERS:
            fitted = design @ np.linalg.lstsq(design[kept], logs[k][kept], rcond=None)[0]
            away = np.abs(logs[k] - fitted) * kept
            worst = int(away.argmax())
            if away[worst] <= limit:
                break
            kept[worst] = False
            found.append((int(k), worst))
    return found


@dataclass(frozen=True)
class SeriesQuality:
    """What is told of a series in the long table.

    Attributes
    ----------
    fit : FitQuality
    unphysical : int
        Voxels beyond physical bounds.
    motion_mm : float
        Mean framewise displacement; NaN where motion was not corrected.
    """

    fit: FitQuality
    unphysical: int
    motion_mm: float


def s0_snr(series: SeriesQuality) -> float:
    """Signal to noise at b=0."""
    return series.fit.s0_snr


def framewise_displacement_mm(series: SeriesQuality) -> float:
    """Mean way of the cord from one volume to the next, in mm."""
    return series.motion_mm


def outlier_slices_n(series: SeriesQuality) -> float:
    """Slices of all volumes that do not fit."""
    return float(len(series.fit.outliers))


def unphysical_voxels_n(series: SeriesQuality) -> float:
    """Voxels beyond physical bounds."""
    return float(series.unphysical)
