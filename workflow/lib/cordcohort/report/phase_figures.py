"""What the phases of an experiment gained: predicted against drawn values of the first and last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.report.against_cohort import scan_values, used_values
from cordcohort.report.agreement_figures import COMPARED, MIN_PAIRS, pairs_of
from cordcohort.report.canvas import FAINT, INK, below, figure_height_px, key, padded, svg_axes
from cordcohort.report.distributions import Drawn
from cordcohort.report.inputs import Inputs
from cordcohort.report.links import FIGURES
from cordcohort.report.palette import MARKERS, OKABE_ITO
from cordcohort.report.privacy import public_text, safe_name
from cordcohort.report.seeds import unseen_once
from cordcohort.report.words import measured_text, unit_text
from cordcohort.table import SCAN_KEY

_PHASE = r"^(?P<name>.+)-phase(?P<number>\d+)$"
_HEIGHT_INCHES = 4.0


def phase_figures(inputs: Inputs, reference: str, report: Path) -> list[Drawn]:
    """Values of an experiment's first and last phase against the reference, with the identity.

    Parameters
    ----------
    inputs : Inputs
        The study's tables, seeds apart.
    reference : str
        The method compared with.
    report : Path
        The report's folder.

    Returns
    -------
    list of Drawn
        A figure for each experiment, measure and contrast of which both phases tested enough scans;
        the points of both phases are of the same scans.
    """
    values = used_values(scan_values(unseen_once(inputs.measures)))
    drawn: list[Drawn] = []
    for name, methods in _phases(inputs).items():
        if len(methods) == 1:
            continue
        ends = (methods[0], methods[-1])
        for structure, measure in COMPARED:
            part = values[(values["structure"] == structure) & (values["measure"] == measure)]
            for _, rows in part.groupby("contrast", sort=True):
                pairs = _same_scans(rows, ends, reference)
                if len(pairs) >= MIN_PAIRS:
                    drawn.append(_draw(pairs, rows.iloc[0], (name, *ends), reference, report))
    return drawn


def earlier_phases(inputs: Inputs) -> set[str]:
    """Methods of all phases but the last of each experiment, which :func:`phase_figures` show."""
    return {method for methods in _phases(inputs).values() for method in methods[:-1]}


def _phases(inputs: Inputs) -> dict[str, list[str]]:
    """Experiments and the methods of their phases, in the order of the phases."""
    seeded = inputs.measures.loc[inputs.measures["seed"] != "", "method"].drop_duplicates()
    found = seeded.str.extract(_PHASE).assign(method=seeded).dropna()
    found = found.astype({"number": int}).sort_values(["name", "number"])
    return {str(name): list(own["method"]) for name, own in found.groupby("name", sort=True)}


def _same_scans(rows: pd.DataFrame, ends: tuple[str, str], reference: str) -> pd.DataFrame:
    """``reference``, ``method_first`` and ``method_last`` of scans that both phases tested."""
    tested = rows[(rows["split"] == "test") | (rows["method"] == reference)]
    first, last = (pairs_of(tested, method, reference) for method in ends)
    return first.merge(
        last[[*SCAN_KEY, "method"]], on=SCAN_KEY, suffixes=("_first", "_last"), validate="1:1"
    )


def _draw(
    pairs: pd.DataFrame, about: pd.Series, names: tuple[str, str, str], reference: str, report: Path
) -> Drawn:
    experiment, *ends = names
    unit = unit_text(str(about["unit"])) or "no unit"
    columns = ("reference", "method_first", "method_last")
    x, *sides = (pairs[c].to_numpy(dtype=float) for c in columns)
    limits = padded(*(float(f([x, *sides])) for f in (np.min, np.max)))
    what = measured_text(str(about["measure"]), str(about["structure"]))
    title = f"{what}, {public_text(about['contrast'])}: phases of {public_text(experiment)}"
    file = f"{FIGURES}/phases_{safe_name(experiment)}_{about['structure']}_{about['measure']}"
    file += f"_{safe_name(str(about['contrast']))}.svg"
    with svg_axes(report / file, _HEIGHT_INCHES) as axes:
        axes.plot(limits, limits, color=FAINT, linewidth=1.2, zorder=1.5)
        handles = [key("identity", linestyle="-", color=FAINT)]
        for place, (label, y) in enumerate(zip(ends, sides, strict=True)):
            style: dict[str, Any] = {
                "color": OKABE_ITO[place], "marker": MARKERS[place], "linestyle": "none",
                "markersize": 5.5, "markeredgecolor": INK, "markeredgewidth": 0.4,
            }  # fmt: skip
            axes.plot(x, y, alpha=0.85, **style)
            handles.append(key(public_text(label), **style))
        axes.set(xlim=limits, ylim=limits, xlabel=f"{public_text(reference)} [{unit}]",
                 ylabel=f"predicted [{unit}]")  # fmt: skip
        axes.set_aspect("equal", adjustable="box")
        below(axes, handles)
    off = [float(np.mean(np.abs(y - x))) for y in sides]
    told = (
        f"{len(pairs)} scans of persons kept for the test, mean over the seeds that tested them; "
        f"mean distance from the identity {off[0]:.3g} ({public_text(ends[0])}) and {off[1]:.3g} "
        f"({public_text(ends[1])})"
    )
    alt = f"Scatter of {title}, with the line of identity: {told}"
    return Drawn(file, title, alt, told, figure_height_px(_HEIGHT_INCHES))
