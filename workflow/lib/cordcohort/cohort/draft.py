"""A first mapping of a table from elsewhere, guessed from its header, for a person to correct."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cordcohort.cohort.external import read_sheet
from cordcohort.errors import SheetError
from cordcohort.measures.catalogue import CATALOGUE

# Long-table column to the headers (letters and digits, lower case) that usually hold it.
USUAL_HEADERS = {
    "subject": ("participantid", "subject", "subjectid", "participant", "sub", "id"),
    "session": ("sessionid", "session", "ses", "visit", "timepoint"),
    "run": ("run", "runid"),
    "person": ("personid", "person"),
    "site": ("site", "siteid", "institution", "centre", "center"),
    "vendor": ("vendor", "manufacturer"),
    "contrast": ("contrast", "sequence"),
    "method": ("method", "rater", "software"),
    "structure": ("structure", "label", "region"),
    "level": ("level", "vertlevel", "vertebrallevel", "spinallevel"),
    "measure": ("measure", "metric"),
    "statistic": ("statistic",),
    "value": ("value",),
    "unit": ("unit", "units"),
}
ABOUT_PEOPLE = {
    "age",
    "sex",
    "gender",
    "height",
    "weight",
    "bmi",
    "group",
    "pathology",
    "diagnosis",
}
_NAME = re.compile(r"[^a-z0-9]+")
MAX_NAME = 64
# A column with more numbers than other text is one of measures: its few other cells are mistakes,
# which reading the table then names one by one.
MOSTLY = 0.5


def draft_mapping(path: Path) -> dict[str, Any]:
    r"""Guess which column of a table holds what.

    Parameters
    ----------
    path : Path
        A .csv, .tsv or .parquet file.

    Returns
    -------
    dict
        ``layout``, ``columns``, ``measures`` and ``scores`` of an entry of ``external_measures``;
        ``first``, the measure to analyse first (empty without one); ``statistic``, the word for
        means in a column of statistics (empty without one); ``left_out``, the columns that hold
        something but mostly no numbers.

    Raises
    ------
    SheetError
        If the file cannot be read or no column looks like a subject.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "t.csv"
    >>> _ = path.write_text("participant_id,site,Area C2,age\nsub-01,x,70.5,33\n")
    >>> draft_mapping(path)["columns"], draft_mapping(path)["measures"]
    ({'subject': 'participant_id', 'site': 'site'}, {'area_c2': {'column': 'Area C2', 'unit': ''}})
    """
    sheet = read_sheet(path)
    columns: dict[str, str] = {}
    for name, headers in USUAL_HEADERS.items():
        found = [c for c in sheet.columns if _plain(c) in headers]
        if found:
            columns[name] = found[0]
    if "subject" not in columns:
        wanted = ", ".join(USUAL_HEADERS["subject"])
        raise SheetError(path, f"a column of subjects ({wanted})", f"{list(sheet.columns)}",
                         "rename that column, or write the config by hand")  # fmt: skip
    if "session" not in columns and "site" in columns and _repeats(sheet, columns):
        columns["session"] = columns["site"]  # a person measured at several sites, one visit each
    is_long = "measure" in columns and "value" in columns
    if not is_long:
        columns = {k: v for k, v in columns.items() if k not in ("measure", "value", "unit")}
    rest = [c for c in sheet.columns if c not in columns.values()]
    people = [c for c in rest if _plain(c) in ABOUT_PEOPLE]
    numbers = [c for c in rest if c not in people and _share_of_numbers(sheet[c]) > MOSTLY]
    measures = {name: {"column": c, "unit": CATALOGUE[name].unit if name in CATALOGUE else ""}
                for name, c in ((_measure_name(c), c) for c in numbers)}  # fmt: skip
    return {
        "layout": "long" if is_long else "wide",
        "columns": columns,
        "measures": {} if is_long else measures,
        "scores": {_plain(c): c for c in people},
        "first": "" if is_long else min(measures, key=_rank, default=""),
        "statistic": _word_for_mean(sheet, columns),
        "left_out": [c for c in rest if c not in {*people, *numbers} and sheet[c].ne("").any()],
    }


def _word_for_mean(sheet: pd.DataFrame, columns: Mapping[str, str]) -> str:
    """How a column of statistics calls the mean, so that it is not mixed with SDs and medians."""
    words = set(sheet[columns["statistic"]]) if "statistic" in columns else set()
    return min((word for word in words if word.casefold() == "mean"), default="")


def _rank(name: str) -> int:
    """Order of measures for a first analysis: main ones of the catalogue first, counts last."""
    known = CATALOGUE.get(name)
    if known is None:
        return 2
    if known.main:
        return 0
    return 3 if known.unit == "1" else 1


def _repeats(sheet: pd.DataFrame, columns: Mapping[str, str]) -> bool:
    """Whether rows are told apart by their site only."""
    key = [c for name, c in columns.items() if name not in ("site", "vendor", "value", "unit")]
    return bool(sheet.duplicated(key).any() and not sheet.duplicated([*key, columns["site"]]).any())


def _plain(header: str) -> str:
    return _NAME.sub("", header.lower())


def _measure_name(header: str) -> str:
    name = _NAME.sub("_", header.lower()).strip("_")[:MAX_NAME]
    return name if name[:1].isalpha() else f"m_{name}"[:MAX_NAME]


def _share_of_numbers(column: pd.Series) -> float:
    """Share of the filled cells that are numbers; 0 without any."""
    text = column[column != ""]
    return float(pd.to_numeric(text, errors="coerce").notna().mean()) if len(text) else 0.0
