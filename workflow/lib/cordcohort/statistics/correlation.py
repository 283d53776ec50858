"""Spearman correlation of a measure with a score or with another measure, one value a person."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from cordcohort.cohort.persons import person_keys
from cordcohort.statistics.boundary import statistic_and_p
from cordcohort.statistics.corrections import CORRECTION_PARAMETERS, with_correction
from cordcohort.statistics.covariates import COVARIATES_PARAMETER, covariate_table, design_of
from cordcohort.statistics.intervals import (
    DEFAULT_SEED,
    Interval,
    bootstrap_interval,
    fisher_interval,
)
from cordcohort.statistics.partial import partial_spearman_row
from cordcohort.statistics.registry import Outcome, Parameters, analysis
from cordcohort.statistics.select import Selection, parts
from cordcohort.statistics.spread import cell_means, is_constant

MIN_PAIRS = 4  # Fisher's interval needs n - 3 >= 1, and rho of 3 pairs is one of 4 values
EXACT_MAX = 8  # up to 8! = 40,320 orders are enumerated
COLUMNS = [
    "with", "time_point", "controlled_for", "n", "n_incomplete", "rho", "p", "p_method",
    "ci_low", "ci_high", "ci_method", "p_adjusted", "correction", "family", "n_family",
    "flag", "reason",
]  # fmt: skip
PARAMETERS = {
    "with": {
        "type": "object",
        "properties": {
            "score": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "time_point": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "measure": {"type": "string"},
        },
        "oneOf": [{"required": ["score"]}, {"required": ["measure"]}],
        "additionalProperties": False,
        "description": "score variables (and time points; default all) or another measure",
    },
    "interval": {
        "enum": ["fisher", "bootstrap"],
        "default": "fisher",
        "description": "Fisher z with Bonett-Wright variance, or percentile bootstrap by person",
    },
    "covariates": COVARIATES_PARAMETER,
    **CORRECTION_PARAMETERS,
}


def _merged(p: Parameters) -> Sequence[str]:
    return ("measure", "unit") if "measure" in p["with"] else ()


@analysis(
    "correlation",
    headline="rho",
    columns=COLUMNS,
    parameters=PARAMETERS,
    required=["with"],
    merged=_merged,
)
def correlation(selection: Selection, p: Parameters) -> Outcome:
    """Spearman rank correlation between persons.

    A person's rows are averaged first (sessions, runs, sites), so that ``n`` counts people.

    Parameters
    ----------
    selection : Selection
        Rows of the long table, with the scores.
    p : mapping
        ``with``, ``interval``, ``correction``, ``family``.

    Returns
    -------
    Outcome
        ``n`` complete persons, ``n_incomplete`` with one of the two values, ``rho``, two-sided
        ``p`` (exact by permutation up to 8 persons, else Student t), interval, corrected p.
    """
    rows: list[dict[str, object]] = []
    used: list[pd.Index] = [selection.rows.index[:0]]
    there = selection.rows["flag"] != "excluded"  # these are counted as excluded, not incomplete
    everyone = parts(selection.rows.loc[there, ["stratum", "person_key"]])
    controls = covariate_table(selection.rows, p["covariates"])
    for code, (stratum, part) in enumerate(selection.groups()):
        for target, time_point, x, y in _couples(part, selection.scores, p):
            joined = x.merge(y, on="person_key", how="outer", suffixes=("_x", "_y"))
            joined = joined[joined["person_key"].isin(set(everyone.get(code, part)["person_key"]))]
            joined = joined.merge(controls, on="person_key", how="left")
            complete = joined.dropna().sort_values("person_key")
            used.append(part.index[part["person_key"].isin(set(complete["person_key"]))])
            x_values = complete["value_x"].to_numpy(dtype=float)
            y_values = complete["value_y"].to_numpy(dtype=float)
            if p["covariates"]:
                design = design_of(complete[list(p["covariates"])])
                row = partial_spearman_row(x_values, y_values, design, str(p["interval"]))
            else:
                row = spearman_row(x_values, y_values, str(p["interval"]))
            row = with_text(row, selection.scores, target, time_point, set(x["person_key"]))
            head = {"with": target, "time_point": time_point, "controlled_for":
                    ", ".join(p["covariates"])}  # fmt: skip
            rows.append({**stratum, **head, "n_incomplete": len(joined) - len(complete), **row})
    table = with_correction(pd.DataFrame(rows), str(p["correction"]), p["family"])
    return Outcome(
        table=table, method_text=_method_text(p), unit="person",
        used=used[0].append(used[1:]).unique(),
        facts={"correction": p["correction"], "interval": p["interval"], "seed": DEFAULT_SEED},
    )  # fmt: skip


def _couples(
    part: pd.DataFrame, scores: pd.DataFrame, p: Parameters
) -> list[tuple[str, str, pd.DataFrame, pd.DataFrame]]:
    """Values of each person (``person_key``, ``value``) for x and each y asked for."""
    if "measure" in p["with"]:
        name = str(p["with"]["measure"])
        other = part["measure"] == name
        x_name = sorted(set(part.loc[~other, "measure"]))
        y = cell_means(part[other], ["person_key"])
        xs = [(m, cell_means(part[part["measure"] == m], ["person_key"])) for m in x_name]
        return [(f"{m} ~ {name}", "", x, y) for m, x in xs]
    x = cell_means(part, ["person_key"])
    couples: list[tuple[str, str, pd.DataFrame, pd.DataFrame]] = []
    for variable in p["with"]["score"]:
        values = score_values(scores, str(variable))
        found = time_points(scores, str(variable))
        for time_point in p["with"].get("time_point", found):
            y = values.loc[values["time_point"] == time_point, ["person_key", "value"]]
            couples.append((str(variable), str(time_point), x, y))
    return couples


def with_text(
    row: dict[str, object], scores: pd.DataFrame, variable: str, time_point: str, persons: set[str]
) -> dict[str, object]:
    """Say for how many persons of a correlation the score is text that is no number."""
    if scores.empty:
        return row
    scores = scores.reset_index(drop=True)
    mine = scores[(scores["variable"] == variable) & (scores["time_point"] == time_point)]
    wrong = pd.to_numeric(mine["value"], errors="coerce").isna() & (mine["value"] != "")
    keys = person_keys(scores).loc[mine.index[wrong.to_numpy(dtype=bool)]]
    n = len(set(keys) & persons)
    if not n:
        return row
    said = f"{n} with a score that is no number"
    reason = "; ".join(str(text) for text in (row["reason"], said) if text)
    return row | {"flag": row["flag"] or "warning", "reason": reason}


def time_points(scores: pd.DataFrame, variable: str) -> list[str]:
    """Time points of a score, those whose cells are all text too; one empty where it is absent."""
    if scores.empty:
        return [""]
    return sorted(set(scores.loc[scores["variable"] == variable, "time_point"])) or [""]


def score_values(scores: pd.DataFrame, variable: str) -> pd.DataFrame:
    """Numeric values of a score, one a person and time point (``person_key, time_point, value``).

    Text that is no number is left out, as a missing score is; several rows of one person and time
    point (sessions) are averaged.
    """
    scores = scores.reset_index(drop=True)  # tables put together may repeat labels
    mine = scores[scores["variable"] == variable]
    if mine.empty:
        return pd.DataFrame({"person_key": [], "time_point": [], "value": []}).astype(
            {"person_key": "str", "time_point": "str", "value": "float64"}
        )
    value = pd.to_numeric(mine["value"], errors="coerce").astype("float64")
    table = mine.assign(value=value, person_key=person_keys(scores).loc[mine.index])
    return cell_means(table[np.isfinite(table["value"])], ["person_key", "time_point"])


def spearman_row(x: np.ndarray, y: np.ndarray, interval: str = "fisher") -> dict[str, object]:
    """Spearman's rho of complete pairs with p and interval, or the reason why there is none.

    Examples
    --------
    >>> row = spearman_row(np.arange(9.0), np.array([1.0, 0, 2, 3, 5, 4, 6, 7, 8]))
    >>> row["n"], round(row["rho"], 4), row["p_method"]
    (9, 0.9667, 'Student t')
    """
    n = len(x)
    row: dict[str, object] = {"n": n, "rho": math.nan, "p": math.nan}
    if n < MIN_PAIRS:
        return row | {"flag": "undefined", "reason": f"{n} complete pairs: needs {MIN_PAIRS}"}
    if is_constant(x) or is_constant(y):
        which = "measure" if is_constant(x) else "score"
        return row | {"flag": "undefined", "reason": f"the {which} is constant"}
    (rho, p), p_method = statistic_and_p(stats.spearmanr(x, y)), "Student t"
    if n <= EXACT_MAX:
        p, p_method = _exact_p(x, y), "exact by permutation"
    found = _interval(x, y, rho, interval)
    flag = {"flag": "", "reason": ""}
    if not math.isfinite(found.low):
        flag = {"flag": "warning", "reason": f"interval {found.method}"}
    return row | {"rho": rho, "p": p, "p_method": p_method, "ci_low": found.low,
                  "ci_high": found.high, "ci_method": found.method, **flag}  # fmt: skip


def _exact_p(x: np.ndarray, y: np.ndarray) -> float:
    ranks_x, ranks_y = stats.rankdata(x), stats.rankdata(y)

    def product(first: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.sum((first - ranks_x.mean()) * (ranks_y - ranks_y.mean()), axis=axis)

    test = stats.permutation_test(
        (ranks_x,), product, permutation_type="pairings", vectorized=True,
        n_resamples=math.factorial(EXACT_MAX), alternative="two-sided",
    )  # fmt: skip
    return statistic_and_p(test)[1]


def _interval(x: np.ndarray, y: np.ndarray, rho: float, kind: str) -> Interval:
    if kind == "fisher":
        return fisher_interval(rho, len(x))
    return bootstrap_interval(np.column_stack([x, y]), rank_correlations)


def rank_correlations(resamples: np.ndarray) -> np.ndarray:
    """Spearman's rho of each resample of pairs ``(n_resamples, n, 2)``."""
    ranks = stats.rankdata(resamples, axis=1)
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    products = (centred[..., 0] * centred[..., 1]).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return products / np.sqrt((centred**2).sum(axis=1).prod(axis=1))


def _method_text(p: Parameters) -> str:
    how = "Fisher's z with the Bonett-Wright variance" if p["interval"] == "fisher" else (
        "a percentile bootstrap by person")  # fmt: skip
    corrected = "no correction" if p["correction"] == "none" else f"{p['correction']} correction"
    partial = f", partial on {', '.join(p['covariates'])}" if p["covariates"] else ""
    return (
        f"Spearman rank correlations{partial} over persons, values averaged by person; incomplete "
        f"persons counted; two-sided p (exact by permutation up to {EXACT_MAX} persons, else "
        f"Student t); 95 % interval by {how}; {corrected} over each family of tests."
    )
