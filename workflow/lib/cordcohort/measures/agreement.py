"""Agreement of every method of a scan with the reference method, as rows of the long table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cordcohort.binary import binarised
from cordcohort.measures import detection, overlap, surface
from cordcohort.measures.catalogue import measures_of
from cordcohort.measures.doubtful import doubts
from cordcohort.measures.empty import EMPTY_MASK, EMPTY_REFERENCE, SMALL_REFERENCE
from cordcohort.measures.masks import (
    CORD,
    NO_CORD,
    NO_CORD_REASON,
    ScanMask,
    grid_of,
    read_scan_masks,
)
from cordcohort.measures.measure import Measure
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.region_overlap import failed_overlap_rows, region_overlap_rows
from cordcohort.measures.regions import REGION_MAP
from cordcohort.measures.rows import Row, failed_rows, valued
from cordcohort.model_uses import LESION, LESION_PARTS
from cordcohort.nifti import Array, Image
from cordcohort.table import long_table

Flags = NDArray[np.bool_]

KIND = "agreement"
STRUCTURES = ("cord", "gm", "wm", "csf", "canal", LESION, *LESION_PARTS)
WHOLE_VOLUME = (
    LESION,
    *LESION_PARTS,
)  # a rater looks for lesions everywhere, so no slice is left out
SOFT_ONLY = "soft_dice"
DEFAULT = MeasureOptions()


def measure_agreement(
    scan: Mapping[str, Any],
    masks: Sequence[Mapping[str, Any]],
    options: MeasureOptions = DEFAULT,
    image: str = "",
) -> pd.DataFrame:
    """Overlap and distance of every method and the reference, structure by structure.

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
    read = read_scan_masks(masks, grid_of(image, masks), (*STRUCTURES, REGION_MAP))
    found = _one_per_method([m for m in read if not (m.structure == REGION_MAP and m.is_soft)])
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
    return mask.is_soft


def _compared(mask: ScanMask, reference: ScanMask) -> list[Row]:
    base = mask.base | {"reference": reference.method}
    failed = failed_overlap_rows if mask.structure == REGION_MAP else _failed
    if reference.image is None:
        return failed(base, f"reference: {reference.reason}")
    if mask.image is None and mask.status != NO_CORD:
        return failed(base, mask.reason)
    data = mask.image.data if mask.image is not None else _nothing_like(reference.image)
    note = NO_CORD_REASON if mask.status == NO_CORD else mask.warning
    if mask.structure == REGION_MAP:
        rows = region_overlap_rows(data, reference.image.data, reference.image.voxel_mm3, base)
        return [_noted(row, note) for row in rows]
    if mask.structure == CORD and mask.image is not None:
        note = "; ".join(text for text in (note, doubts(data, reference.image.data)) if text)
    soft = _is_soft(mask) or _is_soft(reference)
    rows = pair_rows(data, reference.image, mask.structure, soft=soft)
    return [base | _noted(row, note) for row in rows]


def _failed(base: Row, reason: str) -> list[Row]:
    return failed_rows(KIND, base, reason) + failed_rows("surface", base, reason)


def pair_rows(mask: Array, reference: Image, structure: str, *, soft: bool = False) -> list[Row]:
    """Rows of one comparison: overlap, surface distances and, for lesions, detection.

    Parameters
    ----------
    mask : array, shape (X, Y, Z)
        Binary or soft, canonical axes.
    reference : Image
        On the same grid.
    structure : str
        Lesions are scored in the whole volume, everything else in the slices that were drawn.
    soft : bool
        Also give the Dice of the soft values.
    """
    drawn_only = structure not in WHOLE_VOLUME
    pair = overlap.compare(mask, reference.data, reference.voxel_mm3, drawn_slices_only=drawn_only)
    inside, drawn = binarised(mask), binarised(reference.data)
    if drawn_only:
        inside, drawn = _in_drawn_slices(inside, drawn)
    surfaces = surface.surface_pair(inside, drawn, reference.spacing_mm)
    found: list[tuple[str, ModuleType, Any]] = [
        (KIND, overlap, pair),
        ("surface", surface, surfaces),
    ]
    if structure == LESION:
        matched = detection.detect(inside, drawn, reference.voxel_mm3)
        found.append(("detection", detection, matched))
    reasons = {"lesion_sensitivity": SMALL_REFERENCE} if pair.reference else {}
    reason = EMPTY_MASK if pair.reference else EMPTY_REFERENCE
    return [
        _row(
            measure,
            getattr(module, measure.function)(values),
            reasons.get(measure.name, reason),
            pair.reference,
        )
        for kind, module, values in found
        for measure in measures_of(kind)
        if soft or measure.name != SOFT_ONLY
    ]


def _row(measure: Measure, value: float, reason: str, n_voxels: int) -> Row:
    undefined = bool(np.isnan(value))
    row = valued(measure, value, "undefined" if undefined else "", reason if undefined else "")
    return row | {"statistic": "", "n_voxels": n_voxels}


def _noted(row: Row, note: str) -> Row:
    """A warning on every row that has a value."""
    if note and not row["flag"]:
        return row | {"flag": "warning", "reason": note}
    return row


def _in_drawn_slices(inside: Flags, drawn: Flags) -> tuple[Flags, Flags]:
    """The range of drawn slices, empty where nothing was drawn; its ends are no surface."""
    held = drawn.any(axis=(0, 1))
    if not held.any():
        return inside, drawn
    first, last = np.flatnonzero(held)[[0, -1]]
    scored = slice(int(first), int(last) + 1)
    return (inside & held)[..., scored], drawn[..., scored]


def _nothing_like(image: Image) -> Array:
    return np.broadcast_to(np.uint8(0), image.data.shape)
