"""The exclusion list: which scans and measures are not used, and why, in one reviewed file."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.errors import SheetError
from cordcohort.table import SCAN_KEY

ENTRY_KEYS = (*SCAN_KEY, "measure", "reason", "by", "date")
_PREFIXES = {"subject": "sub-", "session": "ses-", "run": "run-", "acquisition": "acq-"}
_N_NEAREST = 3

Entry = Mapping[str, str]


def read_entries(
    entries: Sequence[Mapping[str, Any]], where: Path | str = "exclude"
) -> list[dict[str, str]]:
    """Bring exclusion entries to text, without BIDS prefixes, and refuse incomplete ones.

    Parameters
    ----------
    entries : list of mappings
        Keys of :data:`ENTRY_KEYS`; a missing key matches everything; ``reason`` is mandatory.
    where : path or str
        The file, for messages.

    Raises
    ------
    SheetError
        On an unknown key, a missing reason, an entry that would match every scan, or a label that
        YAML did not read as text or an integer (``no``, ``1e5``).

    Examples
    --------
    >>> read_entries([{"subject": "sub-01", "run": 2, "reason": "motion"}])
    [{'subject': '01', 'run': '2', 'reason': 'motion'}]
    """
    return [_read_entry(entry, f"{where} entry {i + 1}") for i, entry in enumerate(entries)]


def _read_entry(entry: Mapping[str, Any], where: str) -> dict[str, str]:
    unknown = sorted(set(entry) - set(ENTRY_KEYS))
    if unknown:
        raise SheetError(where, f"keys among {list(ENTRY_KEYS)}", f"{unknown}", "remove or rename")
    if not str(entry.get("reason") or "").strip():
        raise SheetError(where, "a reason", "none", "write why this is excluded")
    if not set(entry) & {*SCAN_KEY, "measure"}:
        way_out = "name a dataset, subject, session, acquisition, run, contrast or measure"
        raise SheetError(where, "something to match", "an entry that matches every row", way_out)
    return {key: _label(key, value, where) for key, value in entry.items() if value is not None}


def _label(key: str, value: Any, where: str) -> str:
    if key in ("date", "by", "reason"):
        return str(value).strip()
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise SheetError(where, f"text for '{key}'", f"{value!r}", "put the label in quotes")
    return str(value).strip().removeprefix(_PREFIXES.get(key, "\0"))


def scan_matches(scans: pd.DataFrame, entry: Entry) -> np.ndarray:
    """Which scans an entry matches, its measure left aside (array of bool, one a scan)."""
    matched = np.ones(len(scans), dtype=bool)
    for column in SCAN_KEY:
        if column in entry:
            matched &= (scans[column] == entry[column]).to_numpy(dtype=bool)
    return matched


def check_entries(
    entries: Sequence[Entry], scans: pd.DataFrame, where: Path | str = "exclude"
) -> None:
    """Refuse an entry that matches no scan, naming the nearest labels.

    An entry that matches nothing is a typing error that would leave a bad scan in the study.

    Raises
    ------
    SheetError
        Naming the entry, the label that is not in the study, and the nearest ones that are.
    """
    for i, entry in enumerate(entries):
        if scan_matches(scans, entry).any():
            continue
        name = f"{where} entry {i + 1}"
        for column in SCAN_KEY:
            known = sorted(set(scans[column]))
            if column in entry and entry[column] not in known:
                near = difflib.get_close_matches(entry[column], known, _N_NEAREST, 0.0)
                way_out = f"nearest: {near}; correct or remove the entry"
                raise SheetError(name, f"a {column} of the study", f"{entry[column]!r}", way_out)
        came = str({k: entry[k] for k in SCAN_KEY if k in entry})
        raise SheetError(name, "at least one scan", f"none with {came}", "correct or remove it")


def apply_entries(
    table: pd.DataFrame, scan_codes: np.ndarray, scans: pd.DataFrame, entries: Sequence[Entry]
) -> pd.DataFrame:
    """Set the flag ``excluded`` and the reason on every row that an entry matches.

    Values are kept (the report shows them struck out); no analysis uses them.

    Parameters
    ----------
    table : DataFrame
        Long table.
    scan_codes : array of int
        Row number in ``scans`` of each row of ``table``.
    scans : DataFrame
        Distinct scans, with the columns of ``SCAN_KEY``.
    entries : list of mappings
        As given by :func:`read_entries`; where several match, the first one gives the reason.
    """
    reason = table["reason"].to_numpy(dtype=object, copy=True)
    flag = table["flag"].to_numpy(dtype=object, copy=True)
    free = np.ones(len(table), dtype=bool)
    for entry in entries:
        hit = scan_matches(scans, entry)[scan_codes] & free
        if "measure" in entry:
            hit &= (table["measure"] == entry["measure"]).to_numpy(dtype=bool)
        flag[hit], reason[hit] = "excluded", entry["reason"]
        free &= ~hit
    return table.assign(
        flag=pd.Series(flag, index=table.index, dtype="str"),
        reason=pd.Series(reason, index=table.index, dtype="str"),
    )
