"""Method comparison: Bland-Altman, concordance, error-in-variables regression, equivalence."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import stats

from cordcohort.errors import ConfigError
from cordcohort.statistics.boundary import statistic_and_p
from cordcohort.statistics.comparison import (
    MAX_PASSING_BABLOK,
    concordance,
    deming,
    deming_jackknife,
    ordinary_line,
    passing_bablok,
    repeated_limits,
    tost,
)
from cordcohort.statistics.corrections import CORRECTION_PARAMETERS, with_correction
from cordcohort.statistics.paired_parts import (
    PAIR_COLUMNS,
    PAIR_PARAMETERS,
    Comparison,
    comparisons,
    merged_columns,
    nothing_to_compare,
    used_rows,
)
from cordcohort.statistics.registry import Outcome, Parameters, analysis
from cordcohort.statistics.select import Selection

MIN_PAIRS = 3
MIN_PAIRS_REGRESSION = 5
Row = dict[str, object]
SCAN_PARAMETERS = PAIR_PARAMETERS | {"unit": PAIR_PARAMETERS["unit"] | {"default": "scan"}}


def _each(
    selection: Selection, p: Parameters, row_of: Callable[[Comparison], Row], minimum: int
) -> tuple[pd.DataFrame, pd.Index]:
    """One row a comparison; too few pairs give a reason instead of numbers."""
    found = list(comparisons(selection, p))
    rows: list[Row] = []
    for comparison in found:
        head = {**comparison.head, **comparison.counts}
        n = len(comparison.pairs.table)
        if n < minimum:
            reason = f"{n} complete pairs: needs {minimum}"
            rows.append({**head, "flag": "undefined", "reason": reason})
        else:
            rows.append({**head, "flag": "", "reason": "", **row_of(comparison)})
    table = pd.DataFrame(rows) if rows else nothing_to_compare(selection, p)
    return table, used_rows(found, selection)


def _arrays(comparison: Comparison) -> tuple[np.ndarray, np.ndarray]:
    table = comparison.pairs.table
    return table["a"].to_numpy(dtype=float), table["b"].to_numpy(dtype=float)


BLAND_ALTMAN_COLUMNS = [
    *PAIR_COLUMNS, "n_persons", "bias", "ci_low", "ci_high", "ci_method", "sd", "sd_between",
    "sd_within", "loa_low", "loa_high", "proportional_slope", "proportional_p", "spread_rho",
    "spread_p", "flag", "reason",
]  # fmt: skip


@analysis(
    "bland_altman", headline="bias", columns=BLAND_ALTMAN_COLUMNS, parameters=SCAN_PARAMETERS,
    required=["compare"], merged=merged_columns,
)  # fmt: skip
def bland_altman(selection: Selection, p: Parameters) -> Outcome:
    """Bias and limits of agreement, several pairs a person allowed, with proportional bias.

    Returns
    -------
    Outcome
        ``bias`` of ``a - b``; limits by analysis of variance over persons; slope of the difference
        on the mean of both (``proportional_*``, averaged by person first); Spearman correlation of
        the absolute residual with the mean (``spread_*``: limits that widen).
    """
    table, used = _each(selection, p, _bland_altman_row, MIN_PAIRS)
    text = (
        "Bland-Altman analysis of a minus b: bias with Student interval over persons; 95 % limits "
        "of agreement with between- and within-person variance (Bland and Altman 2007); "
        "proportional bias as the slope of the difference on the mean of both, spread as Spearman "
        "correlation of the absolute residual with that mean."
    )
    return Outcome(table, text, str(p["unit"]), used, [str(p["compare"])], {"ddof": 1})


def _bland_altman_row(comparison: Comparison) -> Row:
    a, b = _arrays(comparison)
    person, people = pd.factorize(comparison.pairs.table["person_key"], sort=True)
    if len(people) < MIN_PAIRS:
        reason = f"{len(people)} persons: needs {MIN_PAIRS}"
        return {"n_persons": len(people), "flag": "undefined", "reason": reason}
    found = repeated_limits(a - b, person)
    row: Row = {
        "n_persons": len(people), "bias": found.bias, "ci_low": found.interval.low,
        "ci_high": found.interval.high, "ci_method": found.interval.method, "sd": found.sd_total,
        "sd_between": found.sd_between, "sd_within": found.sd_within, "loa_low": found.limits[0],
        "loa_high": found.limits[1],
    }  # fmt: skip
    n_each = np.bincount(person)
    middle = np.bincount(person, weights=(a + b) / 2) / n_each
    difference = np.bincount(person, weights=a - b) / n_each
    if np.ptp(middle) == 0 or np.ptp(difference) == 0:
        return row | {"flag": "warning", "reason": "constant: no proportional bias to estimate"}
    r, p_value = statistic_and_p(stats.pearsonr(middle, difference))
    slope = r * float(difference.std() / middle.std())
    residual = np.abs(difference - difference.mean() - slope * (middle - middle.mean()))
    row |= {"proportional_slope": slope, "proportional_p": p_value}
    if len(people) > MIN_PAIRS and np.ptp(residual) > 0:
        rho, p_value = statistic_and_p(stats.spearmanr(residual, middle))
        row |= {"spread_rho": rho, "spread_p": p_value}
    return row


CONCORDANCE_COLUMNS = [
    *PAIR_COLUMNS, "ccc", "ci_low", "ci_high", "ci_method", "pearson_r", "accuracy", "flag",
    "reason",
]  # fmt: skip


@analysis(
    "concordance", headline="ccc", columns=CONCORDANCE_COLUMNS, parameters=SCAN_PARAMETERS,
    required=["compare"], merged=merged_columns,
)  # fmt: skip
def lin_concordance(selection: Selection, p: Parameters) -> Outcome:
    """Lin's concordance correlation, split into precision (Pearson) and accuracy."""
    table, used = _each(selection, p, _concordance_row, MIN_PAIRS)
    text = (
        "Lin's concordance correlation coefficient of pairs with 95 % interval by Fisher's z, "
        "with Pearson's correlation (precision) and the bias correction factor (accuracy)."
    )
    return Outcome(table, text, str(p["unit"]), used, [str(p["compare"])], {"ddof": 0})


