"""Which scans of a batch are as this very job left them, so that they need not be made again.

The engine knows one record a batch (:mod:`cordcohort.batch_record`): one changed image starts a
whole batch in every stage that follows. So a job keeps a list beside the record, of which the
engine knows nothing: for every scan a digest of all that it is made from, and size and time of the
files that were made. A scan of which nothing differs is left as it is. Whatever is uncertain is
worked out again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from stat import S_ISREG
from typing import Any

from cordcohort.digest import installed_packages
from cordcohort.errors import CordcohortError, DamagedError
from cordcohort.files import read_record, write_record
from cordcohort.scan import RECORD_SCHEMA, Row, scan_id

SCHEMA = 1
# Parameters that list the scans of a batch, and those that hold something for some of its scans.
_OF_BATCH = frozenset({"scans", "files", "identity", "each"})
_OF_SCANS = ("before", "left_out", "not_drawn")
_NO_ROOM = "[memory]"


@dataclass(frozen=True)
class Work:
    """What a job makes of one scan.

    Attributes
    ----------
    name : str
        The scan (:func:`cordcohort.scan.scan_id`).
    key : str
        Digest of all that its unit is made from; empty where something of its own is not there.
    made : tuple of str
        Records and tables that the job must write for it, relative to the study.
    unit : str
        Scans of one unit (a session, a person) are made together.
    """

    name: str
    key: str
    made: tuple[str, ...]
    unit: str = ""


def works_of(
    rows: Sequence[Row], params: Mapping[str, Any], shared: Iterable[str],
    *, unit: Callable[[Row], str] = scan_id, also: Callable[[Row], object] | None = None,
    made: Callable[[Row], Sequence[str]] | None = None,
) -> list[Work]:  # fmt: skip
    """What a job makes of the scans of its batch, and what of.

    Parameters
    ----------
    rows : sequence of index rows
        The batch, in the order of ``params["scans"]``.
    params : mapping
        Parameters of the job; ``each`` is :meth:`cordcohort.batches.Batch.each_scan` with a digest
        of the job's ``tools``.
    shared : iterable of str
        Files that all scans are made with, such as those of a model.
    unit, also, made : callable
        Of a row: what is made together; what else it is made from (by default nothing); which
        records it gets (by default its part of ``params["files"]``).
    """
    each = params["each"]
    common = _common(params, shared)
    files = files_of_each(each, params.get("files") or ())
    works: list[Work] = []
    for row, (read, written) in zip(rows, files, strict=True):
        name = scan_id(row)
        own = [(params.get(key) or {}).get(name) for key in _OF_SCANS]
        own.append(also(row) if also else None)
        key = _key(row, read, common, own)
        works.append(Work(name, key, tuple(made(row) if made else written), unit(row)))
    return works if unit is scan_id else _with_units(works)


def files_of_each(
    each: Mapping[str, Any], made: Sequence[str]
) -> list[tuple[list[str], Sequence[str]]]:
    """Files that each scan of a batch is made from, and those that are made of it.

    Examples
    --------
    >>> files_of_each({"read": ["a", "b"], "spans": "0 1/1;1/2"}, ["x", "y", "z"])
    [(['a', 'b'], ['x']), (['b'], ['y', 'z'])]
    """
    found: list[tuple[list[str], Sequence[str]]] = []
    first = 0
    for span in str(each["spans"]).split(";"):
        places, _, count = span.partition("/")
        read = [str(each["read"][int(place)]) for place in places.split()]
        found.append((read, made[first : first + int(count)]))
        first += int(count)
    return found


def start(path: Path | str, works: Sequence[Work]) -> set[str]:
    """Say which scans must be made, and take away what an earlier job left of these.

    From now on, a record of theirs that is there is a new one: a job that is killed leaves a list
    that tells what it had finished.

    Parameters
    ----------
    path : path
        The list.
    works : sequence of Work

    Returns
    -------
    set of str
        Names of the scans.
    """
    known = entries_of(path)
    kept = {work.name: _finished(work, known.get(work.name)) for work in works}
    begun = {work.unit for work in works if not kept[work.name]}
    entries: dict[str, dict[str, Any]] = {}
    for work in works:
        entry: dict[str, Any] = {"key": work.key, "files": kept[work.name]}
        if work.unit in begun:
            entry = {"key": work.key, "before": {name: state_of(name) for name in work.made}}
            # A picture or mask that is not made again would stay for ever.
            for name in {*work.made, *(known.get(work.name, {}).get("files") or ())}:
                Path(name).unlink(missing_ok=True)
        entries[work.name] = entry
    _write(path, entries, None)
    return {work.name for work in works if work.unit in begun}


def finish(path: Path | str, works: Sequence[Work], made: set[str], *records: Path | str) -> None:
    """Note what was made of which scans, when all files of all scans are there.

    Parameters
    ----------
    path : path
        The list.
    works : sequence of Work
        As at the start.
    made : set of str
        What :func:`start` gave.
    *records : path
        Where the batch is said to be done.

    Raises
    ------
    DamagedError
        If another job has begun the same scans from something else, such as one of a run that was
        killed: nobody knows which of the two wrote a file last.
    """
    known = entries_of(path)
    if any(known.get(work.name, {}).get("key") != work.key for work in works):
        came = "that of another job (does one of a stopped run go on?)" if known else "none"
        raise DamagedError(path, came, *records)
    entries: dict[str, dict[str, Any]] = {}
    for work in works:
        files = _states(work.made) if work.name in made else known.get(work.name, {}).get("files")
        if files:
            entries[work.name] = {"key": work.key, "files": files}
    _write(path, entries, len(made))


def listed_files(path: Path | str) -> list[str]:
    """Files of all scans of a list, unchecked; none where it cannot be read."""
    try:
        scans = json.loads(Path(path).read_text(encoding="utf-8"))["scans"]
        return [name for entry in scans.values() for name in entry.get("files", ())]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []


def share_made(path: Path | str) -> float:
    """Share of the scans of a batch that the last job on it made; 1 where nothing tells."""
    try:
        content = read_record(path, SCHEMA)
        return float(content["made"] / len(content["scans"]))
    except (CordcohortError, OSError, LookupError, TypeError, ArithmeticError):
        return 1.0


def state_of(path: Path | str) -> str:
    """Size and time of an ordinary file; empty where there is none.

    The file is opened, as network disks may tell of an older state otherwise.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would wait for a writer
    except OSError:
        return ""
    try:
        found = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return f"{found.st_size}:{found.st_mtime_ns}" if S_ISREG(found.st_mode) else ""


