"""Overlap of a mask with a reference, scored in the slices that the rater drew.

A rater often draws only some slices of a volume. A model's cord in the others is neither right nor
wrong: the overlap is computed over the reference's slices alone, and what lies elsewhere is told
apart (``outside_slices_mm3``).

To add a measure, write a function here that takes a :class:`Pair` and gives a number, and declare
it in :mod:`cordcohort.measures.catalogue`.

References
----------
Conventions for empty masks as in animaSegPerfAnalyzer: an empty reference leaves every overlap
undefined; an empty mask against a drawn reference has Dice 0, recall 0, RVE -100 %, no precision.
The soft Dice has the smoothing of 1 of the contrast-agnostic models' validation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cordcohort.binary import binarised
from cordcohort.nifti import Array

SMOOTH = 1.0
PERCENT = 100.0
NAN = float("nan")


@dataclass(frozen=True)
class Pair:
    """Counts of two masks on one grid, within the slices that are scored.

    Attributes
    ----------
    both, mask, reference : int
        Voxels of the intersection, the mask and the reference.
    soft_both, soft_mask, soft_reference : float
        The same with soft values (products and sums).
    outside : int
        Voxels of the mask in slices without reference.
    outside_slices, scored_slices : int
        Number of those slices, and of the slices with reference.
    voxel_mm3 : float
        Volume of a voxel.
    """

    both: int
    mask: int
    reference: int
    soft_both: float
    soft_mask: float
    soft_reference: float
    outside: int
    outside_slices: int
    scored_slices: int
    voxel_mm3: float


def compare(
    mask: Array, reference: Array, voxel_mm3: float, *, drawn_slices_only: bool = True
) -> Pair:
    """Count the overlap of two masks.

    Parameters
    ----------
    mask, reference : array, shape (X, Y, Z)
        Binary or soft, on one grid, canonical axes; soft values from 0.5 on count as inside.
    voxel_mm3 : float
        Volume of a voxel.
    drawn_slices_only : bool
        Score the slices that hold reference; else (lesions) the whole volume.

    Returns
    -------
    Pair

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> a, b = np.zeros((2, 2, 3)), np.zeros((2, 2, 3))
    >>> a[0, 0, :] = 1; b[0, :, :2] = 1
    >>> pair = compare(a, b, 1.0)
    >>> round(dice(pair), 3), recall(pair), outside_slices_mm3(pair)
    (0.667, 0.5, 1.0)
    """
    if mask.shape != reference.shape:
        raise ValueError(f"masks of one shape expected, got {mask.shape} and {reference.shape}")
    inside, drawn = binarised(mask), binarised(reference)
    per_slice = drawn.any(axis=(0, 1))
    scored = per_slice if drawn_slices_only else np.ones_like(per_slice)
    a, b = inside[..., scored], drawn[..., scored]
    counts = (np.count_nonzero(a & b), np.count_nonzero(a), np.count_nonzero(b))
    is_soft = np.issubdtype(mask.dtype, np.floating) or np.issubdtype(reference.dtype, np.floating)
    soft = _soft_sums(mask[..., scored], reference[..., scored]) if is_soft else counts
    beyond = inside[..., ~scored]
    return Pair(
        both=int(counts[0]),
        mask=int(counts[1]),
        reference=int(counts[2]),
        soft_both=float(soft[0]),
        soft_mask=float(soft[1]),
        soft_reference=float(soft[2]),
        outside=int(np.count_nonzero(beyond)),
        outside_slices=int(beyond.any(axis=(0, 1)).sum()),
        scored_slices=int(scored.sum()),
        voxel_mm3=voxel_mm3,
    )


def _soft_sums(mask: Array, reference: Array) -> tuple[float, float, float]:
    a, b = mask.astype(np.float64), reference.astype(np.float64)
    return float(np.vdot(a, b)), float(a.sum()), float(b.sum())


def dice(pair: Pair) -> float:
    """Dice, 0 to 1; NaN where the reference is empty."""
    return 2 * pair.both / (pair.mask + pair.reference) if pair.reference else NAN


def iou(pair: Pair) -> float:
    """Intersection over union (Jaccard), 0 to 1; NaN where the reference is empty."""
    return pair.both / (pair.mask + pair.reference - pair.both) if pair.reference else NAN


def precision(pair: Pair) -> float:
    """Share of the mask inside the reference; NaN where either is empty."""
    return pair.both / pair.mask if pair.mask and pair.reference else NAN


def recall(pair: Pair) -> float:
    """Share of the reference inside the mask; NaN where the reference is empty."""
    return pair.both / pair.reference if pair.reference else NAN


def rve_percent(pair: Pair) -> float:
    """Signed relative volume error in percent; NaN where the reference is empty."""
    return PERCENT * (pair.mask - pair.reference) / pair.reference if pair.reference else NAN


def soft_dice(pair: Pair) -> float:
    """Dice of soft values with smoothing 1; NaN where the reference is empty."""
    total = pair.soft_mask + pair.soft_reference
    return (2 * pair.soft_both + SMOOTH) / (total + SMOOTH) if pair.soft_reference else NAN


def outside_slices_mm3(pair: Pair) -> float:
    """Volume of the mask, in mm3, in slices where the rater drew nothing."""
    return pair.outside * pair.voxel_mm3


def outside_slices_n(pair: Pair) -> float:
    """Number of slices with mask where the rater drew nothing."""
    return float(pair.outside_slices)


def scored_slices_n(pair: Pair) -> float:
    """Number of slices that are scored."""
    return float(pair.scored_slices)


def both_voxels_n(pair: Pair) -> float:
    """Voxels of the intersection."""
    return float(pair.both)


def mask_voxels_n(pair: Pair) -> float:
    """Voxels of the mask in the scored slices."""
    return float(pair.mask)


def reference_voxels_n(pair: Pair) -> float:
    """Voxels of the reference."""
    return float(pair.reference)
