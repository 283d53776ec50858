"""Other scans of a session that may lend a scan their levels."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

LEVEL_STRUCTURES = ("discs", "vertebrae", "pmj", "rootlets", "spinal")
SHOWN = ("folder", "stem", "datatype", "contrast", "status")


def add_peers(scans: Iterable[dict[str, Any]]) -> None:
    """Fill in the column ``peers``: JSON text, a list of the other scans of the session.

    Each has its ``folder, stem, datatype, contrast, status`` and ``labels``, its labels of discs,
    vertebrae, rootlets, spinal levels and the PMJ as in the column ``masks``.

    Parameters
    ----------
    scans : iterable of dict
        Rows of the index, with their ``masks`` as text; changed in place.

    Examples
    --------
    >>> row = {"dataset": "a", "subject": "01", "session": "", "folder": "sub-01/anat",
    ...        "datatype": "anat", "contrast": "", "status": "ok", "masks": "[]"}
    >>> rows = [row | {"stem": "sub-01_T1w"}, row | {"stem": "sub-01_T2w"}]
    >>> add_peers(rows)
    >>> [peer["stem"] for peer in json.loads(rows[0]["peers"])]
    ['sub-01_T2w']
    """
    sessions: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in scans:
        key = (str(row["dataset"]), str(row["subject"]), str(row["session"]))
        sessions.setdefault(key, []).append(row)
    for members in sessions.values():
        shown = [_shown(row) for row in members]
        for n, row in enumerate(members):
            others = shown[:n] + shown[n + 1 :]
            row["peers"] = json.dumps(others, sort_keys=True) if others else ""


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    masks = json.loads(row["masks"]) if row["masks"] else []
    labels = [mask for mask in masks if mask["structure"] in LEVEL_STRUCTURES]
    return {column: row[column] for column in SHOWN} | {"labels": labels}
