"""Planning figures: power against persons an arm, and persons needed against the effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from cordcohort.report.canvas import FAINT, below, figure_height_px, key, svg_axes
from cordcohort.report.distributions import Drawn
from cordcohort.report.inputs import Analysis
from cordcohort.report.links import FIGURES
from cordcohort.report.palette import MARKERS, OKABE_ITO
from cordcohort.report.privacy import public_text, safe_name
from cordcohort.report.words import measure_text, unit_text

KIND = "planning"
_NUMBERS = ("n_sites", "n_per_arm", "effect", "power", "smallest_enough", "alpha")
_HEIGHT_INCHES = 3.6


def planning_figures(analysis: Analysis, report: Path) -> list[Drawn]:
    """Draw one figure a measure: what a study of its size would find.

    With one effect, power against persons an arm, a line a number of sites; with several, the
    fewest persons an arm that reach the wanted power, against the effect.

    Parameters
    ----------
    analysis : Analysis
        A planning analysis; others give no figure.
    report : Path
        The report's folder.
    """
    table = analysis.whole
    if analysis.kind != KIND or "power" not in table:
        return []
    table = table.assign(**{c: pd.to_numeric(table[c], errors="coerce") for c in _NUMBERS})
    table = table[table["power"].notna()]
    strata = [c for c in ("contrast", "method", "structure", "level", "measure", "unit")
              if c in table]  # fmt: skip
    target = float(analysis.about.get("parameters", {}).get("target", 0.8))
    groups = table.groupby(strata, sort=True) if strata and len(table) else []
    return [
        _draw(analysis, dict(zip(strata, names, strict=True)), part, target, report)
        for names, part in groups
    ]


def _draw(
    analysis: Analysis, names: dict[str, Any], part: pd.DataFrame, target: float, report: Path
) -> Drawn:
    stem = "_".join(safe_name(str(v)) for v in (analysis.name, *names.values()) if str(v))
    path = f"{FIGURES}/planning_{stem}.svg"
    several = part["effect"].nunique() > 1
    unit = unit_text(names.get("unit", ""))
    with svg_axes(report / path, _HEIGHT_INCHES) as axes:
        handles = [_line(axes, i, n, rows, several=several)
                   for i, (n, rows) in enumerate(part.groupby("n_sites", sort=True))]  # fmt: skip
        if several:
            axes.set(xlabel=f"effect [{unit}]", ylabel=f"persons an arm for power {target:g}")
        else:
            axes.axhline(target, color=FAINT, linestyle="--", linewidth=1.2, zorder=1.4)
            handles.append(key(f"power {target:g}", linestyle="--", color=FAINT))
            axes.set(xlabel="persons an arm, over all sites", ylabel="power", ylim=(0, 1.02))
        below(axes, handles)
    of = [str(names.get(c, "")) for c in ("contrast", "method", "level")]
    what = " ".join([measure_text(names.get("measure", "")), *(public_text(t) for t in of if t)])
    effect = f"{part['effect'].iloc[0]:.3g} {unit}"
    title = f"Persons needed: {what}" if several else f"Power to find {effect}: {what}"
    told = f"two-sided alpha {part['alpha'].iloc[0]:g}, a line a number of sites, by simulation"
    return Drawn(path, title, f"{title}; {told}", told, figure_height_px(_HEIGHT_INCHES))


def _line(axes: Any, i: int, n_sites: Any, rows: pd.DataFrame, *, several: bool) -> Any:
    """One number of sites; designs that never reach the power have no point."""
    x, y = ("effect", "smallest_enough") if several else ("n_per_arm", "power")
    shown = rows.dropna(subset=[y]).drop_duplicates([x, y]).sort_values(x)
    look = {"color": OKABE_ITO[i % len(OKABE_ITO)], "marker": MARKERS[i % len(MARKERS)]}
    axes.plot(shown[x], shown[y], linewidth=1.4, markersize=5, **look)
    count = int(n_sites)
    return key(f"{count} site{'' if count == 1 else 's'}", linestyle="-", **look)
