"""Running declared analyses on the long table, and writing what they give."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.cohort.persons import person_keys
from cordcohort.files import sha256_of, write_record
from cordcohort.statistics.boundary import library_versions
from cordcohort.statistics.catalogue import check_analysis, kinds
from cordcohort.statistics.counts import COUNT_COLUMNS, count_scans, with_counts
from cordcohort.statistics.registry import Kind, Outcome
from cordcohort.statistics.select import STRATA, Selection, choose_rows
from cordcohort.statistics.sensitivity import sensitivity, sensitivity_text
from cordcohort.table import NOT_REPORTED, SCHEMA_VERSION, write_tsv

# Text also where a table holds nothing else than undefined rows, so that its columns keep a type.
_TEXT_COLUMNS = {
    *STRATA, "a", "against", "allocation", "b", "ci_method", "compared", "component",
    "controlled_for", "correction", "definition", "effect_name", "enough", "equivalent", "family",
    "fitted_on", "flag", "form", "group", "left_out", "line", "over", "p_method", "person",
    "quantity", "random", "reason", "scope", "site", "status", "term", "test", "time_point",
    "unit_of_pairing", "with",
}  # fmt: skip


@dataclass(frozen=True)
class AnalysisResult:
    """Result of one declared analysis.

    Parameters
    ----------
    table : DataFrame
        Tidy result: strata, the columns of the kind, counts of scans, ``flag`` and ``reason``.
    counts : DataFrame
        Scans found, excluded, failed, undefined, unpaired and used, by stratum and site.
    method_text : str
        Sentences for a methods section.
    params : mapping
        The declaration with its defaults, the unit of observation and the conventions used.
    sensitivity : tuple of dict
        What leaving out one site (vendor, ...) does to each headline number; empty where the
        analysis was not repeated (:func:`cordcohort.statistics.sensitivity.sensitivity`).
    """

    table: pd.DataFrame
    counts: pd.DataFrame
    method_text: str
    params: Mapping[str, Any]
    sensitivity: tuple[Mapping[str, Any], ...] = ()


def run_analysis(
    spec: Mapping[str, Any], cohort: pd.DataFrame, scores: pd.DataFrame | None = None
) -> AnalysisResult:
    """Run one declared analysis.

    Parameters
    ----------
    spec : mapping
        One entry of ``analyses`` of the config.
    cohort : DataFrame
        The long table.
    scores : DataFrame, optional
        Scores and covariates (``results/bids/scores.parquet``).

    Raises
    ------
    ConfigError
        If the declaration is wrong. Data never raise: what is undefined is a row with a reason.

    Examples
    --------
    >>> from cordcohort.table import as_long
    >>> rows = [{"dataset": "a", "subject": "01", "person": "01", "site": s, "measure": "csa_mm2",
    ...          "value": v} for s, v in (("x", 70.0), ("y", 74.0))]
    >>> spec = {"name": "sites", "kind": "variability", "over": "site"}
    >>> result = run_analysis(spec, as_long(pd.DataFrame(rows)))
    >>> result.table[["definition", "scope", "cov_percent"]].round(3).values.tolist()[0]
    ['inter_site', 'within_person', 3.928]
    """
    checked = check_analysis(spec, f"analyses {spec.get('name')!r}")
    chosen = choose_rows(cohort, checked, list(kinds()[checked["kind"]].merged(checked)), scores)
    whole = _run_on(chosen.selection(), checked)
    column = str(checked["leave_one_out"])
    if not column:
        return whole
    of_rows = person_keys(cohort) if column == "person" else cohort[column]
    tables = [whole.table.assign(left_out="")]
    # A site's own rows are the same without another site: they are not made again.
    again = checked | ({"by_site": False} if column == "site" and "by_site" in checked else {})
    gc.freeze()  # statsmodels collects garbage at each correction: what lives is not looked at
    try:
        for label in sorted(set(of_rows) - {""}):
            left = _run_on(chosen.without(column, label).selection(), again)
            tables.append(left.table.assign(left_out=label))
    finally:
        gc.unfreeze()
    table = pd.concat(tables, ignore_index=True)
    table.insert(0, "left_out", table.pop("left_out").astype("str"))
    headline = kinds()[checked["kind"]].headline
    found = sensitivity(table, headline)
    text = f"{whole.method_text} Repeated leaving out each {column} in turn (left_out)."
    if headline:  # a kind of many numbers alike (a row a person) has none to compare
        text += f" {sensitivity_text(found, column)}"
    return AnalysisResult(table, whole.counts, text, whole.params, tuple(found))


def _run_on(selection: Selection, checked: Mapping[str, Any]) -> AnalysisResult:
    kind = kinds()[checked["kind"]]
    if selection.rows.empty:
        outcome = Outcome(_nothing_selected(checked), "No row was selected.", "scan")
    else:
        outcome = kind.function(selection, checked)
    counts = count_scans(selection, outcome.used, outcome.count_by)
    table = _tidy(outcome.table, selection, kind, counts)
    params = {"declared": checked, "unit": outcome.unit, **outcome.facts}
    named = [_with_named_sites(t) for t in (table, counts)]
    return AnalysisResult(named[0], named[1], outcome.method_text, params)


def _with_named_sites(table: pd.DataFrame) -> pd.DataFrame:
    """A site that no sheet reports gets a name that says so."""
    if "site" not in table:
        return table
    return table.assign(site=table["site"].replace("", NOT_REPORTED).astype("str"))


def _nothing_selected(spec: Mapping[str, Any]) -> pd.DataFrame:
    reason = f"no row of the long table matches {dict(spec['select'])}"
    return pd.DataFrame([{"flag": "undefined", "reason": reason}])


def _tidy(
    table: pd.DataFrame, selection: Selection, kind: Kind, counts: pd.DataFrame
) -> pd.DataFrame:
    """Columns in their order, text never missing, counts beside."""
    columns = list(dict.fromkeys([*selection.strata, *kind.columns]))
    unknown = sorted(set(table.columns) - set(columns))
    if unknown:
        raise KeyError(f"analysis {kind.name} made columns that it did not register: {unknown}")
    out = with_counts(table.reindex(columns=columns), counts)
    numbers = [c for c in COUNT_COLUMNS if c in out]
    others = [c for c in columns if c not in ("flag", "reason")]
    out = out[[*others, *numbers, "flag", "reason"]]
    return pd.DataFrame({str(name): _plain_column(out[name]) for name in out.columns})


def _plain_column(column: pd.Series) -> pd.Series:
    """Text columns without missing values; whole numbers as integers that may be missing."""
    name = str(column.name)
    if name.startswith("n_") or name in ("ddof",):
        return pd.Series(pd.array(column.to_numpy(dtype=float, na_value=np.nan), dtype="Int64"),
                         index=column.index, name=name)  # fmt: skip
    if column.dtype == "str" and not column.hasnans:
        return column
    filled = column[column.notna()]
    all_text = all(isinstance(v, str) for v in filled)
    if all_text and (len(filled) > 0 or name in _TEXT_COLUMNS):
        return column.astype("object").where(column.notna(), "").astype("str")
    return column.astype("float64")


def write_result(
    result: AnalysisResult, folder: Path | str, provenance: Mapping[str, Any] | None = None
) -> list[Path]:
    """Write ``{name}.tsv``, ``{name}.counts.tsv`` and ``{name}.json`` into a folder.

    Parameters
    ----------
    result : AnalysisResult
        Of :func:`run_analysis`.
    folder : path
        ``results/statistics`` of a study.
    provenance : mapping, optional
        What else belongs in the record, such as the hash of the exclusion list.
    """
    name = result.params["declared"]["name"]
    paths = [Path(folder) / f"{name}{suffix}" for suffix in (".tsv", ".counts.tsv", ".json")]
    write_tsv(paths[0], result.table)
    write_tsv(paths[1], result.counts)
    record = {
        "schema": SCHEMA_VERSION,
        "method_text": result.method_text,
        "parameters": dict(result.params),
        "sensitivity": [dict(row) for row in result.sensitivity],
        "versions": library_versions(),
        "provenance": dict(provenance or {}),
        "files": {path.name: sha256_of(path) for path in paths[:2]},
    }
    write_record(paths[2], record)
    return paths
