"""Figures of tables of spinal levels: midpoints by site, and bars of the levels by session."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from cordcohort.report.canvas import INK, below, figure_height_px, key, short, svg_axes
from cordcohort.report.distributions import Drawn
from cordcohort.report.inputs import Analysis
from cordcohort.report.links import FIGURES
from cordcohort.report.palette import OKABE_ITO
from cordcohort.report.privacy import public_text, safe_name

KIND = "level_table"
SUMMARIES = ("COV", "SD", "mae")
MIDPOINT, START, END = "pmj_distance_mm", "pmj_distance_start_mm", "pmj_distance_end_mm"
MAX_FIGURES = 6
HEIGHT_INCHES = 5.2
_BAR = 0.7


def level_figures(analysis: Analysis, report: Path) -> list[Drawn]:
    """Figures of one analysis of the kind ``level_table``; none of any other.

    A table of midpoints gives lines over its columns, one of starts and ends gives bars.
    """
    table = analysis.whole
    if analysis.kind != KIND or table.empty or "measure" not in table.columns:
        return []
    cells = table[~table["column"].astype("str").str.startswith(SUMMARIES)]
    cells = cells[cells["level"] != "mae"]
    values = pd.to_numeric(cells["value"], errors="coerce")
    cells = cells.assign(value=values)[np.isfinite(values.to_numpy(dtype=float))]
    drawn: list[Drawn] = []
    keys = [c for c in ("participant", "method") if c in cells.columns]
    for number, (_, own) in enumerate(cells.groupby(keys, sort=True)):
        if number == MAX_FIGURES:
            break
        file = f"{FIGURES}/levels_{safe_name(analysis.name)}_{number + 1}.svg"
        measures = set(own["measure"])
        if {START, END} <= measures:
            drawn.append(_bars(own, report, file))
        elif MIDPOINT in measures:
            drawn.append(_lines(own[own["measure"] == MIDPOINT], report, file))
    return drawn


def _colours(levels: list[str]) -> dict[str, str]:
    return {name: OKABE_ITO[i % len(OKABE_ITO)] for i, name in enumerate(levels)}


def _who(own: pd.DataFrame) -> str:
    person = public_text(str(own["participant"].iloc[0]).removeprefix("person:"))
    method = public_text(str(own["method"].iloc[0])) if "method" in own else ""
    return ", ".join(word for word in (person, method) if word)


def _lines(own: pd.DataFrame, report: Path, file: str) -> Drawn:
    """Midpoint of each level in each column, from the PMJ downwards."""
    columns = list(dict.fromkeys(own["column"]))
    levels = list(dict.fromkeys(own["level"]))
    colours = _colours(levels)
    with svg_axes(report / file, HEIGHT_INCHES) as axes:
        for level in levels:
            part = own[own["level"] == level].set_index("column")["value"]
            axes.plot([columns.index(c) for c in part.index], part.to_numpy(dtype=float),
                      marker="o", markersize=5, color=colours[level], markeredgecolor=INK,
                      markeredgewidth=0.5, linewidth=1)  # fmt: skip
        _frame(axes, columns)
        below(axes, [key(v, marker="o", linestyle="-", color=colours[v]) for v in levels])
    title = f"Spinal levels against distance from the PMJ, {_who(own)}"
    told = "a point is the middle of a level; the axis runs down the cord"
    return Drawn(file, title, f"Lines: {title}", told, figure_height_px(HEIGHT_INCHES))


def _bars(own: pd.DataFrame, report: Path, file: str) -> Drawn:
    """Extent of each level in each column."""
    columns = list(dict.fromkeys(own["column"]))
    levels = list(dict.fromkeys(own["level"]))
    colours = _colours(levels)
    ends = own.pivot_table(index=["level", "column"], columns="measure", values="value")
    with svg_axes(report / file, HEIGHT_INCHES) as axes:
        for place, row in ends.dropna(subset=[START, END]).iterrows():
            level, column = cast("tuple[str, str]", place)
            axes.bar(columns.index(column), row[START] - row[END], _BAR, bottom=row[END],
                     color=colours[level], edgecolor=INK, linewidth=0.5)  # fmt: skip
        _frame(axes, columns)
        below(axes, [key(v, marker="s", markersize=8, color=colours[v]) for v in levels])
    title = f"Extent of spinal levels, {_who(own)}"
    told = "a bar runs from the first to the last slice of a level; the axis runs down the cord"
    return Drawn(file, title, f"Bars: {title}", told, figure_height_px(HEIGHT_INCHES))


def _frame(axes: Any, columns: list[str]) -> None:
    """Columns below, distance from the PMJ downwards."""
    ticks = [short(public_text(c)) for c in columns]
    axes.set_xticks(range(len(columns)), ticks, rotation=60, ha="right")
    axes.set_ylabel("distance from the PMJ [mm]")
    axes.invert_yaxis()
