"""Diffusion tensor maps inside the cord.

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

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cordcohort.errors import ImageError
from cordcohort.images.gradients import Gradients
from cordcohort.images.tensor_quality import FitQuality, fit_quality, predicted_signal
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
        (no tensor: the mean b=0 or the whole voxel is not above 0); ``negative_values`` (single
        values below 0, fitted as next to nothing); ``not_positive_eigenvalue`` and
        ``beyond_bounds`` (kept, but not physical).
    direction : array, shape (X, Y, Z, 3), float32
        Unit vector of the largest eigenvalue in world axes (right, front, up).
    quality : FitQuality
        Signal to noise and slices that do not fit; slices are canonical, volumes the series'.
    """

    maps: dict[str, NDArray[np.float32]]
    fitted: NDArray[np.bool_]
    counts: dict[str, int]
    direction: NDArray[np.float32]
    quality: FitQuality

    @property
    def warnings(self) -> list[str]:
        """What a person should know before trusting the maps."""
        told = {
            "black_volumes": "volumes without signal left out",
            "negative_values": "values below 0",
            "not_positive_signal": "voxels without signal got no tensor",
            "beyond_bounds": "voxels beyond physical bounds",
        }
        counted = [f"{self.counts[k]} {text}" for k, text in told.items() if self.counts[k]]
        return [*counted, *self.quality.warnings]


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
    signal = signal[usable]
    directions = gradients.world_bvecs(series.affine)
    evals, evecs = _tensors(signal, gradients, directions, fit)
    fitted = np.zeros(inside.shape, dtype=bool)
    fitted[inside] = usable
    maps, n_beyond = _scalar_maps(evals, fitted)
    direction = np.zeros((*fitted.shape, 3), dtype=np.float32)
    direction[fitted] = evecs[:, :, 0]
    predicted = predicted_signal(signal, gradients.bvals, directions, evals, evecs)
    slices = _slices_of(series, fitted)
    quality = fit_quality(signal, predicted, slices, gradients.bvals, directions)
    floor = FLOOR_MM2_PER_S_TIMES_B / gradients.bvals.max()
    counts = {
        "mask_voxels": int(inside.sum()),
        "black_volumes": int(black.sum()),
        "not_positive_signal": int((~usable).sum()),
        "negative_values": int((signal < 0).sum()),
        "not_positive_eigenvalue": int((evals.min(axis=1) <= floor).sum()),
        "beyond_bounds": n_beyond,
    }
    return TensorMaps(maps, fitted, counts, direction, _numbered(quality, black))


def direction_colour(direction: Array, anisotropy: Array) -> NDArray[np.float32]:
    """Colour of fibres: red for right-left, green for front-back, blue for up-down.

    Parameters
    ----------
    direction : array, shape (..., 3)
        Unit vectors in world axes.
    anisotropy : array, shape (...)
        FA, which gives the brightness.

    Returns
    -------
    array of float32, shape (..., 3)
        0 to 1.

    Examples
    --------
    >>> direction_colour(np.array([0.0, 0.0, -1.0]), np.array(0.5)).tolist()
    [0.0, 0.0, 0.5]
    """
    return (np.abs(direction) * np.clip(anisotropy, 0, 1)[..., None]).astype(np.float32)


def _slices_of(series: Image, fitted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Canonical slice of each fitted voxel, in the order of the stored array."""
    shape = replace(series, data=fitted).canonical().data.shape
    numbers = np.broadcast_to(np.arange(shape[2]), shape)
    return np.asarray(series.to_native(numbers)[fitted])


def _numbered(quality: FitQuality, black: NDArray[np.bool_]) -> FitQuality:
    """Outliers with the numbers that volumes have in the whole series."""
    kept = np.flatnonzero(~black)
    return replace(quality, outliers=[(int(kept[t]), k) for t, k in quality.outliers])


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


def _tensors(
    signal: Floats, gradients: Gradients, directions: Floats, fit: str
) -> tuple[Floats, Floats]:
    """Eigenvalues (n, 3), largest first, in mm2/s; their vectors (n, 3, 3) as columns."""
    if len(signal) == 0:
        return np.zeros((0, 3)), np.zeros((0, 3, 3))
    from dipy.core.gradients import gradient_table  # noqa: PLC0415 - slow import, only fits need it
    from dipy.reconst.dti import TensorModel  # noqa: PLC0415

    table = gradient_table(
        gradients.bvals,
        bvecs=directions,
        b0_threshold=gradients.b0_threshold,  # pyright: ignore[reportArgumentType] - dipy takes floats
    )
    result = TensorModel(table, fit_method=_DIPY_NAMES[fit]).fit(signal)
    return np.asarray(result.evals, np.float64), np.asarray(result.evecs, np.float64)
