"""Diffusion series: mean b=0 image and diffusion tensor maps inside the cord.

The tensor is fitted by dipy, in the voxels of a mask only. Maps are scalar and do not depend on how
the image's axes are stored; the fit uses b-vectors in world axes.

To add a map, write a function here that takes eigenvalues and gives one value a voxel, and declare
it in :mod:`cordcohort.measures.catalogue`.

References
----------
P. J. Basser, C. Pierpaoli. Microstructural and physiological features of tissues elucidated by
quantitative-diffusion-tensor MRI. J Magn Reson B 1996;111:209-219.
E. Garyfallidis et al. DIPY. Front Neuroinform 2014;8:8.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cordcohort.errors import ImageError
from cordcohort.images.gradients import B0_THRESHOLD_S_PER_MM2, Gradients
from cordcohort.measures.catalogue import map_name, measures_of
from cordcohort.nifti import Array, Image

Floats = NDArray[np.float64]
ROUNDING = 1e-5
FITS = ("WLS", "OLS", "NLLS", "RESTORE")
_DIPY_NAMES = {"WLS": "WLS", "OLS": "LS", "NLLS": "NLLS", "RESTORE": "RESTORE"}
FLOOR_MM2_PER_S_TIMES_B = 1.01e-6  # dipy raises smaller eigenvalues to 1e-6 / largest b-value


@dataclass(frozen=True)
class TensorMaps:
    """Maps of a tensor fit, on the image's own axes, 0 outside the fitted voxels.

    Attributes
    ----------
    maps : dict of str to array, shape (X, Y, Z), float32
        ``fa`` (0 to 1), ``md``, ``ad``, ``rd`` (mm2/s).
    fitted : array of bool, shape (X, Y, Z)
        Voxels with a tensor.
    counts : dict of str to int
        ``mask_voxels``; ``black_volumes`` (0 all over the mask, left out); ``not_positive_signal``
        (no tensor: the mean b=0 or the whole voxel is not above 0); ``not_positive_eigenvalue`` and
        ``beyond_bounds`` (kept, but not physical).
    """

    maps: dict[str, NDArray[np.float32]]
    fitted: NDArray[np.bool_]
    counts: dict[str, int] = field(default_factory=dict)


def fa(eigenvalues: Floats) -> Floats:
    """Fractional anisotropy, 0 to 1, of eigenvalues (n, 3).

    Examples
    --------
    >>> fa(np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])).tolist()
    [0.0, 1.0]
    """
    mean = eigenvalues.mean(axis=1, keepdims=True)
    power = (eigenvalues**2).sum(axis=1)
    spread = ((eigenvalues - mean) ** 2).sum(axis=1)
    return np.sqrt(1.5 * spread / np.where(power > 0, power, 1.0))


def md_mm2_per_s(eigenvalues: Floats) -> Floats:
    """Mean diffusivity in mm2/s of eigenvalues (n, 3)."""
    return eigenvalues.mean(axis=1)


def ad_mm2_per_s(eigenvalues: Floats) -> Floats:
    """Axial diffusivity in mm2/s: the largest of eigenvalues (n, 3)."""
    return eigenvalues.max(axis=1)


def rd_mm2_per_s(eigenvalues: Floats) -> Floats:
    """Radial diffusivity in mm2/s: mean of the two smaller of eigenvalues (n, 3)."""
    return (eigenvalues.sum(axis=1) - eigenvalues.max(axis=1)) / 2


def mean_b0(series: Image, bvals: Floats, threshold: float = B0_THRESHOLD_S_PER_MM2) -> Image:
    """Mean of the volumes without diffusion weighting.

    Parameters
    ----------
    series : Image, data of shape (X, Y, Z, T)
    bvals : array, shape (T,)
        In s/mm2.
    threshold : float
        Largest b-value that counts as b=0.

    Returns
    -------
    Image
        Shape (X, Y, Z), float32, on the same axes.

    Raises
    ------
    ImageError
        ``bval_count`` or ``no_b0``.
    """
    if len(bvals) != series.data.shape[3]:
        raise ImageError(
            series.path, "bval_count", f"{series.data.shape[3]} b-values", f"{len(bvals)}",
            "pair the image with its own gradient files",
        )  # fmt: skip
    chosen = np.asarray(bvals) <= threshold
    if not chosen.any():
        raise ImageError(
            series.path, "no_b0", f"a volume with b up to {threshold:g} s/mm2",
            f"a smallest b of {np.min(bvals):g}", "raise images.b0_threshold_s_per_mm2",
        )  # fmt: skip
    mean = series.data[..., chosen].mean(axis=3, dtype=np.float64)
    return replace(series, data=mean.astype(np.float32))


def tensor_maps(series: Image, gradients: Gradients, mask: Array, fit: str = "WLS") -> TensorMaps:
    """Fit the diffusion tensor inside a mask.

    Parameters
    ----------
    series : Image, data of shape (X, Y, Z, T)
    gradients : Gradients
        Of the same series.
    mask : array of bool, shape (X, Y, Z)
        On the series' own axes; dilate the cord first (:func:`dilated`).
    fit : {"WLS", "OLS", "NLLS", "RESTORE"}
        Weighted or ordinary linear least squares, non-linear least squares, or robust estimation.

    Returns
    -------
    TensorMaps

    Raises
    ------
    ImageError
        ``other_grid``, ``bval_count``, ``empty_mask``, or ``no_b0`` and ``directions`` where black
        volumes leave too few others.
    ValueError
        If ``fit`` is none of the four.
    """
    if fit not in FITS:
        raise ValueError(f"images.tensor_fit: expected one of {FITS}, got {fit!r}")
    inside = np.asarray(mask) > 0
    _check_inputs(series, gradients, inside)
    signal = series.data[inside].astype(np.float64)
    black = np.asarray((signal <= 0).all(axis=0), dtype=np.bool_)
    if black.any():  # a volume that was lost on the way says nothing about diffusion
        signal, gradients = signal[:, ~black], gradients.subset(~black)
    b0 = signal[:, gradients.is_b0].mean(axis=1)
    usable = (b0 > 0) & (signal.max(axis=1) > 0)
    eigenvalues = _eigenvalues(signal[usable], gradients, series.affine, fit)
    fitted = np.zeros(inside.shape, dtype=bool)
    fitted[inside] = usable
    maps, n_beyond = _scalar_maps(eigenvalues, fitted)
    floor = FLOOR_MM2_PER_S_TIMES_B / gradients.bvals.max()
    counts = {
        "mask_voxels": int(inside.sum()),
        "black_volumes": int(black.sum()),
        "not_positive_signal": int((~usable).sum()),
        "not_positive_eigenvalue": int((eigenvalues.min(axis=1) <= floor).sum()),
        "beyond_bounds": n_beyond,
    }
    return TensorMaps(maps, fitted, counts)


def _scalar_maps(
    eigenvalues: Floats, fitted: NDArray[np.bool_]
) -> tuple[dict[str, NDArray[np.float32]], int]:
    """Every declared map, and the number of voxels that leave the physical bounds of any."""
    here = globals()  # the catalogue names functions of this module
    beyond = np.zeros(len(eigenvalues), dtype=bool)
    maps: dict[str, NDArray[np.float32]] = {}
    for measure in measures_of("diffusion"):
        values = here[measure.function](eigenvalues)
        beyond |= ~((values >= measure.low) & (values <= measure.high))
        volume = np.zeros(fitted.shape, dtype=np.float32)
        volume[fitted] = values
        maps[map_name(measure)] = volume
    return maps, int(beyond.sum())


def dilated(mask: Image, radius_mm: float) -> NDArray[np.bool_]:
    """Grow a mask within its axial slices by a distance.

    Parameters
    ----------
    mask : Image
        Binary mask on its own axes.
    radius_mm : float
        Voxels whose centre lies at most this far from a voxel of the mask are added; at least the
        neighbours in the slice, where the voxels are larger than the radius.

    Returns
    -------
    array of bool
        On the mask's own axes.
    """
    canonical = mask.canonical()
    grown = canonical.data > 0
    if radius_mm > 0:
        spacing = canonical.spacing_mm[:2]
        # At least one voxel, and not decided by the last bit of a spacing stored in 32 bits.
        reach_mm = max(radius_mm, *spacing) * (1 + ROUNDING)
        for k in np.flatnonzero(grown.any(axis=(0, 1))):
            distance = ndimage.distance_transform_edt(~grown[:, :, k], sampling=spacing)
            grown[:, :, k] = np.asarray(distance) <= reach_mm
    return mask.to_native(grown)


def _check_inputs(series: Image, gradients: Gradients, inside: NDArray[np.bool_]) -> None:
    if series.data.shape[:3] != inside.shape:
        raise ImageError(
            series.path, "other_grid", f"a mask of shape {series.data.shape[:3]}",
            f"{inside.shape}", "draw or resample the mask on the diffusion series",
        )  # fmt: skip
    if series.data.shape[3] != len(gradients.bvals):
        raise ImageError(
            series.path, "bval_count", f"{series.data.shape[3]} b-values",
            f"{len(gradients.bvals)}", "pair the image with its own gradient files",
        )  # fmt: skip
    if not inside.any():
        raise ImageError(
            series.path, "empty_mask", "a cord mask with voxels", "an empty one",
            "segment the scan or leave it out",
        )  # fmt: skip


def _eigenvalues(signal: Floats, gradients: Gradients, affine: Floats, fit: str) -> Floats:
    """Eigenvalues (n, 3), largest first, in mm2/s."""
    if len(signal) == 0:
        return np.zeros((0, 3))
    from dipy.core.gradients import gradient_table  # noqa: PLC0415 - slow import, only fits need it
    from dipy.reconst.dti import TensorModel  # noqa: PLC0415

    table = gradient_table(
        gradients.bvals,
        bvecs=gradients.world_bvecs(affine),
        b0_threshold=gradients.b0_threshold,  # pyright: ignore[reportArgumentType] - dipy takes floats
    )
    result = TensorModel(table, fit_method=_DIPY_NAMES[fit]).fit(signal)
    return np.asarray(result.evals, dtype=np.float64)
