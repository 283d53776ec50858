"""Which scans are followed from an earlier session, and what that job reads."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

from cordcohort import scan as paths

RULE = "followup"
KIND = "followup"
_SAME = ("dataset", "subject", "acquisition", "run", "contrast")


def earlier_scans(rows: Iterable[paths.Row]) -> dict[str, paths.Row]:
    """The scan of the session before, for every scan that has one, by :func:`scan_id`.

    Sessions follow one another in the order of their labels (numbers by value). The scans compared
    have the same acquisition, run and contrast.

    Examples
    --------
    >>> row = {"dataset": "a", "subject": "01", "acquisition": "", "run": "", "contrast": "T2w"}
    >>> rows = [row | {"session": s, "folder": f"sub-01/ses-{s}/anat", "stem": f"sub-01_ses-{s}"}
    ...         for s in ("10", "9")]
    >>> found = earlier_scans(rows)
    >>> [(name[-6:], one["session"]) for name, one in found.items()]
    [('ses-10', '9')]
    """
    series: dict[tuple[str, ...], list[paths.Row]] = {}
    for row in rows:
        series.setdefault(tuple(str(row[c]) for c in _SAME), []).append(row)
    found: dict[str, paths.Row] = {}
    for members in series.values():
        in_order = sorted(members, key=_session_order)
        for before, after in itertools.pairwise(in_order):
            found[paths.scan_id(after)] = before
    return found


def _session_order(row: paths.Row) -> list[tuple[int, int, str]]:
    """Digits by their value, other characters as they are."""
    parts = re.findall(r"\d+|\D+", str(row["session"]))
    return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts]
