"""Score tables of lesion studies in the published layout: a table a method, a column a site."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from cordcohort.lent_cord import lent_by
from cordcohort.model_uses import CORD, shipped_cord_lender
from cordcohort.report.inputs import records
from cordcohort.report.privacy import public_text
from cordcohort.report.published import COLUMN
from cordcohort.report.region_layouts import RegionTable
from cordcohort.report.words import measure_text, structure_text, unit_in_brackets
from cordcohort.statistics.contrast_tables import NO_VALUE, NOT_SUPPLIED

MARKS = ((0.001, " †"), (0.05, " ‡"))  # as in the publication


def score_tables(part: pd.DataFrame, _unit: str) -> list[RegionTable]:
    """SCIseg-2 to SCIseg-4: one table a method, a row a structure and measure, a column a site."""
    blocks: list[RegionTable] = []
    absent: list[str] = []
    for method, own in part.groupby("method", sort=False):
        if (own["status"] == NOT_SUPPLIED).all():
            absent.append(f"{method} ({NOT_SUPPLIED})")
            continue
        told = own[own.groupby("structure")["mean"].transform(_any_number)]
        told, same = _without_lent_cord(told, str(method), set(part["method"]))
        if told.empty:
            absent.append(f"{method} ({same or NO_VALUE})")
            continue
        table = _by_site(told, published=not blocks)  # beside the first method alone
        note = " ".join(text for text in (_hidden(told), same and f"{same}.") if text)
        blocks.append(RegionTable(str(method), table, note))
    if absent:
        blocks.append(RegionTable("Without a table", pd.DataFrame(), f"{', '.join(absent)}."))
    return blocks


def _without_lent_cord(
    told: pd.DataFrame, method: str, methods: Collection[str]
) -> tuple[pd.DataFrame, str]:
    """A method's rows without those of a cord that another method of the table drew; and whose."""
    lender = shipped_cord_lender(method)
    own = told["structure"] != CORD
    if not lender or own.all():
        return told, ""
    same = f"{structure_text(CORD)}: the mask of {lender}, not a second one"
    return (told[own], f"{same}: see there") if lent_by(method, CORD, methods) else (told, same)


def _any_number(cells: pd.Series) -> bool:
    return bool(pd.to_numeric(cells, errors="coerce").notna().any())


def _by_site(own: pd.DataFrame, *, published: bool) -> pd.DataFrame:
    """Cells ``mean ± SD (n)``, marked where a test was made; published values beside."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for cell in records(own):
        key = (str(cell["structure"]), str(cell["measure"]))
        name = measure_text(key[1]) + unit_in_brackets(key[1])
        row = rows.setdefault(key, {"structure": structure_text(key[0]), "measure": name})
        site = "all sites" if cell["site"] == "all" else public_text(cell["site"])
        row[site] = _mean_sd(cell)
        if published and cell.get(COLUMN):
            row[f"{site}, {COLUMN}"] = str(cell[COLUMN])
    wide = pd.DataFrame(list(rows.values())).fillna("")
    wide["structure"] = wide["structure"].where(~wide["structure"].duplicated(), "")
    return wide


def _mean_sd(cell: Mapping[str, Any]) -> str:
    mean, sd, p = (pd.to_numeric(cell[c], errors="coerce") for c in ("mean", "sd", "p"))
    if pd.isna(mean):
        return "–"
    mark = "" if pd.isna(p) else next((m for bound, m in MARKS if p < bound), "")
    spread = "" if pd.isna(sd) else f" ± {sd:.2f}"
    text = f"{mean:.2f}".replace("-0.00", "0.00").replace("-", "−")
    return f"{text}{spread} ({float(cell['n']):.0f}){mark}"


def _hidden(own: pd.DataFrame) -> str:
    """Scans that have no score by convention, the most of any measure, and what marks mean."""
    told = ["Mean ± SD (n)"]
    whole = own[own["site"] == own["site"].iloc[-1]]
    for structure, part in whole.groupby("structure", sort=False):
        for column, words in (("n_empty_reference", "an empty reference (no score)"),
                              ("n_empty_mask", "an empty mask (no distance)"),
                              ("n_small_reference", "small lesions only (no sensitivity, F1 0)"),
                              ):  # fmt: skip
            n = int(pd.to_numeric(part[column], errors="coerce").max())
            if n:
                told.append(f"{structure_text(str(structure))}: {n} with {words}")
    against = next((str(a) for a in own["against"] if a), "")
    if against:
        told.append(f"† p < .001, ‡ p < .05 against {public_text(against)}, not corrected")
    return "; ".join(told) + "."
