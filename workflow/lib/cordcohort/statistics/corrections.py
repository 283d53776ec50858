"""Correction for several tests, over families that the config declares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

CORRECTIONS = ("none", "bonferroni", "holm", "fdr_bh")
CORRECTION_PARAMETERS = {
    "correction": {
        "enum": list(CORRECTIONS),
        "default": "holm",
        "description": "correction of p over each family of tests",
    },
    "family": {
        "type": "array",
        "items": {"type": "string"},
        "uniqueItems": True,
        "default": [],
        "description": "columns whose values each make a family; empty: the whole analysis is one",
    },
}


def adjust(p_values: np.ndarray, correction: str) -> np.ndarray:
    """Corrected p-values; undefined (NaN) ones stay NaN and are not part of the family.

    Parameters
    ----------
    p_values : array (n,)
        Two-sided p-values, NaN where a test is undefined.
    correction : {'none', 'bonferroni', 'holm', 'fdr_bh'}
        Bonferroni, Holm's step-down, or the false discovery rate of Benjamini and Hochberg.

    Examples
    --------
    >>> adjust(np.array([0.01, 0.04, np.nan]), "bonferroni").tolist()
    [0.02, 0.08, nan]
    """
    from statsmodels.stats.multitest import multipletests  # noqa: PLC0415 - slow import

    p_values = np.asarray(p_values, dtype=float)
    adjusted = p_values.copy()
    known = np.isfinite(p_values)
    if correction != "none" and known.any():
        adjusted[known] = multipletests(p_values[known], method=correction)[1]
    return adjusted


def with_correction(table: pd.DataFrame, correction: str, family: Sequence[str]) -> pd.DataFrame:
    """Add ``p_adjusted``, ``correction``, ``family`` and ``n_family`` to a table with ``p``."""
    columns = [c for c in family if c in table]
    missing = sorted(set(family) - set(columns))
    if missing:
        raise KeyError(f"family columns {missing} are not in the result: {list(table.columns)}")
    label = pd.Series("all tests of the analysis", index=table.index, dtype="str")
    if columns:
        texts = [f"{c}=" + table[c].astype("str") for c in columns]
        label = texts[0]
        for text in texts[1:]:
            label = label + ", " + text
    out = table.assign(p_adjusted=np.nan, correction=correction, family=label)
    for _, rows in out.groupby("family").groups.items():
        out.loc[rows, "p_adjusted"] = adjust(out.loc[rows, "p"].to_numpy(dtype=float), correction)
    out["n_family"] = out["p"].notna().groupby(out["family"]).transform("sum").astype("int64")
    return out
