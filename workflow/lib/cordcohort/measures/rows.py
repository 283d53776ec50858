"""Rows of the long table that every kind of measure makes alike: failures, bounds, statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cordcohort.measures.catalogue import measures_of
from cordcohort.measures.geometry import Floats
from cordcohort.measures.measure import Measure

Row = dict[str, Any]
NAN = float("nan")
SOFT_MASKS_ONLY = ("soft_dice",)
SD_DDOF = 1  # of every "sd" row: over slices for shape, over voxels for maps
BOUND_TOLERANCE = 1e-9
VERTEBRAL = "vertebral"
ONE_VALUE = "one value has no SD"


@dataclass(frozen=True)
class Group:
    """Slices that are summarised together: the scan, a level, or a range of levels.

    Attributes
    ----------
    level : str
        Name of the level or range; "" for the whole scan.
    slices : set of int
        Slice numbers that belong to it.
    reason : str
        What is missing, for example a level of a range.
    """

    level: str
    slices: frozenset[int]
    reason: str = ""

    @property
    def columns(self) -> dict[str, str]:
        """The long table's level columns."""
        return level_columns(self.level)


def level_columns(level: str) -> dict[str, str]:
    """Level columns of a slice, a level or a scan."""
    return {"level_kind": VERTEBRAL if level else "", "level": level}


def groups_of(
    slices: Floats | list[int], levels: Mapping[int, str], ranges: Mapping[str, list[str]]
) -> list[Group]:
    """The whole scan, each level that holds a slice, and each range that does.

    Parameters
    ----------
    slices : sequence of int
        Slices that hold the structure.
    levels : mapping
        Slice number to level.
    ranges : mapping
        Name of a range to the names of its levels.
    """
    present = [int(k) for k in slices]
    groups = [Group("", frozenset(present))]
    by_level: dict[str, set[int]] = {}
    for k in present:
        if k in levels:
            by_level.setdefault(levels[k], set()).add(k)
    groups += [Group(name, frozenset(ks)) for name, ks in sorted(by_level.items())]
    for name, members in ranges.items():
        inside = [by_level.get(level, set()) for level in members]
        if len(members) > 1 and any(inside):
            absent = [lv for lv, ks in zip(members, inside, strict=True) if not ks]
            reason = f"no slice at {', '.join(absent)}" if absent else ""
            groups.append(Group(name, frozenset().union(*inside), reason))
    return groups


def failed_rows(
    kind: str,
    base: Mapping[str, Any],
    reason: str,
    statistic: str = "",
    *,
    main_only: bool = False,
) -> list[Row]:
    """One row for each measure of a kind, with the keys that a success would have.

    Every measure, so that the count of failed scans is right whichever of them is analysed;
    ``main_only`` where some measures exist for some masks only.
    """
    return [
        dict(base)
        | valued(measure, NAN, "failed", reason)
        | {"statistic": "sum" if statistic and measure.reduce == "sum" else statistic}
        for measure in measures_of(kind)
        if measure.main or not (main_only or measure.name in SOFT_MASKS_ONLY)
    ]


def valued(measure: Measure, value: float, flag: str = "", reason: str = "") -> Row:
    """Measure, unit, value and flag of a row; a value beyond physical bounds becomes a warning."""
    row: Row = {"measure": measure.name, "unit": measure.unit, "value": value}
    slack = BOUND_TOLERANCE * max(1.0, abs(value))
    if not flag and not measure.low - slack <= value <= measure.high + slack:
        if np.isnan(value):
            flag = "undefined"
        else:
            flag, reason = "warning", _joined(reason, f"beyond {measure.low:g} to {measure.high:g}")
    elif not flag and reason:
        flag = "warning"
    return row | {"flag": flag, "reason": reason}


def summary_row(measure: Measure, statistic: str, value: float, note: str = "") -> Row:
    """A row of a statistic; bounds hold for means and medians, and one value has no spread."""
    if statistic == "sd" and np.isnan(value):
        return valued(measure, value, "undefined", _joined(note, ONE_VALUE)) | {"statistic": "sd"}
    if statistic in ("sd", "sum"):
        measure = replace(measure, low=-np.inf, high=np.inf)
    return valued(measure, value, "", note) | {"statistic": statistic}


def statistics_of(values: Floats) -> dict[str, float]:
    """Mean, SD (ddof 1; NaN below two values) and median of finite values."""
    return {
        "mean": float(values.mean()) if values.size else NAN,
        "sd": float(values.std(ddof=SD_DDOF)) if values.size > SD_DDOF else NAN,
        "median": float(np.median(values)) if values.size else NAN,
    }


def _joined(*reasons: str) -> str:
    return "; ".join(r for r in reasons if r)
