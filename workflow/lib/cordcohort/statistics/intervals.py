"""Intervals: bootstrap by the independent unit, Student and Fisher forms."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import TypeVar

import numpy as np
from scipy import stats

DEFAULT_SEED = 20240229
DEFAULT_RESAMPLES = 2000
CONFIDENCE = 0.95
MIN_UNITS_BOOTSTRAP = 3
MAX_DRAWS = 500_000  # values drawn at most in one interval; large samples need fewer resamples
MIN_RESAMPLES = 200
PERFECT_TOLERANCE = 1e-12
MAX_REMEMBERED = 4096
Result = TypeVar("Result")


@dataclass(frozen=True)
class Interval:
    """A two-sided interval and how it was made; NaN bounds say why in ``method``."""

    low: float
    high: float
    method: str


NO_INTERVAL = Interval(math.nan, math.nan, "none")


def remembered(
    function: Callable[..., Result], most: int = MAX_REMEMBERED
) -> Callable[..., Result]:
    """Remember what a function gave for the same arrays: seeds are fixed, so it is the same again.

    An analysis that is repeated without each site asks for the intervals of all the other sites
    again and again.

    Parameters
    ----------
    function : callable
        Of arrays and of plain values; what it gives is not changed by anyone.
    most : int
        The latest so many results are kept.

    Examples
    --------
    >>> calls = []
    >>> @remembered
    ... def total(values):
    ...     calls.append(len(values))
    ...     return float(values.sum())
    >>> total(np.ones(3)), total(np.ones(3)), total(np.zeros(3)), calls
    (3.0, 3.0, 0.0, [3, 3])
    """
    known: OrderedDict[tuple[object, ...], Result] = OrderedDict()

    @wraps(function)
    def looked_up(*arguments: np.ndarray | float) -> Result:
        key = tuple(
            (a.shape, a.dtype.str, a.tobytes()) if isinstance(a, np.ndarray) else a
            for a in arguments
        )
        if key not in known:
            known[key] = function(*arguments)
            if len(known) > most:
                known.popitem(last=False)
        return known[key]

    return looked_up


def bootstrap_interval(
    data: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    *,
    unit: str = "person",
    seed: int = DEFAULT_SEED,
    n_resamples: int = DEFAULT_RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Percentile bootstrap over independent units.

    Parameters
    ----------
    data : array (n,) or (n, k)
        One row a unit.
    statistic : callable
        From an array ``(n_resamples, n, ...)`` to ``(n_resamples,)``.
    unit : str
        What is resampled, for the text.
    seed : int
        The same data and seed give the same interval.
    n_resamples : int
        Fewer are drawn when the sample is large (at most ``MAX_DRAWS`` values).
    confidence : float
        Between 0 and 1.

    Examples
    --------
    >>> data = np.arange(10.0)
    >>> interval = bootstrap_interval(data, means_of_resamples)
    >>> bool(interval.low < 4.5 < interval.high), interval.method
    (True, 'bootstrap by person (2000)')
    """
    n_units = len(data)
    if n_units < MIN_UNITS_BOOTSTRAP:
        return Interval(math.nan, math.nan, f"none: fewer than {MIN_UNITS_BOOTSTRAP} {unit}s")
    n_drawn = int(max(MIN_RESAMPLES, min(n_resamples, MAX_DRAWS // n_units)))
    values = statistic(data[_picks(seed, n_drawn, n_units)])
    values = values[np.isfinite(values)]
    if len(values) < n_drawn // 2:
        return Interval(math.nan, math.nan, "none: undefined in most resamples")
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(float(low), float(high), f"bootstrap by {unit} ({n_drawn})")


@lru_cache(maxsize=4)  # the strata of an analysis mostly have the same number of units
def _picks(seed: int, n_drawn: int, n_units: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, n_units, size=(n_drawn, n_units))


def means_of_resamples(resamples: np.ndarray) -> np.ndarray:
    """Mean of each resample, for :func:`bootstrap_interval`."""
    return resamples.mean(axis=1)


def mean_interval(mean: float, sd: float, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Student interval of a mean; ``sd`` with ddof 1.

    Examples
    --------
    >>> round(mean_interval(0.0, 1.0, 4).high, 4)
    1.5912
    """
    if n < 2 or not math.isfinite(sd):  # noqa: PLR2004 - a spread needs two values
        return NO_INTERVAL
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * sd / math.sqrt(n)
    return Interval(mean - half, mean + half, "Student t")


def fisher_interval(
    rho: float, n: int, *, n_covariates: int = 0, confidence: float = CONFIDENCE
) -> Interval:
    """Interval of a Spearman correlation by Fisher's z with the variance of Bonett and Wright.

    ``z = atanh(rho)``, ``SE = sqrt((1 + rho^2 / 2) / (n - 3))``.

    Reference: Bonett DG, Wright TA. Psychometrika 2000;65:23-28.

    Examples
    --------
    >>> interval = fisher_interval(0.5, 28)
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.1327, 0.7465)
    """
    free = n - n_covariates - 3
    if free < 1 or not math.isfinite(rho):
        return Interval(math.nan, math.nan, "none: too few pairs")
    if abs(rho) > 1 - PERFECT_TOLERANCE:
        return Interval(math.nan, math.nan, "none: perfect correlation")
    half = float(stats.norm.ppf((1 + confidence) / 2)) * math.sqrt((1 + rho**2 / 2) / free)
    z = math.atanh(rho)
    return Interval(math.tanh(z - half), math.tanh(z + half), "Fisher z (Bonett-Wright)")
