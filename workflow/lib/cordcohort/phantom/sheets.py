"""Sheets of a phantom study: tab-separated text, the same bytes for the same values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cordcohort.files import write_text


def write_tsv(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as a tab-separated sheet; the first row gives the columns.

    Parameters
    ----------
    path : Path
        The file; folders are made.
    rows : iterable of mappings
        A key that a row lacks is written `n/a`. Numbers with a fraction get 10 significant digits.
    """
    held = list(rows)
    names = list(held[0]) if held else []
    lines = ["\t".join(names)]
    lines += ["\t".join(_cell(row.get(name, "n/a")) for name in names) for row in held]
    write_text(path, "\n".join(lines) + "\n")


def _cell(value: object) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)
