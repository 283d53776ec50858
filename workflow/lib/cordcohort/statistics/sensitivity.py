"""What leaving out one site (vendor, data set, person) does to the result of an analysis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

ALPHA = 0.05
PERCENT = 100.0
# What a cell of text says of how a row came about, not of which row it is.
_NOT_IDENTITY = frozenset(
    ("left_out", "flag", "reason", "ci_method", "p_method", "enough", "equivalent", "status")
)


def sensitivity(table: pd.DataFrame, headline: str) -> list[dict[str, Any]]:
    """Compare the headline number of every row with what it becomes without each label.

    Parameters
    ----------
    table : DataFrame
        Rows of the whole (``left_out`` empty) and of each repetition.
    headline : str
        Column of the number that the analysis is read for.

    Returns
    -------
    list of dict
        For each row of the whole with a number: what identifies it, ``headline``, ``whole``,
        ``lowest`` and ``highest`` without a label, the label ``moves_most`` whose absence moves it
        most, ``largest_change`` (signed, in the unit of the number), ``largest_change_percent``,
        ``n_repeated``, ``n_undefined`` (repetitions without a number) and, where there is a
        p-value, ``p_whole``, ``p_lowest``, ``p_highest`` and ``verdict_holds`` (whether p stays
        on its side of 0.05 in every repetition).

    Examples
    --------
    >>> t = pd.DataFrame({"left_out": ["", "a", "b"], "group": "all", "cov": [4.0, 4.5, 3.0]})
    >>> found = sensitivity(t, "cov")[0]
    >>> found["moves_most"], found["largest_change"], found["lowest"], found["highest"]
    ('b', -1.0, 3.0, 4.5)
    """
    if headline not in table:
        return []
    identity = [
        c for c in table.columns
        if c not in _NOT_IDENTITY and not pd.api.types.is_numeric_dtype(table[c])
    ]  # fmt: skip
    p_column = next((c for c in ("p_adjusted", "p") if c in table), "")
    keys = [tuple(row) for row in table[identity].to_numpy(dtype=object)]
    frame = table.assign(_key=pd.Series(keys, index=table.index, dtype="object"))
    repeated = dict(tuple(frame[frame["left_out"] != ""].groupby("_key", sort=False)))
    found: list[dict[str, Any]] = []
    for _, row in frame[frame["left_out"] == ""].iterrows():
        whole = float(row[headline]) if pd.notna(row[headline]) else math.nan
        others = repeated.get(row["_key"])
        if math.isfinite(whole) and others is not None:
            name = {c: str(row[c]) for c in identity if row[c] != ""}
            told = _compared(whole, others, headline)
            p_values = _p_values(row, others, p_column) if p_column else {}
            found.append({**name, "headline": headline, **told, **p_values})
    return found


def _compared(whole: float, others: pd.DataFrame, headline: str) -> dict[str, Any]:
    values = others[headline].to_numpy(dtype=float, na_value=np.nan)
    fine = np.isfinite(values)
    told: dict[str, Any] = {
        "whole": whole, "n_repeated": len(values), "n_undefined": int((~fine).sum()),
    }  # fmt: skip
    if not fine.any():
        return told
    change = np.where(fine, values - whole, 0.0)
    place = int(np.argmax(np.where(fine, np.abs(change), -1.0)))  # one that has a number
    return told | {
        "lowest": float(values[fine].min()), "highest": float(values[fine].max()),
        "moves_most": str(others["left_out"].iloc[place]),
        "largest_change": float(change[place]),
        "largest_change_percent": PERCENT * float(change[place]) / abs(whole) if whole else None,
    }  # fmt: skip


def _p_values(row: pd.Series, others: pd.DataFrame, column: str) -> dict[str, Any]:
    whole = float(row[column]) if pd.notna(row[column]) else math.nan
    values = others[column].to_numpy(dtype=float, na_value=np.nan)
    values = values[np.isfinite(values)]
    if not math.isfinite(whole) or not len(values):
        return {}
    same_side = (values < ALPHA) == (whole < ALPHA)
    return {
        "p_whole": whole, "p_lowest": float(values.min()), "p_highest": float(values.max()),
        "verdict_holds": bool(same_side.all()),
    }  # fmt: skip


def sensitivity_text(found: list[dict[str, Any]], what: str) -> str:
    """One or two sentences for a reader: the largest change, and verdicts that do not hold.

    Parameters
    ----------
    found : list of dict
        From :func:`sensitivity`.
    what : str
        What was left out: site, vendor, data set or person.
    """
    moved = [r for r in found if r.get("largest_change_percent") is not None]
    if not moved:
        return f"Without one {what} at a time no number could be compared."
    worst = max(moved, key=_size)
    changed = worst["whole"] + worst["largest_change"]
    percent = abs(worst["largest_change_percent"])
    # A difference about zero has no scale of its own: "4000 %" of it would say nothing.
    size = (
        f"at most {percent:.1f} % of its value" if percent <= PERCENT else "up to more than itself"
    )
    text = (
        f"Leaving out one {what} at a time moves {worst['headline']} by {size}: from "
        f"{worst['whole']:.4g} to {changed:.4g} without {worst['moves_most']}."
    )
    judged = [r for r in found if "verdict_holds" in r]
    if judged:
        lost = sum(not r["verdict_holds"] for r in judged)
        text += f" {lost} of {len(judged)} p-values cross {ALPHA:g} without some {what}."
    return text


def _size(row: dict[str, Any]) -> float:
    return abs(float(row["largest_change_percent"]))
