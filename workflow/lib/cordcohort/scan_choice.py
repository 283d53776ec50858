"""Which scans a declaration means: by data set, site, acquisition and contrast."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cordcohort.scan import Row

Selectors = Sequence[Mapping[str, Sequence[str]]]

COLUMN_OF = {
    "datasets": "dataset", "sites": "site", "acquisitions": "acquisition",
    "contrasts": "contrast",
}  # fmt: skip
"""Keys by which scans are named, and the column of the index that each is about."""


def is_selected(row: Row, selectors: Iterable[Mapping[str, Sequence[str]]]) -> bool:
    """Whether one of some selectors takes a scan; a key that is not given takes all.

    Examples
    --------
    >>> row = {"dataset": "a", "site": "x", "acquisition": "ax", "contrast": "T2w"}
    >>> is_selected(row, [{"sites": ["x"], "acquisitions": ["acq-ax"]}]), is_selected(row, [])
    (True, False)
    """
    return any(
        all(str(row[COLUMN_OF[key]]) in _labels(key, asked) for key, asked in one.items() if asked)
        for one in selectors
    )


def _labels(key: str, asked: Sequence[str]) -> list[str]:
    """Labels as the index has them: acquisitions may be written as in file names."""
    return [text.removeprefix("acq-") if key == "acquisitions" else text for text in asked]
