"""Rainclouds: every scan's value by site, method and session, with quartiles and density."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import gaussian_kde

from cordcohort.report.against_cohort import SUMMARY_STATISTICS, scan_values, used_values
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
from cordcohort.report.palette import MARKERS, ON_LIGHT, Look, apart, looks
from cordcohort.report.privacy import public_text, safe_name
from cordcohort.report.words import axis_scale, axis_text, measured_text
from cordcohort.table import SCAN_KEY

# What a reader wants to see first; other measures are in the tables.
SHOWN = (
    ("cord", "csa_mm2"), ("gm", "csa_mm2"), ("wm", "csa_mm2"), ("lesion", "lesion_volume_mm3"),
    ("cord", "dice"), ("gm", "dice"), ("lesion", "dice"), ("wm", "fa"),
)  # fmt: skip
FOLDED = (
    ("cord", "rve_percent"), ("lesion", "rve_percent"), ("cord", "fa"),
    ("cord", "md_mm2_per_s"), ("wm", "md_mm2_per_s"),
)  # fmt: skip
QUARTILES = (0.25, 0.5, 0.75)
MIN_SCANS = 3  # fewer make no distribution; their values stand on the subjects' pages
MAX_SESSIONS = 6
MIN_FOR_QUARTILES = 5
_ROW_INCHES = 0.36
_FRAME_INCHES = 1.25
_SLOT = 0.86  # share of a site's row that its methods fill
# Shares of a method's slot: the rain lies below its middle, the cloud above.
_RAIN, _RAIN_BELOW, _CLOUD, _CLOUD_ABOVE = 0.13, 0.22, 0.38, 0.08
_CLOUD_POINTS = 80
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Drawn:
    """A figure that was made: where it is and how it is described."""

    file: str
    title: str
    alt: str
    note: str = ""
    height: int = 0
    folded: bool = False


def distribution_figures(
    measures: pd.DataFrame, report: Path, known_methods: Sequence[str] = ()
) -> list[Drawn]:
    """Draw one figure for each shown measure and contrast that enough scans have.

    Scans that have values of levels alone, such as measures from elsewhere, are drawn at the one
    level that most of them share.

    Parameters
    ----------
    measures : DataFrame
        Long table; unusable values are left out here.
    report : Path
        The report's folder.
    known_methods : sequence of str
        The methods of the study, so that each has one colour in all figures.
    """
    values = used_values(measures)
    values = values[values["measure"].isin({m for _, m in (*SHOWN, *FOLDED)})]
    whole = scan_values(values)
    drawn: list[Drawn] = []
    for structure, measure in (*SHOWN, *FOLDED):
        both = [_of(frame, structure, measure) for frame in (whole, values)]
        part = pd.concat([both[0], _shared_levels(both[1], both[0])])
        for (contrast, level), own in part.groupby(["contrast", "level"], sort=True):
            if len(own[SCAN_KEY].drop_duplicates()) < MIN_SCANS:
                continue
            name = f"distribution_{structure}_{measure}_{safe_name(str(contrast))}"
            name += f"_{safe_name(str(level))}" if level else ""
            styles = apart(looks(own["method"], known_methods), ON_LIGHT)
            drawn.append(_draw(own, styles, report, f"{FIGURES}/{name}.svg"))
    return drawn


def _of(values: pd.DataFrame, structure: str, measure: str) -> pd.DataFrame:
    return values[(values["structure"] == structure) & (values["measure"] == measure)]


def _shared_levels(values: pd.DataFrame, whole: pd.DataFrame) -> pd.DataFrame:
    """Of scans without a whole-scan value: the values at their most frequent level."""
    known = whole[SCAN_KEY].drop_duplicates().assign(is_whole=True)
    joined = values.merge(known, on=SCAN_KEY, how="left")
    rest = joined[joined["is_whole"].isna() & (joined["level"] != "")]
    rest = rest[rest["statistic"].isin(SUMMARY_STATISTICS) & (rest["object"] == "")]
    most = rest.groupby(["dataset", "contrast"])["level"].transform(_most_frequent)
    return rest[rest["level"] == most].drop(columns="is_whole")


def _most_frequent(levels: pd.Series) -> str:
    return str(levels.mode().iloc[0])


def _draw(values: pd.DataFrame, styles: dict[str, Look], report: Path, file: str) -> Drawn:
    """One figure: sites down, values across, methods by colour, sessions by marker."""
    first = values.iloc[0]
    sites = sorted(set(values["site"]))[::-1]
    markers = _session_markers(values["session"])
    values = values.assign(session_marker=values["session"].map(markers))
    height = _FRAME_INCHES + len(sites) * max(_ROW_INCHES * len(styles), 2 * _ROW_INCHES)
    values = values.assign(value=values["value"] * axis_scale(first["unit"]))
    with svg_axes(report / file, height) as axes:
        placed = _placed(values, sites, list(styles))
        _draw_clouds(axes, placed, styles, _SLOT / len(styles))
        for look in styles.values():
            _draw_points(axes, placed[placed["method"] == look.name], look.colour, len(placed))
        _draw_quartiles(axes, placed, _SLOT / len(styles))
        axes.set_yticks(range(len(sites)), [short(site) for site in sites])
        axes.set_ylim(-0.5, len(sites) - 0.5)
        axes.set_xlim(*padded(float(values["value"].min()), float(values["value"].max())))
        axes.grid(visible=False, axis="y")
        for edge in np.arange(len(sites) - 1) + 0.5:
            axes.axhline(edge, color="#e4e4e4", linewidth=0.8)
        axes.set_xlabel(axis_text(first["measure"], first["unit"]))
        below(axes, _legend(styles, markers))
    return _described(values, file, figure_height_px(height))


def _placed(values: pd.DataFrame, sites: list[str], methods: list[str]) -> pd.DataFrame:
    """Add ``slot_middle``, where a site's and method's points lie, and ``height``, with jitter."""
    slot = _SLOT / len(methods)
    rows = values["site"].map({site: i for i, site in enumerate(sites)}).to_numpy(dtype=float)
    order = values["method"].map({m: i for i, m in enumerate(methods)}).to_numpy(dtype=float)
    out = values.assign(slot_middle=rows + _SLOT / 2 - slot * (order + 0.5))
    out = out.sort_values(["site", "method", *SCAN_KEY], kind="stable")
    place = out.groupby(["site", "method"]).cumcount().to_numpy()
    spread = jitter(int(place.max(initial=0)) + 1, slot * _RAIN)
    middle = out["slot_middle"].to_numpy(dtype=float) - slot * _RAIN_BELOW
    return out.assign(height=middle + spread[place])


def _draw_clouds(axes: Any, values: pd.DataFrame, styles: dict[str, Look], slot: float) -> None:
    """The density of each group above its points, where there are enough values that differ."""
    for (middle, method), own in values.groupby(["slot_middle", "method"], sort=True):
        points = own["value"].to_numpy(dtype=float)
        if len(points) < MIN_FOR_QUARTILES or np.ptp(points) <= _ROUNDING * np.abs(points).max():
            continue
        density = gaussian_kde(points)
        grid = np.linspace(points.min(), points.max(), _CLOUD_POINTS)
        height = density(grid) / density(grid).max() * slot * _CLOUD
        base = float(str(middle)) + slot * _CLOUD_ABOVE
        colour = styles[str(method)].colour
        axes.fill_between(grid, base, base + height, color=colour, alpha=0.35, linewidth=0)


def _draw_points(axes: Any, values: pd.DataFrame, colour: str, n_points: int) -> None:
    """The points of one method; ``session_marker`` says the marker of each."""
    for marker, part in values.groupby("session_marker", sort=True):
        axes.plot(
            part["value"], part["height"], linestyle="none", marker=marker,
            markersize=4.5, markerfacecolor=colour, markeredgecolor=INK, markeredgewidth=0.4,
            alpha=0.85, rasterized=as_pixels(n_points),
        )  # fmt: skip


def _draw_quartiles(axes: Any, values: pd.DataFrame, slot: float) -> None:
    """A bar over the quartiles and a line at the median, where there are enough values."""
    groups = values.groupby("slot_middle", sort=True)["value"]
    table = pd.DataFrame({q: groups.quantile(q) for q in QUARTILES})
    table = table[groups.size() >= MIN_FOR_QUARTILES]
    if table.empty:
        return
    places = table.index.to_numpy(dtype=float)
    axes.hlines(places, table[0.25], table[0.75], color=INK, linewidth=5, alpha=0.25, zorder=1.5)
    ends = (places - slot * 0.4, places + slot * 0.4)
    axes.vlines(table[0.5], *ends, color=INK, linewidth=1.6, zorder=3)


def _session_markers(sessions: pd.Series) -> dict[str, str]:
    """One marker a session; with more sessions than a legend can tell, all look alike."""
    names = sorted(set(sessions))
    if len(names) > MAX_SESSIONS:
        return dict.fromkeys(names, MARKERS[0])
    return {name: MARKERS[i] for i, name in enumerate(names)}


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
    what = measured_text(str(first["measure"]), str(first["structure"]))
    contrast = public_text(first["contrast"])
    n_scans = len(values[SCAN_KEY].drop_duplicates())
    methods = ", ".join(public_text(m) for m in sorted(set(values["method"])))
    reference = next((r for r in sorted(set(values["reference"])) if r), "")
    against = f" against {public_text(reference)}" if reference else ""
    at_level = f" at {public_text(first['level'])}" if first["level"] else ""
    return Drawn(
        file=file,
        title=f"{what}, {contrast}{at_level}{against}",
        alt=f"{what} of {n_scans} {contrast} scans by site and session; methods: {methods}",
        note=f"{n_scans} scans",
        height=height,
        folded=(first["structure"], first["measure"]) in FOLDED,
    )
