"""Errors that a person can act on: what was expected, what came, the way out, in one line."""

from __future__ import annotations

import errno
from pathlib import Path


class CordcohortError(Exception):
    """Base of every error that cordcohort raises on purpose; its text is one line."""


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


class ImageError(CordcohortError):
    """An image, mask or gradient file that cannot be used.

    Parameters
    ----------
    path : path or str
        The file.
    code : str
        Stable short name of the fault (``truncated``, ``other_grid`` ...), used to group failures.
    expected, came, way_out : str
        What a usable file has, what this one has, and what a person can do about it.
    """

    def __init__(self, path: Path | str, code: str, expected: str, came: str, way_out: str) -> None:
        self.path = Path(path)
        self.code = code
        self.expected = _one_line(expected)
        self.came = _one_line(came)
        self.way_out = _one_line(way_out)
        super().__init__(f"{self.path}: {self.reason}")

    @property
    def reason(self) -> str:
        """The fault without the folder, fit for a table or a shared report."""
        return f"[{self.code}] expected {self.expected}, got {self.came}; {self.way_out}"


class ConfigError(CordcohortError):
    """A configuration value that cannot be used, found before any job starts.

    Parameters
    ----------
    key : str
        Dotted path of the key, for example ``segmentation.batch_size``.
    value : object
        What was given.
    expected, way_out : str
        What is allowed, and what to change.
    where : str
        The file that holds the key.
    """

    def __init__(
        self, key: str, value: object, expected: str, way_out: str, where: str = "config"
    ) -> None:
        self.key = key
        self.value = value
        self.way_out = _one_line(way_out)
        text = f"{where}: {key}: expected {expected}, got {value!r}; {way_out}"
        super().__init__(_one_line(text))


class SheetError(CordcohortError):
    """A table (participants.tsv, phenotype, external measures) that cannot be used."""

    def __init__(self, path: Path | str, expected: str, came: str, way_out: str) -> None:
        self.path = Path(path)
        super().__init__(_one_line(f"{path}: expected {expected}, got {came}; {way_out}"))


class DamagedError(CordcohortError):
    """A file that cordcohort wrote is gone or has other bytes than when it was written.

    It says nothing about the data, so it stops a job instead of becoming a row of a table. The job
    removes :attr:`stale`, and the next run makes them anew.

    Parameters
    ----------
    path : path or str
        The file.
    came : str
        What is there instead.
    *records : path
        Files that must go as well, because the workflow looks at them to decide what to make.
    """

    def __init__(self, path: Path | str, came: str, *records: Path | str) -> None:
        self.path = Path(path)
        self.stale = (self.path, *(Path(record) for record in records))
        super().__init__(
            _one_line(
                f"{path}: expected the file as it was written, got {came}; "
                "run again: it is removed and made anew"
            )
        )


class GpuFullError(CordcohortError):
    """A GPU is full of what other programs hold, or has no room for a batch of a training.

    It says nothing about the data: another GPU, or the same one later, may have room. So it stops a
    job, to be tried again, instead of becoming a row of a table, as a scan does for which a GPU of
    its own has no room.
    """


_WAY_OUT = {
    errno.ENOSPC: "free space there and run again",
    errno.EDQUOT: "free space there or ask for a larger quota, and run again",
    errno.EROFS: "make the folder writable, or put the study elsewhere",
    errno.EACCES: "ask for the right to read and write there",
    errno.EPERM: "ask for the right to read and write there",
    errno.ENOENT: "was it moved or unmounted? bring it back and run again",
    errno.EIO: "the disk or the network failed; check it and run again",
    errno.ESTALE: "the network disk was lost; check it and run again",
}


def machine_fault(error: OSError) -> str:
    """One line for a fault of the machine: which file, what happened, the way out.

    Examples
    --------
    >>> machine_fault(OSError(28, "No space left on device", "results/a.json"))
    'results/a.json: No space left on device; free space there and run again'
    """
    where = error.filename if error.filename is not None else "a file of the study"
    way_out = _WAY_OUT.get(error.errno or 0, "mend it and run again")
    return _one_line(f"{where}: {error.strerror or error}; {way_out}")
