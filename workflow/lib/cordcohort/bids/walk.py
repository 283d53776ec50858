"""One walk through a BIDS tree: folders in order, and the state of each image without reading it.

Only files that are links or smaller than a kilobyte are opened: an image that git-annex has not
fetched is a short text or a broken link, and every indexer takes it for an image.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from cordcohort.bids.names import split_extension, valid_label
from cordcohort.errors import ImageError

SMALL_BYTES = 1024
NIFTI_HEADER_BYTES = 348
DATATYPES = ("anat", "dwi")
_FETCH = "fetch it: git annex get"
_COPY = "copy or export the file again"


@dataclass(frozen=True, slots=True)
class Folder:
    """A datatype folder of one subject and session, or (datatype empty) the one around it.

    Attributes
    ----------
    subject, session, datatype : str
        Labels without prefix; session empty where the tree has none.
    path : str
        Relative to the root of the walk: ``sub-01/ses-1/anat``.
    files : dict
        File name to directory entry, in the order of the names.
    """

    subject: str
    session: str
    datatype: str
    path: str
    files: dict[str, os.DirEntry[str]]


@dataclass(frozen=True, slots=True)
class Stray:
    """Something in a tree that is not read, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class FileState:
    """Size, time and readability of a file, as far as it shows without reading it.

    Attributes
    ----------
    size : int or None
        Bytes; ``None`` where the file is not there.
    mtime_ns : int or None
        Time of the last change, nanoseconds.
    status, reason : str
        ``ok``, or ``failed`` with the reason.
    """

    size: int | None
    mtime_ns: int | None
    status: str
    reason: str


def walk(root: Path | str) -> Iterator[Folder | Stray]:
    """Go through ``sub-*/[ses-*/]{anat,dwi}`` below a root, sorted by name.

    Sessions and their absence may be mixed. Other folders at the root (``sourcedata``, ``code``
    ...) are not raw data and are passed over.

    Yields
    ------
    Folder or Stray
        Folders with images, and what was met but cannot be used.
    """
    for entry in _entries(root):
        if not entry.name.startswith("sub-"):
            continue
        if not entry.is_dir():
            yield Stray(entry.name, "not a folder, or a broken link to one")
            continue
        subject = entry.name[4:]
        if valid_label(subject):
            try:
                yield from _subject(entry.path, subject)
            except OSError as error:
                yield Stray(entry.name, f"cannot be listed: {error.strerror}; mend its rights")
        else:
            yield Stray(entry.name, f"subject label {subject!r} is not [0-9A-Za-z+]+; rename it")


def _subject(path: str, subject: str) -> Iterator[Folder | Stray]:
    base = f"sub-{subject}"
    yield from _datatypes(path, subject, "", base)
    for entry in _entries(path):
        if not entry.name.startswith("ses-") or not entry.is_dir():
            continue
        session = entry.name[4:]
        if valid_label(session):
            yield from _datatypes(entry.path, subject, session, f"{base}/{entry.name}")
        else:
            reason = f"session label {session!r} is not [0-9A-Za-z+]+; rename it"
            yield Stray(f"{base}/{entry.name}", reason)


def _datatypes(path: str, subject: str, session: str, base: str) -> Iterator[Folder | Stray]:
    yield Folder(subject, session, "", base, {})  # so that an empty folder is seen too
    for entry in _entries(path):
        place = f"{base}/{entry.name}"
        if split_extension(entry.name)[1]:
            yield Stray(place, "an image outside of an anat or dwi folder; move it there")
        elif entry.name.startswith("ses-") or not entry.is_dir():
            continue
        elif entry.name in DATATYPES:
            files = {e.name: e for e in _entries(entry.path)}
            yield Folder(subject, session, entry.name, place, files)
        else:
            n_images = sum(bool(split_extension(e.name)[1]) for e in _entries(entry.path))
            if n_images:
                yield Stray(place, f"{n_images} images: folder {entry.name!r} is not read")


def _entries(path: Path | str) -> list[os.DirEntry[str]]:
    """Visible entries of a folder, sorted by name."""
    with os.scandir(path) as found:
        return sorted((e for e in found if e.name[0] != "."), key=_name)


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def state_of(entry: os.DirEntry[str]) -> FileState:
    """Whether a file can be an image, from its size and, if small, its first bytes.

    Returns
    -------
    FileState
        The reasons read as those of :class:`~cordcohort.errors.ImageError`.
    """
    try:
        stat = entry.stat()
    except OSError:
        came = "a broken link" if entry.is_symlink() else "an unreadable entry"
        return FileState(None, None, "failed", _reason(entry, "missing", "a file", came, _FETCH))
    reason = ""
    if not S_ISREG(stat.st_mode):
        reason = _reason(entry, "unreadable", "a file", "a folder or device", "remove or rename it")
    elif stat.st_size < SMALL_BYTES:
        reason = _reason_small(entry, stat.st_size)
    return FileState(stat.st_size, stat.st_mtime_ns, "failed" if reason else "ok", reason)


def _reason_small(entry: os.DirEntry[str], size: int) -> str:
    """Why a file of less than a kilobyte is no image, or an empty text."""
    if size == 0:
        return _reason(entry, "empty", "an image", "a file of 0 bytes", _COPY)
    try:
        handle = os.open(entry.path, os.O_RDONLY)
        try:
            start = os.read(handle, SMALL_BYTES)
        finally:
            os.close(handle)
    except OSError as error:
        return _reason(entry, "unreadable", "a readable file", str(error.strerror), _COPY)
    if b"annex/objects" in start:
        return _reason(entry, "pointer", "an image", "an unfetched git-annex pointer", _FETCH)
    if start[:2] != b"\x1f\x8b" and size < NIFTI_HEADER_BYTES:
        return _reason(entry, "truncated", "at least 348 bytes", f"{size}", _COPY)
    return ""


def _reason(entry: os.DirEntry[str], code: str, expected: str, came: str, way_out: str) -> str:
    return ImageError(entry.path, code, expected, came, way_out).reason
