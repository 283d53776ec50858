"""Area of the cord against the threshold at which soft masks are made binary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from cordcohort.binary import binarised
from cordcohort.errors import ImageError
from cordcohort.measures.masks import OK, fault
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.variants import area_rows, is_cord_mask, written_mask
from cordcohort.nifti import read_mask
from cordcohort.table import as_long


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
        ``method, structure, kind, path, status, reason`` each; labels of levels are used as usual.
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
    others = [entry for entry in masks if not is_cord_mask(entry)]
    soft = [m for m in masks if is_cord_mask(m) and m["kind"] == "softseg"]
    tables: list[pd.DataFrame] = []
    for threshold in options.thresholds:
        with TemporaryDirectory() as scratch:
            cut = [_cut(Path(scratch), i, entry, threshold) for i, entry in enumerate(soft)]
            name = threshold_name(threshold)
            tables.append(area_rows(scan, [*others, *cut], options, image, variant=name))
    return pd.concat(tables, ignore_index=True) if tables else as_long(pd.DataFrame())


def _cut(folder: Path, number: int, entry: Mapping[str, Any], threshold: float) -> dict[str, Any]:
    """A soft mask made binary; one that cannot be read keeps its reason."""
    about = {"method": entry["method"], "structure": entry["structure"], "kind": "seg"}
    if entry.get("status", OK) != OK:
        return {**entry, "kind": "seg"}
    try:
        mask = read_mask(entry["path"], None, kind="softseg")
    except ImageError as error:
        return about | {"path": "", "status": "failed", "reason": fault(error)}
    return written_mask(folder, number, binarised(mask.data, threshold), mask, about)
