"""Tables as a page shows them: printed numbers, readable heads, and copies for spreadsheets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cordcohort.report.inputs import Analysis, records
from cordcohort.report.links import TABLES
from cordcohort.report.privacy import public_text, safe_name, spreadsheet_safe
from cordcohort.report.words import number_text
from cordcohort.table import write_tsv

MAX_ROWS = 40
SMALLEST_P = 0.001
_P_COLUMNS = ("p", "p_value", "p_corrected", "p_adjusted")
# Columns that say which rows were taken: told once, in a sentence, where they do not vary.
_SELECTING = (
    "contrast", "acquisition", "method", "reference", "structure", "level_kind", "level",
    "measure", "statistic", "unit", "split", "over", "ddof", "definition", "time_point",
)  # fmt: skip


@dataclass(frozen=True)
class Column:
    """Head of a column and whether it holds numbers."""

    title: str
    numeric: bool


@dataclass(frozen=True)
class Line:
    """Cells of one row; a muted row holds no usable number, a total sums the others."""

    cells: list[str]
    muted: bool = False
    total: bool = False


@dataclass(frozen=True)
class Grid:
    """A table ready to be printed."""

    columns: list[Column]
    rows: list[Line]


def grid_of(records: Sequence[dict[str, Any]], titles: dict[str, str]) -> Grid:
    """A table of records: the columns named by ``titles``, in that order.

    Examples
    --------
    >>> grid_of([{"site": "a", "n": 3, "x": 1}], {"site": "Site", "n": "Scans"}).rows[0].cells
    ['a', '3']
    """
    numeric = {c: any(isinstance(r[c], int | float) for r in records) for c in titles}
    return Grid(
        columns=[Column(title, numeric[c]) for c, title in titles.items()],
        rows=[Line([_cell(r[c], c) for c in titles], total=bool(r.get("total"))) for r in records],
    )


def frame_grid(frame: pd.DataFrame) -> Grid:
    """A table of text cells, numbers among them printed with four significant digits."""
    numeric = {c: _is_numeric(frame[c]) for c in frame.columns}
    rows = [
        Line(
            [_cell(v, str(c)) for c, v in row.items()],
            muted=str(row.get("flag", "")) in ("undefined", "failed"),
        )
        for row in records(frame)
    ]
    return Grid([Column(head_text(str(c)), numeric[c]) for c in frame.columns], rows)


def head_text(column: str) -> str:
    """A column's name as a head.

    Examples
    --------
    >>> head_text("n_used"), head_text("cov_percent"), head_text("ci_low")
    ('n used', 'CoV [%]', 'CI low')
    """
    text = column.removesuffix("_percent").replace("_", " ").strip() or column
    words = [{"cov": "CoV", "ci": "CI", "sd": "SD", "icc": "ICC"}.get(w, w) for w in text.split()]
    return public_text(" ".join(words) + (" [%]" if column.endswith("_percent") else ""))


def _is_numeric(values: pd.Series) -> bool:
    filled = values[values.astype("str") != ""]
    return bool(len(filled)) and bool(pd.to_numeric(filled, errors="coerce").notna().all())


def _cell(value: Any, column: str) -> str:
    """One printed cell."""
    text = str(value)
    if isinstance(value, bool | int) or text.removeprefix("-").isdigit():
        return text
    try:
        number = float(text)
    except ValueError:
        return public_text(text)
    if math.isnan(number):
        return ""
    if column in _P_COLUMNS and number < SMALLEST_P:
        return f"< {SMALLEST_P}"
    return number_text(number)


def analysis_entry(analysis: Analysis, report: Path) -> dict[str, Any]:
    """One analysis as the index page shows it; its tables are copied for spreadsheets.

    Parameters
    ----------
    analysis : Analysis
        Results, counts and method text.
    report : Path
        The report's folder.
    """
    file = f"{TABLES}/{safe_name(analysis.name)}.tsv"
    counts_file = f"{TABLES}/{safe_name(analysis.name)}.counts.tsv"
    write_people_table(report / file, analysis.table)
    if not analysis.counts.empty:
        write_people_table(report / counts_file, analysis.counts)
    varying, constants = _without_constants(analysis.table)
    counts, _ = _without_constants(analysis.counts)
    return {
        "anchor": f"analysis-{safe_name(analysis.name)}",
        "title": public_text(analysis.title),
        "kind": public_text(analysis.kind.replace("_", " ")),
        "text": public_text(analysis.about.get("method_text", ""), 4000),
        "constants": constants,
        "table": frame_grid(varying.head(MAX_ROWS)),
        "n_hidden": max(len(varying) - MAX_ROWS, 0),
        "counts": frame_grid(counts.head(MAX_ROWS)),
        "file": file,
        "counts_file": "" if analysis.counts.empty else counts_file,
    }


def _without_constants(frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Leave out empty columns, and selecting columns that do not vary; tell the latter."""
    kept = frame[[c for c in frame.columns if (frame[c].astype("str") != "").any()]]
    constant = [c for c in kept.columns if c in _SELECTING and kept[c].nunique() == 1]
    if len(kept) <= 1 or len(constant) == len(kept.columns):
        constant = [c for c in constant if c in ("level_kind", "statistic", "unit", "ddof")]
    told = [f"{head_text(c)} {_cell(kept[c].iloc[0], c)}" for c in constant]
    return kept.drop(columns=constant), ", ".join(told)


def write_people_table(path: Path, frame: pd.DataFrame) -> None:
    """Write a table that people open in a spreadsheet: no cell of it is run as a formula."""
    safe = frame.copy()
    for column in safe.columns:
        cells = [public_text(v) if isinstance(v, str) else v for v in safe[column]]
        safe[column] = pd.Series([spreadsheet_safe(v) for v in cells], index=safe.index)
    write_tsv(path, safe)
