"""Intraclass correlation by analysis of variance: one-way (any numbers of repeats) and two-way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from cordcohort.statistics.intervals import CONFIDENCE, Interval

FORMS = ("one_way", "agreement", "consistency")
NAMES = {"one_way": "ICC(1,1)", "agreement": "ICC(A,1)", "consistency": "ICC(C,1)"}
MEAN_NAMES = {"one_way": "ICC(1,k)", "agreement": "ICC(A,k)", "consistency": "ICC(C,k)"}
_UPPER = (1 + CONFIDENCE) / 2


@dataclass(frozen=True)
class Icc:
    """One intraclass correlation with its analysis of variance.

    Parameters
    ----------
    value : float
        Between -1/(k - 1) and 1.
    interval : Interval
        95 %, from the F distribution.
    f, df1, df2, p : float
        Test against zero.
    ms_between, ms_error : float
        Mean squares of targets, and of the residual (within targets for the one-way form).
    k : float
        Repeats a target; for unequal numbers the ``n0`` of the one-way analysis.
    """

    value: float
    interval: Interval
    f: float
    df1: float
    df2: float
    p: float
    ms_between: float
    ms_error: float
    k: float


def one_way(values: np.ndarray, target: np.ndarray) -> Icc:
    """ICC(1,1) of targets with any numbers of repeats.

    ``ICC = (MSB - MSW) / (MSB + (n0 - 1) MSW)`` with ``n0 = (N - sum(n_i^2) / N) / (k - 1)``.
    The interval is exact for equal numbers and approximate (with ``n0``) otherwise.

    Parameters
    ----------
    values : array (N,)
    target : array (N,) of int
        Codes 0 ... k - 1, each present.

    References
    ----------
    McGraw KO, Wong SP. Psychological Methods 1996;1:30-46. Searle SR. Linear Models, 1971, ch. 9.

    Examples
    --------
    >>> icc = one_way(np.array([1.0, 2, 3, 5, 6, 6]), np.array([0, 0, 1, 1, 2, 2]))
    >>> round(float(icc.value), 4), icc.k
    (0.8485, 2.0)
    """
    n_each = np.bincount(target).astype(float)
    n_all, n_targets = float(n_each.sum()), len(n_each)
    means = np.bincount(target, weights=values) / n_each
    grand = values.mean()
    ms_between = float((n_each * (means - grand) ** 2).sum()) / (n_targets - 1)
    df_within = n_all - n_targets
    ms_within = float(((values - means[target]) ** 2).sum()) / df_within
    n0 = (n_all - (n_each**2).sum() / n_all) / (n_targets - 1)
    value = _ratio(ms_between - ms_within, ms_between + (n0 - 1) * ms_within)
    f = _ratio(ms_between, ms_within)
    equal = bool((n_each == n_each[0]).all())
    method = "F" if equal else "F with n0 (approximate, unequal repeats)"
    interval = _f_interval(f, (n_targets - 1, df_within), n0, method)
    p = float(stats.f.sf(f, n_targets - 1, df_within))
    return Icc(value, interval, f, n_targets - 1, df_within, p, ms_between, ms_within, float(n0))


def two_way(table: np.ndarray, form: str) -> Icc:
    """ICC(A,1) or ICC(C,1) of a complete table.

    Parameters
    ----------
    table : array (n_targets, k)
        No missing values.
    form : {'agreement', 'consistency'}
        Whether differences between the columns (sessions, raters) count.

    References
    ----------
    McGraw KO, Wong SP. Psychological Methods 1996;1:30-46, table 7.
    """
    n, k = table.shape
    grand, rows, columns = table.mean(), table.mean(axis=1), table.mean(axis=0)
    ms_rows = k * float(((rows - grand) ** 2).sum()) / (n - 1)
    ms_columns = n * float(((columns - grand) ** 2).sum()) / (k - 1)
    residual = table - rows[:, None] - columns + grand
    df_error = (n - 1) * (k - 1)
    ms_error = float((residual**2).sum()) / df_error
    f = _ratio(ms_rows, ms_error)
    p = float(stats.f.sf(f, n - 1, df_error))
    if form == "consistency":
        value = _ratio(ms_rows - ms_error, ms_rows + (k - 1) * ms_error)
        interval = _f_interval(f, (n - 1, df_error), float(k), "F")
    else:
        spread = ms_rows + (k - 1) * ms_error + k / n * (ms_columns - ms_error)
        value = _ratio(ms_rows - ms_error, spread)
        interval = _agreement_interval((n, k), (ms_rows, ms_columns, ms_error), value)
    return Icc(value, interval, f, n - 1, df_error, p, ms_rows, ms_error, float(k))


def of_mean(icc: Icc) -> Icc:
    """The same form for the mean of ``k`` repeats (Spearman-Brown).

    Examples
    --------
    >>> single = Icc(0.5, Interval(0.2, 0.8, "F"), 3.0, 4, 5, 0.1, 3.0, 1.0, 2.0)
    >>> round(of_mean(single).value, 4)
    0.6667
    """
    low, high = (_step_up(b, icc.k) for b in (icc.interval.low, icc.interval.high))
    interval = Interval(low, high, icc.interval.method)
    return Icc(_step_up(icc.value, icc.k), interval, icc.f, icc.df1, icc.df2, icc.p,
               icc.ms_between, icc.ms_error, icc.k)  # fmt: skip


def _step_up(value: float, k: float) -> float:
    return _ratio(k * value, 1 + (k - 1) * value)


def _ratio(above: float, below: float) -> float:
    if below == 0:
        return math.inf if above > 0 else math.nan
    return above / below


def _f_interval(f: float, df: tuple[float, float], k: float, method: str) -> Interval:
    if not math.isfinite(f):
        return Interval(math.nan, math.nan, "none: no variance within targets")
    low = f / float(stats.f.ppf(_UPPER, df[0], df[1]))
    high = f * float(stats.f.ppf(_UPPER, df[1], df[0]))
    return Interval((low - 1) / (low + k - 1), (high - 1) / (high + k - 1), method)


def _agreement_interval(
    shape: tuple[int, int], mean_squares: tuple[float, float, float], value: float
) -> Interval:
    n, k = shape
    ms_rows, ms_columns, ms_error = mean_squares
    if not math.isfinite(value) or value >= 1:
        return Interval(math.nan, math.nan, "none: no variance within targets")
    a = k * value / (n * (1 - value))
    b = 1 + k * value * (n - 1) / (n * (1 - value))
    spread = (a * ms_columns) ** 2 / (k - 1) + (b * ms_error) ** 2 / ((n - 1) * (k - 1))
    if spread == 0:
        return Interval(math.nan, math.nan, "none: no variance within targets")
    df = (a * ms_columns + b * ms_error) ** 2 / spread
    f_low = float(stats.f.ppf(_UPPER, n - 1, df))
    f_high = float(stats.f.ppf(_UPPER, df, n - 1))
    rest = k * ms_columns + (k * n - k - n) * ms_error
    low = n * (ms_rows - f_low * ms_error) / (f_low * rest + n * ms_rows)
    high = n * (f_high * ms_rows - ms_error) / (rest + n * f_high * ms_rows)
    return Interval(low, high, "F (McGraw-Wong)")
