"""Figures of spinal levels: lines over sites, bars over sessions, and none where nothing is."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from cordcohort.report.inputs import Analysis
from cordcohort.report.level_figures import level_figures


def table(measures: tuple[str, ...], **columns: str) -> pd.DataFrame:
    rows = [
        {"participant": "person:p", "level": level, "column": column, "measure": measure,
         "value": str(10.0 * n + shift), **columns}
        for n, level in enumerate(("C2", "C3"))
        for column in ("1", "2", "COV", "SD")
        for shift, measure in enumerate(measures)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def drawn(found: pd.DataFrame, folder: Path, kind: str = "level_table") -> list:
    return level_figures(Analysis("x", kind, found, pd.DataFrame()), folder)


def test_midpoints_are_lines_and_extents_are_bars(tmp_path: Path):
    lines = drawn(table(("pmj_distance_mm",), method="manual"), tmp_path)
    assert len(lines) == 1
    assert "against distance from the PMJ, p, manual" in str(lines[0])
    ends = ("pmj_distance_end_mm", "pmj_distance_start_mm")
    bars = drawn(table(ends, method="manual"), tmp_path)
    assert "Extent of spinal levels" in str(bars[0])
    assert len(list(tmp_path.rglob("*.svg"))) == 1  # one name: the analysis has one figure a person


def test_raters_are_columns_so_their_table_has_no_method(tmp_path: Path):
    assert len(drawn(table(("pmj_distance_mm",)), tmp_path)) == 1


def test_other_kinds_and_tables_without_values_have_no_figure(tmp_path: Path):
    found = table(("pmj_distance_mm",), method="manual")
    assert drawn(found, tmp_path, "variability") == []
    assert drawn(found.assign(value="n/a"), tmp_path) == []
    assert drawn(found.iloc[:0], tmp_path) == []
