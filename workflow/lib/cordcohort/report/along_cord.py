"""Area along the cord, by vertebral level or by distance from the PMJ, with the normative band."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cordcohort.cohort.persons import person_keys
from cordcohort.report.against_cohort import SUMMARY_STATISTICS, used_values
from cordcohort.report.canvas import INK, below, figure_height_px, key, padded, svg_axes
from cordcohort.report.distributions import Drawn
from cordcohort.report.inputs import Inputs
from cordcohort.report.links import FIGURES
from cordcohort.report.palette import MARKERS, OKABE_ITO
from cordcohort.report.privacy import public_text, safe_name
from cordcohort.report.words import axis_text

MEASURE, STRUCTURE = "csa_mm2", "cord"
# How the levels of a kind are named on the axis.
KINDS = {
    "vertebral": "vertebral level",
    "vertebral_detected": "vertebral level (detected)",
    "spinal": "spinal level",
    "pmj_mm": "distance from the pontomedullary junction [mm]",
}
BAND = (0.05, 0.95)
MIN_PERSONS, MIN_LEVELS = 5, 2
CONTROLS = ("control", "controls", "healthy", "healthy control", "hc")
_GROUP = ("group", "pathology", "diagnosis")
_REGIONS = "CTLS"
_HEIGHT_INCHES = 3.4
_LEVEL = re.compile(r"([CTLS])(\d+)\Z")


def along_cord_figures(inputs: Inputs, report: Path) -> list[Drawn]:
    """Draw the area along the cord for every contrast, method and kind of level.

    The band spans the 5th to 95th percentile of the controls where the sheets name enough of
    them, else of all persons; the line is their median. Sites are drawn by their medians. A person
    counts once at a level, with the mean of its scans.

    Parameters
    ----------
    inputs : Inputs
        The study's tables.
    report : Path
        The report's folder.
    """
    values = used_values(inputs.measures)
    values = values[
        (values["measure"] == MEASURE) & (values["structure"] == STRUCTURE)
        & values["statistic"].isin(SUMMARY_STATISTICS) & values["level_kind"].isin(list(KINDS))
    ]  # fmt: skip
    values = values.assign(
        person_key=person_keys(values),
        place=[place_of(x, k) for x, k in zip(values["level"], values["level_kind"], strict=True)],
    )
    values = values[values["place"].notna()]
    controls = control_persons(inputs.scores)
    drawn: list[Drawn] = []
    for labels, own in values.groupby(["level_kind", "contrast", "method"], sort=True):
        kind, contrast, method = (str(label) for label in labels)  # pyright: ignore
        table = own.groupby(["person_key", "site", "place", "level"])["value"].mean().reset_index()
        base, who = _normative(table, controls)
        if base["person_key"].nunique() < MIN_PERSONS or base["place"].nunique() < MIN_LEVELS:
            continue
        name = "_".join(safe_name(part) for part in (kind, contrast, method))
        drawn.append(_draw(table, base, (kind, contrast, method, who), report, name))
    return drawn


def place_of(level: str, kind: str) -> float:
    """Where a level lies along the cord: levels in their order, distances as they are.

    There are seven cervical vertebrae and eight cervical spinal levels. What is no single level
    (a range) has no place: NaN.

    Examples
    --------
    >>> place_of("T1", "vertebral"), place_of("T1", "spinal"), place_of("60", "pmj_mm")
    (8.0, 9.0, 60.0)
    >>> place_of("C2-C3", "vertebral")
    nan
    """
    match = _LEVEL.match(level)
    if match:
        n_cervical = 8 if kind == "spinal" else 7
        above = (0, n_cervical, n_cervical + 12, n_cervical + 17)[_REGIONS.index(match[1])]
        return float(above + int(match[2]))
    try:
        return float(level)
    except ValueError:
        return math.nan


def control_persons(scores: pd.DataFrame) -> set[str]:
    """Keys of persons whom a sheet calls controls."""
    named = scores[scores["variable"].str.lower().isin(_GROUP)]
    named = named[named["value"].str.strip().str.lower().isin(CONTROLS)]
    return set(person_keys(named))


def _normative(table: pd.DataFrame, controls: set[str]) -> tuple[pd.DataFrame, str]:
    base = table[table["person_key"].isin(controls)]
    if base["person_key"].nunique() >= MIN_PERSONS:
        return base, "controls"
    return table, "persons"


def _draw(
    table: pd.DataFrame, base: pd.DataFrame, labels: Sequence[str], report: Path, name: str
) -> Drawn:
    kind, contrast, method, who = labels
    groups = base.groupby("place")["value"]
    enough = groups.size() >= MIN_PERSONS
    low, high = (groups.quantile(q)[enough] for q in BAND)
    file = f"{FIGURES}/along_{name}.svg"
    n_persons = base["person_key"].nunique()
    with svg_axes(report / file, _HEIGHT_INCHES) as axes:
        axes.fill_between(low.index, low, high, color="#c9d6df", linewidth=0, zorder=1.2)
        median = groups.median()[enough]
        axes.plot(median.index, median, color=INK, linewidth=2, zorder=1.6)
        handles = _draw_sites(axes, table)
        if kind != "pmj_mm":
            named = table.drop_duplicates("place").sort_values("place")
            axes.set_xticks(named["place"].to_numpy(), list(named["level"]))
        axes.set_ylim(*padded(float(table["value"].min()), float(table["value"].max())))
        axes.set_xlabel(KINDS[kind])
        axes.set_ylabel(axis_text(MEASURE, "mm2"))
        band = key("5–95 %", marker="s", markersize=9, color="#c9d6df")
        below(axes, [key("median", linestyle="-", color=INK, linewidth=2), band, *handles])
    title = f"Area along the cord, {public_text(contrast)}, {public_text(method)}"
    told = f"band and median of {n_persons} {who}; sites by their median"
    return Drawn(file, title, f"{title} by {KINDS[kind]}: {told}", told,
                 figure_height_px(_HEIGHT_INCHES))  # fmt: skip


def _draw_sites(axes: Any, table: pd.DataFrame) -> list[Any]:
    """The median of each site, as far as colours tell them apart."""
    sites = sorted(set(table["site"]))
    if not 1 < len(sites) <= len(OKABE_ITO):
        return []
    handles: list[Any] = []
    for number, site in enumerate(sites):
        median = table[table["site"] == site].groupby("place")["value"].median()
        look = {"color": OKABE_ITO[number], "marker": MARKERS[number], "markersize": 4}
        axes.plot(median.index, median, linewidth=1.2, zorder=1.8, **look)
        handles.append(key(site or "–", linestyle="-", **look))
    return handles
