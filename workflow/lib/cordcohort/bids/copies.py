"""Images that lie in a study twice, under several names: a copy under a wrong name is found so."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cordcohort.files import sha256_of

_PROBE_BYTES = 4096
Row = Mapping[str, Any]


def same_content(rows: Iterable[Row]) -> list[tuple[str, str, str]]:
    """Name images whose bytes are those of another one.

    Only files of equal size are opened, and only those that are equal at three places are hashed
    (uncompressed images of one protocol all have the same size).

    Parameters
    ----------
    rows : iterable of index rows
        Those without a readable image are passed over.

    Returns
    -------
    list of (dataset, path, reason)
        One for each name but the first of the same content; paths as the data set has them.

    Examples
    --------
    >>> same_content([{"status": "no_image", "image": "", "image_size": None}])
    []
    """
    found = [row for row in rows if row["status"] == "ok" and row["image_size"]]
    alike: list[list[Row]] = [found]
    for mark in (_size, _probe, _sha256):
        alike = [same for group in alike for same in _split(group, mark)]
    return sorted(
        (str(other["dataset"]), _name(other), _reason(first, other))
        for first, *others in alike
        for other in others
    )


def _split(rows: Iterable[Row], mark: Any) -> Iterator[list[Row]]:
    """Rows with an equal mark, where there are several; a lost file is like no other."""
    groups: dict[object, list[Row]] = {}
    for row in rows:
        try:
            groups.setdefault(mark(row), []).append(row)
        except OSError:  # it is told where the image is read
            continue
    return (group for group in groups.values() if len(group) > 1)


def _size(row: Row) -> int:
    return int(row["image_size"])


def _probe(row: Row) -> bytes:
    """Some bytes of the middle, three quarters and end; headers of a protocol are the same."""
    size = _size(row)
    found = b""
    handle = os.open(str(row["image"]), os.O_RDONLY)
    try:
        for place in (size // 2, 3 * size // 4, max(0, size - _PROBE_BYTES)):
            found += os.pread(handle, _PROBE_BYTES, place)
    finally:
        os.close(handle)
    return found


def _sha256(row: Row) -> str:
    return sha256_of(str(row["image"]))


def _name(row: Row) -> str:
    return f"{row['folder']}/{Path(str(row['image'])).name}"


def _reason(first: Row, other: Row) -> str:
    elsewhere = f"{first['dataset']}: " if first["dataset"] != other["dataset"] else ""
    return f"the same image, byte by byte, as {elsewhere}{_name(first)}: check which name is right"
