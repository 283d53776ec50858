"""Agreement of the rootlets of one level with a reference.

References
----------
Valosek et al., Imaging Neuroscience 2024, and the code beside it: Dice of the whole level, F1 of
the slices that hold it ("z-axis F1"), mean F1 within the slices that both hold. The published loop
over slices leaves out the last one and divides 0 by 0; neither is copied.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cordcohort.nifti import Array

NAN = float("nan")


@dataclass(frozen=True)
class LevelPair:
    """Counts of one level in two label maps.

    Attributes
    ----------
    both, mask, reference : int
        Voxels of the intersection, the mask and the reference.
    slices_both, slices_mask, slices_reference : int
        Axial slices that hold both, only the mask, only the reference.
    in_slice : float
        Mean Dice within the slices that hold both; NaN where none does.
    midpoints_mm : tuple of float
        Distance of the level's midpoint from the PMJ in both maps; NaN where it has no place.
    """

    both: int
    mask: int
    reference: int
    slices_both: int
    slices_mask: int
    slices_reference: int
    in_slice: float
    midpoints_mm: tuple[float, float] = (NAN, NAN)


def compare(
    mask: Array, reference: Array, midpoints_mm: tuple[float, float] = (NAN, NAN)
) -> LevelPair:
    """Count two binary masks of one level, shape (X, Y, Z), canonical axes.

    Examples
    --------
    >>> a = np.zeros((1, 4, 3), bool); b = a.copy()
    >>> a[0, :2, :2] = True; b[0, 1:3, 1:] = True
    >>> pair = compare(a, b)
    >>> round(dice(pair), 6), slice_f1(pair), in_slice_f1(pair)
    (0.25, 0.5, 0.5)
    """
    inside, drawn = np.asarray(mask, bool), np.asarray(reference, bool)
    n_both, n_mask, n_reference = (v.sum(axis=(0, 1)) for v in (inside & drawn, inside, drawn))
    shared = (n_mask > 0) & (n_reference > 0)
    within = 2 * n_both[shared] / (n_mask[shared] + n_reference[shared])
    return LevelPair(
        int(n_both.sum()), int(n_mask.sum()), int(n_reference.sum()), int(shared.sum()),
        int(((n_mask > 0) & (n_reference == 0)).sum()),
        int(((n_mask == 0) & (n_reference > 0)).sum()),
        float(within.mean()) if within.size else NAN, midpoints_mm,
    )  # fmt: skip


def dice(pair: LevelPair) -> float:
    """Dice of the whole level, 0 to 1; NaN where the reference does not have it."""
    return 2 * pair.both / (pair.mask + pair.reference) if pair.reference else NAN


def slice_f1(pair: LevelPair) -> float:
    """F1 of the slices that hold the level, 0 to 1; NaN where the reference does not have it."""
    total = 2 * pair.slices_both + pair.slices_mask + pair.slices_reference
    return 2 * pair.slices_both / total if pair.reference else NAN


def in_slice_f1(pair: LevelPair) -> float:
    """Mean F1 (Dice) within the slices that hold both; NaN where none does."""
    return pair.in_slice if pair.reference else NAN


def midpoint_error_mm(pair: LevelPair) -> float:
    """Distance of the two midpoints along the cord; NaN where one has no place."""
    return abs(pair.midpoints_mm[0] - pair.midpoints_mm[1])
