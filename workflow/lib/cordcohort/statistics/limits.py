"""Limits of agreement: bias, spread and the range that holds 95 % of normal differences.

The one place for them: the analyses and the figures of the report take them from here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from cordcohort.statistics.intervals import CONFIDENCE

LIMIT_SD = 1.96  # 95 % of a normal distribution
MIN_FOR_LIMITS = 3


@dataclass(frozen=True)
class Limits:
    """Bias and limits of agreement, in the unit of the measure.

    Parameters
    ----------
    bias, sd : float
        Mean and SD of the differences.
    low, high : float
        ``bias -+ 1.96 SD``.
    half_width : float
        Half width of the 95 % interval of each limit; NaN below ``MIN_FOR_LIMITS`` differences.
    """

    bias: float
    sd: float
    low: float
    high: float
    half_width: float


def limits_around(bias: float, sd: float, n: int = 0) -> Limits:
    """Limits of agreement from a bias and an SD that are known already.

    Parameters
    ----------
    bias, sd : float
    n : int
        Number of independent differences, for the interval of the limits:
        ``SE = SD sqrt(1/n + 1.96^2 / (2 (n - 1)))``.
    """
    half = math.nan
    if n >= MIN_FOR_LIMITS:
        quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1))
        half = quantile * sd * math.sqrt(1 / n + LIMIT_SD**2 / (2 * (n - 1)))
    return Limits(bias, sd, bias - LIMIT_SD * sd, bias + LIMIT_SD * sd, half)


def limits_of_agreement(differences: np.ndarray, ddof: int = 1) -> Limits:
    """Limits of agreement of independent differences.

    Parameters
    ----------
    differences : array (n,)
        One a pair, finite.
    ddof : int
        1 for the sample SD, 0 for the population SD.

    Reference: Bland JM, Altman DG. Lancet 1986;327:307-310.

    Examples
    --------
    >>> found = limits_of_agreement(np.array([1.0, 2.0, 3.0]))
    >>> found.bias, found.sd, found.low, found.high
    (2.0, 1.0, 0.040000000000000036, 3.96)
    """
    n = len(differences)
    bias = float(np.sort(differences).mean()) if n else math.nan
    sd = float(np.sort(differences).std(ddof=ddof)) if n > 1 else math.nan
    return limits_around(bias, sd, n)
