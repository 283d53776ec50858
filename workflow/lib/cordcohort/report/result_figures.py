"""Figures of result tables: forest plot over sites, and CoV of sites by vendor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.report.canvas import FAINT, INK, below, figure_height_px, key, short, svg_axes
from cordcohort.report.distributions import Drawn
from cordcohort.report.inputs import Analysis, Inputs
from cordcohort.report.level_figures import level_figures
from cordcohort.report.links import FIGURES
from cordcohort.report.palette import OKABE_ITO
from cordcohort.report.privacy import public_text, safe_name
from cordcohort.report.words import measure_text, structure_text, unit_text

ALL = "all"
MAX_FIGURES = 6  # of one analysis; the table has the rest
MIN_SITES = 2
# What tells the groups of a result table apart, one figure each.
_STRATA = ("contrast", "acquisition", "method", "reference", "structure", "level_kind", "level",
           "measure", "statistic", "unit", "quantity", "definition", "scope", "over")  # fmt: skip
_TOLD = ("contrast", "level", "method")
_ROW_INCHES, _FRAME_INCHES = 0.26, 1.1
_NO_VENDOR = "no vendor named"
_CENTRES = ("mean", "bias")


def result_figures(inputs: Inputs, report: Path) -> dict[str, list[Drawn]]:
    """Figures of the analyses, by the name of the analysis.

    Parameters
    ----------
    inputs : Inputs
        The study's tables.
    report : Path
        The report's folder.
    """
    pairs = inputs.scans[["site", "vendor"]].drop_duplicates("site")
    vendors = dict(zip(pairs["site"], pairs["vendor"], strict=True))
    return {
        analysis.name: [
            *_forests(analysis, report), *_cov_bars(analysis, vendors, report),
            *level_figures(analysis, report),
        ] for analysis in inputs.analyses
    }  # fmt: skip


def _groups(table: pd.DataFrame) -> list[tuple[int, pd.DataFrame]]:
    strata = [c for c in _STRATA if c in table.columns]
    if table.empty or not strata:
        return []
    parts = [part for _, part in table.groupby(strata, sort=False, dropna=False)]
    return list(enumerate(parts, start=1))


def _number(values: pd.Series) -> np.ndarray:
    return pd.to_numeric(values, errors="coerce").to_numpy(dtype=float)


def _forests(analysis: Analysis, report: Path) -> list[Drawn]:
    """One forest for each group of a table that has an estimate with interval by site."""
    table = analysis.whole
    centre = next((c for c in _CENTRES if c in table.columns), "")
    if not centre or not {"site", "ci_low", "ci_high"} <= set(table.columns):
        return []
    drawn: list[Drawn] = []
    for number, part in _groups(table):
        kept = part[np.isfinite(_number(part[centre])) & (part["site"] != "")]
        sites = kept[kept["site"] != ALL]
        if len(sites) < MIN_SITES or sites["site"].duplicated().any():
            continue
        if len(drawn) == MAX_FIGURES:
            break
        file = f"{FIGURES}/forest_{safe_name(analysis.name)}_{number}.svg"
        order = [*sorted(sites["site"]), *([ALL] if (kept["site"] == ALL).any() else [])]
        drawn.append(_draw_forest(kept.set_index("site").loc[order], centre, report, file))
    return drawn


def _draw_forest(rows: pd.DataFrame, centre: str, report: Path, file: str) -> Drawn:
    first = rows.iloc[0]
    what, unit = _described(first)
    difference = str(first.get("quantity", "")) == "difference" or centre == "bias"
    places = np.arange(len(rows))[::-1]
    middle, low, high = (_number(rows[c]) for c in (centre, "ci_low", "ci_high"))
    height = _FRAME_INCHES + _ROW_INCHES * len(rows)
    with svg_axes(report / file, height) as axes:
        if difference:
            axes.axvline(0, color=FAINT, linewidth=1, zorder=1.4)
        pooled = (rows.index == ALL).astype(bool)
        known = np.isfinite(low) & np.isfinite(high)
        axes.hlines(places[known], low[known], high[known], color=INK, linewidth=1.6, zorder=1.6)
        look: dict[str, Any] = {"linestyle": "none", "markeredgecolor": INK, "zorder": 1.8}
        axes.plot(middle[~pooled], places[~pooled], marker="s", markersize=6, color=OKABE_ITO[4],
                  **look)  # fmt: skip
        axes.plot(middle[pooled], places[pooled], marker="D", markersize=8, color=OKABE_ITO[0],
                  **look)  # fmt: skip
        axes.set_yticks(places, [short("all sites" if s == ALL else str(s)) for s in rows.index])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(f"{_axis(what, difference=difference)} [{unit or 'no unit'}]")
    told = "mean with 95 % interval; no bar: no interval is defined"
    title = f"{what}, {_where(first)}, by site"
    return Drawn(file, title, f"Forest plot: {title}", told, figure_height_px(height))


def _axis(what: str, *, difference: bool) -> str:
    return f"difference of {what[:1].lower()}{what[1:]}" if difference else what


def _described(row: pd.Series) -> tuple[str, str]:
    measure = measure_text(str(row.get("measure", "")))
    return f"{measure} of {structure_text(str(row.get('structure', '')))}", unit_text(
        str(row.get("unit", ""))
    )


def _where(row: pd.Series) -> str:
    words = [public_text(row[c]) for c in _TOLD if str(row.get(c, ""))]
    against = public_text(row.get("reference", ""))
    return ", ".join(words) + (f" against {against}" if against else "")


def _cov_bars(analysis: Analysis, vendors: Mapping[str, str], report: Path) -> list[Drawn]:
    """Bars of the CoV of single sites, coloured by vendor, for each group that has some."""
    table = analysis.whole
    if not {"group", "cov_percent"} <= set(table.columns):
        return []
    drawn: list[Drawn] = []
    for number, part in _groups(table):
        kept = part[np.isfinite(_number(part["cov_percent"])) & part["group"].isin(list(vendors))]
        if len(kept) < MIN_SITES or len(drawn) == MAX_FIGURES:
            continue
        kept = kept.assign(vendor=[vendors[g] or _NO_VENDOR for g in kept["group"]])
        file = f"{FIGURES}/cov_{safe_name(analysis.name)}_{number}.svg"
        drawn.append(_draw_cov(kept.sort_values(["vendor", "group"]), report, file))
    return drawn


def _draw_cov(rows: pd.DataFrame, report: Path, file: str) -> Drawn:
    names = sorted(set(rows["vendor"]))
    colours = {name: OKABE_ITO[i % len(OKABE_ITO)] for i, name in enumerate(names)}
    cov = _number(rows["cov_percent"])
    places = np.arange(len(rows))[::-1]
    height = _FRAME_INCHES + _ROW_INCHES * len(rows) + 0.3
    with svg_axes(report / file, height) as axes:
        axes.barh(places, cov, height=0.7, color=[colours[v] for v in rows["vendor"]],
                  edgecolor=INK, linewidth=0.5)  # fmt: skip
        for name in names:
            own = (rows["vendor"] == name).to_numpy()
            axes.vlines(cov[own].mean(), places[own].min() - 0.45, places[own].max() + 0.45,
                        color=INK, linewidth=2.2)  # fmt: skip
        axes.set_yticks(places, [short(str(g)) for g in rows["group"]])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("CoV [%]")
        marks = [key(n, marker="s", markersize=8, color=colours[n]) for n in names]
        below(axes, [*marks, key("vendor mean", linestyle="-", color=INK)])
    what, _ = _described(rows.iloc[0])
    kind = public_text(str(rows.iloc[0].get("definition", "")).replace("_", "-"))
    title = f"{kind.capitalize() or 'Site'} CoV of {what}, {_where(rows.iloc[0])}"
    told = f"ddof {public_text(rows.iloc[0].get('ddof', ''))}; bars are sites, ordered by vendor"
    return Drawn(file, title, f"Bars: {title}", told, figure_height_px(height))
