"""Variance components: how much of a measure's variance is person, site, vendor, session."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from cordcohort.statistics.mixed import MAX_LEVELS, MixedFit, fit_mixed
from cordcohort.statistics.registry import Outcome, Parameters, analysis
from cordcohort.statistics.select import Selection
from cordcohort.statistics.spread import cell_means

MIN_LEVELS = 3
MIN_ROWS = 6
# Levels of a component are told apart by these columns: a session belongs to its person and site.
LEVELS = {
    "person": ["person_key"],
    "site": ["site"],
    "vendor": ["vendor"],
    "session": ["person_key", "site", "session"],
    "method": ["method"],
    "contrast": ["contrast"],
}
_SCAN = ["person_key", "site", "vendor", "session", "acquisition", "run", "contrast"]
COLUMNS = [
    "component", "n_levels", "n_values", "n_persons", "variance", "sd", "sd_ci_low", "sd_ci_high",
    "ci_method", "percent_of_variance", "mean", "cov_percent", "flag", "reason",
]  # fmt: skip
PARAMETERS = {
    "components": {
        "type": "array",
        "items": {"enum": list(LEVELS)},
        "uniqueItems": True,
        "minItems": 1,
        "default": ["person", "site"],
        "description": "random components besides the residual",
    },
}
Row = dict[str, object]


def _merged(p: Parameters) -> Sequence[str]:
    wanted = set(p["components"])
    return [c for c in ("method", "contrast") if c in wanted] + (
        ["reference"] if "method" in wanted else [])  # fmt: skip


@analysis(
    "variance_components", headline="sd", columns=COLUMNS, parameters=PARAMETERS, merged=_merged
)
def variance_components(selection: Selection, p: Parameters) -> Outcome:
    """Variance components of scans by a mixed model (REML), unbalanced designs allowed.

    Parameters
    ----------
    selection : Selection
        Rows of the long table.
    p : mapping
        ``components``.

    Returns
    -------
    Outcome
        A row a component, the residual and the total: variance, SD in units with interval, share
        in percent, CoV. A component that the design cannot tell from another one or from the
        residual is left out with the reason; one that is estimated as zero is said to be.
    """
    rows: list[Row] = []
    for stratum, part in selection.groups():
        names = [c for c in _SCAN if c not in stratum]
        extra = [c for c in ("method",) if c in p["components"] and c not in names]
        cells = cell_means(part, [*names, *extra])
        rows += [{**stratum, **row} for row in component_rows(cells, list(p["components"]))]
    text = (
        f"Variance components ({', '.join(p['components'])}, residual) by a linear mixed model "
        "with random intercepts, restricted maximum likelihood; intervals of SDs by Wald on the "
        "log scale; components that are confounded are left out, zero estimates are said."
    )
    return Outcome(pd.DataFrame(rows), text, "scan", facts={"estimator": "REML"})


def component_rows(cells: pd.DataFrame, components: Sequence[str]) -> list[Row]:
    """Rows of one stratum, a row a scan in ``cells``."""
    codes, refused = estimable(cells, components)
    values = cells["value"].to_numpy(dtype=float)
    n_persons = int(cells["person_key"].nunique()) if len(cells) else 0
    head: Row = {"n_values": len(values), "n_persons": n_persons}
    reason = ""
    if len(values) < MIN_ROWS:
        reason = f"{len(values)} values: needs {MIN_ROWS}"
    elif np.ptp(values) == 0:
        reason = "the measure is constant"
    elif not codes:
        reason = "; ".join(f"{c}: {why}" for c, why in refused.items())
    elif sum(int(c.max()) + 1 for c in codes.values()) > MAX_LEVELS:
        reason = f"more than {MAX_LEVELS} random levels: select a part"
    if reason:
        return [{**head, "component": "total", "flag": "undefined", "reason": reason}]
    fit = fit_mixed(values, np.ones((len(values), 1)), codes)
    rows = _fit_rows(fit, codes, head)
    rows += [{**head, "component": c, "flag": "undefined", "reason": why}
             for c, why in refused.items()]  # fmt: skip
    return rows


def estimable(
    cells: pd.DataFrame, components: Sequence[str]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Levels of the components that the design can tell apart, and why the others cannot be.

    Returns
    -------
    codes : dict
        Component -> level of each row.
    refused : dict
        Component -> reason.
    """
    codes: dict[str, np.ndarray] = {}
    refused: dict[str, str] = {}
    for component in components:
        columns = [c for c in LEVELS[component] if c in cells]
        code = cells.groupby(columns, sort=True).ngroup().to_numpy(dtype=np.int64)
        n_levels = len(np.unique(code))
        same = [c for c, other in codes.items() if _same_partition(code, other)]
        if n_levels < MIN_LEVELS:
            refused[component] = f"{n_levels} levels: needs {MIN_LEVELS}"
        elif n_levels == len(code):
            refused[component] = "one value a level: cannot be told from the residual"
        elif same:
            refused[component] = f"cannot be told from {same[0]} in this design"
        else:
            codes[component] = code
    return codes, refused


def _same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    n_both = len(np.unique(np.column_stack([a, b]), axis=0))
    return n_both == len(np.unique(a)) == len(np.unique(b))


def _fit_rows(fit: MixedFit, codes: dict[str, np.ndarray], head: Row) -> list[Row]:
    total = sum(fit.variance.values())
    mean = float(fit.beta[0])
    rows: list[Row] = []
    for name, variance in fit.variance.items():
        interval = fit.interval_sd[name]
        flag, reason = "", ""
        if variance == 0:
            flag, reason = "warning", "estimated as zero (singular fit)"
        if not fit.converged:
            flag, reason = "warning", "the optimiser did not converge"
        rows.append({
            **head, "component": name, "variance": variance, "sd": math.sqrt(variance),
            "n_levels": int(codes[name].max()) + 1 if name in codes else None,
            "sd_ci_low": interval.low, "sd_ci_high": interval.high, "ci_method": interval.method,
            "percent_of_variance": 100 * variance / total, "mean": mean,
            "cov_percent": 100 * math.sqrt(variance) / abs(mean) if mean else math.nan,
            "flag": flag, "reason": reason,
        })  # fmt: skip
    rows.append({**head, "component": "total", "variance": total, "sd": math.sqrt(total),
                 "percent_of_variance": 100.0, "mean": mean, "flag": "", "reason": ""})  # fmt: skip
    return rows
