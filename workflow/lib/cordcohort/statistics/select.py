"""Which rows an analysis uses, what must never be mixed, and what became of every scan."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.cohort.gather import IDENTITY_COLUMNS
from cordcohort.cohort.order import ordered, packed_keys
from cordcohort.cohort.persons import person_keys
from cordcohort.errors import ConfigError
from cordcohort.report.privacy import AGE_VARIABLES, binned_age_text
from cordcohort.statistics.average import averaged, refuse_average
from cordcohort.statistics.boundary import records
from cordcohort.table import JOINED_COLUMNS, LONG_COLUMNS, SCAN_KEY

STRATA = [
    "contrast", "acquisition", "method", "reference", "structure", "variant", "level_kind",
    "level", "measure", "statistic", "unit",
]  # fmt: skip
OVER_VARIANTS = ("variant", "threshold", "voxel")
WHOLE_SCAN_COLUMNS = ["level_kind", "level", "statistic"]
COUNT_COLUMNS = ["n_found", "n_excluded", "n_failed", "n_undefined", "n_unpaired", "n_used"]
_STATES = ("unpaired", "undefined", "failed", "excluded", "used")  # the last one present wins
_N_NEAREST = 3


@dataclass(frozen=True)
class Selection:
    """Selected rows of the long table, ready for one analysis.

    Parameters
    ----------
    rows : DataFrame
        Long-table columns, score columns asked for, ``person_key``, ``usable`` and ``stratum``
        (number of the combination of the strata); sorted.
    strata : list of str
        Columns whose values are never mixed: every combination gives results of its own.
    scores : DataFrame
        The scores table (``results/bids/scores.parquet``), empty when there is none.
    """

    rows: pd.DataFrame
    strata: list[str]
    scores: pd.DataFrame

    @property
    def usable(self) -> pd.DataFrame:
        """Rows whose value may enter a number."""
        return self.rows[self.rows["usable"]]

    def all_strata(self) -> pd.DataFrame:
        """Every combination of the strata, also those without a usable value, in order.

        The row number is the ``stratum`` of the rows.
        """
        first = self.rows.drop_duplicates("stratum").sort_values("stratum")
        return first[self.strata].reset_index(drop=True)

    def groups(self) -> list[tuple[dict[str, str], pd.DataFrame]]:
        """Usable rows of every combination of the strata, in order; may be empty tables."""
        usable = self.usable
        found = parts(usable)
        heads = records(self.all_strata())
        return [(head, found.get(code, usable.iloc[:0])) for code, head in enumerate(heads)]


def parts(table: pd.DataFrame) -> dict[int, pd.DataFrame]:
    """Split a table by its ``stratum``."""
    return {int(str(code)): part for code, part in table.groupby("stratum", sort=True)}


def select_rows(
    cohort: pd.DataFrame,
    spec: Mapping[str, Any],
    merged: Sequence[str] = (),
    scores: pd.DataFrame | None = None,
) -> Selection:
    """Take the rows that a declared analysis asks for.

    Rows of single slices and objects are left out unless ``per`` names them, and variants unless
    ``select``, ``split_by``, ``compare`` or ``over`` does. A scan or method
    that failed as a whole has one row without a level; it counts as failed in every level.

    Parameters
    ----------
    cohort : DataFrame
        The long table.
    spec : mapping
        A checked declaration: ``select``, ``split_by``, ``pool``, ``per``, ``average_over``.
    merged : sequence of str
        Strata that the analysis itself compares or averages over.
    scores : DataFrame, optional
        Scores, whose variables may stand in ``select`` and ``split_by`` as columns do.

    Raises
    ------
    ConfigError
        If a column is neither of the long table nor a score variable.
    """
    where = f"analyses {spec.get('name')!r}"
    split_by = list(spec.get("split_by", []))
    both = sorted({*split_by} & {*merged})
    if both:
        way_out = "leave it out of split_by"
        raise ConfigError(where, both, "columns that the analysis does not compare", way_out)
    refuse_average(spec, merged, where)
    known = scores if scores is not None else pd.DataFrame(columns=["variable"])
    keep = _rows_in_scope(cohort, spec)
    rows = cohort
    asked = [*spec.get("select", {}), *split_by, *spec.get("covariates", [])]
    asked += [spec["group"]] if "group" in spec else []
    covariates = [c for c in asked if c not in LONG_COLUMNS]
    for variable in dict.fromkeys(covariates):
        rows = rows.assign(**{variable: score_column(cohort, known, variable, where)})
    for column, labels in spec.get("select", {}).items():
        keep &= _matches(rows, column, labels)
    rows, _ = ordered(rows[keep], IDENTITY_COLUMNS)
    for column in ("slice", "object"):
        if column in split_by:
            rows[column] = rows[column].astype("str")
    usable = rows["flag"].isin(("", "warning")) & np.isfinite(rows["value"])
    rows = rows.assign(person_key=person_keys(rows), usable=usable.to_numpy(dtype=bool))
    dropped = {*spec.get("pool", []), *merged}
    strata = [*split_by, *[c for c in STRATA if c not in split_by and c not in dropped]]
    for column in [c for c in split_by if c.lower() in AGE_VARIABLES]:
        rows[column] = rows[column].map(binned_age_text).astype("str")  # the table is shared
    rows = _failed_in_every_level(rows, strata)
    rows = averaged(rows, list(spec.get("average_over", [])), combination_codes)
    return Selection(rows.assign(stratum=combination_codes(rows, strata)), strata, known)


def combination_codes(rows: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Number of each row's combination of values, counted in the order of the columns.

    Grouping by one integer is many times faster than by ten columns of text.
    """
    codes = np.zeros(len(rows), dtype=np.int64)
    for key in packed_keys(rows, columns):
        _, key_codes = np.unique(key, return_inverse=True)
        codes = codes * (int(key_codes.max(initial=0)) + 1) + key_codes
        _, codes = np.unique(codes, return_inverse=True)
    return codes.astype(np.int64)


