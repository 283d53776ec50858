"""Result tables in the layout of the publications that they follow, made from the tidy ones.

A kind of analysis that is not named here is shown as its tidy table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from cordcohort.report.privacy import public_text
from cordcohort.report.published import COLUMN
from cordcohort.report.region_layouts import RegionTable, region_error_tables, region_score_tables
from cordcohort.report.score_layouts import score_tables
from cordcohort.report.words import measure_text, number_text, unit_in_brackets, unit_text
from cordcohort.statistics.contrast_tables import NO_VALUE, NOT_SUPPLIED, laid_out
from cordcohort.statistics.select import STRATA

PERSON_PREFIX = "person:"
OUTSIDE = "*"
OUTSIDE_NOTE = f"{OUTSIDE} lacks a contrast in some method, so enters no comparison."
SMALL_P = 0.001
SCORE_TABLE = "score_table"
OWN_COLUMNS = (SCORE_TABLE, "region_errors", "region_scores")
ROWS_OF = {"level_table": ("level", "level_kind")}
"""Strata that are rows of a layout; such a table is of one method unless methods are columns."""
MUTED = "undefined"  # the flag of rows that hold no number


class Block(NamedTuple):
    """One table of a layout: what tells it from the others, the table, and a note below it."""

    title: str
    table: pd.DataFrame
    note: str = ""


Layout = Callable[[pd.DataFrame, str], list[Block]]


def laid_out_blocks(kind: str, table: pd.DataFrame) -> list[Block]:
    """Blocks of the published layout; none where a kind has no layout, or no result.

    Parameters
    ----------
    kind : str
        Kind of the analysis.
    table : DataFrame
        Its tidy table, all cells text.
    """
    make = LAYOUTS.get(kind)
    if make is None or table.empty or "status" not in table:
        return []
    if "method" in table and (table["method"] == "").all() and (table["status"] == "").all():
        return []  # nothing was selected
    inside = ("method", "unit", *ROWS_OF.get(kind, ()))
    strata = [c for c in (*STRATA, "left_out") if c in table and c not in inside]
    if kind in ROWS_OF and "method" in table:
        strata.append("method")
    if kind in OWN_COLUMNS:  # what the analysis is split by stands before its own columns
        strata = list(table.columns[: list(table.columns).index("method")])
    if not strata:
        return make(table, "")
    blocks: list[Block] = []
    for _, part in table.groupby(strata, sort=False):
        labels = {c: part[c].iloc[0] for c in strata}
        varying = [str(v) for c, v in labels.items() if table[c].nunique() > 1 and v]
        unit = unit_text(str(part["unit"].iloc[0])) if "unit" in part else ""
        blocks += [
            block._replace(title=_joined(*varying, block.title)) for block in make(part, unit)
        ]
    return blocks


def _joined(*words: str) -> str:
    return ", ".join(public_text(word) for word in words if word)


def _persons(part: pd.DataFrame, unit: str) -> list[Block]:
    """CSA-1: one table a method, a row a participant; methods without one are named at the end."""
    blocks: list[Block] = []
    absent: list[str] = []
    for method, own in part.groupby("method", sort=False):
        told = own[own["status"] == ""]
        if told.empty:
            absent.append(f"{method} ({own['status'].iloc[0]})")
            continue
        known = zip(told["person"], told["in_comparison"], strict=True)
        persons = [_person(person, inside) for person, inside in known]
        cells = told.assign(cell=[_number(v) for v in told["value"]], person=persons)
        note = OUTSIDE_NOTE if (told["in_comparison"] == "no").any() else ""
        blocks.append(Block(_joined(str(method), unit), _wide(cells, ["person"]), note))
    if absent:
        blocks.append(Block("Without a table", pd.DataFrame(), f"{', '.join(absent)}."))
    return blocks


def _person(label: str, in_comparison: str) -> str:
    plain = public_text(label.removeprefix(PERSON_PREFIX))
    return plain + (OUTSIDE if in_comparison == "no" else "")


def _summaries(part: pd.DataFrame, unit: str) -> list[Block]:
    """CSA-2 and CSA-3: a row a method, cells ``mean ± SD``."""
    return [Block("", _methods(part, 2))]


def _scores(part: pd.DataFrame, unit: str) -> list[Block]:
    """SEG-1: one table a data set, a row a method."""
    named = part.assign(column=[measure_text(c) + unit_in_brackets(c) for c in part["column"]])
    return [
        Block(str(dataset), _methods(own, 3))
        for dataset, own in named.groupby("dataset", sort=False)
    ]


def _methods(part: pd.DataFrame, decimals: int) -> pd.DataFrame:
    """A row a method with the fewest persons of its cells."""
    numbers = {c: pd.to_numeric(part[c], errors="coerce") for c in ("mean", "sd", "n")}
    wide = laid_out(part.assign(**numbers), decimals)
    first, *others = [c for c in wide.columns if c not in ("dataset", "method")]
    counts = numbers["n"].groupby(part["method"]).min()
    n = [int(counts[m]) for m in wide["method"]]
    absent = wide[[first, *others]].isin((NOT_SUPPLIED, NO_VALUE)).all(axis=1)
    wide.loc[absent, others] = ""
    flags = absent.map({True: MUTED, False: ""})
    told = wide.assign(n=[str(k) if k else "" for k in n], flag=flags)
    told = told.drop(columns="dataset", errors="ignore")
    stated = part[part[COLUMN] != ""] if COLUMN in part else part.iloc[:0]
    if stated.empty:
        return told
    row = dict(zip(stated["column"], stated[COLUMN], strict=True)) | {"method": COLUMN}
    return pd.concat([told, pd.DataFrame([row])], ignore_index=True).fillna("")


def _tests(part: pd.DataFrame, unit: str) -> list[Block]:
    """CSA-4: one table a quantity and family, a row a pair of methods."""
    blocks: list[Block] = []
    for (quantity, family), own in part.groupby(["quantity", "family"], sort=False):
        rows = pd.DataFrame({
            "pair": own["a"] + " and " + own["b"],
            "W": [_number(v) for v in own["w"]],
            "p": [_p(v) for v in own["p"]],
            "adjusted p": [_p(v) for v in own["p_adjusted"]],
            "n pairs": own["n_pairs"].where(own["status"] == "", ""),
            "rank biserial": [_number(v) for v in own["rank_biserial"]],
            "published": own.get(COLUMN, ""),
            "remark": own["status"],
            "flag": own["flag"],  # greys a row out
        })  # fmt: skip
        told = rows[[c for c in rows.columns if (rows[c] != "").any()]]
        per = str(own["unit_of_pairing"].iloc[0])
        blocks.append(Block(_joined(str(quantity), f"family {family}", f"one pair a {per}"), told))
    return blocks


def _as_blocks(make: Callable[[pd.DataFrame, str], list[RegionTable]]) -> Layout:
    """Tables with title and note as blocks."""

    def blocks(part: pd.DataFrame, unit: str) -> list[Block]:
        return [Block(*table) for table in make(part, unit)]

    return blocks


def _wide(cells: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Rows and columns in the order of the tidy table."""
    columns = list(dict.fromkeys(cells["column"]))
    rows = cells[keys].drop_duplicates()
    wide = cells.pivot(index=keys, columns="column", values="cell")[columns]
    return rows.merge(wide.rename_axis(columns=None).reset_index(), on=keys, how="left")