def _common(params: Mapping[str, Any], shared: Iterable[str]) -> str:
    """Digest of what all scans of a batch are made with; empty where a file of it is not there."""
    states = [(name, state_of(name)) for name in shared]
    if not all(state for _, state in states):
        return ""
    own = {k: v for k, v in params.items() if k not in _OF_BATCH and k not in _OF_SCANS}
    return _digest([own, params["each"]["tools"], states, installed_packages()])


def _key(row: Row, read: Sequence[str], common: str, own: Sequence[object]) -> str:
    states = [(name, state_of(name)) for name in read]
    if not common or not all(state for _, state in states):
        return ""
    return _digest([dict(row), states, common, own])


def _with_units(works: Sequence[Work]) -> list[Work]:
    """Works whose key tells of all scans of the unit, so that one that leaves is missed."""
    units: dict[str, list[tuple[str, str]]] = {}
    for work in works:
        units.setdefault(work.unit, []).append((work.name, work.key))
    return [replace(w, key=w.key and _digest(sorted(units[w.unit]))) for w in works]


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()


def _finished(work: Work, entry: Mapping[str, Any] | None) -> dict[str, str]:
    """Files of a scan with their states, if all that it is made from and all of them are the same.

    An entry without files is one of a job that was stopped; it had taken away what was there
    ``before``.
    """
    if not work.key or entry is None or entry.get("key") != work.key:
        return {}
    files, before = entry.get("files"), entry.get("before")
    if isinstance(files, dict):
        same = set(work.made) <= set(files) and all(state_of(f) == s for f, s in files.items())
        return files if same else {}
    if not isinstance(before, dict) or set(before) != set(work.made):
        return {}
    found = _states(work.made)
    return found if all(found.get(name) != state for name, state in before.items()) else {}


def _states(made: Sequence[str]) -> dict[str, str]:
    """State of all files of a scan; none where one is not there or a record cannot be read.

    Nor of a scan for which there was no room: there may be the next time.
    """
    files: list[str] = []
    try:
        for name in made:
            content = read_record(name, RECORD_SCHEMA) if name.endswith(".json") else {}
            if str(content.get("reason")).startswith(_NO_ROOM):
                return {}
            files += [name, *_named_in(name, content)]
    except (CordcohortError, OSError, AttributeError, TypeError, LookupError):
        return {}
    states = {name: state_of(name) for name in files}
    return states if all(states.values()) else {}


def _named_in(record: str, content: Mapping[str, Any]) -> list[str]:
    """Images, masks and pictures that a record names; they lie beside it."""
    names = [content.get("mask"), content.get("soft")]
    names.append((content.get("registration") or {}).get("carried"))
    names += [file["name"] for file in (content.get("files") or {}).values()]
    drawn = [*content.get("pictures", ()), content.get("gallery") or {}]
    names += [picture.get("file") for picture in drawn]
    return [str(Path(record).parent / Path(name).name) for name in names if name]


def entries_of(path: Path | str) -> dict[str, dict[str, Any]]:
    """Entries of a list; none of one that is not there, damaged or of another schema."""
    try:
        content = read_record(path, SCHEMA)
    except (CordcohortError, OSError):
        return {}
    scans = content.get("scans")
    if content.get("schema") != SCHEMA or not isinstance(scans, dict):
        return {}
    return {str(name): entry for name, entry in scans.items() if isinstance(entry, dict)}


def _write(path: Path | str, entries: Mapping[str, Any], made: int | None) -> None:
    write_record(path, {"schema": SCHEMA, "made": made, "scans": dict(entries)})
