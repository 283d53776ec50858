"""Tables as a page shows them: printed numbers and readable heads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cordcohort.report.inputs import records
from cordcohort.report.privacy import public_text
from cordcohort.report.words import number_text

SMALLEST_P = 0.001
MUTED_FLAGS = ("undefined", "failed")
_WORDS = {"cov": "CoV", "ci": "CI", "sd": "SD", "icc": "ICC", "id": "ID"}


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


def grid_of(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> Grid:
    """A table of records: the columns named by ``titles``, in that order.

    Examples
    --------
    >>> grid_of([{"site": "a", "n": 3, "x": 1}], {"site": "Site", "n": "Scans"}).rows[0].cells
    ['a', '3']
    """
    numeric = {c: any(isinstance(r[c], int | float) for r in rows) for c in titles}
    return Grid(
        columns=[Column(title, numeric[c]) for c, title in titles.items()],
        rows=[Line([cell_text(r[c], c) for c in titles], total=bool(r.get("total"))) for r in rows],
    )


def frame_grid(frame: pd.DataFrame) -> Grid:
    """A table of text cells, numbers among them printed with four significant digits.

    A column ``flag`` is not printed: rows that it says to hold no number are greyed out.
    """
    numeric = {str(c): _is_numeric(frame[c]) for c in frame.columns if c != "flag"}
    rows = [
        Line(
            [cell_text(row[c], c) for c in numeric],
            muted=str(row.get("flag", "")) in MUTED_FLAGS,
        )
        for row in records(frame)
    ]
    return Grid([Column(head_text(c), numeric[c]) for c in numeric], rows)


def head_text(column: str) -> str:
    """A column's name as a head.

    Examples
    --------
    >>> head_text("n_used"), head_text("cov_percent"), head_text("ci_low")
    ('n used', 'CoV [%]', 'CI low')
    """
    text = column.removesuffix("_percent").replace("_", " ").strip() or column
    words = [_WORDS.get(w, w) for w in text.split()]
    return public_text(" ".join(words) + (" [%]" if column.endswith("_percent") else ""))


def _is_numeric(values: pd.Series) -> bool:
    filled = values[values.astype("str") != ""]
    return bool(len(filled)) and bool(pd.to_numeric(filled, errors="coerce").notna().all())


def cell_text(value: Any, column: str) -> str:
    """One printed cell: whole numbers as they are, p-values with a floor, text made public.

    Examples
    --------
    >>> cell_text("0.00001", "p"), cell_text("71.23456", "mean"), cell_text("03", "session")
    ('< 0.001', '71.23', '03')
    """
    text = str(value)
    if isinstance(value, bool | int) or text.removeprefix("-").isdigit():
        return text.replace("-", "−")
    try:
        number = float(text)
    except ValueError:
        return public_text(text)
    if math.isnan(number):
        return ""
    if column == "n" and number.is_integer():
        return str(int(number))
    if (column == "p" or column.startswith("p_")) and number < SMALLEST_P:
        return f"< {SMALLEST_P}"
    return number_text(number)
