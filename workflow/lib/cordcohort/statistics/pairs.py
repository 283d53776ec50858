"""Pairs: two values of one thing, found by key; what has no partner is counted, never dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from cordcohort.statistics.spread import cell_means

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
    keys = list(key)
    plain = rows.assign(slice=rows["slice"].astype("str").fillna("")) if len(rows) else rows
    sides = {
        name: plain[plain[compare] == label] for name, label in zip(("a", "b"), values, strict=True)
    }
    left, right = (cell_means(side, keys).rename(columns={"value": n}) for n, side in sides.items())
    both = left.merge(right, on=keys, how="inner")
    extra = [c for c in ("person_key", "site") if c not in unit and c in both]
    groups = both.groupby(list(unit), sort=True)
    averaged = groups[["a", "b"]].mean().reset_index()
    if extra and len(both):
        averaged = averaged.merge(groups[extra].first().reset_index(), on=list(unit))
    whole = pd.concat(sides.values())
    marked = whole[keys].merge(both[keys].assign(_used=1), on=keys, how="left")["_used"].notna()
    used = whole.index[marked.to_numpy(dtype=bool)]
    return Pairs(averaged, len(left) - len(both), len(right) - len(both), used)
