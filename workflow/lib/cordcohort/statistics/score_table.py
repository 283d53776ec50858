"""Scores of masks by site in the layout of lesion studies, with the counts that conventions hide.

Dice, distances and lesion-wise scores of each method against the reference, one row a structure and
measure, one column a site. An empty reference has no score and leaves the mean, an empty mask has
no distance: how many scans that concerns stands beside every mean. Also the share of scans in which
a value is above a bound, such as people without lesions in whom a method finds one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from cordcohort.measures.empty import EMPTY_MASK, EMPTY_REFERENCE, SMALL_REFERENCE
from cordcohort.statistics.corrections import CORRECTION_PARAMETERS, with_correction
from cordcohort.statistics.intervals import CONFIDENCE
from cordcohort.statistics.registry import COLUMN_LIST, Outcome, Parameters, analysis
from cordcohort.statistics.select import Selection
from cordcohort.statistics.spread import cell_means
from cordcohort.statistics.wilcoxon import paired_differences, signed_rank

ALL_SITES = "all"
NOT_SUPPLIED = "not supplied"
REASON = "not supplied: no mask of this method in the study"
LESION_SCORES = (
    "dice", "rve_percent", "asd_mm", "asd_anima_mm", "hd95_mm", "lesion_ppv",
    "lesion_sensitivity", "lesion_f1",
)  # fmt: skip
_SCAN = ["person_key", "site", "session", "acquisition", "run", "contrast"]
_CELL = ["method", "structure", "measure", "unit"]
_HIDDEN = {
    "n_empty_reference": EMPTY_REFERENCE, "n_empty_mask": EMPTY_MASK,
    "n_small_reference": SMALL_REFERENCE,
}  # fmt: skip
Row = dict[str, Any]
SCORE_COLUMNS = [
    *_CELL, "site", "mean", "sd", "ddof", "median", "n", "n_empty_reference", "n_empty_mask",
    "n_small_reference", "against", "n_pairs", "p", "p_method", "rank_biserial", "p_adjusted",
    "correction", "family", "n_family", "status", "flag", "reason",
]  # fmt: skip
RATE_COLUMNS = [
    "site", "bound", "n", "n_persons", "n_above", "share", "ci_low", "ci_high", "ci_method", "flag",
    "reason",
]  # fmt: skip
UNIT: dict[str, Any] = {
    "enum": ["scan", "person"],
    "default": "scan",
    "description": "one value: a scan (mean over seeds), or the mean over a person's scans",
}


def _merged_scores(p: Parameters) -> Sequence[str]:
    kept = set(p["split_by"])
    columns = ("contrast", "acquisition", "method", "structure", "measure", "unit")
    return [c for c in columns if c not in kept]


@analysis(
    "score_table", headline="mean", columns=SCORE_COLUMNS, merged=_merged_scores,
    parameters={
        "methods": COLUMN_LIST | {
            "description": "methods in the table's order, also those that may not be there: they "
            "stay as rows marked so; empty: all that occur"
        },
        "measures": COLUMN_LIST | {
            "default": list(LESION_SCORES), "description": "measures in the table's order",
        },
        "unit": UNIT,
        "against": {
            "type": "string", "default": "",
            "description": "method that each other one is tested against (Wilcoxon signed-rank on "
            "the scans that both have); empty: no test",
        },
        **CORRECTION_PARAMETERS,
    },
)  # fmt: skip
def score_table(selection: Selection, p: Parameters) -> Outcome:
    """Mean and SD of each method's scores by site and over all, with hidden counts.

    Parameters
    ----------
    selection : Selection
        Rows of scores against one reference.
    p : mapping
        ``methods``, ``measures``, ``unit``, ``against``, ``correction``, ``family``.

    Returns
    -------
    Outcome
        One row a method, structure, measure and site (``all``: over all): ``mean``, ``sd`` (ddof
        1), ``n``; ``n_empty_reference``, ``n_empty_mask`` and ``n_small_reference`` (no lesion that
        detection counts) scans without a score for that reason;
        with ``against`` the paired test of the same scans.
    """
    methods = [str(m) for m in p["methods"]] or sorted(set(selection.rows["method"]) - {""})
    tables: list[pd.DataFrame] = []
    used = selection.rows.index[:0]
    everything = dict(iter(selection.rows.groupby("stratum")))
    for code, (stratum, rows) in enumerate(selection.groups()):
        inside = rows["method"].isin(methods) & rows["measure"].isin(p["measures"])
        found = _stratum(rows[inside], everything[code], methods, p)
        tables.append(found.assign(**{k: v for k, v in stratum.items() if k not in _CELL}))
        used = used.append(rows.index[inside])
    table = pd.concat(tables, ignore_index=True)
    table = with_correction(table, str(p["correction"]), p["family"])
    tested = ""
    if p["against"]:
        tested = (
            f" Each method is tested against {p['against']} by two-sided Wilcoxon signed-rank "
            f"tests, {p['correction']} correction over each family."
        )
    text = (
        "Scores against the reference, averaged over seeds within a scan, then mean and sample SD "
        f"(ddof 1) over {p['unit']}s, by site and over all. An empty mask scores 0 in Dice and in "
        "the lesion-wise scores and has no distance; an empty reference has no score, one whose "
        "lesions are all of 3 mm3 or less has no sensitivity (and F1 0). All are counted beside "
        f"the means.{tested}"
    )
    return Outcome(table, text, str(p["unit"]), used, ["method", "structure", "measure"],
                   {"ddof": 1, "correction": p["correction"]})  # fmt: skip


def _stratum(
    usable: pd.DataFrame, rows: pd.DataFrame, methods: Sequence[str], p: Parameters
) -> pd.DataFrame:
    """All methods, structures, measures and sites of one stratum."""
    key = _SCAN if p["unit"] == "scan" else ["person_key", "site"]
    values = cell_means(usable, [*key, *_CELL])
    asked = rows[rows["method"].isin(methods) & rows["measure"].isin(p["measures"])]
    sites = sorted(set(asked["site"]))
    sites = [*sites, ALL_SITES] if len(sites) > 1 else sites
    out: list[Row] = []
    for (structure, measure), own in _in_order(asked, p["measures"]):
        unit = str(own["unit"].iloc[0])
        for method in methods:
            cell = {"method": method, "structure": structure, "measure": measure, "unit": unit}
            of_cell = _of(values, cell)
            other = _of(values, {**cell, "method": str(p["against"])})
            hidden = own[own["method"] == method]
            for site in sites:
                row = _cell(
                    _at(of_cell, site), _at(hidden, site), supplied=method in set(rows["method"])
                )
                test = _test(_at(of_cell, site), _at(other, site), key, method, p)
                out.append({**cell, "site": site, **row, **test})
    return pd.DataFrame(out, columns=[c for c in SCORE_COLUMNS if c not in ("p_adjusted",)])


def _in_order(
    rows: pd.DataFrame, measures: Sequence[str]
) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    found = {(str(s), str(m)): part for (s, m), part in rows.groupby(["structure", "measure"])}
    order = {m: i for i, m in enumerate(measures)}
    return sorted(found.items(), key=lambda item: (item[0][0], order[item[0][1]]))


def _of(values: pd.DataFrame, cell: dict[str, str]) -> pd.DataFrame:
    keep = np.ones(len(values), dtype=bool)
    for column, label in cell.items():
        keep &= (values[column] == label).to_numpy(dtype=bool)
    return values[keep]


def _at(rows: pd.DataFrame, site: str) -> pd.DataFrame:
    return rows if site == ALL_SITES else rows[rows["site"] == site]


def _cell(values: pd.DataFrame, rows: pd.DataFrame, *, supplied: bool) -> Row:
    """Mean, SD and counts of one cell of the table."""
    x = np.sort(values["value"].to_numpy(dtype=float))
    row: Row = {"n": len(x), "ddof": 1}
    for name, reason in _HIDDEN.items():
        hit = rows[~rows["usable"] & (rows["reason"] == reason)]
        row[name] = len(hit[_SCAN].drop_duplicates())
    if not supplied:
        return row | {"status": NOT_SUPPLIED, "flag": "undefined", "reason": REASON}
    if not len(x):
        return row | {"status": "", "flag": "undefined", "reason": "no scan has a value"}
    sd = float(x.std(ddof=1)) if len(x) > 1 else np.nan
    told = {"flag": "", "reason": ""} if len(x) > 1 else {"flag": "warning", "reason": "one value"}
    return (
        row
        | {"mean": float(x.mean()), "sd": sd, "median": float(np.median(x)), "status": ""}
        | told
    )


def _test(
    values: pd.DataFrame, other: pd.DataFrame, key: Sequence[str], method: str, p: Parameters
) -> Row:
    """Paired test of a cell against the same scans of another method; nothing without one."""
    if not p["against"] or method == p["against"]:
        return {"against": "", "p": np.nan}
    both = values.merge(other, on=list(key), suffixes=("_a", "_b"))
    a, b = (both[f"value_{side}"].to_numpy(dtype=float) for side in "ab")
    result = signed_rank(paired_differences(a, b), with_interval=False)
    return {
        "against": p["against"], "n_pairs": len(both), "p": result.p, "p_method": result.p_method,
        "rank_biserial": result.rank_biserial,
    }  # fmt: skip


@analysis(
    "share_above", headline="share", columns=RATE_COLUMNS,
    parameters={
        "bound": {
            "type": "number", "default": 0,
            "description": "values strictly above it count (in the measure's unit)",
        },
        "unit": UNIT,
    },
)  # fmt: skip
def share_above(selection: Selection, p: Parameters) -> Outcome:
    """Share of scans or persons whose value is above a bound, with Wilson's interval.

    A method's rate of false positives is that of ``lesion_3mm3_n`` above 0 in people without
    lesions. The interval takes values as independent: scans of one person are not, which is said.

    References
    ----------
    Wilson EB. Journal of the American Statistical Association 1927;22:209-212.
    """
    bound = float(p["bound"])
    key = _SCAN if p["unit"] == "scan" else ["person_key", "site"]
    rows: list[Row] = []
    for stratum, part in selection.groups():
        values = cell_means(part, key)
        sites = sorted(set(values["site"]))
        for site in [*sites, ALL_SITES]:
            rows.append(
                {**stratum, "site": site, "bound": bound, **_share(_at(values, site), bound)}
            )
    text = (
        f"Share of {p['unit']}s with a value above {bound:g}, by site and over all, with Wilson's "
        "95 % interval."
    )
    return Outcome(pd.DataFrame(rows), text, str(p["unit"]))


def _share(values: pd.DataFrame, bound: float) -> Row:
    n, persons = len(values), values["person_key"].nunique()
    row: Row = {"n": n, "n_persons": persons, "n_above": int((values["value"] > bound).sum())}
    if not n:
        return row | {"flag": "undefined", "reason": "no value"}
    result = stats.binomtest(row["n_above"], n)
    interval = result.proportion_ci(CONFIDENCE, method="wilson")
    said = "several scans of a person: the interval is too narrow" if persons < n else ""
    return row | {
        "share": row["n_above"] / n, "ci_low": float(interval.low), "ci_high": float(interval.high),
        "ci_method": "Wilson", "flag": "warning" if said else "", "reason": said,
    }  # fmt: skip