def _number(text: str) -> str:
    value = pd.to_numeric(text, errors="coerce")
    return "" if pd.isna(value) else number_text(float(value))


def _p(text: str) -> str:
    value = pd.to_numeric(text, errors="coerce")
    if pd.isna(value):
        return ""
    return f"< {SMALL_P}" if value < SMALL_P else f"{value:.3f}"


def _levels(part: pd.DataFrame, unit: str) -> list[Block]:
    """A row a level; a column a site, session or rater of each participant, then CoV and SD."""
    several = part["participant"].nunique() > 1
    people = [_person(str(p), "") for p in part["participant"]]
    columns = [f"{who}, {c}" if several and c != "COV_mean" else c
               for who, c in zip(people, part["column"], strict=True)]  # fmt: skip
    shown = [public_text(c) for c in columns]
    cells = part.assign(cell=[_number(v) for v in part["value"]], column=shown)
    wide = _wide(cells.drop_duplicates(["level", "column"]), ["level"]).fillna("")
    missing = int(pd.to_numeric(part["n_missing"], errors="coerce")[part["status"] != ""].sum())
    note = f"Empty cells: {missing} missing levels, each with its reason in the table below." * (
        missing > 0
    )
    if COLUMN in part:
        stated = [v for v in dict.fromkeys(part[COLUMN]) if v]
        note = " ".join([note, *(f"Published: {v}." for v in stated)]).strip()
    return [Block(unit, wide, note)]


LAYOUTS: dict[str, Layout] = {
    "csa_by_person": _persons,
    "csa_by_method": _summaries,
    "csa_error": _summaries,
    "csa_method_tests": _tests,
    "mask_scores": _scores,
    SCORE_TABLE: _as_blocks(score_tables),
    "level_table": _levels,
    "region_errors": _as_blocks(region_error_tables),
    "region_scores": _as_blocks(region_score_tables),
}
