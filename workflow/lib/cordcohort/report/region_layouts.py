"""Tables of the eight regions in the layout of the publications: SCS-1 and SCS-2."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from cordcohort.report.privacy import public_text
from cordcohort.report.published import COLUMN
from cordcohort.report.words import structure_text
from cordcohort.statistics.region_study import OVERLAPS, POOLED, SIGNED

SIDES = ("left", "right")
TISSUES = {
    "lateral_wm": "lateral", "dorsal_wm": "dorsal", "ventral_wm": "ventral", "gm": "grey matter",
}  # fmt: skip
RECONSTRUCTION = (
    "The publications state neither the layers of their networks nor the formula of their error; "
    "what stands here is a reconstruction. Published values are of other patients."
)


class RegionTable(NamedTuple):
    """A table with what tells it from the others, and a note."""

    title: str
    table: pd.DataFrame
    note: str = ""


def _each_method(
    part: pd.DataFrame, make: Callable[[pd.DataFrame], pd.DataFrame]
) -> list[RegionTable]:
    """One table a method; those without one are named at the end."""
    tables: list[RegionTable] = []
    absent: list[str] = []
    named = part[part["method"] != ""]  # the others say that a stratum holds none of the measures
    for method, own in named.groupby("method", sort=False):
        design = [str(own[c].iloc[0]) for c in ("network", "input") if own[c].iloc[0]]
        title = ", ".join(public_text(t) for t in [str(method), *design])
        if (own["structure"] == "").all():
            absent.append(f"{title} ({own['status'].iloc[0]})")
        else:
            tables.append(RegionTable(title, make(own), _note(own)))
    if absent:
        tables.append(RegionTable("Without a table", pd.DataFrame(), f"{'; '.join(absent)}."))
    return tables


def _note(own: pd.DataFrame) -> str:
    n = pd.to_numeric(own["n"], errors="coerce")
    without = int(pd.to_numeric(own["n_without"], errors="coerce").max())
    told = f"Mean ± SD over patients (up to {int(n.max())})."
    if without:
        told += f" Up to {without} patients without a value in a region."
    return f"{told} {RECONSTRUCTION}"


def region_error_tables(part: pd.DataFrame, unit: str) -> list[RegionTable]:
    """SCS-1: a row a side, a column a tissue, absolute and signed error beside published ones."""
    return _each_method(part, _sides)


def _sides(own: pd.DataFrame) -> pd.DataFrame:
    rows: list[dict[str, str]] = []
    signed = own["measure"].str.endswith(SIGNED)
    for side in SIDES:
        for words, chosen in (("error [%]", own[~signed]), ("signed [%]", own[signed])):
            cells = {t: _at(chosen, f"{side}_{name}") for name, t in TISSUES.items()}
            rows.append({"side": side, "": words} | {t: _cell(c, 1) for t, c in cells.items()})
        if COLUMN in own:
            told = {t: str(_at(own[~signed], f"{side}_{n}")[COLUMN]) for n, t in TISSUES.items()}
            if any(told.values()):
                rows.append({"side": side, "": COLUMN} | told)
    return pd.DataFrame(rows)


def region_score_tables(part: pd.DataFrame, unit: str) -> list[RegionTable]:
    """SCS-2: a row a region; precision, recall, Dice over patients, then over pooled voxels."""
    return _each_method(part, _scores)


def _scores(own: pd.DataFrame) -> pd.DataFrame:
    rows: list[dict[str, str]] = []
    for region, cells in own.groupby("structure", sort=False):
        row = {"region": structure_text(str(region))}
        pooled = cells["pooling"] == POOLED
        for chosen, ending in ((cells[~pooled], ""), (cells[pooled], f", {POOLED}")):
            for measure in OVERLAPS:
                found = chosen[chosen["measure"] == measure]
                row[f"{measure}{ending}"] = _cell(found.iloc[0], 2)
        if COLUMN in own:
            stated = cells.loc[~pooled & (cells["measure"] == "dice"), COLUMN]
            row[f"Dice, {COLUMN}"] = str(stated.iloc[0])
        rows.append(row)
    return pd.DataFrame(rows)


def _at(own: pd.DataFrame, structure: str) -> pd.Series:
    return own[own["structure"] == structure].iloc[0]


def _cell(row: pd.Series, decimals: int) -> str:
    mean, sd = (pd.to_numeric(row[c], errors="coerce") for c in ("mean", "sd"))
    if pd.isna(mean):
        return "–"
    return f"{mean:.{decimals}f}" + ("" if pd.isna(sd) else f" ± {sd:.{decimals}f}")
