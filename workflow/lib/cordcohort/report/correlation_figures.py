"""Scatter figures of measures against clinical scores, one point a person.

The points are gathered here from the long table and the scores. A figure is drawn only where its
number of persons and its rho are those of the result table, so that no figure ever contradicts the
table that stands beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.cohort.persons import person_keys
from cordcohort.report.against_cohort import used_values
from cordcohort.report.agreement_figures import draw_by_site
from cordcohort.report.canvas import below, figure_height_px, padded, svg_axes
from cordcohort.report.distributions import Drawn
from cordcohort.report.inputs import Analysis, Inputs, records
from cordcohort.report.links import FIGURES
from cordcohort.report.privacy import public_text, safe_name
from cordcohort.report.words import axis_scale, axis_text, measured_text, number_text
from cordcohort.table import LONG_COLUMNS

MAX_FIGURES = 12
MIN_PERSONS = 4
_HEIGHT_INCHES = 3.8
_SAME = 1e-6
_RESULTS = (
    "with", "time_point", "n", "n_incomplete", "rho", "p", "p_method", "ci_low", "ci_high",
    "ci_method", "p_adjusted", "correction", "family", "n_family", "n_found", "n_excluded",
    "n_failed", "n_undefined", "n_unpaired", "n_used",
)  # fmt: skip
MIN_METHODS = 2
_TOGETHER = ("measure", "with", "time_point", "method")
_NOT_SELECTING = ("flag", "reason", "value", "n_voxels", "slice")


def correlation_figures(inputs: Inputs, report: Path) -> list[Drawn]:
    """Draw the correlations with scores in the order of the result tables.

    Parameters
    ----------
    inputs : Inputs
        The study's tables.
    report : Path
        The report's folder.
    """
    values = used_values(inputs.measures)
    values = values.assign(
        person_key=person_keys(values), subject_key=values["dataset"] + "/" + values["subject"]
    )
    drawn: list[Drawn] = []
    for analysis in inputs.analyses:
        if analysis.kind != "correlation" or "with" not in analysis.table.columns:
            continue
        told = analysis.about.get("parameters", {}).get("declared", {}).get("select", {})
        mine = _selected(values, inputs.scores, told)
        for number, row in _methods_together(records(analysis.whole)):
            if len(drawn) >= MAX_FIGURES:
                return drawn
            points = _points(mine, inputs.scores, row)
            if _agrees(points, row):
                file = f"{FIGURES}/correlation_{safe_name(analysis.name)}_{number + 1}.svg"
                drawn.append(_draw(points, row, analysis, report, file))
    return drawn


def _methods_together(rows: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    """Numbered rows, those of one measure and score side by side whoever drew the masks."""
    numbered = list(enumerate(rows))
    if len({row.get("method") for row in rows}) < MIN_METHODS:
        return numbered
    return sorted(numbered, key=lambda item: [str(item[1].get(c, "")) for c in _TOGETHER])


def _selected(values: pd.DataFrame, scores: pd.DataFrame, select: dict[str, Any]) -> pd.DataFrame:
    """Rows of the data sets, persons' groups and the like that an analysis was declared for."""
    for column, labels in select.items():
        wanted = [str(v) for v in (labels if isinstance(labels, list) else [labels])]
        if column in LONG_COLUMNS:
            values = values[values[column].astype("str").isin(wanted)]
        else:
            group = scores[(scores["variable"] == column) & scores["value"].isin(wanted)]
            members = group["dataset"] + "/" + group["subject"]
            values = values[values["subject_key"].isin(members)]
    return values


def _points(values: pd.DataFrame, scores: pd.DataFrame, row: dict[str, Any]) -> pd.DataFrame:
    """One row a person: ``site, value_x`` (the measure) and ``value_y`` (the score)."""
    mine = values
    variables = set(scores["variable"]) - set(LONG_COLUMNS)
    for column, label in row.items():
        if column in LONG_COLUMNS and column not in _NOT_SELECTING:
            mine = mine[mine[column] == str(label)]
        elif column in variables:
            group = scores[(scores["variable"] == column) & (scores["value"] == str(label))]
            mine = mine[mine["subject_key"].isin(group["dataset"] + "/" + group["subject"])]
    mine = mine[mine["slice"].isna() & (mine["object"] == "")]
    x = mine.groupby("person_key", sort=True).agg(value_x=("value", "mean"), site=("site", "first"))
    told = scores[scores["variable"] == str(row["with"])]
    if row.get("time_point"):
        told = told[told["time_point"] == str(row["time_point"])]
    number = pd.to_numeric(told["value"], errors="coerce")
    told = told.assign(person_key=person_keys(scores).loc[told.index], value_y=number)
    y = told.dropna(subset=["value_y"]).groupby("person_key", sort=True)["value_y"].mean()
    return x.join(y, how="inner").reset_index()


def _agrees(points: pd.DataFrame, row: dict[str, Any]) -> bool:
    """Whether the points are those that the table's row was computed from."""
    try:
        n, rho = int(float(row.get("n") or 0)), float(row.get("rho") or "nan")
    except ValueError:
        return False
    if len(points) != n or n < MIN_PERSONS or not np.isfinite(rho):
        return False
    ranks = points[["value_x", "value_y"]].rank()  # Spearman's rho is Pearson's r of ranks
    found = float(ranks.corr().to_numpy(dtype=float)[0, 1])
    return abs(found - rho) < _SAME


def _draw(
    points: pd.DataFrame, row: dict[str, Any], analysis: Analysis, report: Path, file: str
) -> Drawn:
    score = public_text(row["with"]).replace("_", " ")
    time_point = public_text(row.get("time_point"))
    measure, unit = str(row["measure"]), str(row.get("unit", ""))
    x = points["value_x"].to_numpy(dtype=float) * axis_scale(unit)
    y = points["value_y"].to_numpy(dtype=float)
    with svg_axes(report / file, _HEIGHT_INCHES) as axes:
        handles = draw_by_site(axes, points["site"], x, y)
        axes.set_xlim(*padded(float(x.min()), float(x.max())))
        axes.set_ylim(*padded(float(y.min()), float(y.max())))
        axes.set_xlabel(axis_text(measure, unit))
        axes.set_ylabel(f"{score}{', ' + time_point if time_point else ''} [score]")
        below(axes, handles)
    split = [c for c in row if c not in LONG_COLUMNS and c not in _RESULTS]
    where = ", ".join(
        public_text(row[c]) for c in (*split, "contrast", "level", "method") if row.get(c)
    )
    what = f"{measured_text(measure, str(row.get('structure', '')))} and {score}"
    told = f"ρ = {number_text(float(row['rho']), 2)}"
    if row.get("ci_low"):
        low, high = (number_text(float(row[c]), 2) for c in ("ci_low", "ci_high"))
        told += f" (95 % interval {low} to {high})"
    told += f", n = {len(points)} persons; {where}"
    alt = f"Scatter of {what}: {told}"
    return Drawn(file, what, alt, told, figure_height_px(_HEIGHT_INCHES))
