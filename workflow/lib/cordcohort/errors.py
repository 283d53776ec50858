"""Errors that a person can act on: what was expected, what came, the way out, in one line."""

from __future__ import annotations

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
        text = f"{where}: {key}: expected {expected}, got {value!r}; {way_out}"
        super().__init__(_one_line(text))


class SheetError(CordcohortError):
    """A table (participants.tsv, phenotype, external measures) that cannot be used."""

    def __init__(self, path: Path | str, expected: str, came: str, way_out: str) -> None:
        self.path = Path(path)
        super().__init__(_one_line(f"{path}: expected {expected}, got {came}; {way_out}"))
