"""Cord and lesions of one scan: the localiser's path, then two nested outputs around it."""

from __future__ import annotations

import cc3d
import numpy as np
from numpy.typing import NDArray

from cordcohort.binary import binarised
from cordcohort.model_uses import CORD, LESION, LESION_PARTS
from cordcohort.nifti import Image
from cordcohort.segmentation.centreline import (
    Centreline,
    FloatArray,
    Volume,
    keep_on_path,
    open_volume,
)
from cordcohort.segmentation.infer import (
    Segmentation,
    cord_line,
    deterministic,
    implausible,
    nothing,
    on_native,
    refine,
)
from cordcohort.segmentation.lesion_block import draw_in_cord
from cordcohort.segmentation.registry import LEAST_SURE, Model
from cordcohort.segmentation.volumes import refine_blocks

STAGE = "lesion"
FACES_EDGES = 18
LEAST_MM3 = 6.0
SURE_SHARE = 0.8


def segment_lesions(
    model: Model, image: Image, batch_size: int = 32, mirror: bool = False
) -> dict[str, Segmentation]:
    """Cord and lesions of one 3-D scan of any orientation and field of view.

    Parameters
    ----------
    model
        With the stages ``localiser`` and ``lesion``, the latter with the outputs cord and lesion;
        or with a stage ``cord`` too, in whose cord it draws lesions.
    image
        Verified 3-D image.
    batch_size
        Slices per network call.
    mirror
        Average with the left-right mirrored scan (twice the time). Lesions in a drawn
        cord always are such averages.

    Returns
    -------
    dict
        ``cord``, ``lesion`` and the parts of lesions that the model draws; a scan with a cord and
        no lesion has an empty mask and status ``ok``, without a cord all are ``no_cord``.
    """
    volume, problem = open_volume(image.canonical(), model.device)
    cord, inner = np.zeros((0, 0, 0), np.float32), np.zeros((0, 0, 0, 0), np.float32)
    names = (LESION, *drawn_parts(model))
    if volume is not None:
        with deterministic():
            line, problem = cord_line(model.stages["localiser"], volume, batch_size)
            if line is not None:
                cord, inner, problem = _both(model, volume, line, batch_size, mirror=mirror)
    if problem or volume is None:
        return {name: nothing(image, problem) for name in (CORD, *names)}
    voxel_mm3 = volume.step_mm * volume.y.pixel_mm * volume.x.pixel_mm
    kept = believed(nested(inner[0], cord), voxel_mm3, model.stages[STAGE].least_sure)
    parts = [nested(part, kept) for part in inner[1:]]
    drawn = zip(names, (kept, *parts), strict=True)
    return {CORD: on_native(image, cord)} | {name: on_native(image, soft) for name, soft in drawn}


def drawn_parts(model: Model) -> tuple[str, ...]:
    """Parts of lesions that a model draws, in the order of its outputs, as its card says."""
    labels = model.card["labels"]
    named = (str(labels[code]) for code in sorted(labels, key=int))
    return tuple(name for name in named if name in LESION_PARTS)


def _both(
    model: Model, volume: Volume, line: Centreline, batch_size: int, *, mirror: bool
) -> tuple[FloatArray, FloatArray, str]:
    """Fractions of cord ``(z, y, x)``, of lesion and its parts ``(n, z, y, x)``, and any doubt.

    One network draws both, of slices or of blocks; or lesions are looked for in the cord that
    another stage has drawn.
    """
    stage = model.stages[STAGE]
    first = model.stages[CORD] if stage.in_cord else stage
    if first.block:
        drawn = refine_blocks(first, volume, line, mirror=mirror)
    else:
        drawn = refine(first, volume, line, batch_size=batch_size, mirror=mirror)
    cord = keep_on_path(drawn[0], line, volume)
    problem = implausible(cord, volume.step_mm)
    if problem:
        return cord, np.zeros_like(cord)[None], problem
    return cord, draw_in_cord(stage, volume, cord)[None] if stage.in_cord else drawn[1:], ""


def nested(lesion: FloatArray, cord: FloatArray) -> FloatArray:
    """Fractions of what lies inside another structure: never above its, none outside its mask.

    Examples
    --------
    >>> nested(np.array([0.9, 0.9, 0.2]), np.array([0.8, 0.4, 1.0])).tolist()
    [0.8, 0.0, 0.2]
    """
    return np.where(binarised(cord), np.minimum(lesion, cord), 0).astype(lesion.dtype)


def believed(soft: FloatArray, voxel_mm3: float, least_sure: float = LEAST_SURE) -> FloatArray:
    """Clear objects that are too small and too unsure to be a lesion.

    An object (voxels of at least one half, joined by faces or edges) stays where it is larger than
    ``LEAST_MM3`` and the surest fifth of its voxels reach ``least_sure`` on average.

    Parameters
    ----------
    soft : array, shape (Z, Y, X)
        Lesion fractions.
    voxel_mm3 : float
        Volume of a voxel.
    least_sure : float
        Of the model's card: what its fractions mean depends on the loss that it was trained with.

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
        kept[label] = len(values) * voxel_mm3 > LEAST_MM3 and sure >= least_sure
    # What lies below one half belongs to no object; it stays, so that a curve can be drawn.
    return np.where(kept[labels] | (labels == 0), soft, 0)
