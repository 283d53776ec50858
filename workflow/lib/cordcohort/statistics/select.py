"""Which rows an analysis uses, what must never be mixed, and what became of every scan."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.cohort.gather import IDENTITY_COLUMNS
from cordcohort.cohort.order import ordered, packed_keys
from cordcohort.cohort.persons import person_keys
from cordcohort.errors import ConfigError
from cordcohort.lent_cord import lent_rows
from cordcohort.report.privacy import AGE_VARIABLES, binned_age_text
from cordcohort.statistics.average import averaged, refuse_average
from cordcohort.statistics.boundary import records
from cordcohort.table import LONG_COLUMNS

STRATA = [
    "contrast", "acquisition", "method", "reference", "structure", "variant", "level_kind",
    "level", "measure", "statistic", "unit",
]  # fmt: skip
OVER_VARIANTS = ("variant", "threshold", "voxel")
WHOLE_SCAN_COLUMNS = ["level_kind", "level", "statistic"]
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


@dataclass(frozen=True)
class Chosen:
    """Rows that an analysis asks for, before failures are spread over levels.

    What is left of them without a site is cut from here: choosing is done once, however often the
    analysis is repeated.
    """

    rows: pd.DataFrame
    strata: list[str]
    scores: pd.DataFrame
    average_over: list[str]

    def without(self, column: str, label: str) -> Chosen:
        """The rows that do not have a label in a column (``person``: whose key is another)."""
        values = self.rows["person_key" if column == "person" else column]
        kept = self.rows[(values != label).to_numpy(dtype=bool)].reset_index(drop=True)
        return Chosen(kept, self.strata, self.scores, self.average_over)

    def selection(self) -> Selection:
        """The rows ready for the analysis, each with the number of its stratum."""
        rows = _failed_in_every_level(self.rows, self.strata)
        rows = averaged(rows, self.average_over, combination_codes)
        if rows is self.rows:  # the numbers keep their order where some of them are gone
            _, codes = np.unique(rows["stratum"].to_numpy(), return_inverse=True)
        else:
            codes = combination_codes(rows, self.strata)
        return Selection(rows.assign(stratum=codes), self.strata, self.scores)


def choose_rows(
    cohort: pd.DataFrame,
    spec: Mapping[str, Any],
    merged: Sequence[str] = (),
    scores: pd.DataFrame | None = None,
) -> Chosen:
    """Take the rows that a declared analysis asks for.

    Rows of single slices and objects are left out unless ``per`` names them, and variants unless
    ``select``, ``split_by``, ``compare`` or ``over`` does. A scan or method
    that failed as a whole has one row without a level; it counts as failed in every level. A cord
    that one model hands on is the lender's, unless the analysis names the method that got it.

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
    keep &= ~_lent_unasked(cohort, spec)
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
    average_over = list(spec.get("average_over", []))
    rows = rows.assign(stratum=combination_codes(rows, strata))
    return Chosen(rows, strata, known, average_over)


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


def _lent_unasked(cohort: pd.DataFrame, spec: Mapping[str, Any]) -> np.ndarray:
    """Rows of a cord that another method drew, of methods that the analysis does not name."""
    asked = set(_texts(spec))
    return lent_rows(cohort) & ~cohort["method"].isin(asked).to_numpy(dtype=bool)


def _texts(value: Any) -> Iterator[str]:
    """All texts of a declaration."""
    inside = value.values() if isinstance(value, Mapping) else value
    if isinstance(value, str):
        yield value
    elif isinstance(inside, Iterable):
        for item in inside:
            yield from _texts(item)


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
