"""Paired comparison: Wilcoxon signed-rank between methods, sessions, contrasts ..."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from cordcohort.errors import ConfigError
from cordcohort.statistics.corrections import CORRECTION_PARAMETERS, with_correction
from cordcohort.statistics.pairs import Pairs, form_pairs, pair_key
from cordcohort.statistics.registry import Outcome, Parameters, analysis
from cordcohort.statistics.select import Selection
from cordcohort.statistics.wilcoxon import ALPHA, SignedRank, signed_rank, smallest_p

COMPARABLE = [
    "method", "session", "run", "contrast", "acquisition", "resolution", "site", "vendor", "seed",
    "level", "structure", "statistic", "split",
]  # fmt: skip
COLUMNS = [
    "compared", "a", "b", "unit_of_pairing", "n_pairs", "n_only_a", "n_only_b", "n_zero",
    "n_nonzero", "n_tied", "mean_a", "mean_b", "median_a", "median_b", "mean_difference",
    "median_difference", "w", "w_plus", "w_minus", "p", "p_method", "rank_biserial",
    "rank_biserial_ci_low",
    "rank_biserial_ci_high", "ci_method", "p_adjusted", "correction", "family", "n_family", "flag",
    "reason",
]  # fmt: skip
PARAMETERS = {
    "compare": {"enum": COMPARABLE, "description": "column whose values are compared in pairs"},
    "values": {
        "type": "array",
        "items": {"type": ["string", "integer"]},
        "uniqueItems": True,
        "default": [],
        "description": "values compared, all pairs of them; empty: all that occur. Values that "
        "do not occur stay as rows without a result",
    },
    "against": {
        "type": ["string", "integer", "null"],
        "default": None,
        "description": "compare every other value with this one only",
    },
    "unit": {
        "enum": ["person", "scan", "level"],
        "default": "person",
        "description": "one independent pair: the mean over a person's pairs, each scan, or each "
        "level of a person (levels of one person are not independent; some publications use them)",
    },
    **CORRECTION_PARAMETERS,
}


def _merged(p: Parameters) -> Sequence[str]:
    compared = ("method", "reference") if p["compare"] == "method" else (str(p["compare"]),)
    return (*compared, "level") if p["unit"] == "level" else compared


@analysis(
    "paired_test", columns=COLUMNS, parameters=PARAMETERS, required=["compare"], merged=_merged
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
    compare = str(p["compare"])
    key = pair_key(compare, selection.strata, p["pool"])
    key += ["level"] if p["unit"] == "level" else []
    unit = _unit_columns(str(p["unit"]), key)
    rows: list[dict[str, object]] = []
    used: list[pd.Index] = []
    for a, b in _comparisons(selection.rows[compare], p):
        for stratum, part in selection.groups():
            pairs = form_pairs(part, compare, (a, b), key, unit)
            used.append(pairs.used)
            head = {"compared": compare, "a": a, "b": b, "unit_of_pairing": p["unit"]}
            rows.append({**stratum, **head, **_test_row(pairs)})
    table = pd.DataFrame(rows) if rows else _empty(selection, compare, p)
    for column in p["family"]:
        if column not in table:
            known = [*selection.strata, "a", "b"]
            raise ConfigError(f"analyses {p['name']!r}.family", column, f"{known}", "choose one")
    table = with_correction(table, str(p["correction"]), p["family"])
    return Outcome(
        table=table,
        method_text=_method_text(compare, str(p["unit"]), str(p["correction"])),
        unit=str(p["unit"]),
        used=used[0].append(used[1:]).unique() if used else selection.rows.index[:0],
        count_by=[compare] if compare not in ("site",) else [],
        facts={"correction": p["correction"], "zero_differences": "dropped and counted",
               "sides": 2, "rank_biserial_sign": "positive when a > b"},
    )  # fmt: skip


def _comparisons(column: pd.Series, p: Parameters) -> list[tuple[str, str]]:
    values = [str(v) for v in p["values"]] or sorted(set(column.astype("str")))
    if p["against"] is not None:
        against = str(p["against"])
        return [(value, against) for value in values if value != against]
    return list(itertools.combinations(values, 2))


def _unit_columns(unit: str, key: Sequence[str]) -> list[str]:
    if unit == "scan":
        return list(key)
    return ["person_key", "level"] if unit == "level" else ["person_key"]


def _empty(selection: Selection, compare: str, p: Parameters) -> pd.DataFrame:
    strata = selection.all_strata()
    found = sorted(set(selection.rows[compare].astype("str")))
    reason = f"fewer than two values of {compare}: {found}"
    return strata.assign(compared=compare, unit_of_pairing=p["unit"], n_pairs=0, p=np.nan,
                         flag="undefined", reason=reason)  # fmt: skip


def _test_row(pairs: Pairs) -> dict[str, object]:
    table = pairs.table
    counts = {"n_only_a": pairs.n_only_a, "n_only_b": pairs.n_only_b}
    a, b = table["a"].to_numpy(dtype=float), table["b"].to_numpy(dtype=float)
    result = signed_rank(a - b)
    row: dict[str, object] = {
        "n_pairs": result.n_pairs, "n_zero": result.n_zero, "n_nonzero": result.n_nonzero,
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
    return row | counts | _flag(result)


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