def _concordance_row(comparison: Comparison) -> Row:
    a, b = _arrays(comparison)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return {"flag": "undefined", "reason": "one side is constant"}
    ccc, interval, pearson, accuracy = concordance(a, b)
    return {
        "ccc": ccc, "ci_low": interval.low, "ci_high": interval.high,
        "ci_method": interval.method, "pearson_r": pearson, "accuracy": accuracy,
    }  # fmt: skip


REGRESSION_COLUMNS = [
    *PAIR_COLUMNS, "line", "slope", "slope_ci_low", "slope_ci_high", "intercept",
    "intercept_ci_low", "intercept_ci_high", "ci_method", "r2", "flag", "reason",
]  # fmt: skip
REGRESSION_PARAMETERS = SCAN_PARAMETERS | {
    "line": {
        "enum": ["passing_bablok", "deming", "ordinary"],
        "default": "passing_bablok",
        "description": "Passing-Bablok (no distribution assumed), Deming (normal errors), or "
        "ordinary least squares, which takes b as free of error",
    },
    "error_ratio": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 1.0,
        "description": "Deming: error variance of a over error variance of b",
    },
}


LINE_NAMES = {
    "passing_bablok": "Passing-Bablok", "deming": "Deming", "ordinary": "Ordinary least squares",
}  # fmt: skip


@analysis(
    "method_regression", headline="slope", columns=REGRESSION_COLUMNS,
    parameters=REGRESSION_PARAMETERS, required=["compare"], merged=merged_columns,
)  # fmt: skip
def method_regression(selection: Selection, p: Parameters) -> Outcome:
    """Line of ``a`` on ``b`` where both have error: slope 1 and intercept 0 mean agreement."""

    def row_of(comparison: Comparison) -> Row:
        a, b = _arrays(comparison)
        return {"line": p["line"], **_line(b, a, str(p["line"]), float(p["error_ratio"]))}

    table, used = _each(selection, p, row_of, MIN_PAIRS_REGRESSION)
    text = (
        f"{LINE_NAMES[str(p['line'])]} regression of a on b, slope and intercept with 95 % "
        "intervals; R2 is the square of Pearson's correlation."
    )
    facts = {"line": p["line"], "error_ratio": p["error_ratio"]}
    return Outcome(table, text, str(p["unit"]), used, [str(p["compare"])], facts)


