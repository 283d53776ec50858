"""The exclusion list: which scans and measures are not used, and why, in one reviewed file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.errors import SheetError
from cordcohort.scan import LISTED, scan_id
from cordcohort.table import SCAN_KEY

PART_KEYS = ("measure", "structure", "method", "level_kind")  # some rows of a scan only
STEP = "from"
STEPS = ("soft_truth",)
ENTRY_KEYS = (*SCAN_KEY, *PART_KEYS, STEP, "reason", "by", "date", LISTED)
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
        ``from`` names a step (:data:`STEPS`) that the scan is left out of; its rows stay.
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
    if not set(entry) & {*SCAN_KEY, *PART_KEYS}:
        way_out = "name a dataset, subject, session, contrast, measure, structure, method ..."
        raise SheetError(where, "something to match", "an entry that matches every row", way_out)
    step = entry.get(STEP)
    if step is not None and (step not in STEPS or is_partial(entry)):
        way_out = f"leave out {STEP}, or {', '.join(PART_KEYS)}"
        raise SheetError(
            where, f"{STEP}: {' or '.join(STEPS)}, of whole scans", f"{step!r}", way_out
        )
    return {key: _label(key, value, where) for key, value in entry.items() if value is not None}


def is_of_scan(entry: Entry) -> bool:
    """Whether an entry excludes scans as a whole: neither some of their rows nor a step only."""
    return STEP not in entry and not is_partial(entry)


def left_out_of(
    step: str, entries: Sequence[Entry], rows: Iterable[Mapping[str, Any]]
) -> dict[str, str]:
    """Scans that take no part in a step, because of it or because they are excluded as a whole.

    Parameters
    ----------
    step : str
        One of :data:`STEPS`.
    entries : list of mappings
        As given by :func:`read_entries`.
    rows : iterable of index rows

    Returns
    -------
    dict
        Scan (:func:`cordcohort.scan.scan_id`) to the reason of the first entry that matches.
    """
    own = [entry for entry in entries if entry.get(STEP) == step or is_of_scan(entry)]
    found: dict[str, str] = {}
    for row in rows:
        for entry in own:
            if all(str(row[key]) == entry[key] for key in SCAN_KEY if key in entry):
                found.setdefault(scan_id(row), entry["reason"])
    return found


def left_out(entries: Sequence[Entry], scans: pd.DataFrame) -> tuple[int, int]:
    """How many scans entries exclude as a whole, and how many others in part or from a step."""
    whole, part = np.zeros((2, len(scans)), dtype=bool)
    for entry in entries:
        into = whole if is_of_scan(entry) else part
        into |= scan_matches(scans, entry)
    return int(whole.sum()), int((part & ~whole).sum())


def _label(key: str, value: Any, where: str) -> str:
    if key in ("date", "by", "reason", LISTED):
        return str(value).strip()
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise SheetError(where, f"text for '{key}'", f"{value!r}", "put the label in quotes")
    return str(value).strip().removeprefix(_PREFIXES.get(key, "\0"))


def scan_matches(scans: pd.DataFrame, entry: Entry) -> np.ndarray:
    """Which scans an entry matches, whatever part of them (array of bool, one a scan)."""
    matched = np.ones(len(scans), dtype=bool)
    for column in SCAN_KEY:
        if column in entry:
            matched &= (scans[column] == entry[column]).to_numpy(dtype=bool)
    return matched


def check_entries(
    entries: Sequence[Entry], scans: pd.DataFrame, where: Path | str = "exclude"
) -> None:
    """Refuse an entry that matches no scan, naming the nearest labels.

    An entry that matches nothing is a typing error that would leave a bad scan in the study. Names
    of a quality-control list are about images that may not be in the study: those are told
    (:func:`unmatched_names`), not refused.

    Raises
    ------
    SheetError
        Naming the entry, the label that is not in the study, and the nearest ones that are; or a
        name of a quality-control list that several data sets have.
    """
    for i, entry in enumerate(entries):
        matched = scan_matches(scans, entry)
        if LISTED in entry:
            _refuse_ambiguous(entry, sorted(set(scans.loc[matched, "dataset"])), where)
        if matched.any() or LISTED in entry:
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


def _refuse_ambiguous(entry: Entry, datasets: list[str], where: Path | str) -> None:
    if len(datasets) > 1:
        way_out = f"write exclude: [{{file: FILE, dataset: {datasets[0]}}}] in the config"
        raise SheetError(
            where, f"one data set with {entry[LISTED]}", f"scans of {datasets}", way_out
        )


def unmatched_names(entries: Sequence[Entry], scans: pd.DataFrame) -> list[str]:
    """Names of quality-control lists that no scan of the study has, each once."""
    missing = [e[LISTED] for e in entries if LISTED in e and not scan_matches(scans, e).any()]
    return list(dict.fromkeys(missing))


def is_partial(entry: Entry) -> bool:
    """Whether an entry is about some rows of its scans only."""
    return any(key in entry for key in PART_KEYS)


def _row_matches(table: pd.DataFrame, entry: Entry) -> np.ndarray:
    """Which rows the part that an entry names holds (array of bool, one a row)."""
    hit = np.ones(len(table), dtype=bool)
    for key in PART_KEYS:
        if key in entry:
            own = table[key] == entry[key]
            if key == "method":  # a bad mask spoils what was compared with it
                own |= table["reference"] == entry[key]
            hit &= own.to_numpy(dtype=bool)
    return hit


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
        if STEP in entry:
            continue
        hit = scan_matches(scans, entry)[scan_codes] & free
        if is_partial(entry):
            hit &= _row_matches(table, entry)
        flag[hit], reason[hit] = "excluded", entry["reason"]
        free &= ~hit
    return table.assign(
        flag=pd.Series(flag, index=table.index, dtype="str"),
        reason=pd.Series(reason, index=table.index, dtype="str"),
    )
