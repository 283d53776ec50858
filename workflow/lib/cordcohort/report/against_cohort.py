"""A subject's numbers against the cohort's: median, range, and how unusual a value is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from cordcohort.measures.catalogue import measures_of
from cordcohort.table import SCAN_KEY

Record = dict[str, Any]

MEASURE_KEY = ["contrast", "method", "reference", "structure", "measure", "statistic", "unit"]
SUMMARY_STATISTICS = ("", "mean")
OF_THE_SCAN = ("scored_slices_n", "both_voxels_n", "mask_voxels_n", "reference_voxels_n")
"""Counts that tell how much of a person was scanned or drawn, and nothing of the mask."""
CHANCE = 0.05  # of any mark in a whole study without outliers
# Tails of a normal value's distance in robust SD follow Student's t of half the degrees of freedom
# of the ordinary SD (or thinner: 0.46 to 0.67 in 400,000 simulated values for n from 5 to 100).
_DF_SHARE = 0.5
MIN_COHORT = 5  # fewer values make no cohort to be compared with
_MAD_TO_SD = 1.4826  # of a normal distribution
_IQR_TO_SD = 1.349  # quartiles of a normal distribution are this many SD apart
_ROUNDING = 1e-6
_RANGE = (0.05, 0.95)
_STRIP_MARGIN = 0.05


def whole_scan_values(measures: pd.DataFrame) -> pd.DataFrame:
    """The rows that describe a whole scan by one number: no levels, no lesions, no spread."""
    return measures[
        (measures["level_kind"] == "")
        & (measures["object"] == "")
        & measures["statistic"].isin(SUMMARY_STATISTICS)
    ]


def scan_values(measures: pd.DataFrame) -> pd.DataFrame:
    """As :func:`whole_scan_values`, with the sums and largest values over the lesions of a scan."""
    of_lesions = {m.name: m.reduce for m in measures_of("lesion") if m.reduce}
    lesions = measures[
        (measures["statistic"] == measures["measure"].map(of_lesions)) & (measures["object"] == "")
    ]
    return pd.concat([whole_scan_values(measures), lesions]).sort_index()


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
        ``MEASURE_KEY`` and ``n, median, low, high, low_end, high_end, robust_sd, n_compared``.

    Notes
    -----
    The robust SD is the larger of 1.4826 times the median absolute deviation and 0.7413 times the
    interquartile range: either alone is small by chance in a small cohort. ``n_compared`` is how
    many values of the whole study are compared with their cohort.
    """
    used = used_values(scan_values(measures))
    groups = used.groupby(MEASURE_KEY, sort=True)["value"]
    table = groups.agg(n="size", median="median", low_end="min", high_end="max")
    table["low"] = groups.quantile(_RANGE[0])
    table["high"] = groups.quantile(_RANGE[1])
    medians = groups.transform("median")
    deviation = used.assign(value=(used["value"] - medians).abs())
    by_median = _MAD_TO_SD * deviation.groupby(MEASURE_KEY)["value"].median()
    by_quartiles = (groups.quantile(0.75) - groups.quantile(0.25)) / _IQR_TO_SD
    spread = by_median.combine(by_quartiles, max)
    # Values that are equal but for rounding (distances on a voxel grid) have no spread.
    # Sums over lesions are far from normal, so none of them can be told to be unusual.
    alike = table.index.get_level_values("statistic").isin(SUMMARY_STATISTICS)
    alike &= ~table.index.get_level_values("measure").isin(OF_THE_SCAN)
    known = alike & (spread > _ROUNDING * table["median"].abs())
    table["robust_sd"] = spread.where(known, 0.0)
    comparable = (table["n"] >= MIN_COHORT) & (table["robust_sd"] > 0)
    table["n_compared"] = int(table.loc[comparable, "n"].sum())
    return table.reset_index()


def against(measures: pd.DataFrame, ranges: pd.DataFrame) -> pd.DataFrame:
    """Values of scans with the cohort's range, their robust distance and how unusual that is.

    Parameters
    ----------
    measures : DataFrame
        Long table rows.
    ranges : DataFrame
        From :func:`cohort_ranges`.

    Returns
    -------
    DataFrame
        The rows with the columns of ``ranges`` and ``z`` (distance from the median in robust SD),
        ``p`` (chance of such a distance in a normal cohort of this size) and ``unusual``.

    Notes
    -----
    Where hundreds of values are compared, some lie far out in every cohort. A value is marked as
    unusual when ``p`` times the number of values compared in the study is below 0.05 (Bonferroni):
    one study in twenty without outliers shows any mark. Values outside the 5th to 95th percentile
    only can be marked. ``z`` and ``p`` are missing where fewer than five scans make the cohort or
    their spread is zero, and for a value that does not count (failed, excluded).
    """
    joined = scan_values(measures).merge(ranges, on=MEASURE_KEY, how="left")
    spread = joined["robust_sd"].to_numpy(dtype=float)
    n = joined["n"].fillna(0).to_numpy(dtype=float)
    fine = joined["flag"].isin(("", "warning")).to_numpy()
    distance = (joined["value"] - joined["median"]).to_numpy(dtype=float)
    known = (n >= MIN_COHORT) & (spread > 0) & fine
    z = np.full(len(joined), np.nan)
    z[known] = distance[known] / spread[known]
    p = 2 * student.sf(np.abs(z), np.maximum(_DF_SHARE * (n - 1), _DF_SHARE))
    outside = (joined["value"] < joined["low"]) | (joined["value"] > joined["high"])
    rare = p * joined["n_compared"].to_numpy(dtype=float) < CHANCE
    return joined.assign(z=z, p=p, unusual=rare & outside.to_numpy(dtype=bool))


def most_unusual(compared: pd.DataFrame, by: Sequence[str] = tuple(SCAN_KEY)) -> pd.DataFrame:
    """The most unusual value of every scan, or of every mask, the most unusual first.

    Parameters
    ----------
    compared : DataFrame
        From :func:`against`.
    by : sequence of str
        Columns that name what is ranked.

    Returns
    -------
    DataFrame
        The row of the smallest ``p`` of each, with ``chance``: of so small a ``p`` among as many
        values as this one has (Sidak). It ranks scans with many measures and with few alike.
    """
    known = compared.dropna(subset=["p"])
    n_values = known.groupby(list(by))["p"].transform("size").to_numpy(dtype=float)
    p = known["p"].to_numpy(dtype=float)
    known = known.assign(chance=-np.expm1(n_values * np.log1p(-np.minimum(p, 1 - 1e-12))))
    order = known.assign(far=-known["z"].abs()).sort_values(["chance", "far", *by], kind="stable")
    return order.drop(columns="far").drop_duplicates(list(by)).reset_index(drop=True)


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
