"""Pairs: two values of one thing, found by key; what has no partner is counted, never dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cordcohort.statistics.select import combination_codes

PLACE_COLUMNS = ["person_key", "site", "session", "acquisition", "run", "contrast"]
SITE_COLUMNS = ("site", "vendor", "dataset")
FINE_COLUMNS = ["object", "slice"]


@dataclass(frozen=True)
class Pairs:
    """Values ``a`` and ``b`` of the same key, averaged to one pair a unit.

    Parameters
    ----------
    table : DataFrame
        The unit columns, ``person_key``, ``site``, ``a`` and ``b``; one row a unit.
    n_only_a, n_only_b : int
        Keys that have one of the two values only.
    used : Index
        Labels of the long-table rows behind the pairs.
    """

    table: pd.DataFrame
    n_only_a: int
    n_only_b: int
    used: pd.Index


def pair_key(compare: str, strata: Sequence[str], pool: Sequence[str] = ()) -> list[str]:
    """Columns that the two values of a pair have in common.

    Examples
    --------
    >>> pair_key("session", ["contrast", "measure"])
    ['person_key', 'site', 'acquisition', 'run', 'object', 'slice']
    """
    dropped = {compare, *pool, *strata}
    if compare in SITE_COLUMNS:
        dropped |= set(SITE_COLUMNS)
    return [c for c in (*PLACE_COLUMNS, *FINE_COLUMNS) if c not in dropped]


def form_pairs(
    rows: pd.DataFrame,
    compare: str,
    values: tuple[str, str],
    key: Sequence[str],
    unit: Sequence[str],
) -> Pairs:
    """Pair the two values of ``compare`` by key, then average the pairs of a unit.

    Pairing comes before averaging: a scan that lacks one of the two values never shifts the mean
    of its person on one side only. Several rows of one key (seeds) are averaged first.

    Parameters
    ----------
    rows : DataFrame
        Usable rows of one stratum.
    compare : str
        Column whose values are compared (``method``, ``session`` ...).
    values : tuple of str
        Its two values, ``a`` and ``b``.
    key : sequence of str
        What a pair has in common (:func:`pair_key`).
    unit : sequence of str
        What one independent observation is: a subset of ``key``.
    """
    plain = rows[rows[compare].astype("str").isin(values)]
    is_a = (plain[compare].astype("str") == values[0]).to_numpy(dtype=bool)
    code = combination_codes(plain, key)
    n_keys = int(code.max(initial=-1)) + 1
    value = plain["value"].to_numpy(dtype=float)
    (n_a, mean_a), (n_b, mean_b) = (_means(code[s], value[s], n_keys) for s in (is_a, ~is_a))
    complete = (n_a > 0) & (n_b > 0)
    _, first = np.unique(code, return_index=True)
    columns = list(dict.fromkeys([*unit, *(c for c in ("person_key", "site") if c in key)]))
    both = plain.iloc[first[complete]][columns].reset_index(drop=True)
    unit_code = combination_codes(both, unit)
    n_units = int(unit_code.max(initial=-1)) + 1
    _, first_pair = np.unique(unit_code, return_index=True)
    table = both.iloc[first_pair].reset_index(drop=True)
    table["a"] = _means(unit_code, mean_a[complete], n_units)[1]
    table["b"] = _means(unit_code, mean_b[complete], n_units)[1]
    only_a, only_b = int(((n_a > 0) & ~complete).sum()), int(((n_b > 0) & ~complete).sum())
    return Pairs(table, only_a, only_b, plain.index[complete[code]])


def _means(codes: np.ndarray, values: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Number and mean of the values of each code (NaN where there is none)."""
    counts = np.bincount(codes, minlength=n)
    with np.errstate(invalid="ignore"):
        return counts, np.bincount(codes, weights=values, minlength=n) / counts
