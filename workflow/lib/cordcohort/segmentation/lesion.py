"""Cord and lesions of one scan: the localiser's path, then one network with two nested outputs."""

from __future__ import annotations

import cc3d
import numpy as np
from numpy.typing import NDArray

from cordcohort.binary import binarised
from cordcohort.nifti import Image
from cordcohort.segmentation.centreline import FloatArray, keep_on_path, open_volume
from cordcohort.segmentation.infer import (
    Segmentation,
    cord_line,
    deterministic,
    implausible,
    nothing,
    on_native,
    refine,
)
from cordcohort.segmentation.registry import Model

CORD, LESION = "cord", "lesion"
STAGE = "lesion"
FACES_EDGES = 18
LEAST_MM3 = 6.0
LEAST_SURE = 0.7
SURE_SHARE = 0.8


def segment_lesions(
    model: Model, image: Image, batch_size: int = 32, mirror: bool = False
) -> dict[str, Segmentation]:
    """Cord and lesions of one 3-D scan of any orientation and field of view.

    Parameters
    ----------
    model
        With the stages ``localiser`` and ``lesion``, the latter with the outputs cord and lesion.
    image
        Verified 3-D image.
    batch_size
        Slices per network call.
    mirror
        Average with the left-right mirrored scan (twice the time).

    Returns
    -------
    dict
        ``cord`` and ``lesion``; a scan with a cord and no lesion has an empty mask and status
        ``ok``, without a cord both are ``no_cord``.
    """
    volume, problem = open_volume(image.canonical(), model.device)
    cord = lesion = np.zeros((0, 0, 0), np.float32)
    if volume is not None:
        with deterministic():
            line, problem = cord_line(model.stages["localiser"], volume, batch_size)
            if line is not None:
                stage = model.stages[STAGE]
                cord, lesion = refine(stage, volume, line, batch_size=batch_size, mirror=mirror)
                cord = keep_on_path(cord, line, volume)
                problem = implausible(cord, volume.step_mm)
    if problem or volume is None:
        return {CORD: nothing(image, problem), LESION: nothing(image, problem)}
    kept = believed(nested(lesion, cord), volume.step_mm * volume.y.pixel_mm * volume.x.pixel_mm)
    return {CORD: on_native(image, cord), LESION: on_native(image, kept)}


def nested(lesion: FloatArray, cord: FloatArray) -> FloatArray:
    """Lesion fractions inside the cord: never above the cord's, none outside its mask.

    Examples
    --------
    >>> nested(np.array([0.9, 0.9, 0.2]), np.array([0.8, 0.4, 1.0])).tolist()
    [0.8, 0.0, 0.2]
    """
    return np.where(binarised(cord), np.minimum(lesion, cord), 0).astype(lesion.dtype)


def believed(soft: FloatArray, voxel_mm3: float) -> FloatArray:
    """Clear objects that are too small and too unsure to be a lesion.

    An object (voxels of at least one half, joined by faces or edges) stays where it is larger than
    ``LEAST_MM3`` and the surest fifth of its voxels reach ``LEAST_SURE`` on average.

    Parameters
    ----------
    soft : array, shape (Z, Y, X)
        Lesion fractions.
    voxel_mm3 : float
        Volume of a voxel.

    Examples
    --------
    >>> soft = np.zeros((4, 4, 9)); soft[1:3, 1:3, :3] = 0.9; soft[1, 1, 8] = 0.9
    >>> np.flatnonzero(believed(soft, 1.0).any((0, 1))).tolist()
    [0, 1, 2]
    """
    labels: NDArray[np.integer] = cc3d.connected_components(
        binarised(soft).astype(np.uint8), connectivity=FACES_EDGES
    )
    kept = np.zeros(int(labels.max()) + 1, dtype=bool)
    for label in range(1, len(kept)):
        values = np.sort(soft[labels == label])
        sure = values[int(SURE_SHARE * len(values)) :].mean()
        kept[label] = len(values) * voxel_mm3 > LEAST_MM3 and sure >= LEAST_SURE
    # What lies below one half belongs to no object; it stays, so that a curve can be drawn.
    return np.where(kept[labels] | (labels == 0), soft, 0)
