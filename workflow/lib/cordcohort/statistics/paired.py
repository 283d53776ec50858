"""Paired comparison: Wilcoxon signed-rank between methods, sessions, contrasts ..."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from cordcohort.errors import ConfigError
from cordcohort.statistics.corrections import CORRECTION_PARAMETERS, with_correction
from cordcohort.statistics.paired_parts import (
    PAIR_COLUMNS,
    PAIR_PARAMETERS,
    comparisons,
    merged_columns,
    nothing_to_compare,
    used_rows,
)
from cordcohort.statistics.pairs import Pairs
from cordcohort.statistics.registry import Outcome, Parameters, analysis
from cordcohort.statistics.select import Selection
from cordcohort.statistics.wilcoxon import (
    ALPHA,
    SignedRank,
    paired_differences,
    signed_rank,
    smallest_p,
)

COLUMNS = [
    *PAIR_COLUMNS, "n_zero",
    "n_nonzero", "n_tied", "mean_a", "mean_b", "median_a", "median_b", "mean_difference",
    "median_difference", "w", "w_plus", "w_minus", "p", "p_method", "rank_biserial",
    "rank_biserial_ci_low",
    "rank_biserial_ci_high", "ci_method", "p_adjusted", "correction", "family", "n_family", "flag",
    "reason",
]  # fmt: skip
UNPAIRED = (
    "both values are there, but with another acquisition, run or session; name in `pool` what may "
    "differ, such as pool: [acquisition]"
)
PARAMETERS = {
    **PAIR_PARAMETERS,
    **CORRECTION_PARAMETERS,
}


@analysis(
    "paired_test",
    headline="rank_biserial",
    columns=COLUMNS,
    parameters=PARAMETERS,
    required=["compare"],
    merged=merged_columns,
)
def paired_test(selection: Selection, p: Parameters) -> Outcome:
    """Wilcoxon signed-rank tests between the values of a column, pairs formed by key.

    Parameters
    ----------
    selection : Selection
        Rows of the long table.
    p : mapping
        ``compare``, ``values``, ``against``, ``unit``, ``correction``, ``family``.

    Returns
    -------
    Outcome
        One row a comparison and stratum: numbers of pairs (complete, one-sided, zero, tied), W
        (the smaller of W+ and W-), two-sided p and how it was computed, matched-pairs
        rank-biserial correlation (positive: ``a`` larger than ``b``) with bootstrap interval,
        corrected p. An impossible test is a row with a reason.
    """
    found = list(comparisons(selection, p))
    rows = _told_where_never_paired([{**c.head, **_test_row(c.pairs), **c.counts} for c in found])
    table = pd.DataFrame(rows) if rows else nothing_to_compare(selection, p).assign(p=np.nan)
    for column in p["family"]:
        if column not in table:
            known = [*selection.strata, "a", "b"]
            raise ConfigError(f"analyses {p['name']!r}.family", column, f"{known}", "choose one")
    table = with_correction(table, str(p["correction"]), p["family"])
    return Outcome(
        table=table,
        method_text=_method_text(str(p["compare"]), str(p["unit"]), str(p["correction"])),
        unit=str(p["unit"]),
        used=used_rows(found, selection),
        count_by=[str(p["compare"])],
        facts={"correction": p["correction"], "zero_differences": "dropped and counted",
               "sides": 2, "rank_biserial_sign": "positive when a > b"},
    )  # fmt: skip


def _told_where_never_paired(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Say what to do where two values are both there and never meet in one stratum."""
    couples = [(row["a"], row["b"]) for row in rows]
    for couple in dict.fromkeys(couples):
        mine = [row for row, own in zip(rows, couples, strict=True) if own == couple]
        n_pairs, only_a, only_b = (
            sum(row[n] for row in mine) for n in ("n_pairs", "n_only_a", "n_only_b")
        )
        if not n_pairs and only_a and only_b:
            for row in mine:
                row["reason"] += f": {UNPAIRED}"
    return rows


def _test_row(pairs: Pairs) -> dict[str, object]:
    table = pairs.table
    a, b = table["a"].to_numpy(dtype=float), table["b"].to_numpy(dtype=float)
    result = signed_rank(paired_differences(a, b))
    row: dict[str, object] = {
        "n_zero": result.n_zero, "n_nonzero": result.n_nonzero,
        "n_tied": result.n_tied, "w": result.w, "w_plus": result.w_plus, "w_minus": result.w_minus,
        "p": result.p, "p_method": result.p_method, "rank_biserial": result.rank_biserial,
        "rank_biserial_ci_low": result.interval.low,
        "rank_biserial_ci_high": result.interval.high, "ci_method": result.interval.method,
    }  # fmt: skip
    if len(table):
        row |= {
            "mean_a": float(np.sort(a).mean()), "mean_b": float(np.sort(b).mean()),
            "median_a": float(np.median(a)), "median_b": float(np.median(b)),
            "mean_difference": float(np.sort(a - b).mean()),
            "median_difference": float(np.median(a - b)),
        }  # fmt: skip
    return row | _flag(result)


def _flag(result: SignedRank) -> dict[str, str]:
    if result.reason:
        return {"flag": "undefined", "reason": result.reason}
    least = smallest_p(result.n_nonzero)
    if least > ALPHA:
        reason = f"{result.n_nonzero} non-zero pairs cannot give p below {least:g}"
        return {"flag": "warning", "reason": reason}
    return {"flag": "", "reason": ""}


def _method_text(compare: str, unit: str, correction: str) -> str:
    averaged = "" if unit == "scan" else f", differences averaged within a {unit} first"
    corrected = "no correction" if correction == "none" else f"{correction} correction"
    return (
        f"Two-sided Wilcoxon signed-rank tests between {compare}s on pairs formed by key{averaged};"
        " zero differences dropped and counted; exact p up to 50 non-zero pairs without ties (13 "
        "with ties, by sign permutation), else the normal approximation with tie and continuity "
        "correction; matched-pairs rank-biserial correlation as effect size, positive when the "
        f"first is larger, with a percentile bootstrap interval over pairs; {corrected} over each "
        "family of tests."
    )
