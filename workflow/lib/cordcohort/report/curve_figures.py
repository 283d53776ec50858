"""Lines of a measure against the threshold or the voxel size at which it was repeated."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from cordcohort.report.canvas import below, figure_height_px, key, svg_axes
from cordcohort.report.distributions import Drawn
from cordcohort.report.inputs import Analysis
from cordcohort.report.links import FIGURES
from cordcohort.report.palette import OKABE_ITO
from cordcohort.report.privacy import public_text, safe_name
from cordcohort.report.words import axis_scale, axis_text, measure_text, structure_text

KIND = "variant_curve"
_HEIGHT_INCHES = 3.6
_X_TEXT = {"threshold": "Threshold of the soft mask [share of cord]", "voxel": "Voxel size [mm]"}
_NUMBERS = ("x", "mean", "ci_low", "ci_high")


def curve_figures(analysis: Analysis, report: Path) -> list[Drawn]:
    """Draw one figure a method and level, a line a contrast, with the interval of its means.

    Parameters
    ----------
    analysis : Analysis
        Of the kind ``variant_curve``; other kinds have no figure.
    report : Path
        The report's folder.
    """
    table = analysis.whole
    if analysis.kind != KIND or table.empty or "x" not in table:
        return []
    numbers = {c: pd.to_numeric(table[c], errors="coerce") for c in _NUMBERS}
    known = table.assign(**numbers)
    known = known[known["x"].notna() & known["mean"].notna()]
    keys = [c for c in ("structure", "measure", "unit", "over", "method", "level") if c in known]
    drawn: list[Drawn] = []
    for number, (_, part) in enumerate(known.groupby(keys, sort=False)):
        file = f"{FIGURES}/curve_{safe_name(analysis.name)}_{number + 1}.svg"
        drawn.append(_draw(part, report, file))
    return drawn


def _draw(part: pd.DataFrame, report: Path, file: str) -> Drawn:
    first = {str(c): str(v) for c, v in part.iloc[0].items()}
    scale = axis_scale(first["unit"])
    contrasts = list(dict.fromkeys(part["contrast"])) if "contrast" in part else [""]
    with svg_axes(report / file, _HEIGHT_INCHES) as axes:
        handles = []
        for contrast, colour in zip(contrasts, _colours(len(contrasts)), strict=True):
            own = part[part["contrast"] == contrast] if contrast else part
            x = own["x"].to_numpy(dtype=float)
            middle, low, high = (
                own[c].to_numpy(dtype=float) * scale for c in ("mean", "ci_low", "ci_high")
            )
            axes.plot(x, middle, color=colour, marker="o", markersize=3.5, linewidth=1.4)
            axes.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)
            look = {"color": colour, "marker": "o", "linestyle": "-"}
            handles.append(key(contrast or "mean", **look))
        axes.set_xlabel(_X_TEXT[first["over"]])
        axes.set_ylabel(axis_text(first["measure"], first["unit"]))
        below(axes, handles)
    where = ", ".join(public_text(first[c]) for c in ("method", "level") if first.get(c))
    what = f"{measure_text(first['measure'])} of {structure_text(first['structure'])}"
    title = f"{what} against {_X_TEXT[first['over']].split(' [')[0].lower()}"
    alt = f"Lines: {title}, {where}; {', '.join(public_text(c) for c in contrasts if c)}"
    note = f"{where}; band: 95 % interval of the mean"
    return Drawn(file, title, alt, note, figure_height_px(_HEIGHT_INCHES))


def _colours(n: int) -> list[str]:
    return [OKABE_ITO[i % len(OKABE_ITO)] for i in range(n)]
