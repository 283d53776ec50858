"""Repeated measures: Friedman and repeated-measures ANOVA over methods, contrasts, sessions."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from cordcohort.statistics.boundary import renamed, statistic_and_p
from cordcohort.statistics.corrections import CORRECTION_PARAMETERS, adjust
from cordcohort.statistics.intervals import bootstrap_interval
from cordcohort.statistics.paired_parts import COMPARABLE, merged_columns
from cordcohort.statistics.pairs import pair_key
from cordcohort.statistics.registry import Outcome, Parameters, analysis
from cordcohort.statistics.select import Selection
from cordcohort.statistics.spread import cell_means
from cordcohort.statistics.wilcoxon import paired_differences, signed_rank

MIN_UNITS = 3
MIN_CONDITIONS = 3
ROUNDING = 1e-12  # residuals below this share of the values are rounding error
Row = dict[str, object]
COLUMNS = [
    "compared", "test", "a", "b", "n_conditions", "n_complete", "n_incomplete",
    "test_statistic", "df1", "df2", "p", "p_method", "epsilon", "p_greenhouse_geisser", "effect",
    "effect_name", "ci_low", "ci_high", "ci_method", "p_adjusted", "correction", "flag", "reason",
]  # fmt: skip
PARAMETERS = {
    "compare": {"enum": COMPARABLE, "description": "column whose values are the conditions"},
    "values": {
        "type": "array",
        "items": {"type": "string"},
        "uniqueItems": True,
        "default": [],
        "description": "conditions compared; empty: all that occur",
    },
    "test": {
        "enum": ["friedman", "rm_anova"],
        "default": "friedman",
        "description": "Friedman's rank test, or repeated-measures analysis of variance",
    },
    "unit": {
        "enum": ["person", "scan"],
        "default": "person",
        "description": "one block: the mean over a person's rows, or what else the key allows",
    },
    "post_hoc": {
        "type": "boolean",
        "default": True,
        "description": "also Wilcoxon signed-rank tests of all pairs of conditions",
    },
    "correction": CORRECTION_PARAMETERS["correction"],
}


@analysis(
    "repeated_test", headline="effect", columns=COLUMNS, parameters=PARAMETERS,
    required=["compare"], merged=merged_columns,
)  # fmt: skip
def repeated_test(selection: Selection, p: Parameters) -> Outcome:
    """Compare three or more conditions measured in the same persons.

    Parameters
    ----------
    selection : Selection
        Rows of the long table.
    p : mapping
        ``compare``, ``values``, ``test``, ``unit``, ``post_hoc``, ``correction``.

    Returns
    -------
    Outcome
        An omnibus row a stratum (``a`` and ``b`` empty): Friedman's chi-square with Kendall's W,
        or F with Greenhouse-Geisser epsilon and generalised eta squared; then, with ``post_hoc``,
        Wilcoxon tests of all pairs, corrected within the stratum. Blocks that lack a condition
        are counted and left out.
    """
    compare = str(p["compare"])
    rows: list[Row] = []
    used: list[pd.Index] = [selection.rows.index[:0]]
    for stratum, part in selection.groups():
        values = [str(v) for v in p["values"]] or sorted(set(part[compare].astype("str")))
        part = part[part[compare].astype("str").isin(values)]  # noqa: PLW2901 - narrowed
        unit = ["person_key"] if p["unit"] == "person" else pair_key(compare, selection.strata)
        wide = _blocks(part, unit, compare, values)
        complete = wide.dropna()
        used.append(part.index[part["person_key"].isin(complete.index.unique("person_key"))])
        head = {**stratum, "compared": compare, "n_conditions": len(values),
                "n_complete": len(complete), "n_incomplete": len(wide) - len(complete),
                "correction": p["correction"]}  # fmt: skip
        rows += [{**head, **row} for row in _tests(complete, p)]
    name = "Friedman tests with Kendall's W" if p["test"] == "friedman" else (
        "Repeated-measures analysis of variance with Greenhouse-Geisser correction")  # fmt: skip
    text = (
        f"{name} over {compare}, one block a {p['unit']}, complete blocks only; post hoc Wilcoxon "
        f"signed-rank tests of all pairs with {p['correction']} correction."
    )
    facts = {"correction": p["correction"], "sides": 2}
    return Outcome(pd.DataFrame(rows), text, str(p["unit"]), used[0].append(used[1:]).unique(),
                   [compare], facts)  # fmt: skip


def _blocks(part: pd.DataFrame, unit: list[str], compare: str, values: list[str]) -> pd.DataFrame:
    if part.empty:
        index = pd.MultiIndex.from_arrays([[]], names=["person_key"])
        return pd.DataFrame(index=index, columns=values, dtype=float)
    filled = part.assign(slice=part["slice"].astype("str").fillna(""))
    cells = cell_means(filled, [*unit, compare])
    wide = cells.pivot_table(index=unit, columns=compare, values="value")
    return wide.reindex(columns=values)


def _tests(complete: pd.DataFrame, p: Parameters) -> list[Row]:
    table = complete.to_numpy(dtype=float)
    reason = ""
    if table.shape[1] < MIN_CONDITIONS:
        reason = f"{table.shape[1]} conditions: needs {MIN_CONDITIONS}, else use paired_test"
    elif len(table) < MIN_UNITS:
        reason = f"{len(table)} complete blocks: needs {MIN_UNITS}"
    elif np.ptp(table - table.mean(axis=1, keepdims=True)) == 0:
        reason = "the conditions do not differ in any block"
    if reason:
        return [{"test": p["test"], "flag": "undefined", "reason": reason}]
    omnibus = friedman(table) if p["test"] == "friedman" else rm_anova(table)
    rows: list[Row] = [{"test": p["test"], "flag": "", "reason": "", **omnibus}]
    if p["post_hoc"]:
        rows += _post_hoc(complete, str(p["correction"]))
    return rows


def friedman(table: np.ndarray) -> Row:
    """Friedman's test of blocks (rows) by conditions (columns) with Kendall's W.

    Examples
    --------
    >>> row = friedman(np.array([[1.0, 2, 3], [1, 2, 3], [1, 2, 3]]))
    >>> row["test_statistic"], round(float(row["effect"]), 6)
    (6.0, 1.0)
    """
    chi2, p_value = statistic_and_p(stats.friedmanchisquare(*table.T))
    n, k = table.shape
    interval = bootstrap_interval(stats.rankdata(table, axis=1), _kendall_w, unit="block")
    return {
        "test_statistic": chi2, "df1": k - 1, "p": p_value, "p_method": "chi-square",
        "effect": chi2 / (n * (k - 1)), "effect_name": "Kendall's W", "ci_low": interval.low,
        "ci_high": interval.high, "ci_method": interval.method,
    }  # fmt: skip


def _kendall_w(ranks: np.ndarray) -> np.ndarray:
    """Kendall's W (tie-corrected) of resamples of blocks of ranks."""
    n, k = ranks.shape[1:]
    between = n * ((ranks.mean(axis=1) - (k + 1) / 2) ** 2).sum(axis=1)
    within = ((ranks - (k + 1) / 2) ** 2).sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return between / within


