"""Whether the files of a scan are still those that the index found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cordcohort.errors import CordcohortError

# Nodes of a cluster may see the time of one file with different precision, never a second apart.
_SAME_TIME_NS = 1_000_000_000
_WAY_OUT = "bring it back, or let it be, and run again; nothing was kept from this job"


def check_unchanged(rows: Iterable[Mapping[str, Any]]) -> None:
    """Refuse scans whose image or masks vanished or changed since the index was made.

    Of gradient files the index holds neither size nor time: they are only looked for.

    A job asks before it starts and when it is done. A disk that is lost in between must not turn
    scans into failed rows that no later run would look at again.

    Parameters
    ----------
    rows : iterable of index rows

    Raises
    ------
    CordcohortError
        Naming the first such file.
    """
    for row in rows:
        for path, size, mtime_ns in _files(row):
            try:
                found = Path(path).stat()
            except OSError as error:
                came = error.strerror or "nothing"
                raise CordcohortError(
                    f"{path}: expected the file that the index found, got: {came}; {_WAY_OUT}"
                ) from error
            if size is None or mtime_ns is None:
                continue
            if found.st_size != size or abs(found.st_mtime_ns - mtime_ns) >= _SAME_TIME_NS:
                raise CordcohortError(
                    f"{path}: expected the file that the index found ({size} bytes), got one that "
                    f"was changed meanwhile ({found.st_size} bytes); {_WAY_OUT}"
                )


def _files(row: Mapping[str, Any]) -> Iterator[tuple[str, int | None, int | None]]:
    """Path, size and time of every file that the index found in order."""
    if row["status"] == "ok":
        yield row["image"], row.get("image_size"), row.get("image_mtime_ns")
        for name in ("bval", "bvec"):
            if row.get(name):
                yield row[name], None, None
    for mask in json.loads(row["masks"]) if row["masks"] else ():
        if mask["status"] == "ok":
            yield mask["path"], mask.get("size"), mask.get("mtime_ns")
