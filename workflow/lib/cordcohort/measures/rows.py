"""Rows of the long table that every kind of measure makes alike: failures, bounds, statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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
ONE_VALUE = "one value has no SD"


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


def undefined_rows(
    kind: str, base: Mapping[str, Any], reason: str, n_voxels: int = 0, statistic: str = "mean"
) -> list[Row]:
    """One row without value for each measure of a kind, where it is not defined."""
    return [
        dict(base)
        | valued(measure, NAN, "undefined", reason)
        | {"statistic": "sum" if measure.reduce == "sum" else statistic, "n_voxels": n_voxels}
        for measure in measures_of(kind)
        if measure.name not in SOFT_MASKS_ONLY
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
