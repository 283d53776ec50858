"""Agreement of every method of a scan with the reference method, as rows of the long table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.measures import overlap
from cordcohort.measures.catalogue import measures_of
from cordcohort.measures.masks import (
    NO_CORD,
    NO_CORD_REASON,
    ScanMask,
    grid_of,
    read_scan_masks,
)
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.rows import Row, failed_rows, valued
from cordcohort.nifti import Array, Image
from cordcohort.table import long_table

KIND = "agreement"
STRUCTURES = ("cord", "gm", "wm", "csf", "canal", "lesion")
WHOLE_VOLUME = ("lesion",)  # a rater looks for lesions everywhere, so no slice is left out
SOFT_ONLY = "soft_dice"
EMPTY_REFERENCE = "the reference is empty"
EMPTY_MASK = "the mask is empty"
DEFAULT = MeasureOptions()


def measure_agreement(
    scan: Mapping[str, Any],
    masks: Sequence[Mapping[str, Any]],
    options: MeasureOptions = DEFAULT,
    image: str = "",
) -> pd.DataFrame:
    """Overlap of every method with the reference, one structure after the other.

    Parameters
    ----------
    scan : mapping
        The scan key.
    masks : sequence of mappings
        ``method, structure, kind, path, status, reason`` each.
    options : MeasureOptions
        ``reference`` names the method to compare with.
    image : str
        The image that the masks must lie on; "" where there is none.

    Returns
    -------
    DataFrame
        Long table; empty where the reference did not draw on this scan. Masks that cannot be
        compared give failed rows; a method that found no cord is scored as an empty mask.
    """
    found = _one_per_method(read_scan_masks(masks, grid_of(image, masks), STRUCTURES))
    rows: list[Row] = []
    for (method, structure), mask in found.items():
        reference = found.get((options.reference, structure))
        if reference is not None and method != options.reference:
            rows += _compared(mask, reference)
    return long_table(rows, scan)


def _one_per_method(masks: list[ScanMask]) -> dict[tuple[str, str], ScanMask]:
    """A method's binary mask is compared where it has one, else its soft mask."""
    found: dict[tuple[str, str], ScanMask] = {}
    for mask in sorted(masks, key=_is_soft):
        found.setdefault((mask.method, mask.structure), mask)
    return found


def _is_soft(mask: ScanMask) -> bool:
    return mask.kind == "softseg"


def _compared(mask: ScanMask, reference: ScanMask) -> list[Row]:
    base = mask.base | {"reference": reference.method}
    if reference.image is None:
        return failed_rows(KIND, base, f"reference: {reference.reason}")
    if mask.image is None and mask.status != NO_CORD:
        return failed_rows(KIND, base, mask.reason)
    data = mask.image.data if mask.image is not None else _nothing_like(reference.image)
    pair = overlap.compare(
        data,
        reference.image.data,
        reference.image.voxel_mm3,
        drawn_slices_only=mask.structure not in WHOLE_VOLUME,
    )
    return overlap_rows(pair, base, soft=_is_soft(mask) or _is_soft(reference), note=_note(mask))


def overlap_rows(pair: overlap.Pair, base: Row, *, soft: bool = False, note: str = "") -> list[Row]:
    """Rows of one comparison.

    Parameters
    ----------
    pair : Pair
    base : mapping
        ``method``, ``reference`` and ``structure``.
    soft : bool
        Also write the Dice of the soft values.
    note : str
        A warning for every row.
    """
    rows: list[Row] = []
    for measure in measures_of(KIND):
        if measure.name == SOFT_ONLY and not soft:
            continue
        value = getattr(overlap, measure.function)(pair)
        if np.isnan(value):
            reason = EMPTY_MASK if pair.reference else EMPTY_REFERENCE
            row = valued(measure, value, "undefined", reason)
        else:
            row = valued(measure, value, "", note)
        rows.append(base | row | {"statistic": "", "n_voxels": pair.reference})
    return rows


def _note(mask: ScanMask) -> str:
    return NO_CORD_REASON if mask.status == NO_CORD else ""


def _nothing_like(image: Image) -> Array:
    return np.broadcast_to(np.uint8(0), image.data.shape)