def rm_anova(table: np.ndarray) -> Row:
    """One-way repeated-measures ANOVA (pingouin) with Greenhouse-Geisser correction."""
    import pingouin  # noqa: PLC0415 - slow import, needed here only

    n, k = table.shape
    effects = table.mean(axis=1, keepdims=True) + table.mean(axis=0) - table.mean()
    if float(np.abs(table - effects).max()) <= ROUNDING * float(np.abs(table).max()):
        return {"flag": "undefined", "reason": "no residual variance"}
    long = pd.DataFrame({
        "unit": np.repeat(np.arange(n), k), "condition": np.tile(np.arange(k), n),
        "value": table.ravel(),
    })  # fmt: skip
    options: dict[str, Any] = {"correction": True, "detailed": True}
    result = pingouin.rm_anova(long, dv="value", within="condition", subject="unit", **options)
    names = {
        "F": "f",
        "p_unc": "p",
        "p_GG_corr": "p_gg",
        "ng2": "effect",
        "eps": "epsilon",
    }
    row = renamed(pd.DataFrame(result), names, "pingouin.rm_anova").iloc[0]
    return {
        "test_statistic": float(row["f"]), "df1": k - 1, "df2": (n - 1) * (k - 1),
        "p": float(row["p"]), "p_method": "F", "epsilon": float(row["epsilon"]),
        "p_greenhouse_geisser": float(row["p_gg"]), "effect": float(row["effect"]),
        "effect_name": "generalised eta squared", "ci_method": "none: declare variability",
    }  # fmt: skip


def _post_hoc(complete: pd.DataFrame, correction: str) -> list[Row]:
    rows: list[Row] = []
    for a, b in itertools.combinations([str(c) for c in complete.columns], 2):
        result = signed_rank(paired_differences(complete[a].to_numpy(), complete[b].to_numpy()))
        rows.append({
            "test": "wilcoxon", "a": a, "b": b, "test_statistic": result.w, "p": result.p,
            "p_method": result.p_method, "effect": result.rank_biserial,
            "effect_name": "rank-biserial", "ci_low": result.interval.low,
            "ci_high": result.interval.high, "ci_method": result.interval.method,
            "flag": "undefined" if result.reason else "", "reason": result.reason,
        })  # fmt: skip
    p_values = np.array([float(str(r["p"])) for r in rows])
    for row, p_adjusted in zip(rows, adjust(p_values, correction), strict=True):
        row["p_adjusted"] = float(p_adjusted)
    return rows
