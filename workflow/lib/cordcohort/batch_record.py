"""The record of a finished batch: the one file by which the workflow knows what a job has made.

A job writes files for every scan, and its record last. Later jobs name the record instead of the
files, so that the engine keeps and compares one file a batch instead of thousands: that is what a
plan of ten thousand people costs. The record lists the files, and it is only as good as they are:
where one of them is gone, the record goes as well before anything is planned, and the batch is made
anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from cordcohort.batches import Batch
from cordcohort.errors import CordcohortError, DamagedError
from cordcohort.files import read_record, write_record
from cordcohort.kept_scans import listed_files
from cordcohort.scan import RECORD_SCHEMA

_POLL_S = 0.5
_RECORD = ".json"
_NUMBERED = re.compile(r"(.*)_\d+of(\d+)(?:\.scans)?\.json")


def write_batch_record(path: Path | str, files: Sequence[str]) -> None:
    """Say that a batch is done: every file of it is there.

    Parameters
    ----------
    path : path
        The record (:attr:`cordcohort.batches.Batch.record`).
    files : sequence of str
        What the job had to make for its scans, relative to the study.

    Raises
    ------
    CordcohortError
        If one of the files was not made.
    """
    missing = missing_files(files)
    if missing:
        raise CordcohortError(
            f"{missing[0]}: expected a file of this job, got none ({len(missing)} of {len(files)} "
            "are missing); run again, and report it if it stays so"
        )
    # Without it the engine takes the record of a batch that was made anew for the old one.
    states = [f"{s.st_size}:{s.st_mtime_ns}" for s in map(os.stat, files)]
    made = hashlib.sha256("\n".join(states).encode()).hexdigest()
    write_record(path, {"schema": RECORD_SCHEMA, "files": list(files), "made": made})


def files_of_records(records: Iterable[Path | str], patience_s: float = 0.0) -> list[str]:
    """Files that some batches have made, in the order of their records.

    Parameters
    ----------
    records : iterable of path
    patience_s : float
        How long to wait for files that a network disk shows late.

    Raises
    ------
    DamagedError
        If a record is not as it was written, or a file of it is gone; the record is stale then.
    """
    found: list[str] = []
    for path in records:
        files = read_record(path, RECORD_SCHEMA)["files"]
        wait_for_files(files, patience_s)
        for missing in missing_files(files):
            raise DamagedError(missing, "no file", path)
        found += files
    return found


def withdraw_stale(planned: Iterable[Batch], *, may_change: bool) -> str:
    """Remove the records of batches of which a file is gone, so that the engine makes them anew.

    Masks and images count that only the list of kept scans names. Records of another number of
    batches (:func:`withdraw_other_batchings`) go as well. A study that cannot be written to is left
    as it is: nothing can be made there.

    Parameters
    ----------
    planned : iterable of Batch
        All batches of the study.
    may_change : bool
        Whether this process is to run jobs; who only looks at the plan must change nothing.

    Returns
    -------
    str
        One line for who only looks, as the plan that is shown lacks these batches; else empty.
    """
    planned = list(planned)
    lost = [batch for batch in planned if is_stale(batch)]
    if may_change:
        withdraw_other_batchings(planned)
        for batch in lost:
            with contextlib.suppress(OSError):
                Path(batch.record).unlink(missing_ok=True)
        return ""
    if not lost:
        return ""
    return (
        f"cordcohort: files of {len(lost)} batches are gone, {lost[0].record} first: a run makes "
        "them anew, with what follows; they are not among the jobs listed here\n"
    )


def is_stale(batch: Batch) -> bool:
    """Whether a batch has a record but not all of its files."""
    if not os.path.exists(batch.record):
        return False
    # Tables are all that their stages make; records of scans stand for masks and images.
    beside = listed_files(batch.kept) if batch.outputs[0].endswith(_RECORD) else ()
    return bool(missing_files(batch.outputs) or missing_files(beside))


def withdraw_other_batchings(planned: Iterable[Batch]) -> list[Path]:
    """Remove records and lists of what is now dealt into another number of batches.

    Going back to the old number later must not find them: their files are no longer those. A job
    that was killed leaves a list without a record, by which files of other jobs would be its own.

    Returns
    -------
    list of Path
        What was removed.
    """
    counts: dict[tuple[Path, str], set[str]] = {}
    for batch in planned:
        found = _NUMBERED.fullmatch(Path(batch.record).name)
        if found:
            counts.setdefault((Path(batch.record).parent, found[1]), set()).add(found[2])
    removed: list[Path] = []
    for folder in sorted({folder for folder, _ in counts}):
        for path in sorted(folder.glob("*.json")):
            found = _NUMBERED.fullmatch(path.name)
            if found and found[2] not in counts.get((folder, found[1]), {found[2]}):
                with contextlib.suppress(OSError):
                    path.unlink()
                    removed.append(path)
    return removed


def missing_files(files: Iterable[str]) -> list[str]:
    """Those of some files that are not there."""
    return [name for name in files if not os.path.exists(name)]


def wait_for_files(files: Iterable[str], seconds: float) -> None:
    """Wait until files that another node wrote can be seen here, as network disks show them late.

    Parameters
    ----------
    files : iterable of str
    seconds : float
        How long at most; what is missing then is for the engine to name.
    """
    until = time.monotonic() + seconds
    missing = missing_files(files)
    while missing and time.monotonic() < until:
        time.sleep(_POLL_S)
        missing = missing_files(missing)
