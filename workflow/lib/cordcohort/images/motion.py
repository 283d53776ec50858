"""Motion of the cord between the volumes of a diffusion series: in-plane, slice by slice.

The cord moves with breathing and swallowing, by another amount in every slice, while the spine
around it hardly does. So each slice of each volume is shifted on its own, within the slice, to the
mean of its kind (the b=0 images, the diffusion-weighted images), looking only at a disc round the
cord. Shifts are rigid translations: a nearly round cord says nothing of a rotation.

The images of a kind differ in brightness from direction to direction; a slice is compared with the
mean through the best straight line between their values. The two means are brought onto each other
through the best cubic between theirs, since fluid is bright in one and dark in the other.

Slices without signal are not left to chance: shifts are the most probable ones where those of
neighbouring slices differ little (``ALONG_SD_MM``), and those of volumes after each other somewhat
more. Where a slice shows the cord well the images decide, and far larger steps are possible.

References
----------
Y. Xu et al. Improved in vivo diffusion tensor imaging of human cervical spinal cord. NeuroImage
2013;67:64-76 (slice-wise correction). A. Roche et al. The correlation ratio as a new similarity
measure for multimodal image registration. MICCAI 1998:1115-1124. J. D. Power et al. Spurious but
systematic correlations in functional connectivity MRI networks arise from subject motion.
NeuroImage 2012;59:2142-2154 (framewise displacement).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.linalg import spsolve

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

RADIUS_MM, TAPER_MM = 13.0, 4.0
"""The disc round the cord that is looked at; its weight falls to 0 over the taper."""
MARGIN_VOXELS = 4
SMOOTH_VOXELS = 0.8
CORRELATED_VOXELS = 8.0
"""Voxels that share their noise after smoothing (4 pi sd^2)."""
ALONG_SD_MM, IN_TIME_SD_MM = 1.0, 3.0
"""Typical difference of neighbouring slices, and of a slice in volumes after each other."""
N_ROUNDS = 8
N_ROUNDS_BETWEEN = 6
LARGEST_STEP_VOXELS = 1.0
GAUGE = 1e-6  # holds the mean place, of which no difference tells
SPLINE = 3


@dataclass(frozen=True)
class Motion:
    """Where the cord was.

    Attributes
    ----------
    shifts_mm : array, shape (T, Z, 2)
        Place of the cord in each volume and slice, to the right and to the front, against its mean
        place over the b=0 volumes.
    framewise_displacement_mm : array, shape (T,)
        Mean over slices of how far the cord moved since the volume before; 0 for the first.
    """

    shifts_mm: Floats
    framewise_displacement_mm: Floats


def find_motion(
    data: NDArray[np.float32], spacing_mm: tuple[float, float], is_b0: Flags, centres: Floats
) -> Motion:
    """Estimate the cord's place in every slice of every volume.

    Parameters
    ----------
    data : array, shape (X, Y, Z, T)
        The series on canonical axes.
    spacing_mm : tuple of float
        In the slice.
    is_b0 : array of bool, shape (T,)
        Volumes without diffusion weighting; at least one.
    centres : array, shape (Z, 2)
        The cord's centre in each slice, in voxels.

    Returns
    -------
    Motion
    """
    moving, weight = _windows(data, spacing_mm, centres)
    spacing = np.asarray(spacing_mm)
    n_z, n_t = moving.shape[:2]
    shifts = np.zeros((n_z, n_t, 2))
    prior = _prior(n_z, n_t, spacing)
    kinds = [k for k in (is_b0, ~is_b0) if k.any()]
    for _ in range(N_ROUNDS):
        still = _shifted(moving, -shifts)
        information, wanted = np.zeros((n_z, n_t, 2, 2)), np.zeros((n_z, n_t, 2))
        for kind in kinds:
            reference = still[:, kind].mean(axis=1, keepdims=True)
            information[:, kind], wanted[:, kind] = _evidence(still[:, kind], reference, weight)
        shifts = _most_probable(shifts, information, wanted, prior)
    shifts[:, ~is_b0] += _between_kinds(moving, shifts, is_b0, weight, spacing)[:, None]
    shifts -= shifts[:, is_b0].mean(axis=1, keepdims=True)
    in_mm = np.ascontiguousarray((shifts * spacing).transpose(1, 0, 2))
    return Motion(in_mm, framewise_displacement_mm(in_mm))


def framewise_displacement_mm(shifts_mm: Floats) -> Floats:
    """Mean over slices of the way since the volume before.

    Parameters
    ----------
    shifts_mm : array, shape (T, Z, 2)

    Returns
    -------
    array, shape (T,)
        0 for the first volume.

    Examples
    --------
    >>> shifts = np.zeros((3, 2, 2)); shifts[1] = [3.0, 4.0]
    >>> framewise_displacement_mm(shifts).tolist()
    [0.0, 5.0, 5.0]
    """
    steps = np.linalg.norm(np.diff(shifts_mm, axis=0), axis=2).mean(axis=1)
    return np.concatenate([[0.0], steps])


def without_motion(
    data: NDArray[np.float32], spacing_mm: tuple[float, float], motion: Motion
) -> NDArray[np.float32]:
    """Take the motion back: every slice is interpolated once, by cubic splines.

    Parameters
    ----------
    data : array, shape (X, Y, Z, T)
        The series on canonical axes.
    spacing_mm : tuple of float
        In the slice.
    motion : Motion
        Of the same series.

    Returns
    -------
    array of float32, shape (X, Y, Z, T)
        Not below 0 where the series is not.
    """
    voxels = motion.shifts_mm / np.asarray(spacing_mm)
    slices = np.ascontiguousarray(data.transpose(2, 3, 0, 1), dtype=np.float32)
    out = _shifted(slices, -voxels.transpose(1, 0, 2)).transpose(2, 3, 0, 1)
    return np.maximum(out, min(0.0, float(data.min(initial=0.0))))


def _windows(
    data: NDArray[np.float32], spacing_mm: tuple[float, float], centres: Floats
) -> tuple[NDArray[np.float32], Floats]:
    """Smoothed square windows round the cord (Z, T, X, Y), and the weight of their voxels."""
    reach = np.ceil((RADIUS_MM + TAPER_MM) / np.asarray(spacing_mm)).astype(int) + MARGIN_VOXELS
    low = np.rint(centres).astype(int) - reach
    n_x, n_y, n_z, n_t = data.shape
    size = 2 * reach + 1
    out = np.empty((n_z, n_t, size[0], size[1]), dtype=np.float32)
    weight = np.empty((n_z, size[0], size[1]))
    for k in range(n_z):
        x, y = (np.arange(size[a]) + low[k, a] for a in range(2))
        window = data[np.clip(x, 0, n_x - 1)][:, np.clip(y, 0, n_y - 1)][:, :, k]
        out[k] = window.transpose(2, 0, 1)
        away = np.hypot(
            (x[:, None] - centres[k, 0]) * spacing_mm[0],
            (y[None, :] - centres[k, 1]) * spacing_mm[1],
        )
        inside = (x >= 0) & (x < n_x), (y >= 0) & (y < n_y)
        weight[k] = np.clip((RADIUS_MM + TAPER_MM - away) / TAPER_MM, 0.0, 1.0)
        weight[k] *= inside[0][:, None] * inside[1][None, :]
    smooth = ndimage.gaussian_filter(out, (0, 0, SMOOTH_VOXELS, SMOOTH_VOXELS))
    return np.asarray(smooth, np.float32), weight


def _shifted(slices: NDArray[np.float32], voxels: Floats) -> NDArray[np.float32]:
    """Shift slices (Z, T, X, Y) by (Z, T, 2) voxels."""
    out = np.empty_like(slices)
    for k, t in np.ndindex(slices.shape[:2]):
        if voxels[k, t].any():
            ndimage.shift(slices[k, t], voxels[k, t], out[k, t], order=SPLINE, mode="nearest")
        else:
            out[k, t] = slices[k, t]
    return out


def _evidence(
    images: NDArray[np.float32], reference: NDArray[np.float32], weight: Floats
) -> tuple[Floats, Floats]:
    """What images (Z, n, X, Y) say of their way from a reference (Z, 1, X, Y).

    Returns
    -------
    tuple of arrays, shapes (Z, n, 2, 2) and (Z, n, 2)
        Information (inverse variance) in voxels, and information times shift.
    """
    w = weight[:, None]
    total = np.maximum(w.sum(axis=(2, 3), keepdims=True), 1e-9)
    centred = reference - (w * reference).sum(axis=(2, 3), keepdims=True) / total
    offset = (w * images).sum(axis=(2, 3), keepdims=True) / total
    power = np.maximum((w * centred**2).sum(axis=(2, 3), keepdims=True), 1e-9)
    gain = (w * centred * (images - offset)).sum(axis=(2, 3), keepdims=True) / power
    residual = gain * centred + offset - images
    slopes = [gain * slope for slope in np.gradient(reference, axis=(2, 3))]
    noise = (w * residual**2).sum(axis=(2, 3)) / total[..., 0, 0] * CORRELATED_VOXELS
    noise = np.maximum(noise, 1e-9 * power[..., 0, 0] / total[..., 0, 0] + 1e-12)
    information = np.empty((*images.shape[:2], 2, 2))
    wanted = np.empty((*images.shape[:2], 2))
    for i in range(2):
        wanted[..., i] = (w * slopes[i] * residual).sum(axis=(2, 3)) / noise
        for j in range(2):
            information[..., i, j] = (w * slopes[i] * slopes[j]).sum(axis=(2, 3)) / noise
    return information, wanted


def _prior(n_z: int, n_t: int, spacing_mm: Floats) -> sparse.csc_matrix:
    """Precision of all shifts (Z, T, 2) in voxels: neighbours along the cord and in time."""
    along = sparse.kron(_chain(n_z), sparse.eye(n_t)) / ALONG_SD_MM**2
    in_time = sparse.kron(sparse.eye(n_z), _chain(n_t)) / IN_TIME_SD_MM**2
    return sparse.csc_matrix(sparse.kron(along + in_time, sparse.diags(spacing_mm**2)))


def _chain(n: int) -> sparse.csc_matrix:
    """Sum of squared differences of neighbours in a row of n."""
    step = np.diff(np.eye(n), axis=0)
    return sparse.csc_matrix(step.T @ step)


def _most_probable(
    shifts: Floats, information: Floats, wanted: Floats, prior: sparse.csc_matrix
) -> Floats:
    """New shifts: what the images say, held together by the prior; their common mean is free."""
    blocks = information.reshape(-1, 2, 2)
    seen = sparse.csc_matrix(sparse.block_diag(list(blocks)))
    pull = wanted.reshape(-1) - prior @ shifts.reshape(-1)
    precision = seen + prior + sparse.eye(len(pull)) * GAUGE
    step = np.asarray(spsolve(precision, pull)).reshape(shifts.shape)
    return shifts + np.clip(step, -LARGEST_STEP_VOXELS, LARGEST_STEP_VOXELS)


def _between_kinds(
    moving: NDArray[np.float32], shifts: Floats, is_b0: Flags, weight: Floats, spacing: Floats
) -> Floats:
    """Way of the weighted mean from the b=0 mean in each slice (Z, 2), in voxels."""
    offset = np.zeros((len(moving), 1, 2))
    if is_b0.all():
        return offset[:, 0]
    still = _shifted(moving, -shifts)
    b0 = still[:, is_b0].mean(axis=1, keepdims=True)
    weighted = still[:, ~is_b0].mean(axis=1, keepdims=True)
    prior = _prior(len(moving), 1, spacing)
    near_none = sparse.csc_matrix(
        sparse.kron(sparse.eye(len(moving)), sparse.diags((ALONG_SD_MM / spacing) ** -2.0))
    )
    for _ in range(N_ROUNDS_BETWEEN):
        moved = _shifted(weighted, -offset)
        likeness = _as_if_weighted(b0, moved, weight)
        information, wanted = _evidence(moved, likeness, weight)
        offset = _most_probable(offset, information, wanted, prior + near_none)
    return offset[:, 0]


def _as_if_weighted(
    b0: NDArray[np.float32], weighted: NDArray[np.float32], weight: Floats
) -> NDArray[np.float32]:
    """The b=0 images with the brightness that the weighted ones have: the best cubic, by slice."""
    out = np.empty_like(b0)
    for k in range(len(b0)):
        scale = max(float(np.abs(b0[k]).max()), 1e-9)
        root = np.sqrt(weight[k]).ravel()
        terms = np.vander((b0[k] / scale).ravel().astype(np.float64), 4)
        found = np.linalg.lstsq(terms * root[:, None], weighted[k].ravel() * root, rcond=None)[0]
        out[k] = (terms @ found).reshape(b0[k].shape)
    return out
