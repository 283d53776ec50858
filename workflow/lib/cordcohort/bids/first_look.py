"""What some data sets hold, seen before a study of them has a config."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cordcohort.bids.index import build_index, masks_of
from cordcohort.config import make_config
from cordcohort.errors import CordcohortError


@dataclass(frozen=True)
class Seen:
    """What data sets hold: contrasts of their scans, and whether a cord is drawn by hand."""

    contrasts: frozenset[str] = frozenset()
    manual_cord: bool = False


def look_at(folders: Sequence[Path]) -> Seen:
    """Look into data sets; nothing is seen where one cannot be read, which ``check`` explains."""
    named = [{"name": f"d{i}", "path": str(path.resolve())} for i, path in enumerate(folders)]
    try:
        content = {"study": {"name": "look"}, "datasets": named}
        scans = build_index(make_config(content, Path(), check=False)).scans
    except CordcohortError:
        return Seen()
    masks = masks_of(scans)
    drawn = (masks["method"] == "manual") & (masks["structure"] == "cord")
    return Seen(frozenset(scans["contrast"]), bool(drawn.any()))
