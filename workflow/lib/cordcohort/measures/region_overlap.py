"""Overlap of maps of regions with the reference's, region by region.

Scored in the slices where the reference drew any region: there a region of the method that the
reference has not is wrong, elsewhere nobody knows.
"""

from __future__ import annotations

import numpy as np

from cordcohort.measures import overlap
from cordcohort.measures.catalogue import measures_of
from cordcohort.measures.empty import EMPTY_MASK, EMPTY_REFERENCE
from cordcohort.measures.region_codes import REGION_CODES
from cordcohort.measures.rows import Row, failed_rows, valued
from cordcohort.nifti import Array

KINDS = ("agreement", "overlap_n")
LEFT_OUT = ("soft_dice", "outside_slices_mm3", "outside_slices_n")


def region_overlap_rows(mask: Array, reference: Array, voxel_mm3: float, base: Row) -> list[Row]:
    """Precision, recall, Dice and counts of each region.

    Parameters
    ----------
    mask, reference : array of int, shape (X, Y, Z)
        Maps of regions on one grid, canonical axes.
    voxel_mm3 : float
        Volume of a voxel.
    base : mapping
        ``method`` and ``reference``.
    """
    drawn = (reference > 0).any(axis=(0, 1))
    rows: list[Row] = []
    for name, code in REGION_CODES.items():
        pair = overlap.compare(
            mask[..., drawn] == code, reference[..., drawn] == code, voxel_mm3,
            drawn_slices_only=False,
        )  # fmt: skip
        reason = EMPTY_MASK if pair.reference else EMPTY_REFERENCE
        for measure in (m for kind in KINDS for m in measures_of(kind)):
            if measure.name in LEFT_OUT:
                continue
            value = getattr(overlap, measure.function)(pair)
            undefined = bool(np.isnan(value))
            row = valued(measure, value, "undefined" if undefined else "", reason * undefined)
            rows.append(
                base | row | {"structure": name, "statistic": "", "n_voxels": pair.reference}
            )
    return rows


def failed_overlap_rows(base: Row, reason: str) -> list[Row]:
    """Rows of every region where a map could not be compared."""
    return [
        row
        for name in REGION_CODES
        for kind in KINDS
        for row in failed_rows(kind, base | {"structure": name}, reason)
        if row["measure"] not in LEFT_OUT
    ]
