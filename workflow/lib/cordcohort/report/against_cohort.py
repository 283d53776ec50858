"""A subject's numbers against the cohort's: median, range, and how unusual a value is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from cordcohort.table import SCAN_KEY

Record = dict[str, Any]

MEASURE_KEY = ["contrast", "method", "reference", "structure", "measure", "statistic", "unit"]
SUMMARY_STATISTICS = ("", "mean")
UNUSUAL_Z = 3.5  # Iglewicz and Hoaglin 1993
MIN_COHORT = 5  # fewer values make no cohort to be compared with
_MAD_TO_SD = 1.4826  # of a normal distribution
_IQR_TO_SD = 1.349  # quartiles of a normal distribution are this many SD apart
_RANGE = (0.05, 0.95)
_STRIP_MARGIN = 0.05


def whole_scan_values(measures: pd.DataFrame) -> pd.DataFrame:
    """The rows that describe a whole scan by one number: no levels, no lesions, no spread."""
    return measures[
        (measures["level_kind"] == "")
        & (measures["object"] == "")
        & measures["statistic"].isin(SUMMARY_STATISTICS)
    ]


def used_values(measures: pd.DataFrame) -> pd.DataFrame:
    """Values that count: finite, not failed, not undefined, not excluded."""
    fine = ~measures["flag"].isin(("failed", "undefined", "excluded"))
    return measures[fine & np.isfinite(measures["value"].to_numpy(dtype=float))]


def cohort_ranges(measures: pd.DataFrame) -> pd.DataFrame:
    """Median, 5th and 95th percentile and robust SD of every measure over the cohort's scans.

    Parameters
    ----------
    measures : DataFrame
        Long table of whole-scan values.

    Returns
    -------
    DataFrame
        ``MEASURE_KEY`` and ``n, median, low, high, low_end, high_end, robust_sd``.

    Notes
    -----
    The robust SD is the larger of 1.4826 times the median absolute deviation and 0.7413 times the
    interquartile range: either alone is small by chance in a small cohort. A value is called
    unusual when it lies more than 3.5 robust SD from the median (:func:`against`).

    References
    ----------
    Iglewicz B, Hoaglin DC. How to detect and handle outliers. ASQC Quality Press, 1993.
    """
    used = used_values(whole_scan_values(measures))
    groups = used.groupby(MEASURE_KEY, sort=True)["value"]
    table = groups.agg(n="size", median="median", low_end="min", high_end="max")
    table["low"] = groups.quantile(_RANGE[0])
    table["high"] = groups.quantile(_RANGE[1])
    medians = groups.transform("median")
    deviation = used.assign(value=(used["value"] - medians).abs())
    by_median = _MAD_TO_SD * deviation.groupby(MEASURE_KEY)["value"].median()
    by_quartiles = (groups.quantile(0.75) - groups.quantile(0.25)) / _IQR_TO_SD
    table["robust_sd"] = np.maximum(by_median, by_quartiles)
    return table.reset_index()


def against(measures: pd.DataFrame, ranges: pd.DataFrame) -> pd.DataFrame:
    """Whole-scan values with the cohort's range beside, the robust distance, and what is unusual.

    A value is unusual when ``z``, its robust distance, is beyond 3.5 and it lies outside the 5th
    to 95th percentile too.

    ``z`` is missing where fewer than five scans make the cohort or their spread is zero; a value
    that does not count (failed, excluded) has none either.
    """
    joined = whole_scan_values(measures).merge(ranges, on=MEASURE_KEY, how="left")
    spread = joined["robust_sd"].to_numpy(dtype=float)
    enough = (joined["n"].fillna(0).to_numpy(dtype=float) >= MIN_COHORT) & (spread > 0)
    fine = joined["flag"].isin(("", "warning")).to_numpy()
    distance = (joined["value"] - joined["median"]).to_numpy(dtype=float)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(enough & fine, distance / np.where(spread > 0, spread, np.nan), np.nan)
    outside = (joined["value"] < joined["low"]) | (joined["value"] > joined["high"])
    return joined.assign(z=z, unusual=(np.abs(z) > UNUSUAL_Z) & outside.to_numpy(dtype=bool))


def largest_z(compared: pd.DataFrame) -> pd.DataFrame:
    """The most unusual value of every scan: scan key, ``z`` and the ``measure`` it belongs to."""
    known = compared.dropna(subset=["z"])
    order = known["z"].abs().sort_values(ascending=False, kind="stable").index
    columns = [*SCAN_KEY, "z", "measure", "structure", "method"]
    return known.loc[order, columns].drop_duplicates(SCAN_KEY)


def strip(row: Record, width: float) -> Record | None:
    """Places on a strip of ``width`` pixels: range, median and value; ``None`` without a cohort.

    Examples
    --------
    >>> row = dict(value=5.0, low_end=0.0, high_end=10.0, low=1.0, high=9.0, median=5.0, n=9)
    >>> strip(row, 110)["value"]
    55.0
    """
    if not row["n"] >= MIN_COHORT or not np.isfinite(row["value"]):
        return None
    low, high = min(row["low_end"], row["value"]), max(row["high_end"], row["value"])
    span = (high - low) or 1.0
    inner = width * (1 - 2 * _STRIP_MARGIN)

    def place(value: float) -> float:
        return round(width * _STRIP_MARGIN + (value - low) / span * inner, 1)

    return {
        "low": place(row["low"]),
        "range": round(place(row["high"]) - place(row["low"]), 1),
        "median": place(row["median"]),
        "value": place(row["value"]),
    }
