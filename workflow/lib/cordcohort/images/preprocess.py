"""What is done to a diffusion series before anything is computed from it: denoising, motion.

Noise is taken out first, while it is still independent between voxels; then motion. Both are chosen
by the config (``images.denoise``, ``images.motion_correction``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordcohort.errors import ImageError
from cordcohort.images.gradients import B0_THRESHOLD_S_PER_MM2, no_b0
from cordcohort.images.motion import Motion, find_motion, without_motion
from cordcohort.nifti import Image
from cordcohort.segmentation.classical import MIN_EVIDENCE, candidates

Floats = NDArray[np.float64]
NONE, MPPCA, PATCH2SELF = "none", "mppca", "patch2self"
DENOISERS = (NONE, MPPCA, PATCH2SELF)
PCA_PATCH_RADIUS = 2
MIN_FIELD_VOXELS = 8
NOT_FOUND = "motion is not corrected: the cord is not found on the mean b=0 image"


@dataclass(frozen=True)
class Preprocessed:
    """A series as it is measured.

    Attributes
    ----------
    series : Image
        On the axes of the input; the input itself where nothing was done.
    changed : bool
        Whether its values are others than the input's.
    motion : Motion or None
        Where the cord was, if that was asked for and could be found.
    steps : list of str
        What was done.
    warnings : list of str
        What was asked for and could not be done.
    """

    series: Image
    changed: bool = False
    motion: Motion | None = None
    steps: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def preprocess(series: Image, bvals: Floats, options: Mapping[str, Any]) -> Preprocessed:
    """Denoise a series and take the cord's motion back, as far as asked for.

    Parameters
    ----------
    series : Image, data of shape (X, Y, Z, T)
    bvals : array, shape (T,)
        In s/mm2.
    options : mapping
        ``denoise`` (one of :data:`DENOISERS`), ``motion_correction`` (bool) and
        ``b0_threshold_s_per_mm2``.

    Raises
    ------
    ImageError
        ``bval_count`` or ``no_b0``.
    """
    found = Preprocessed(series)
    mean_b0(series, bvals, options["b0_threshold_s_per_mm2"])  # refuses what is no such series
    if options["denoise"] != NONE:
        data = denoised(series.data, bvals, options["denoise"], options["b0_threshold_s_per_mm2"])
        found = replace(found, series=replace(series, data=data), changed=True)
        found.steps.append(f"denoised ({options['denoise']})")
    return _still(found, bvals, options) if options["motion_correction"] else found


def denoised(
    data: NDArray[np.float32], bvals: Floats, method: str, b0_threshold: float
) -> NDArray[np.float32]:
    """Take noise out of a series by dipy.

    Parameters
    ----------
    data : array, shape (X, Y, Z, T)
    bvals : array, shape (T,)
    method : {"mppca", "patch2self"}
        Marchenko-Pastur principal components of small patches, or self-supervised regression.
    b0_threshold : float
        Largest b-value that counts as b=0.

    References
    ----------
    J. Veraart et al. NeuroImage 2016;142:394-406. S. Fadnavis et al. NeurIPS 2020.
    """
    if method == MPPCA:
        from dipy.denoise.localpca import mppca  # noqa: PLC0415 - slow import, rarely needed

        # A patch of five voxels, or as many as there are slices.
        radius: Any = np.minimum(PCA_PATCH_RADIUS, (np.array(data.shape[:3]) - 1) // 2)
        found = mppca(data, patch_radius=radius, suppress_warning=True)
    else:
        from dipy.denoise.patch2self import patch2self  # noqa: PLC0415 - slow, rarely needed

        found = patch2self(data, bvals, b0_threshold=int(b0_threshold), verbose=False)
    return np.asarray(found, dtype=np.float32)


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
        raise no_b0(series.path, float(np.min(bvals)), threshold)
    seen = chosen & (series.data > 0).any(axis=(0, 1, 2))  # a lost volume would dim the mean
    mean = series.data[..., seen if seen.any() else chosen].mean(axis=3, dtype=np.float64)
    return replace(series, data=mean.astype(np.float32))


def cord_centres(mean: Image) -> Floats | None:
    """The cord's centre in each slice of a mean image, by intensity and shape alone.

    Parameters
    ----------
    mean : Image
        Mean b=0 image on canonical axes.

    Returns
    -------
    array, shape (Z, 2), or None
        In voxels; ``None`` where the evidence is weak.
    """
    if np.ptp(mean.data) <= 0 or min(mean.data.shape[:2]) < MIN_FIELD_VOXELS:
        return None
    best = max(candidates(mean), key=_evidence)
    if best.evidence < MIN_EVIDENCE:
        return None
    return best.outline.centre_mm / np.asarray(mean.spacing_mm[:2])


def _evidence(candidate: Any) -> float:
    return float(candidate.evidence)


def _still(found: Preprocessed, bvals: Floats, options: Mapping[str, Any]) -> Preprocessed:
    threshold = options["b0_threshold_s_per_mm2"]
    if len(bvals) < 2:  # noqa: PLR2004 - one volume has nothing to be compared with
        return found
    scan = found.series.canonical()
    centres = cord_centres(mean_b0(scan, bvals, threshold))
    if centres is None:
        return replace(found, warnings=[*found.warnings, NOT_FOUND])
    spacing = scan.spacing_mm[:2]
    motion = find_motion(scan.data, spacing, np.asarray(bvals) <= threshold, centres)
    data = found.series.to_native(without_motion(scan.data, spacing, motion))
    return replace(
        found, series=replace(found.series, data=np.ascontiguousarray(data)), changed=True,
        motion=motion, steps=[*found.steps, "motion taken back, slice by slice"],
    )  # fmt: skip
