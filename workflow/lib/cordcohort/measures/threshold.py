"""Area of the cord against the threshold at which soft masks are made binary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from cordcohort.binary import binarised
from cordcohort.measures.level_sources import scan_levels
from cordcohort.measures.masks import CORD, ScanMask, grid_of, read_scan_masks, reference_cord
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.rows import Row
from cordcohort.measures.shape import mask_rows
from cordcohort.measures.variants import is_cord_mask
from cordcohort.table import as_long, long_table

AREA = "csa_mm2"


def threshold_name(threshold: float) -> str:
    """How the long table names a threshold.

    Examples
    --------
    >>> threshold_name(0.5)
    'threshold 0.5'
    """
    return f"threshold {threshold:g}"


def measure_thresholds(
    scan: Mapping[str, Any],
    masks: Sequence[Mapping[str, Any]],
    options: MeasureOptions,
    image: str = "",
) -> pd.DataFrame:
    """Area of every soft cord mask of a scan, cut at each threshold of the options.

    Parameters
    ----------
    scan : mapping
        The scan key.
    masks : sequence of mappings
        ``method, structure, kind, path, status, reason`` each; levels are those of the scan's
        masks as they are, so that each threshold is measured over the slices of the usual value.
    options : MeasureOptions
        ``thresholds`` are shares of cord; a voxel that reaches one is inside.
    image : str
        The image that the masks must lie on; "" where there is none.

    Returns
    -------
    DataFrame
        Long table of ``csa_mm2`` with the variants ``threshold 0.3`` ...; empty where no soft mask
        is. A threshold that nothing reaches gives failed rows.
    """
    if not options.thresholds or not any(map(_is_soft, masks)):
        return as_long(pd.DataFrame())
    grid = grid_of(image, masks)
    found = read_scan_masks(filter(is_cord_mask, masks), grid, (CORD,))
    levels = scan_levels(masks, grid, reference_cord(found, options.reference), options)
    summaries = replace(options, per_slice=False)
    tables: list[pd.DataFrame] = []
    for threshold in options.thresholds:
        rows: list[Row] = []
        for mask in found:
            if mask.kind == "softseg":
                rows += mask_rows(_cut(mask, threshold), "shape", {}, levels, summaries)
        rows = [row for row in rows if row["measure"] == AREA]
        tables.append(long_table(rows, scan).assign(variant=threshold_name(threshold)))
    return pd.concat(tables, ignore_index=True)


def _is_soft(entry: Mapping[str, Any]) -> bool:
    return is_cord_mask(entry) and entry["kind"] == "softseg"


def _cut(mask: ScanMask, threshold: float) -> ScanMask:
    """A soft mask made binary; one that could not be read keeps its reason."""
    if mask.image is None:
        return replace(mask, kind="seg")
    data = binarised(mask.image.data, threshold)
    return replace(mask, kind="seg", image=replace(mask.image, data=data))