def _rows_in_scope(cohort: pd.DataFrame, spec: Mapping[str, Any]) -> np.ndarray:
    named = {*spec.get("per", []), *spec.get("select", {}), *spec.get("split_by", [])}
    named |= {spec.get("compare")}
    if spec.get("over") in OVER_VARIANTS:
        named.add("variant")
    keep = np.ones(len(cohort), dtype=bool)
    if "slice" not in named:
        keep &= cohort["slice"].isna().to_numpy(dtype=bool)
    if "object" not in named:
        keep &= (cohort["object"] == "").to_numpy(dtype=bool)
    if "variant" not in named:
        keep &= (cohort["variant"] == "").to_numpy(dtype=bool)
    return keep


def _matches(rows: pd.DataFrame, column: str, labels: Any) -> np.ndarray:
    wanted = [str(v) for v in (labels if isinstance(labels, list) else [labels])]
    hit = rows[column].astype("str").isin(wanted)
    if column in WHOLE_SCAN_COLUMNS:
        hit |= (rows["flag"] == "failed") & (rows["level"] == "")
    return hit.to_numpy(dtype=bool)


def score_column(rows: pd.DataFrame, scores: pd.DataFrame, variable: str, where: str) -> pd.Series:
    """Text of a score variable for each row of the long table (by subject, and session if given).

    Raises
    ------
    ConfigError
        If there is no such variable, or a subject has several values of it.
    """
    wanted = scores[scores["variable"] == variable]
    if wanted.empty:
        names = [*LONG_COLUMNS, *sorted(set(scores["variable"]))]
        near = difflib.get_close_matches(variable, names, _N_NEAREST, 0.0)
        expected = "a column of the long table or a score variable"
        raise ConfigError(where, variable, expected, f"nearest: {near}")
    by_session = bool((wanted["session"] != "").all())
    key = ["dataset", "subject", "session"] if by_session else ["dataset", "subject"]
    wanted = wanted[[*key, "value"]].drop_duplicates()
    if wanted.duplicated(key).any():
        way_out = "name a variable with one value a subject"
        raise ConfigError(where, variable, "one value a subject", way_out)
    joined = rows[key].merge(wanted, on=key, how="left", validate="m:1")["value"]
    return pd.Series(joined.fillna("").to_numpy(dtype=object), index=rows.index, dtype="str")


def _failed_in_every_level(rows: pd.DataFrame, strata: Sequence[str]) -> pd.DataFrame:
    """Repeat a scan's whole-scan failure in every level and statistic that others have."""
    fine = [c for c in WHOLE_SCAN_COLUMNS if c in strata]
    whole = (rows["flag"] == "failed") & (rows["level"] == "") & rows["slice"].isna()
    if not fine or not whole.any():
        return rows
    coarse = [c for c in strata if c not in (*fine, "unit")]
    targets = rows.loc[~whole, [*coarse, *fine]].drop_duplicates()
    if not coarse:
        targets, rows = targets.assign(_all=0), rows.assign(_all=0)
    on = coarse or ["_all"]
    failed = rows[whole].drop(columns=fine)
    repeated = failed.merge(targets, on=on, how="inner")
    reached = set(map(tuple, targets[on].to_numpy().tolist()))
    stays = ~whole | ~pd.Series(
        [key in reached for key in map(tuple, rows[on].to_numpy().tolist())], index=rows.index
    )
    repeated = _with_units_of(rows[~whole], repeated)
    out = pd.concat([rows[stays], repeated], ignore_index=True)
    return out.drop(columns="_all", errors="ignore")


def _with_units_of(rows: pd.DataFrame, failed: pd.DataFrame) -> pd.DataFrame:
    units = rows.drop_duplicates("measure").set_index("measure")["unit"]
    return failed.assign(unit=failed["measure"].map(units).fillna(failed["unit"]).astype("str"))


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


__all__ = [
    "COUNT_COLUMNS", "JOINED_COLUMNS", "STRATA", "Selection", "combination_codes", "count_scans",
    "parts",
    "score_column", "select_rows", "with_counts",
]  # fmt: skip
