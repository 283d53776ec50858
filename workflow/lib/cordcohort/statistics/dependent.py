"""Comparison of two dependent correlations: whether a goes with a score more than b."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from cordcohort.statistics.corrections import CORRECTION_PARAMETERS, with_correction
from cordcohort.statistics.correlation import (
    rank_correlations,
    score_values,
    spearman_row,
    time_points,
    with_text,
)
from cordcohort.statistics.intervals import DEFAULT_SEED, bootstrap_interval
from cordcohort.statistics.paired_parts import COMPARABLE, merged_columns
from cordcohort.statistics.partial import meng_z
from cordcohort.statistics.registry import Outcome, Parameters, analysis
from cordcohort.statistics.select import Selection
from cordcohort.statistics.spread import cell_means, is_constant

MIN_PERSONS = 5
COLUMNS = [
    "compared", "a", "b", "with", "time_point", "n", "n_incomplete", "rho_a", "rho_b", "rho_ab",
    "difference", "ci_low", "ci_high", "ci_method", "z", "p", "p_method", "p_adjusted",
    "correction", "family", "n_family", "flag", "reason",
]  # fmt: skip
PARAMETERS = {
    "compare": {"enum": COMPARABLE, "description": "column whose two values are compared"},
    "values": {
        "type": "array",
        "items": {"type": "string"},
        "uniqueItems": True,
        "minItems": 2,
        "maxItems": 2,
        "description": "the two values, a and b",
    },
    "score": {
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
        ],
        "description": "score variable, or several, that both are correlated with",
    },
    "time_point": {
        "type": "array",
        "items": {"type": "string"},
        "default": [],
        "description": "time points of the score; empty: all",
    },
    **CORRECTION_PARAMETERS,
}


def _merged(p: Parameters) -> Sequence[str]:
    return merged_columns({**p, "unit": "person"})


@analysis(
    "correlation_difference", headline="difference", columns=COLUMNS, parameters=PARAMETERS,
    required=["compare", "values", "score"], merged=_merged,
)  # fmt: skip
def correlation_difference(selection: Selection, p: Parameters) -> Outcome:
    """Difference of two Spearman correlations with a score, in the same persons.

    Parameters
    ----------
    selection : Selection
        Rows of the long table.
    p : mapping
        ``compare``, ``values``, ``score``, ``time_point``, ``correction``, ``family``.

    Returns
    -------
    Outcome
        ``n`` complete persons, ``n_incomplete`` with a value of a or b and without the other or
        the score; ``difference`` = rho_a - rho_b with a percentile bootstrap interval by person;
        ``z`` and ``p`` by Meng, Rosenthal and Rubin on rank correlations.
    """
    a, b = (str(v) for v in p["values"])
    variables = [p["score"]] if isinstance(p["score"], str) else list(p["score"])
    rows: list[dict[str, object]] = []
    used: list[pd.Index] = [selection.rows.index[:0]]
    for stratum, part in selection.groups():
        for variable in variables:
            for row, persons in _rows(part, selection.scores, variable, p):
                used.append(part.index[part["person_key"].isin(persons)])
                rows.append({**stratum, **row})
    table = with_correction(pd.DataFrame(rows), str(p["correction"]), p["family"])
    text = (
        f"Spearman correlations of {a} and of {b} with {', '.join(variables)} in the same "
        "persons, compared by the test of Meng, Rosenthal and Rubin for dependent correlations, "
        "with a percentile bootstrap interval of the difference by person; "
        f"{p['correction']} correction."
    )
    facts = {"correction": p["correction"], "seed": DEFAULT_SEED}
    return Outcome(table, text, "person", used[0].append(used[1:]).unique(),
                   [str(p["compare"])], facts)  # fmt: skip


def _rows(
    part: pd.DataFrame, sheet: pd.DataFrame, variable: str, p: Parameters
) -> Iterator[tuple[dict[str, object], set[str]]]:
    """Result and complete persons at each time point of a score."""
    a, b = (str(v) for v in p["values"])
    scores = score_values(sheet, variable)
    for point in p["time_point"] or time_points(sheet, variable):
        y = scores[scores["time_point"] == point][["person_key", "value"]]
        joined = _joined(part, str(p["compare"]), (a, b), y)
        complete = joined.dropna().reset_index(drop=True)
        head = {"compared": p["compare"], "a": a, "b": b, "with": variable, "time_point": point,
                "n_incomplete": len(joined) - len(complete)}  # fmt: skip
        found = difference_row(complete[["a", "b", "score"]].to_numpy(dtype=float))
        told = with_text(found, sheet, variable, point, set(joined["person_key"]))
        yield {**head, **told}, set(complete["person_key"])


def _joined(
    part: pd.DataFrame, compare: str, values: tuple[str, str], y: pd.DataFrame
) -> pd.DataFrame:
    """Values a, b and the score of every person who has a or b."""
    sides = [part[part[compare].astype("str") == label] for label in values]
    first, second = (cell_means(side, ["person_key"]) for side in sides)
    out = first.merge(second, on="person_key", how="outer", suffixes=("_a", "_b"))
    out = out.merge(y, on="person_key", how="left")
    out = out.rename(columns={"value_a": "a", "value_b": "b", "value": "score"})
    return out.sort_values("person_key", ignore_index=True)


def difference_row(data: np.ndarray) -> dict[str, object]:
    """Both correlations and their difference for ``(n, 3)`` values of a, b and the score."""
    n = len(data)
    row: dict[str, object] = {"n": n, "p": math.nan}
    if n < MIN_PERSONS:
        reason = f"{n} complete persons: needs {MIN_PERSONS}"
        return row | {"flag": "undefined", "reason": reason}
    if any(is_constant(column) for column in data.T):
        return row | {"flag": "undefined", "reason": "one of the three is constant"}
    a, b, score = data.T
    rho_a, rho_b, rho_ab = (
        float(str(spearman_row(x, y)["rho"])) for x, y in ((a, score), (b, score), (a, b))
    )
    row |= {"rho_a": rho_a, "rho_b": rho_b, "rho_ab": rho_ab, "difference": rho_a - rho_b}
    found = bootstrap_interval(data, _differences)
    row |= {"ci_low": found.low, "ci_high": found.high, "ci_method": found.method}
    if max(abs(rho_a), abs(rho_b), abs(rho_ab)) >= 1 - 1e-12:
        return row | {"flag": "warning", "reason": "perfect correlation: no test"}
    z, p, _ = meng_z(rho_a, rho_b, rho_ab, n)
    return row | {"z": z, "p": p, "p_method": "Meng-Rosenthal-Rubin", "flag": "", "reason": ""}


def _differences(resamples: np.ndarray) -> np.ndarray:
    first = rank_correlations(resamples[..., [0, 2]])
    return first - rank_correlations(resamples[..., [1, 2]])
