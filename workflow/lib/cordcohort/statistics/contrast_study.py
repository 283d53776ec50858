"""Kinds of analysis of a multi-contrast study: the tables CSA-1 to CSA-4 and SEG-1.

Methods that the config declares and that nobody supplied stay as rows marked ``not supplied``. The
area of a range of levels (C2-C3) that was made from a part of them is another place of the cord: it
is left out, unless ``incomplete_ranges: use`` is declared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pandas as pd

from cordcohort.measures.empty import NO_SLICE_AT
from cordcohort.statistics.contrast_tables import (
    ALL,
    NO_VALUE,
    NOT_SUPPLIED,
    SEGMENTATION_MEASURES,
    csa_1,
    csa_2,
    csa_3,
    seg_1,
)
from cordcohort.statistics.contrast_tests import csa_4
from cordcohort.statistics.contrast_values import (
    UNIT_PARTICIPANT,
    UNITS,
    AreaQuery,
    area_values,
    comparison_set,
)
from cordcohort.statistics.registry import COLUMN_LIST, Outcome, Parameters, analysis
from cordcohort.statistics.select import Selection, parts

MERGED_OVER_CONTRASTS = ("contrast", "acquisition", "method")
MERGED_OVER_SCORES = ("contrast", "acquisition", "method", "measure", "unit")
REASONS = {
    NOT_SUPPLIED: "not supplied: no mask of this method in the study",
    NO_VALUE: "no participant has every contrast in every method that was supplied",
}
LEAVE_OUT, USE = "leave_out", "use"
SUMMARY = ["method", "column", "mean", "sd", "n", "status", "flag", "reason"]
DESIGN = {
    "contrasts": COLUMN_LIST | {"description": "contrasts in the table's order; empty: all"},
    "methods": COLUMN_LIST
    | {
        "description": "methods in the table's order, also those that may not be there: they stay "
        "as rows marked so; empty: all that occur"
    },
}
AREA_DESIGN = DESIGN | {
    "incomplete_ranges": {
        "enum": [LEAVE_OUT, USE],
        "default": LEAVE_OUT,
        "description": "areas of a range of levels (C2-C3) where a scan has no slice at one of "
        "them: left out, or used as they are",
    },
}
REFERENCE = {"type": "string", "description": "method that the error is taken to"}
UNIT = {
    "enum": list(UNITS),
    "default": UNIT_PARTICIPANT,
    "description": "one value of the error: a participant's mean over the contrasts, or (as "
    "published) each contrast of a participant, although these are not independent",
}
Make = Callable[[pd.DataFrame, AreaQuery], pd.DataFrame]


def _merged(_: Parameters) -> Sequence[str]:
    return MERGED_OVER_CONTRASTS


def _merged_scores(p: Parameters) -> Sequence[str]:
    """Scans are pooled, unless each contrast is to have a table of its own."""
    return [c for c in MERGED_OVER_SCORES if c not in p["split_by"]]


def _query(rows: pd.DataFrame, p: Parameters, also: Iterable[str] = ()) -> AreaQuery:
    """What is compared: as declared, else all that occurs; methods named elsewhere come along."""
    contrasts = [str(c) for c in p["contrasts"]] or sorted(set(rows["contrast"]))
    methods = [str(m) for m in p["methods"]] or sorted(set(rows["method"]) - {""})
    return AreaQuery(tuple(contrasts), tuple(dict.fromkeys([*methods, *also])))


def _each_stratum(
    selection: Selection, p: Parameters, make: Make, also: Iterable[str] = ()
) -> tuple[pd.DataFrame, pd.Index]:
    """Make a table for each stratum, with its labels in front, and tell which rows it used."""
    query = _query(selection.rows, p, also)
    everything = parts(selection.rows[["stratum", "method"]])
    tables: list[pd.DataFrame] = []
    used = selection.rows.index[:0]
    for code, (stratum, rows) in enumerate(selection.groups()):
        rows = _in_whole_ranges(rows, p)  # noqa: PLW2901
        values = area_values(rows, query)
        table = _marked(make(values, query), set(everything[code]["method"]))
        tables.append(table.assign(**stratum))
        inside = rows["person_key"].isin(comparison_set(values, query))
        inside &= rows["method"].isin(query.methods) & rows["contrast"].isin(query.contrasts)
        used = used.append(rows.index[inside])
    return pd.concat(tables, ignore_index=True), used


def _marked(table: pd.DataFrame, seen: set[str]) -> pd.DataFrame:
    """Status as flag and reason; a method whose every scan failed was supplied all the same."""
    out = table.copy()
    if "method" in out:
        failed = (out["status"] == NOT_SUPPLIED) & out["method"].isin(seen)
        out.loc[failed, "status"] = NO_VALUE
    told = out["reason"] if "reason" in out else pd.Series("", index=out.index)
    reason = told.where(told != "", out["status"].map(REASONS).fillna(""))
    undefined = (out["status"] != "") | (reason != "")
    flag = pd.Series("", index=out.index).mask(undefined, "undefined")
    return out.assign(flag=flag, reason=reason)


def _in_whole_ranges(rows: pd.DataFrame, p: Parameters) -> pd.DataFrame:
    """Rows without the areas of ranges of levels that were made from a part of them."""
    if p["incomplete_ranges"] == USE:
        return rows
    return rows[~rows["reason"].astype("str").str.contains(NO_SLICE_AT, regex=False)]


def _facts(selection: Selection, p: Parameters) -> dict[str, object]:
    usable = selection.usable
    return {
        "ddof": 1,
        "comparison_set": "participants with every contrast in every method",
        "incomplete_ranges": p["incomplete_ranges"],
        "n_incomplete_ranges_left_out": len(usable) - len(_in_whole_ranges(usable, p)),
    }


@analysis(
    "csa_by_person",
    columns=["method", "person", "column", "value", "in_comparison", "status", "flag", "reason"],
    parameters=AREA_DESIGN, merged=_merged,
)  # fmt: skip
def csa_by_person(selection: Selection, p: Parameters) -> Outcome:
    """CSA-1: area of each participant in each contrast, mean and STD over them, by method.

    Returns
    -------
    Outcome
        One row a cell of the published layout: ``column`` is a contrast, ``mean`` or ``std`` (mm2,
        ddof 1); ``in_comparison`` says whether the participant enters the other tables.
    """

    def make(values: pd.DataFrame, query: AreaQuery) -> pd.DataFrame:
        found = [_long_csa_1(values, query, method) for method in query.methods]
        return pd.concat(found, ignore_index=True)

    table, used = _each_stratum(selection, p, make)
    text = (
        "Area of each participant in each contrast (mean over sessions and runs), with mean and "
        "sample SD (ddof 1) over the contrasts."
    )
    return Outcome(table, text, "participant", used, ["method"], _facts(selection, p))


def _long_csa_1(values: pd.DataFrame, query: AreaQuery, method: str) -> pd.DataFrame:
    """Cells of CSA-1 as rows; a method without a value is one row that says so."""
    wide = csa_1(values, query, method)
    if wide.empty:
        return pd.DataFrame([{"method": method, "status": NOT_SUPPLIED}])
    cells = wide.drop(columns="n_contrasts").melt(
        ["participant", "in_comparison"], var_name="column", value_name="value"
    )
    cells["in_comparison"] = cells["in_comparison"].map({True: "yes", False: "no"})
    return cells.rename(columns={"participant": "person"}).assign(method=method, status="")


@analysis("csa_by_method", headline="mean", columns=SUMMARY, parameters=AREA_DESIGN, merged=_merged)
def csa_by_method(selection: Selection, p: Parameters) -> Outcome:
    """CSA-2: mean area of each contrast, of all, and STD over contrasts, for each method."""
    table, used = _each_stratum(selection, p, csa_2)
    text = (
        "Mean and sample SD (ddof 1) of the area over the participants that have every contrast "
        "in every method that was supplied; STD is a participant's sample SD over the contrasts, "
        "in the unit of the area and in % of the participant's mean."
    )
    return Outcome(table, text, "participant", used, ["method"], _facts(selection, p))


@analysis(
    "csa_error", headline="mean", columns=SUMMARY, merged=_merged, required=["reference"],
    parameters=AREA_DESIGN | {"reference": REFERENCE, "unit": UNIT},
)  # fmt: skip
def csa_error(selection: Selection, p: Parameters) -> Outcome:
    """CSA-3: mean and SD of the absolute error of the area to a reference method."""
    reference, unit = str(p["reference"]), str(p["unit"])

    def make(values: pd.DataFrame, query: AreaQuery) -> pd.DataFrame:
        return csa_3(values, query, reference, unit)

    table, used = _each_stratum(selection, p, make, [reference])
    text = (
        f"Absolute difference of the area to that of {reference} in the same participant and "
        f"contrast, mean and sample SD (ddof 1); one value of column {ALL!r} is a {unit}."
    )
    return Outcome(table, text, unit, used, ["method"], _facts(selection, p) | {"unit": unit})


@analysis(
    "csa_method_tests",
    headline="rank_biserial",
    columns=[
        "quantity", "family", "unit_of_pairing", "a", "b", "n_pairs", "w", "p", "p_adjusted",
        "correction", "p_method", "rank_biserial", "status", "flag", "reason",
    ],
    parameters=AREA_DESIGN | {
        "reference": REFERENCE,
        "unit": UNIT,
        "families": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {
                "type": "array", "items": {"type": "string"}, "minItems": 2, "uniqueItems": True,
            },
            "description": "name of a family to its methods: all pairs are tested and corrected "
            "together (Bonferroni)",
        },
    },
    required=["reference", "families"], merged=_merged,
)  # fmt: skip
def csa_method_tests(selection: Selection, p: Parameters) -> Outcome:
    """CSA-4: Wilcoxon tests of all pairs of methods in each family, for STD and absolute error."""
    reference, unit, families = str(p["reference"]), str(p["unit"]), p["families"]

    def make(values: pd.DataFrame, query: AreaQuery) -> pd.DataFrame:
        return csa_4(values, query, families, reference, unit)

    named = [str(method) for members in families.values() for method in members]
    table, used = _each_stratum(selection, p, make, [*named, reference])
    table = table.assign(correction="bonferroni")
    text = (
        "Two-sided Wilcoxon signed-rank tests of all pairs of methods in each family, of the STD "
        f"over contrasts (one pair a participant) and of the absolute error to {reference} (one "
        f"pair a {unit}); Bonferroni correction within family and quantity."
    )
    facts = _facts(selection, p) | {"correction": "bonferroni", "unit": unit, "sides": 2}
    return Outcome(table, text, unit, used, ["method"], facts)


@analysis(
    "mask_scores", headline="mean", columns=["dataset", *SUMMARY], merged=_merged_scores,
    parameters={
        "methods": DESIGN["methods"],
        "measures": COLUMN_LIST | {
            "default": list(SEGMENTATION_MEASURES),
            "description": "measures in the table's order",
        },
    },
)  # fmt: skip
def mask_scores(selection: Selection, p: Parameters) -> Outcome:
    """SEG-1: overlap, volume error and surface distance of each method, by data set."""
    methods = [str(m) for m in p["methods"]] or sorted(set(selection.rows["method"]) - {""})
    measures = [str(m) for m in p["measures"]]
    everything = parts(selection.rows[["stratum", "dataset", "method"]])
    tables: list[pd.DataFrame] = []
    used = selection.rows.index[:0]
    for code, (stratum, rows) in enumerate(selection.groups()):
        rows = rows[rows["method"].isin(methods) & rows["measure"].isin(measures)]  # noqa: PLW2901
        known = everything[code].groupby("dataset")["method"].agg(set)
        for dataset, seen in known.items():
            own = rows[rows["dataset"] == dataset]
            table = seg_1(own, methods, measures) if len(own) else _no_scores(methods, measures)
            table = _marked(table, seen).assign(**{"dataset": str(dataset), **stratum})
            tables.append(table)
        used = used.append(rows.index)
    text = (
        "Scores of each method's mask against the reference, a participant's scans averaged "
        "first, then mean and sample SD (ddof 1) over participants of a data set; relative volume "
        "errors are signed (positive: too large)."
    )
    return Outcome(
        pd.concat(tables, ignore_index=True), text, "participant", used, ["dataset", "method"],
        {"ddof": 1},
    )  # fmt: skip


def _no_scores(methods: Sequence[str], measures: Sequence[str]) -> pd.DataFrame:
    rows = [
        {"method": method, "column": measure, "n": 0, "status": NOT_SUPPLIED}
        for method in methods
        for measure in measures
    ]
    return pd.DataFrame(rows)
