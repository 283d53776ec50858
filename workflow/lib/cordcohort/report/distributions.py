"""Distribution figures: every scan's value by site, method and session, with quartiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.report.against_cohort import used_values, whole_scan_values
from cordcohort.report.canvas import (
    FAINT,
    INK,
    as_pixels,
    below,
    figure_height_px,
    jitter,
    key,
    padded,
    short,
    svg_axes,
)
from cordcohort.report.links import FIGURES
from cordcohort.report.palette import MARKERS, Look, looks
from cordcohort.report.privacy import public_text, safe_name
from cordcohort.report.words import axis_scale, axis_text, measure_text, structure_text
from cordcohort.table import SCAN_KEY

# What a reader wants to see first; other measures are in the tables.
SHOWN = (
    ("cord", "csa_mm2"), ("gm", "csa_mm2"), ("wm", "csa_mm2"), ("lesion", "volume_mm3"),
    ("cord", "dice"), ("gm", "dice"), ("cord", "rve_percent"),
    ("cord", "fa"), ("wm", "fa"), ("cord", "md_mm2_per_s"), ("wm", "md_mm2_per_s"),
)  # fmt: skip
MAX_SESSIONS = 6
MIN_FOR_QUARTILES = 5
_ROW_INCHES = 0.24
_FRAME_INCHES = 1.25
_SLOT = 0.8  # share of a site's row that its methods fill


@dataclass(frozen=True)
class Drawn:
    """A figure that was made: where it is and how it is described."""

    file: str
    title: str
    alt: str
    note: str = ""
    height: int = 0


def distribution_figures(
    measures: pd.DataFrame, report: Path, known_methods: Sequence[str] = ()
) -> list[Drawn]:
    """Draw one figure for each shown measure and contrast.

    Parameters
    ----------
    measures : DataFrame
        Long table; level rows and unusable values are left out here.
    report : Path
        The report's folder.
    known_methods : sequence of str
        The methods of the study, so that each has one colour in all figures.
    """
    values = used_values(whole_scan_values(measures))
    drawn: list[Drawn] = []
    for structure, measure in SHOWN:
        part = values[(values["structure"] == structure) & (values["measure"] == measure)]
        for contrast in sorted(set(part["contrast"])):
            own = part[part["contrast"] == contrast]
            name = f"distribution_{structure}_{measure}_{safe_name(contrast)}.svg"
            styles = looks(own["method"], known_methods)
            drawn.append(_draw(own, styles, report, f"{FIGURES}/{name}"))
    return drawn


def _draw(values: pd.DataFrame, styles: dict[str, Look], report: Path, file: str) -> Drawn:
    """One figure: sites down, values across, methods by colour, sessions by marker."""
    first = values.iloc[0]
    sites = sorted(set(values["site"]))[::-1]
    markers = _session_markers(values["session"])
    values = values.assign(session_marker=values["session"].map(markers))
    height = _FRAME_INCHES + len(sites) * max(_ROW_INCHES * len(styles), 2 * _ROW_INCHES)
    values = values.assign(value=values["value"] * axis_scale(first["unit"]))
    with svg_axes(report / file, height) as axes:
        for row, site in enumerate(sites):
            for place, look in enumerate(styles.values()):
                here = values[(values["site"] == site) & (values["method"] == look.name)]
                slot = _SLOT / len(styles)
                middle = row + _SLOT / 2 - slot * (place + 0.5)
                _draw_points(axes, here, middle, slot, look.colour)
                _draw_quartiles(axes, here["value"].to_numpy(dtype=float), middle, slot)
        axes.set_yticks(range(len(sites)), [short(site) for site in sites])
        axes.set_ylim(-0.5, len(sites) - 0.5)
        axes.set_xlim(*padded(float(values["value"].min()), float(values["value"].max())))
        axes.grid(visible=False, axis="y")
        for edge in np.arange(len(sites) - 1) + 0.5:
            axes.axhline(edge, color="#e4e4e4", linewidth=0.8)
        axes.set_xlabel(axis_text(first["measure"], first["unit"]))
        below(axes, _legend(styles, markers))
    return _described(values, file, figure_height_px(height))


def _draw_points(axes: Any, values: pd.DataFrame, place: float, slot: float, colour: str) -> None:
    """The points of one site and method; ``session_marker`` says the marker of each."""
    ordered = values.sort_values(SCAN_KEY, kind="stable")
    heights = place + jitter(len(ordered), slot * 0.3)
    for marker in dict.fromkeys(ordered["session_marker"]):
        mine = (ordered["session_marker"] == marker).to_numpy()
        axes.plot(
            ordered["value"].to_numpy()[mine], heights[mine], linestyle="none", marker=marker,
            markersize=4.5, markerfacecolor=colour, markeredgecolor=INK, markeredgewidth=0.4,
            alpha=0.85, rasterized=as_pixels(len(ordered)),
        )  # fmt: skip


def _draw_quartiles(axes: Any, values: np.ndarray, place: float, slot: float) -> None:
    """A bar over the quartiles and a line at the median, where there are enough values."""
    if len(values) < MIN_FOR_QUARTILES:
        return
    low, middle, high = np.percentile(values, (25, 50, 75))
    bar = {"color": INK, "linewidth": 5, "alpha": 0.25, "zorder": 1.5, "solid_capstyle": "butt"}
    axes.plot([low, high], [place, place], **bar)
    ends = [place - slot * 0.4, place + slot * 0.4]
    axes.plot([middle, middle], ends, color=INK, linewidth=1.6, zorder=3)


def _session_markers(sessions: pd.Series) -> dict[str, str]:
    """One marker a session; beyond the markers that there are, the last stands for the rest."""
    names = sorted(set(sessions))
    return {name: MARKERS[min(i, len(MARKERS) - 1)] for i, name in enumerate(names)}


def _legend(styles: dict[str, Look], markers: dict[str, str]) -> list[Any]:
    edge = {"markeredgecolor": INK, "markeredgewidth": 0.4}
    handles = [
        key(look.name, marker="o", markersize=7, markerfacecolor=look.colour, **edge)
        for look in styles.values()
    ]
    if 1 < len(markers) <= MAX_SESSIONS:
        hollow = {"markersize": 5, "markerfacecolor": "white", "markeredgecolor": FAINT}
        handles += [
            key(f"session {name}" if name else "no session", marker=marker, **hollow)
            for name, marker in markers.items()
        ]
    return handles


def _described(values: pd.DataFrame, file: str, height: int) -> Drawn:
    first = values.iloc[0]
    what = f"{measure_text(first['measure'])} of {structure_text(first['structure'])}"
    contrast = public_text(first["contrast"])
    n_scans = len(values[SCAN_KEY].drop_duplicates())
    methods = ", ".join(public_text(m) for m in sorted(set(values["method"])))
    reference = next((r for r in sorted(set(values["reference"])) if r), "")
    against = f" against {public_text(reference)}" if reference else ""
    return Drawn(
        file=file,
        title=f"{what}, {contrast}{against}",
        alt=f"{what} of {n_scans} {contrast} scans by site and session; methods: {methods}",
        note=f"{n_scans} scans",
        height=height,
    )
