"""Agreement figures: scatter with the identity line, and Bland and Altman's plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.report.against_cohort import scan_values, used_values
from cordcohort.report.canvas import (
    FAINT,
    INK,
    as_pixels,
    below,
    figure_height_px,
    key,
    padded,
    svg_axes,
)
from cordcohort.report.distributions import Drawn
from cordcohort.report.inputs import Analysis
from cordcohort.report.links import FIGURES
from cordcohort.report.palette import MARKERS, OKABE_ITO
from cordcohort.report.privacy import public_text, safe_name
from cordcohort.report.words import measured_text, number_text, unit_text
from cordcohort.statistics.limits import Limits, limits_of_agreement
from cordcohort.table import SCAN_KEY

COMPARED = (
    ("cord", "csa_mm2"), ("gm", "csa_mm2"), ("lesion", "lesion_volume_mm3"),
    ("lesion", "lesion_length_mm"), ("lesion", "lesion_damage_ratio"),
)  # fmt: skip
MIN_PAIRS = 3
_HEIGHT_INCHES = 4.0
_ANONYMOUS = {"color": OKABE_ITO[4], "marker": "o"}


def pairs_of(values: pd.DataFrame, method: str, reference: str) -> pd.DataFrame:
    """One row a scan that both methods measured: ``site, reference, method`` and the scan key.

    Parameters
    ----------
    values : DataFrame
        Long table rows of one structure, measure and contrast.
    method, reference : str
        The two methods.
    """
    columns = [*SCAN_KEY, "value"]
    one = values.loc[values["method"] == reference, [*columns, "site"]]
    other = values.loc[values["method"] == method, columns]
    both = one.drop_duplicates(SCAN_KEY).merge(
        other.drop_duplicates(SCAN_KEY), on=SCAN_KEY, suffixes=("_reference", "_method")
    )
    both = both.rename(columns={"value_reference": "reference", "value_method": "method"})
    return both.sort_values(SCAN_KEY, kind="stable", ignore_index=True)


def agreement_figures(
    measures: pd.DataFrame, reference: str, report: Path, analyses: Sequence[Analysis] = ()
) -> list[Drawn]:
    """Draw both figures for every method that shares enough scans with the reference.

    Parameters
    ----------
    measures : DataFrame
        Long table.
    reference : str
        The method compared with.
    report : Path
        The report's folder.
    analyses : sequence of Analysis
        Results that stand on the same page: the limits use the ddof of the analysis of the same
        values, and 1 where there is none.
    """
    values = used_values(scan_values(measures))
    drawn: list[Drawn] = []
    for structure, measure in COMPARED:
        part = values[(values["structure"] == structure) & (values["measure"] == measure)]
        for contrast in sorted(set(part["contrast"])):
            own = part[part["contrast"] == contrast]
            for method in sorted(set(own["method"]) - {reference}):
                pairs = pairs_of(own, method, reference)
                if len(pairs) >= MIN_PAIRS:
                    about, methods = own.iloc[0], (method, reference)
                    ddof = ddof_of(analyses, about, methods)
                    drawn += _draw_both(pairs, about, methods, ddof, report)
    return drawn


def ddof_of(analyses: Sequence[Analysis], about: pd.Series, methods: tuple[str, str]) -> int:
    """The divisor of the analysis whose results are about the same values; 1 without one."""
    wanted = {c: about[c] for c in ("structure", "measure", "contrast")}
    wanted |= {"method": methods[0], "reference": methods[1]}
    for analysis in analyses:
        table = analysis.whole
        if not {"ddof", "loa_low", *wanted} <= set(table.columns):
            continue
        fits = (table[list(wanted)].astype("str") == pd.Series(wanted)).all(axis=1)
        found = pd.to_numeric(table.loc[fits, "ddof"], errors="coerce").dropna()
        if len(found):
            return int(found.iloc[0])
    return 1


def _draw_both(
    pairs: pd.DataFrame, about: pd.Series, methods: tuple[str, str], ddof: int, report: Path
) -> list[Drawn]:
    method, reference = methods
    stem = f"{about['structure']}_{about['measure']}_{safe_name(about['contrast'])}"
    stem = f"{stem}_{safe_name(method)}"
    unit = unit_text(about["unit"])
    in_brackets = unit or "no unit"
    names = (public_text(method), public_text(reference))
    what = measured_text(str(about["measure"]), str(about["structure"]))
    title = f"{what}, {public_text(about['contrast'])}: {names[0]} against {names[1]}"
    scatter, difference = f"{FIGURES}/scatter_{stem}.svg", f"{FIGURES}/difference_{stem}.svg"
    _draw_scatter(pairs, names, in_brackets, report / scatter)
    found = limits_of_agreement((pairs["method"] - pairs["reference"]).to_numpy(float), ddof)
    _draw_difference(pairs, found, names, in_brackets, report / difference)
    low, high = number_text(found.low, 3), number_text(found.high, 3)
    of = f" {unit}" if unit else ""
    told = f"bias {number_text(found.bias, 3)}{of}, limits of agreement {low} to {high}{of} "
    told += f"(ddof {ddof}), {len(pairs)} scans"
    height = figure_height_px(_HEIGHT_INCHES)
    line = "with the line of identity"
    return [
        Drawn(scatter, title, f"Scatter of {title}, {line}", f"{len(pairs)} scans, {line}", height),
        Drawn(
            difference, f"Differences: {title}", f"Bland-Altman plot of {title}: {told}", told,
            height,
        ),
    ]  # fmt: skip


def _draw_scatter(pairs: pd.DataFrame, names: tuple[str, str], unit: str, path: Path) -> None:
    both = pairs[["reference", "method"]].to_numpy(dtype=float)
    limits = padded(float(both.min()), float(both.max()))
    with svg_axes(path, _HEIGHT_INCHES) as axes:
        axes.plot(limits, limits, color=FAINT, linewidth=1.2, zorder=1.5)
        handles = draw_by_site(axes, pairs["site"], both[:, 0], both[:, 1])
        axes.set(xlim=limits, ylim=limits, xlabel=f"{names[1]} [{unit}]",
                 ylabel=f"{names[0]} [{unit}]")  # fmt: skip
        axes.set_aspect("equal", adjustable="box")
        below(axes, [key("identity", linestyle="-", color=FAINT), *handles])


def _draw_difference(
    pairs: pd.DataFrame, found: Limits, names: tuple[str, str], unit: str, path: Path
) -> None:
    mean = pairs[["reference", "method"]].mean(axis=1).to_numpy(dtype=float)
    difference = (pairs["method"] - pairs["reference"]).to_numpy(dtype=float)
    bias, low, high = found.bias, found.low, found.high
    with svg_axes(path, _HEIGHT_INCHES) as axes:
        axes.axhline(0, color=FAINT, linewidth=0.8, zorder=1.4)
        axes.axhline(bias, color=INK, linewidth=1.6, zorder=1.5)
        for limit in (low, high):
            axes.axhline(limit, color=INK, linewidth=1.2, linestyle="--", zorder=1.5)
        handles = draw_by_site(axes, pairs["site"], mean, difference)
        ends = [low, high, 0.0, float(difference.min()), float(difference.max())]
        axes.set_ylim(*padded(min(ends), max(ends)))
        axes.set_xlabel(f"mean of {names[0]} and {names[1]} [{unit}]")
        axes.set_ylabel(f"{names[0]} − {names[1]} [{unit}]")
        lines = [
            key("bias", linestyle="-", color=INK, linewidth=1.6),
            key("bias ± 1.96 SD", linestyle="--", color=INK, linewidth=1.2),
        ]
        below(axes, [*lines, *handles])


def draw_by_site(axes: Any, sites: pd.Series, x: np.ndarray, y: np.ndarray) -> list[Any]:
    """Points with colour and marker by site; with more sites than colours all look alike."""
    names = sorted(set(sites))
    handles: list[Any] = []
    alike = len(names) > len(OKABE_ITO)
    for i, name in enumerate(names):
        look = _ANONYMOUS if alike else {"color": OKABE_ITO[i], "marker": MARKERS[i]}
        mine = (sites == name).to_numpy()
        style: dict[str, Any] = look | {
            "linestyle": "none", "markersize": 5, "markeredgecolor": INK, "markeredgewidth": 0.4,
        }  # fmt: skip
        axes.plot(x[mine], y[mine], alpha=0.85, rasterized=as_pixels(len(x)), **style)
        if not alike:
            handles.append(key(name, **style))
    return handles