def _line(x: np.ndarray, y: np.ndarray, line: str, error_ratio: float) -> Row:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return {"flag": "undefined", "reason": "one side is constant"}
    if line == "deming":
        if float(((x - x.mean()) * (y - y.mean())).sum()) == 0:
            return {"flag": "undefined", "reason": "no covariance"}
        slope, intercept = deming(x, y, error_ratio)
        of_slope, of_intercept = deming_jackknife(x, y, error_ratio)
    elif line == "ordinary":
        slope, intercept, of_slope, of_intercept = ordinary_line(x, y)
    elif len(x) > MAX_PASSING_BABLOK:
        reason = f"more than {MAX_PASSING_BABLOK} pairs: use deming"
        return {"flag": "undefined", "reason": reason}
    else:
        slope, intercept, of_slope, of_intercept = passing_bablok(x, y)
    return {
        "slope": slope, "slope_ci_low": of_slope.low, "slope_ci_high": of_slope.high,
        "intercept": intercept, "intercept_ci_low": of_intercept.low,
        "intercept_ci_high": of_intercept.high, "ci_method": of_slope.method,
        "r2": float(np.corrcoef(x, y)[0, 1] ** 2),
    }  # fmt: skip


EQUIVALENCE_COLUMNS = [
    *PAIR_COLUMNS, "test", "margin_low", "margin_high", "mean_difference", "median_difference",
    "ci_low", "ci_high", "ci_method", "p_low", "p_high", "p", "equivalent", "p_adjusted",
    "correction", "family", "n_family", "flag", "reason",
]  # fmt: skip
EQUIVALENCE_PARAMETERS = PAIR_PARAMETERS | CORRECTION_PARAMETERS | {
    "margin": {
        "type": "number",
        "exclusiveMinimum": 0,
        "description": "differences up to this are equivalent, in the unit of the measure",
    },
    "relative": {
        "type": "boolean",
        "default": False,
        "description": "the margin is a percentage of the mean of b",
    },
    "test": {
        "enum": ["t", "wilcoxon"],
        "default": "t",
        "description": "two one-sided Student t tests, or signed-rank tests",
    },
}  # fmt: skip
ALPHA = 0.05


@analysis(
    "equivalence", headline="mean_difference", columns=EQUIVALENCE_COLUMNS,
    parameters=EQUIVALENCE_PARAMETERS, required=["compare", "margin"], merged=merged_columns,
)  # fmt: skip
def equivalence(selection: Selection, p: Parameters) -> Outcome:
    """Two one-sided tests of whether the difference of ``a`` and ``b`` is inside a margin.

    Returns
    -------
    Outcome
        ``p`` is the larger of the two one-sided p-values; ``equivalent`` is ``yes`` when the
        corrected p is below 0.05, else ``not shown`` (which does not mean different).
    """

    def row_of(comparison: Comparison) -> Row:
        a, b = _arrays(comparison)
        margin = float(p["margin"])
        margin *= abs(float(b.mean())) / 100 if p["relative"] else 1.0
        if margin == 0:
            return {"flag": "undefined", "reason": "relative margin of a zero mean"}
        found = tost(a - b, -margin, margin, ranks=p["test"] == "wilcoxon")
        return {
            "test": p["test"], "margin_low": -margin, "margin_high": margin,
            "mean_difference": float(np.sort(a - b).mean()),
            "median_difference": float(np.median(a - b)), "ci_low": found.interval.low,
            "ci_high": found.interval.high, "ci_method": found.interval.method,
            "p_low": found.p_low, "p_high": found.p_high, "p": found.p,
        }  # fmt: skip

    table, used = _each(selection, p, row_of, MIN_PAIRS)
    table = table if "p" in table else table.assign(p=math.nan)
    missing = sorted(set(p["family"]) - set(table))
    if missing:
        raise ConfigError(f"analyses {p['name']!r}.family", missing, "columns", "choose others")
    table = with_correction(table, str(p["correction"]), p["family"])
    shown = np.where(table["p_adjusted"] < ALPHA, "yes", "not shown")
    table["equivalent"] = np.where(table["p"].notna(), shown, "")
    name = "Student t" if p["test"] == "t" else "Wilcoxon signed-rank"
    text = (
        f"Equivalence of a and b by two one-sided {name} tests with a margin of {p['margin']:g}"
        f"{' % of the mean of b' if p['relative'] else ' in the unit of the measure'}; 90 % "
        f"interval; {p['correction']} correction over each family."
    )
    facts = {"margin": p["margin"], "relative": p["relative"], "test": p["test"], "alpha": ALPHA}
    return Outcome(table, text, str(p["unit"]), used, [str(p["compare"])], facts)
