"""The list of all scans on the index page, with what its filters choose from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.report.against_cohort import most_unusual, used_values
from cordcohort.report.analysis_tables import write_people_table
from cordcohort.report.grids import Column
from cordcohort.report.inputs import SCAN_COLUMNS, Inputs, records
from cordcohort.report.links import TABLES, scan_anchor, subject_link
from cordcohort.report.palette import method_order
from cordcohort.report.privacy import public_text
from cordcohort.report.words import STATE_TEXT, measure_text, structure_text
from cordcohort.table import SCAN_KEY

Record = dict[str, Any]

SCANS_FILE = f"{TABLES}/scans.tsv"
MAX_METHODS = 3
WARNING = "warning"
IN_PART = "a method failed"
MAX_REASON_CHARACTERS = 160
_TITLES = {
    "dataset": "Data set", "site": "Site", "vendor": "Vendor", "session": "Session",
    "acquisition": "Acq", "run": "Run", "contrast": "Contrast",
}  # fmt: skip
_FILTERED = ("dataset", "site", "vendor", "session", "contrast")


def scan_list(scans: pd.DataFrame, report: Path) -> Record:
    """Rows, columns and filters of the list; the list is written as a table as well.

    Parameters
    ----------
    scans : DataFrame
        From :func:`scans_with_numbers`.
    report : Path
        The report's folder.
    """
    methods = [c for c in scans.columns if c.startswith("csa:")]
    titles = {k: v for k, v in _TITLES.items() if (scans[k] != "").any() or k == "contrast"}
    if (scans["dataset"] == scans["site"]).all():
        titles.pop("dataset", None)
    numbers = {m: f"CSA {public_text(m.removeprefix('csa:'))}" for m in methods}
    columns = [
        Column("Subject", numeric=False),
        *[Column(t, numeric=False) for t in titles.values()],
        Column("State", numeric=False),
        Column("Flag", numeric=False),
        *[Column(t, numeric=True) for t in numbers.values()],
        Column("Distance", numeric=True),
        Column("Most unusual", numeric=False),
        Column("Reason", numeric=False),
    ]
    rows = [_row(row, list(titles), methods) for row in records(scans)]
    told = [*SCAN_COLUMNS, "state", *methods, "z"]
    write_people_table(
        report / SCANS_FILE,
        scans[told].drop(columns="status").rename(columns=lambda c: c.replace("csa:", "csa_mm2_")),
    )
    return {
        "scan_columns": columns, "scan_rows": rows, "scans_file": SCANS_FILE,
        "filters": _filters(scans, list(titles)),
    }  # fmt: skip


def scans_with_numbers(inputs: Inputs, compared: pd.DataFrame) -> pd.DataFrame:
    """Scans with the cord's mean area by method and their most unusual value.

    Parameters
    ----------
    inputs : Inputs
        The study's tables.
    compared : DataFrame
        The cohort's values, from :func:`cordcohort.report.against_cohort.against`.

    Returns
    -------
    DataFrame
        The scans with ``csa:METHOD``, ``z``, ``chance``, ``unusual`` and ``what`` (the measure).
    """
    area = used_values(compared)
    area = area[(area["structure"] == "cord") & (area["measure"] == "csa_mm2")]
    scans = inputs.scans
    for method in sorted(set(area["method"]), key=method_order)[:MAX_METHODS]:
        own = area.loc[area["method"] == method, [*SCAN_KEY, "value"]].drop_duplicates(SCAN_KEY)
        own = own.rename(columns={"value": f"csa:{method}"})
        scans = scans.merge(own, on=SCAN_KEY, how="left")
    extreme = most_unusual(compared)
    extreme["what"] = [measured_text(row) for row in records(extreme)]
    told = [*SCAN_KEY, "z", "chance", "unusual", "what"]
    scans = scans.merge(extreme[told], on=SCAN_KEY, how="left")
    scans["unusual"] = scans["unusual"].eq(other=True)
    return scans.fillna({"what": ""})


def measured_text(row: Record) -> str:
    """A measure in short; of the cord unless said otherwise."""
    structure = row["structure"]
    return measure_text(row["measure"]) + (
        "" if structure == "cord" else f" ({structure_text(structure)})"
    )


def _row(row: Record, texts: list[str], methods: list[str]) -> Record:
    return {
        "subject": public_text(row["subject"]),
        "link": f"{subject_link(row['dataset'], row['subject'])}#{scan_anchor(row)}",
        "labels": [public_text(row[c]) for c in texts],
        "numbers": [_fixed(row[c]) for c in [*methods, "z"]],
        "unusual": public_text(row["what"]),
        "marked": bool(row["unusual"]),
        "state": row["state"],
        "state_text": STATE_TEXT[row["state"]],
        "flag": _flag(row),
        "reason": public_text(_reason(row), MAX_REASON_CHARACTERS),
    }


def _flag(row: Record) -> str:
    """What to look at of a measured scan: who failed on it, or what is suspicious."""
    if row["state"] != "measured":
        return ""
    return IN_PART if row["failures"] else WARNING if row["warning"] else ""


def _reason(row: Record) -> str:
    """Why a scan is not measured; else who failed on it, then what is suspicious about it."""
    if row["reason"] or row["state"] != "measured":
        return str(row["reason"])
    return "; ".join(str(row[k]) for k in ("failures", "warning") if row[k])


def _fixed(value: float) -> str:
    """A number with one decimal, so that a column of them lines up."""
    return "" if not np.isfinite(value) else f"{value:.1f}".replace("-", "−")


def _filters(scans: pd.DataFrame, texts: list[str]) -> list[Record]:
    """Choices of each filter; columns are counted from zero, the subject being the first."""
    chosen: list[Record] = []
    for column in _FILTERED:
        choices = sorted({public_text(v) for v in scans[column].unique()} - {""})
        if column in texts and len(choices) > 1:
            place = texts.index(column) + 1
            chosen.append({"title": _TITLES[column], "column": place, "choices": choices})
    states = [STATE_TEXT[s] for s in STATE_TEXT if (scans["state"] == s).any()]
    chosen.append({"title": "State", "column": len(texts) + 1, "choices": states})
    found = {_flag(row) for row in records(scans)}
    flags = [flag for flag in (IN_PART, WARNING) if flag in found]
    if flags:
        chosen.append({"title": "Flag", "column": len(texts) + 2, "choices": flags})
    return chosen
