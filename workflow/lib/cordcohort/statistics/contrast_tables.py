"""Tables of a multi-contrast study of the cord's area: how much it moves between contrasts.

====== ========================================== ===============================================
table  rows                                       columns
====== ========================================== ===============================================
CSA-1  participant (one table a method)           contrasts, mean and STD over them
CSA-2  method                                     CSA of each contrast, of all, and STD
CSA-3  method                                     absolute error to a reference method
CSA-4  pair of methods (a quantity and a family)  W, p, adjusted p (Wilcoxon, Bonferroni)
SEG-1  method (one block a data set)              Dice, RVE, surface distance
====== ========================================== ===============================================

*STD* is a participant's sample SD (ddof 1) of the area over the contrasts. Numbers between
participants come from those who have every contrast in every method that was supplied, so that all
methods are judged by the same people. Methods that are asked for but were not supplied stay as rows
with the status ``not supplied``.

References
----------
Bedard, Karthik et al. Towards contrast-agnostic soft segmentation of the spinal cord. Medical Image
Analysis 2025;101:103473. There each participant and contrast is a pair of its own in the tests of
the error (``UNIT_CONTRAST``); six contrasts of a person are not independent, so here the error is
averaged over a participant's contrasts first (``UNIT_PARTICIPANT``), unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cordcohort.statistics.contrast_values import (
    UNIT_PARTICIPANT,
    AreaQuery,
    absolute_errors,
    comparison_set,
    complete_values,
    contrast_stds,
    per_unit,
    supplied,
)
from cordcohort.statistics.spread import cell_means, grouped_spread

NOT_SUPPLIED = "not supplied"
NO_VALUE = "no value"
ALL = "all"
STD = "STD"
STD_PERCENT = "STD [%]"
SEGMENTATION_MEASURES = ("dice", "rve_percent", "asd_mm")
SUMMARY_COLUMNS = ["method", "column", "mean", "sd", "n", "status"]
MIN_SD_VALUES = 2


def csa_1(values: pd.DataFrame, query: AreaQuery, method: str) -> pd.DataFrame:
    """CSA-1: areas of each participant in each contrast, with mean and STD over the contrasts.

    Parameters
    ----------
    values : DataFrame
        From :func:`area_values`.
    query : AreaQuery
    method : str

    Returns
    -------
    DataFrame
        ``participant``, one column a contrast (NaN where missing), ``mean``, ``std`` (ddof 1; NaN
        below two contrasts), ``n_contrasts``, ``in_comparison``. No row if the method was not
        supplied.
    """
    own = values[values["method"] == method]
    wide = own.pivot(index="participant", columns="contrast", values="value")
    wide = wide.reindex(columns=list(query.contrasts)).sort_index()
    areas = wide.to_numpy(dtype=float)
    known = np.isfinite(areas)
    wide["mean"] = [_mean(row[k]) for row, k in zip(areas, known, strict=True)]
    wide["std"] = [_sd(row[k]) for row, k in zip(areas, known, strict=True)]
    wide["n_contrasts"] = known.sum(axis=1).astype(np.int64)
    out = wide.rename_axis(columns=None).reset_index()
    return out.assign(in_comparison=out["participant"].isin(comparison_set(values, query)))


def csa_2(values: pd.DataFrame, query: AreaQuery) -> pd.DataFrame:
    """CSA-2: mean and SD of the area by contrast, over all, and of the STD, for each method.

    Returns
    -------
    DataFrame
        ``SUMMARY_COLUMNS``; ``column`` is a contrast, ``all`` (participants and contrasts pooled),
        ``STD`` or ``STD [%]`` (of the participant's mean); ``sd`` has ddof 1; ``n`` counts values.
        Use :func:`laid_out` for the page.
    """
    complete = complete_values(values, query)
    shares = contrast_stds(complete, percent=True)
    parts = [
        _summary(complete.assign(column=complete["contrast"])),
        _summary(complete.assign(column=ALL)),
        _summary(contrast_stds(complete).assign(column=STD)),
        _summary(shares.assign(column=STD_PERCENT)),
    ]
    columns = [*query.contrasts, ALL, STD, STD_PERCENT]
    return _with_absent(pd.concat(parts), values, query.methods, columns)


def csa_3(
    values: pd.DataFrame, query: AreaQuery, reference: str, unit: str = UNIT_PARTICIPANT
) -> pd.DataFrame:
    """CSA-3: mean and SD of the absolute error to a reference method, overall and by contrast.

    Parameters
    ----------
    values : DataFrame
        From :func:`area_values`.
    query : AreaQuery
    reference : str
        A method, for example the soft ground truth.
    unit : {"participant", "participant x contrast"}
        What one value of the overall column is: a participant's mean over the contrasts, or each
        contrast of a participant (as published). The means agree; SD and ``n`` differ.

    Returns
    -------
    DataFrame
        ``SUMMARY_COLUMNS``; ``column`` is ``all`` or a contrast.
    """
    errors = absolute_errors(values, query, reference)
    overall = per_unit(errors, unit)
    parts = [
        _summary(overall.assign(column=ALL)),
        _summary(errors.assign(column=errors["contrast"])),
    ]
    others = [method for method in query.methods if method != reference]
    known = values if reference in set(values["method"]) else values.iloc[:0]
    return _with_absent(pd.concat(parts), known, others, [ALL, *query.contrasts])


def seg_1(
    rows: pd.DataFrame,
    methods: Sequence[str],
    measures: Sequence[str] = SEGMENTATION_MEASURES,
) -> pd.DataFrame:
    """SEG-1: overlap, volume error and surface distance of each method, by data set.

    Parameters
    ----------
    rows : DataFrame
        Usable rows of one structure and reference, with ``person_key``.
    methods : sequence of str
    measures : sequence of str

    Returns
    -------
    DataFrame
        ``dataset`` and ``SUMMARY_COLUMNS``; ``column`` is a measure, in the unit of its name. A
        participant's scans are averaged first; ``n`` counts participants. Relative volume errors
        are signed.
    """
    wanted = rows["method"].isin(methods) & rows["measure"].isin(measures)
    means = cell_means(rows[wanted], ["dataset", "person_key", "method", "measure"])
    parts: list[pd.DataFrame] = []
    for dataset in sorted(set(rows["dataset"])):
        own = means[means["dataset"] == dataset]
        table = _with_absent(_summary(own.assign(column=own["measure"])), own, methods, measures)
        parts.append(table.assign(dataset=dataset))
    if not parts:
        return pd.DataFrame(columns=["dataset", *SUMMARY_COLUMNS])
    return pd.concat(parts, ignore_index=True)[["dataset", *SUMMARY_COLUMNS]]


def laid_out(table: pd.DataFrame, digits: int = 2) -> pd.DataFrame:
    """The page's layout of a summary: a row a method, cells ``mean ± SD``.

    Parameters
    ----------
    table : DataFrame
        From :func:`csa_2`, :func:`csa_3` or :func:`seg_1`.
    digits : int
        Decimals.

    Examples
    --------
    >>> t = pd.DataFrame([["m", "T1w", 70.0, 2.0, 9, ""]], columns=SUMMARY_COLUMNS)
    >>> laid_out(t, 1).loc[0, "T1w"]
    '70.0 ± 2.0'
    """
    keys = [c for c in ("dataset", "method") if c in table]
    means, sds = (table[c].to_numpy(dtype=float) for c in ("mean", "sd"))
    cells = [
        str(status) or _cell(mean, sd, digits)
        for mean, sd, status in zip(means, sds, table["status"], strict=True)
    ]
    text = table.assign(cell=pd.Series(cells, index=table.index, dtype="str"))
    order = list(dict.fromkeys(table["column"]))
    rows = text[keys].drop_duplicates()
    wide = text.pivot(index=keys, columns="column", values="cell")[order].rename_axis(columns=None)
    return rows.merge(wide.reset_index(), on=keys, how="left").reset_index(drop=True)


def _summary(values: pd.DataFrame) -> pd.DataFrame:
    """Mean and sample SD of each method and column, over all its values that are known."""
    known = values[np.isfinite(values["value"])]
    spread = grouped_spread(known, ["method", "column"], ddof=1)
    return spread[["method", "column", "mean", "sd", "n"]].assign(status="")


def _with_absent(
    table: pd.DataFrame, values: pd.DataFrame, methods: Sequence[str], columns: Sequence[str]
) -> pd.DataFrame:
    """All methods and columns in their order; what is missing is an empty cell or a named row."""
    every = pd.MultiIndex.from_product([methods, columns], names=["method", "column"])
    out = table.set_index(["method", "column"]).reindex(every).reset_index()
    absent = ~out["method"].isin(supplied(values, methods))
    out["n"] = out["n"].fillna(0).astype(np.int64)
    out["status"] = np.select([absent, out["n"] == 0], [NOT_SUPPLIED, NO_VALUE], "")
    return out[SUMMARY_COLUMNS]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _sd(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if values.size >= MIN_SD_VALUES else float("nan")


def _cell(mean: float, sd: float, digits: int) -> str:
    if not np.isfinite(mean):
        return ""
    spread = f"{sd:.{digits}f}" if np.isfinite(sd) else "n/a"
    return f"{mean:.{digits}f} ± {spread}"
