"""Files of a ranking: the table of ranks, and digests of every mask that was ever proposed."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from cordcohort.files import read_json

RANKS, PROPOSED, CORRECTED, EXPORT = (
    "ranks.tsv", "proposed.json", "corrected.tsv", "export.json",
)  # fmt: skip
YES, NO = "yes", "no"
EXPORTED, KEPT = "exported", "kept"


def chosen_scans(folder: Path) -> set[str]:
    """Scans that a ranking chose for correction."""
    with (folder / RANKS).open(encoding="utf-8", newline="") as handle:
        rows = csv.DictReader(handle, delimiter="\t")
        return {row["scan"] for row in rows if row["chosen"] == YES}


def proposed_digests(folder: Path) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Scan and structure to the digests of all masks that were proposed; empty before the first."""
    path = folder / PROPOSED
    return read_json(path) if path.is_file() else {}
