"""Reading of the long table for one analysis: only the rows that its selection can use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc

from cordcohort.statistics.select import WHOLE_SCAN_COLUMNS
from cordcohort.table import STRING_COLUMNS, read_parquet


def read_cohort(path: Path | str, spec: Mapping[str, Any]) -> pd.DataFrame:
    """Read the rows of the long table that an analysis may use.

    The same rows that :func:`cordcohort.statistics.select.choose_rows` would keep of the whole
    table, dropped while the file is read: of millions of rows most are other measures.

    Parameters
    ----------
    path : path
        ``results/cohort/measures.parquet``.
    spec : mapping
        The declared analysis.

    Raises
    ------
    SheetError
        If the file cannot be read.
    """
    return read_parquet(path, filters=_rows_asked_for(spec)).reset_index(drop=True)


def _rows_asked_for(spec: Mapping[str, Any]) -> Any:
    """Condition on a row, as the file reader takes it; None for all rows."""
    select: Mapping[str, Any] = spec.get("select") or {}
    named = {*(spec.get("per") or []), *select, *(spec.get("split_by") or [])}
    conditions: list[Any] = []
    if "slice" not in named:
        conditions.append(pc.field("slice").is_null())
    if "object" not in named:
        conditions.append(pc.field("object") == "")
    failed_whole = (pc.field("flag") == "failed") & (pc.field("level") == "")
    for column, labels in select.items():
        if column in STRING_COLUMNS:
            wanted = [str(v) for v in (labels if isinstance(labels, list) else [labels])]
            hit = pc.field(column).isin(wanted)
            conditions.append(hit | failed_whole if column in WHOLE_SCAN_COLUMNS else hit)
    found = None
    for condition in conditions:
        found = condition if found is None else found & condition
    return found
