"""What became of every scan of an analysis: found, excluded, failed, undefined, unpaired, used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cordcohort.statistics.select import Selection, combination_codes
from cordcohort.table import SCAN_KEY

COUNT_COLUMNS = ["n_found", "n_excluded", "n_failed", "n_undefined", "n_unpaired", "n_used"]
_STATES = ("unpaired", "undefined", "failed", "excluded", "used")  # the last one present wins


def count_scans(
    selection: Selection, used: pd.Index | None, count_by: Sequence[str] = ()
) -> pd.DataFrame:
    """Count scans by what became of them, by site: every scan found is counted once.

    Returns
    -------
    DataFrame
        Strata, ``count_by``, ``site`` and ``COUNT_COLUMNS``;
        ``n_found`` is the sum of the others. ``n_unpaired`` are scans whose value is fine but
        found no partner (no second session, no score, no other method).
    """
    rows = selection.rows
    was_used = rows["usable"] if used is None else rows.index.isin(used) & rows["usable"]
    state = np.select(
        [was_used, rows["flag"] == "excluded", rows["flag"] == "failed", ~rows["usable"]],
        [_STATES.index(s) for s in ("used", "excluded", "failed", "undefined")],
        default=0,
    )
    extra = [c for c in dict.fromkeys([*count_by, "site"]) if c not in selection.strata]
    keys = ["stratum", *extra]
    scan = combination_codes(rows, [c for c in SCAN_KEY if c not in keys])
    frame = rows[keys].assign(scan=scan, state=state)
    best = frame.groupby([*keys, "scan"], sort=True, observed=True)["state"].max().reset_index()
    best["n_found"] = 1
    for name in _STATES:
        best[f"n_{name}"] = (best["state"] == _STATES.index(name)).astype("int64")
    counts = best.groupby(keys, sort=True, observed=True)[COUNT_COLUMNS].sum().reset_index()
    strata = selection.all_strata().iloc[counts["stratum"]].reset_index(drop=True)
    return pd.concat([strata, counts.drop(columns="stratum")], axis=1)


def with_counts(table: pd.DataFrame, counts: pd.DataFrame) -> pd.DataFrame:
    """Put the counts, summed over sites, beside each result row.

    A row whose ``site`` names a site gets that site's counts; ``all`` gets the sum.
    """
    keys = [c for c in counts.columns if c in table.columns and c not in (*COUNT_COLUMNS, "site")]
    totals: dict[tuple[object, ...], np.ndarray] = {}
    numbers = counts[COUNT_COLUMNS].to_numpy(dtype=np.int64)
    for key, site, row in zip(_key_tuples(counts, keys), counts["site"], numbers, strict=True):
        for place in ((*key, site), (*key, "all")):
            totals[place] = totals.get(place, 0) + row
    sites = table["site"] if "site" in table else pd.Series("all", index=table.index)
    sites = sites.astype("object").where(sites.notna(), "all")
    nothing = np.zeros(len(COUNT_COLUMNS), dtype=np.int64)
    found = [
        totals.get((*key, site), nothing)
        for key, site in zip(_key_tuples(table, keys), sites, strict=True)
    ]
    columns = np.array(found, dtype=np.int64).reshape(len(table), len(COUNT_COLUMNS))
    beside = pd.DataFrame(columns, columns=COUNT_COLUMNS, index=table.index)
    return pd.concat([table.assign(site=sites) if "site" in table else table, beside], axis=1)


def _key_tuples(table: pd.DataFrame, keys: Sequence[str]) -> list[tuple[object, ...]]:
    if not keys:
        return [()] * len(table)
    return list(zip(*(table[c].tolist() for c in keys), strict=True))
