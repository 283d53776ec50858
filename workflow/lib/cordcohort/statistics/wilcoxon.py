"""Wilcoxon's signed-rank test: exact or normal, said; zeros and ties, said; an effect size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from cordcohort.statistics.boundary import statistic_and_p
from cordcohort.statistics.intervals import NO_INTERVAL, Interval, bootstrap_interval

MAX_EXACT = 50  # beyond, the normal approximation is good to three digits
_SIGNIFICANT_DIGITS = 10
MAX_EXACT_TIES = 13  # 2^13 sign patterns are enumerated when ranks are tied
ALPHA = 0.05
EXACT, EXACT_TIES, NORMAL = "exact", "exact by sign permutation", "normal approximation"


@dataclass(frozen=True)
class SignedRank:
    """Result of the test; ``reason`` says why ``p`` is NaN."""

    n_pairs: int
    n_zero: int
    n_tied: int
    w: float
    w_plus: float
    w_minus: float
    p: float
    p_method: str
    rank_biserial: float
    interval: Interval
    reason: str

    @property
    def n_nonzero(self) -> int:
        """Pairs that enter the ranks."""
        return self.n_pairs - self.n_zero


def paired_differences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Differences ``a - b`` whose zeros and ties survive decimal numbers.

    70.2 - 70.1 and 71.2 - 71.1 differ in the 15th digit only because decimals have no exact binary
    form; as ranks they would break a tie. Differences are therefore rounded to ten digits of the
    largest value, five digits finer than any measure is known.

    Examples
    --------
    >>> paired_differences(np.array([70.2, 71.2, 0.3]), np.array([70.1, 71.1, 0.2])).tolist()
    [0.1, 0.1, 0.1]
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    sizes = np.abs(np.concatenate([a, b]))
    largest = float(sizes[np.isfinite(sizes)].max(initial=0.0))
    if largest == 0:
        return a - b
    decimals = _SIGNIFICANT_DIGITS - 1 - math.floor(math.log10(largest))
    return np.round(a - b, decimals)


def signed_rank(differences: np.ndarray, *, with_interval: bool = True) -> SignedRank:
    """Test whether paired differences are centred on zero (two-sided).

    Zero differences are dropped (Wilcoxon's way) and counted. The p-value is exact for up to 50
    non-zero pairs without ties, exact by enumerating signs for up to 13 with ties, otherwise by
    the normal approximation with tie and continuity correction.

    Parameters
    ----------
    differences : array (n,)
        ``a - b`` of each pair; finite.
    with_interval : bool
        Bootstrap interval of the effect size over pairs.

    Returns
    -------
    SignedRank
        ``rank_biserial`` = (W+ - W-) / (W+ + W-), from -1 to 1, positive when ``a > b``.

    References
    ----------
    Wilcoxon F. Biometrics Bulletin 1945;1:80-83. Kerby DS. Comprehensive Psychology 2014;3:11.

    Examples
    --------
    >>> result = signed_rank(np.array([1.0, 2, 3, 4, 5, 6, -7]))
    >>> result.w, result.p, result.p_method, result.rank_biserial
    (7.0, 0.296875, 'exact', 0.5)
    """
    differences = np.asarray(differences, dtype=float)
    moved = differences[differences != 0]
    n_zero, n = len(differences) - len(moved), len(moved)
    if n == 0:
        reason = "all differences are zero" if n_zero else "no complete pair"
        nan = math.nan
        return SignedRank(n_zero, n_zero, 0, nan, nan, nan, nan, "", nan, NO_INTERVAL, reason)
    ranks = stats.rankdata(np.abs(moved))
    w_plus, w_minus = float(ranks[moved > 0].sum()), float(ranks[moved < 0].sum())
    n_tied = n - len(np.unique(np.abs(moved)))
    p_method = EXACT if n <= MAX_EXACT and not n_tied else NORMAL
    p_method = EXACT_TIES if n_tied and n <= MAX_EXACT_TIES else p_method
    p = _p_value(moved, p_method)
    interval = bootstrap_interval(differences, rank_biserials) if with_interval else NO_INTERVAL
    effect = (w_plus - w_minus) / (w_plus + w_minus)
    return SignedRank(
        len(differences), n_zero, n_tied, min(w_plus, w_minus), w_plus, w_minus, p, p_method,
        effect, interval, "",
    )  # fmt: skip


def _p_value(moved: np.ndarray, p_method: str) -> float:
    if p_method == EXACT_TIES:
        method: Any = stats.PermutationMethod(n_resamples=2**MAX_EXACT_TIES)
        result = stats.wilcoxon(moved, method=method)
    elif p_method == EXACT:
        result = stats.wilcoxon(moved, method="exact")
    else:
        result = stats.wilcoxon(moved, method="asymptotic", correction=True)
    return statistic_and_p(result)[1]


def rank_biserials(resamples: np.ndarray) -> np.ndarray:
    """Matched-pairs rank-biserial correlation of each row of differences, zeros dropped.

    Examples
    --------
    >>> rank_biserials(np.array([[1.0, 2.0, -3.0], [0.0, 0.0, 1.0]])).tolist()
    [0.0, 1.0]
    """
    sizes = np.abs(resamples)
    # Zeros rank lowest; taking their number off leaves the ranks among the non-zero ones.
    n_zero = (sizes == 0).sum(axis=1, keepdims=True)
    ranks = np.where(sizes == 0, 0.0, stats.rankdata(sizes, axis=1) - n_zero)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (ranks * np.sign(resamples)).sum(axis=1) / ranks.sum(axis=1)


def smallest_p(n_nonzero: int) -> float:
    """Smallest two-sided exact p that ``n`` pairs can give: ``2^(1 - n)``.

    Examples
    --------
    >>> smallest_p(7)
    0.015625
    """
    return min(1.0, 2.0 ** (1 - n_nonzero))
