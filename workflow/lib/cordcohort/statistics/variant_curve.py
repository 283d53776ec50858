"""A measure against the condition under which it was repeated: threshold, voxel size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cordcohort.statistics.intervals import mean_interval
from cordcohort.statistics.registry import Outcome, Parameters, analysis
from cordcohort.statistics.select import Selection
from cordcohort.statistics.spread import cell_means

MIN_FOR_SD = 2
USUAL = ""
PERCENT = 100.0
COLUMNS = [
    "over", "x", "n_persons", "mean", "sd", "ci_low", "ci_high", "ci_method", "change_percent",
    "n_compared", "ddof", "flag", "reason",
]  # fmt: skip
PARAMETERS = {
    "over": {
        "enum": ["threshold", "voxel"],
        "description": "which condition varies: the threshold of soft masks (share of cord), or "
        "the voxel size (mm)",
    },
}


def _merged(_: Parameters) -> Sequence[str]:
    return ("variant", "acquisition")


@analysis(
    "variant_curve", columns=COLUMNS, parameters=PARAMETERS, required=["over"], merged=_merged
)
def variant_curve(selection: Selection, p: Parameters) -> Outcome:
    """Mean of a measure at each threshold or voxel size, and its change from the usual value.

    Returns
    -------
    Outcome
        A row a condition: ``x`` (share of cord, or mm), mean and SD (ddof 1) over persons with
        Student's interval, and ``change_percent``, the mean over persons of the change from the
        same person's usual value. The row without ``x`` is the usual value itself.
    """
    over = str(p["over"])
    rows: list[dict[str, object]] = []
    used = selection.rows.index[:0]
    for stratum, part in selection.groups():
        x = condition_values(part["variant"], over)
        inside = part[(x.notna() | (part["variant"] == USUAL)).to_numpy(dtype=bool)]
        used = used.append(inside.index)
        head = {**stratum, "over": over, "ddof": 1}
        found = _curve(inside.assign(x=x.loc[inside.index]))
        rows += [head | row for row in found or [_nothing(over)]]
    text = (
        f"Values at each {over} averaged over a person's scans, then mean and sample SD (ddof 1) "
        "over persons with Student's 95 % interval; the change is the mean over persons of the "
        "difference from the same person's usual value, in % of it."
    )
    return Outcome(pd.DataFrame(rows), text, "person", used, [], {"ddof": 1})


def condition_values(variants: pd.Series, over: str) -> pd.Series:
    """Number of each variant of one kind; missing for others and for the usual measurement.

    Examples
    --------
    >>> condition_values(pd.Series(["threshold 0.3", "voxel 1.2 mm", ""]), "voxel").tolist()
    [nan, 1.2, nan]
    """
    numbers = variants.astype("str").str.extract(rf"^{over} ([0-9.]+)", expand=False)
    return pd.to_numeric(numbers, errors="coerce")


def _curve(part: pd.DataFrame) -> list[dict[str, object]]:
    """Rows of one stratum: the usual value first, then rising x; none without a variant."""
    if part["x"].notna().sum() == 0:
        return []
    keyed = part.assign(x=part["x"].fillna(-np.inf))
    cells = cell_means(keyed, ["person_key", "x"])
    wide = cells.pivot(index="person_key", columns="x", values="value").sort_index(axis=1)
    usual = wide[-np.inf] if -np.inf in wide else pd.Series(np.nan, index=wide.index)
    rows: list[dict[str, object]] = []
    for x in wide.columns:
        values = wide[x].dropna().to_numpy(dtype=float)
        change = (PERCENT * (wide[x] / usual.where(usual != 0) - 1)).dropna()
        mean, n = float(values.mean()), len(values)
        sd = float(values.std(ddof=1)) if n >= MIN_FOR_SD else np.nan
        interval = mean_interval(mean, sd, n)
        rows.append({
            "x": x if np.isfinite(x) else np.nan, "n_persons": n, "mean": mean, "sd": sd,
            "ci_low": interval.low, "ci_high": interval.high, "ci_method": interval.method,
            "change_percent": float(change.mean()) if len(change) and np.isfinite(x) else np.nan,
            "n_compared": len(change), "flag": "", "reason": "",
        })  # fmt: skip
    return rows


def _nothing(over: str) -> dict[str, object]:
    keys = {"threshold": "thresholds", "voxel": "voxel_sizes_mm"}
    reason = f"nothing was measured over {over}: list values under measures.{keys[over]}"
    return {"flag": "undefined", "reason": reason}
