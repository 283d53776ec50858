"""What in a delivery looks as if it could name a person: keys, columns and header fields.

Only names of keys and columns are told, never their values. Nothing of them reaches a report or a
shared table, which hold an allow-list of fields; this list is for those who hold the data.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cordcohort.bids.headers import telling_fields
from cordcohort.bids.index import Index, printable, rows_of
from cordcohort.config import Config
from cordcohort.errors import CordcohortError
from cordcohort.files import MAX_SIDECAR_BYTES, read_json
from cordcohort.report.privacy import AGE_LIMIT_YEARS, AGE_VARIABLES
from cordcohort.table import read_tsv

LOOKED_AT = 200  # scans of a data set, evenly spread, unless every one is wanted
IDENTITY_COLUMNS = ["dataset", "place", "field", "n"]
# Words of a key that are enough by themselves.
_TELLING_WORDS = frozenset(
    "birth birthdate birthday dob date datetime address street zip postcode phone telephone mobile "
    "email mail mrn ssn insurance initials surname forename firstname lastname fullname physician "
    "operator operators physicians institution institutional hospital station serial uid "
    "accession comment comments note notes researcher radiologist contact ethnic religion "
    "occupation insee nhs passport".split()
)
# Words that tell of a person only beside another one: PatientName, but not ProtocolName.
_OF_A_PERSON = frozenset(
    "patient person subject participant first last family given maiden mother full referring "
    "performing requesting other".split()
)
_BESIDE_A_PERSON = frozenset("name names id ids number age".split())
_HARMLESS_KEYS = frozenset({"participant_id", "person_id", "subject_id", "session_id", "id"})
_TIMES = re.compile(r"(acquisition|study|series|content|scan|exam)_?(date)?_?time\Z", re.IGNORECASE)
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")


def looks_identifying(key: str) -> bool:
    """Whether the name of a sidecar key or sheet column looks as if its value told who it is.

    Examples
    --------
    >>> [looks_identifying(k) for k in ("PatientName", "date_of_birth", "DeviceSerialNumber")]
    [True, True, True]
    >>> [looks_identifying(k) for k in ("ProtocolName", "EchoTime", "age", "participant_id")]
    [False, False, False, False]
    """
    if key.lower() in _HARMLESS_KEYS:
        return False
    words = {word.lower() for word in _WORDS.findall(key)}
    of_a_person = bool(words & _OF_A_PERSON) and bool(words & _BESIDE_A_PERSON)
    alone = words == {"name"}
    return bool(words & _TELLING_WORDS) or of_a_person or alone or bool(_TIMES.match(key))


def identifying_fields(config: Config, index: Index, *, every_scan: bool = False) -> pd.DataFrame:
    """List what looks identifying in sidecars, NIfTI headers and sheets.

    Parameters
    ----------
    config, index
        The study.
    every_scan : bool
        Look at every scan instead of :data:`LOOKED_AT` of each data set.

    Returns
    -------
    DataFrame
        ``dataset, place`` (``sidecar``, ``header`` or the sheet's name), ``field`` and ``n``, the
        number of files (of a sheet: filled cells).
    """
    counts: Counter[tuple[str, str, str]] = Counter()
    for name, scans in index.scans.groupby("dataset", sort=True):
        rows = rows_of(scans)
        step = 1 if every_scan else max(1, -(-len(rows) // LOOKED_AT))
        for row in rows[::step]:
            counts.update((str(name), "sidecar", key) for key in _sidecar_keys(row))
            counts.update((str(name), "header", field) for field in _header_fields(row))
    for dataset in config.datasets:
        counts.update(_sheet_columns(dataset.name, dataset.root))
    rows = [(*what, number) for what, number in sorted(counts.items())]
    return pd.DataFrame(rows, columns=IDENTITY_COLUMNS)


def identity_lines(fields: pd.DataFrame) -> list[str]:
    """One line a data set and place: the fields that look identifying, most frequent first."""
    lines: list[str] = []
    for (dataset, place), part in fields.groupby(["dataset", "place"], sort=True):
        ordered = part.sort_values(["n", "field"], ascending=[False, True])
        names = ", ".join(f"{row.field} ({row.n})" for row in ordered.itertuples())
        lines.append(f"{dataset}: {place}: {printable(names)}")
    return lines


def _sidecar_keys(row: Mapping[str, Any]) -> list[str]:
    if not row["sidecar"]:
        return []
    try:
        content = read_json(str(row["sidecar"]), MAX_SIDECAR_BYTES)
    except (CordcohortError, OSError):
        return []
    if not isinstance(content, dict):
        return []
    return [k for k, value in content.items() if looks_identifying(k) and value not in ("", None)]


def _header_fields(row: Mapping[str, Any]) -> list[str]:
    return telling_fields(row["image"]) if row["image"] and row["status"] == "ok" else []


def _sheet_columns(name: str, root: Path) -> Counter[tuple[str, str, str]]:
    counts: Counter[tuple[str, str, str]] = Counter()
    paths: Iterable[Path] = [root / "participants.tsv", *sorted(root.glob("phenotype/*.tsv"))]
    for path in [*paths, *sorted(root.glob("sub-*/sub-*_sessions.tsv"))]:
        try:
            frame = read_tsv(path)
        except (CordcohortError, OSError):
            continue
        place = "sessions.tsv" if path.name.endswith("_sessions.tsv") else path.name
        for column in frame.columns:
            n_filled = int(frame[column].notna().sum())
            if n_filled and looks_identifying(column):
                counts[(name, place, column)] += n_filled
            elif column.lower() in AGE_VARIABLES:
                n_old = int((pd.to_numeric(frame[column], errors="coerce") > AGE_LIMIT_YEARS).sum())
                if n_old:
                    counts[(name, place, f"{column} above {AGE_LIMIT_YEARS}")] += n_old
    return counts
