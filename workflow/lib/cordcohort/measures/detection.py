"""Lesion by lesion: which lesions of the reference were found, and which found ones are real.

References
----------
O. Commowick et al. Objective evaluation of multiple sclerosis lesion segmentation using a data
management and processing infrastructure. Sci Rep 2018;8:13650; rules as animaSegPerfAnalyzer runs
them: components by faces, strictly more than 3 mm3, alpha 0.10, beta 0.70, gamma 0.65.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import NDArray

from cordcohort.measures.boxes import common_box
from cordcohort.nifti import Array

Counts = NDArray[np.int64]

FACES = 6
NAN = float("nan")


@dataclass(frozen=True)
class DetectionRule:
    """When a lesion counts as detected.

    Attributes
    ----------
    min_volume_mm3 : float
        Components of this volume or less are background.
    alpha : float
        Share of the lesion that must be covered (strictly more).
    beta : float
        Share of a covering component that may lie outside all lesions of the other mask.
    gamma : float
        Share of the overlap that is examined, largest covering component first.
    """

    min_volume_mm3: float = 3.0
    alpha: float = 0.10
    beta: float = 0.70
    gamma: float = 0.65

    def min_voxels(self, voxel_mm3: float) -> int:
        """Fewest voxels of a component that counts."""
        return math.floor(self.min_volume_mm3 / voxel_mm3) + 1


@dataclass(frozen=True)
class Detection:
    """Lesion-wise scores of a mask against a reference.

    Attributes
    ----------
    n_reference, n_mask : int
        Lesions after the rule of size.
    n_detected, n_confirmed : int
        Lesions of the reference that the mask finds; of the mask that the reference confirms.
    reference_drawn, mask_drawn : bool
        Whether the masks hold any voxel, small components included.
    mask_mm3 : float
        Volume of the mask's lesions after the rule of size.
    """

    n_reference: int
    n_mask: int
    n_detected: int
    n_confirmed: int
    reference_drawn: bool
    mask_drawn: bool
    mask_mm3: float


DEFAULT_RULE = DetectionRule()


def detect(
    mask: Array, reference: Array, voxel_mm3: float, rule: DetectionRule = DEFAULT_RULE
) -> Detection:
    """Match the lesions of two masks.

    Parameters
    ----------
    mask, reference : array, shape (X, Y, Z)
        Binary, on one grid.
    voxel_mm3 : float
        Volume of a voxel.
    rule : DetectionRule

    Returns
    -------
    Detection

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> a = np.zeros((9, 9, 9)); a[1:4, 1:4, 1:4] = 1; a[6:8, 6:8, 6:8] = 1
    >>> b = a.copy(); b[6:8] = 0
    >>> found = detect(b, a, 1.0)
    >>> lesion_sensitivity(found), lesion_ppv(found), round(lesion_f1(found), 3)
    (0.5, 1.0, 0.667)
    """
    if mask.shape != reference.shape:
        raise ValueError(f"masks of one shape expected, got {mask.shape} and {reference.shape}")
    box = common_box(mask, reference)
    found = lesions(mask[box], rule.min_voxels(voxel_mm3))
    drawn = lesions(reference[box], rule.min_voxels(voxel_mm3))
    n_found, n_drawn = int(found.max(initial=0)), int(drawn.max(initial=0))
    shared = np.ravel_multi_index((drawn.ravel(), found.ravel()), (n_drawn + 1, n_found + 1))
    table = np.bincount(shared, minlength=(n_drawn + 1) * (n_found + 1))
    table = table.reshape(n_drawn + 1, n_found + 1)
    return Detection(
        n_reference=n_drawn,
        n_mask=n_found,
        n_detected=n_detected(table, rule),
        n_confirmed=n_detected(table.T, rule),
        reference_drawn=bool(np.any(reference)),
        mask_drawn=bool(np.any(mask)),
        mask_mm3=float(table[:, 1:].sum() * voxel_mm3),
    )


def lesions(mask: Array, min_voxels: int) -> NDArray[np.int64]:
    """Components by faces of at least so many voxels, numbered from 1."""
    if not np.any(mask):
        return np.zeros(mask.shape, dtype=np.int64)
    labels = np.asarray(cc3d.connected_components(np.asarray(mask) > 0, connectivity=FACES))
    sizes = np.bincount(labels.ravel())
    kept = sizes >= min_voxels
    kept[0] = False
    numbers = np.where(kept, np.cumsum(kept), 0)
    return numbers[labels].astype(np.int64)


def n_detected(table: Counts, rule: DetectionRule = DEFAULT_RULE) -> int:
    """Number of lesions of the rows that the columns detect.

    Parameters
    ----------
    table : array of int, shape (n_rows + 1, n_columns + 1)
        Voxels shared by lesion i and component j; row and column 0 are background.
    rule : DetectionRule
    """
    outside = table[0] / np.maximum(table.sum(axis=0), 1)
    return sum(_is_detected(row, outside, rule) for row in table[1:])


def _is_detected(row: Counts, outside: NDArray[np.float64], rule: DetectionRule) -> bool:
    """One lesion: enough of it is covered, by components that are not mostly elsewhere."""
    overlap = row[1:]
    covered = int(overlap.sum())
    if covered / int(row.sum()) <= rule.alpha:
        return False
    examined = 0.0
    for j in np.argsort(-overlap, kind="stable"):
        if examined >= rule.gamma:
            break
        if outside[j + 1] > rule.beta:
            return False
        examined += overlap[j] / covered
    return True


def lesions_reference_n(found: Detection) -> float:
    """Number of the reference's lesions."""
    return float(found.n_reference)


def lesions_n(found: Detection) -> float:
    """Number of the mask's lesions."""
    return float(found.n_mask)


def lesions_mm3(found: Detection) -> float:
    """Volume of the mask's lesions, in mm3."""
    return found.mask_mm3


def lesion_sensitivity(found: Detection) -> float:
    """Share of the reference's lesions that are detected.

    0 for an empty mask; NaN where the reference is empty or holds only small lesions.
    """
    if not found.reference_drawn:
        return NAN
    if not found.mask_drawn:
        return 0.0
    return found.n_detected / found.n_reference if found.n_reference else NAN


def lesion_ppv(found: Detection) -> float:
    """Share of the mask's lesions that are confirmed; 0 if it has none, NaN without reference."""
    if not found.reference_drawn:
        return NAN
    return found.n_confirmed / found.n_mask if found.n_mask else 0.0


def lesion_f1(found: Detection) -> float:
    """Harmonic mean of sensitivity and PPV; 0 where both are 0 or sensitivity is undefined."""
    if not found.reference_drawn:
        return NAN
    sensitivity, ppv = lesion_sensitivity(found), lesion_ppv(found)
    total = sensitivity + ppv
    return 2 * sensitivity * ppv / total if total > 0 else 0.0
