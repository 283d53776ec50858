"""Independent groups: Mann-Whitney, Kruskal-Wallis, one-way ANOVA, Tukey, as plain functions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from cordcohort.statistics.boundary import statistic_and_p
from cordcohort.statistics.intervals import CONFIDENCE, DEFAULT_SEED, NO_INTERVAL, Interval

MIN_IN_GROUP = 2
MAX_EXACT = 20  # smaller group, without ties
N_RESAMPLES = 500
Row = dict[str, object]
Samples = Sequence[np.ndarray]


def mann_whitney(a: np.ndarray, b: np.ndarray) -> Row:
    """Two-sided Mann-Whitney U test with the rank-biserial correlation.

    Returns
    -------
    dict
        ``test_statistic`` (U of ``a``), ``p``, ``p_method`` (exact, or normal with tie and
        continuity correction), ``effect`` = 2 U / (n_a n_b) - 1, positive when ``a`` is larger.

    Examples
    --------
    >>> row = mann_whitney(np.array([4.0, 5, 6]), np.array([1.0, 2, 3]))
    >>> row["test_statistic"], row["p"], row["effect"]
    (9.0, 0.1, 1.0)
    """
    tied = len(np.unique(np.concatenate([a, b]))) < len(a) + len(b)
    exact = not tied and min(len(a), len(b)) <= MAX_EXACT
    method = "exact" if exact else "asymptotic"
    u, p = statistic_and_p(stats.mannwhitneyu(a, b, method=method))
    interval = _resampled((a, b), _rank_biserial)
    return {
        "test_statistic": u, "p": p, "p_method": "exact" if exact else "normal approximation",
        "effect": _rank_biserial((a, b)), "effect_name": "rank-biserial",
        "ci_low": interval.low, "ci_high": interval.high, "ci_method": interval.method,
    }  # fmt: skip


def kruskal_wallis(samples: Samples) -> Row:
    """Kruskal-Wallis test of several groups with epsilon squared = H / (n - 1)."""
    h, p = statistic_and_p(stats.kruskal(*samples))
    interval = _resampled(samples, _epsilon_squared)
    return {
        "test_statistic": h, "df1": len(samples) - 1, "p": p, "p_method": "chi-square",
        "effect": _epsilon_squared(samples), "effect_name": "epsilon squared",
        "ci_low": interval.low, "ci_high": interval.high, "ci_method": interval.method,
    }  # fmt: skip


def one_way_anova(samples: Samples) -> Row:
    """One-way analysis of variance with eta squared."""
    f, p = statistic_and_p(stats.f_oneway(*samples))
    n_all = sum(len(s) for s in samples)
    interval = _resampled(samples, _eta_squared)
    return {
        "test_statistic": f, "df1": len(samples) - 1, "df2": n_all - len(samples), "p": p,
        "p_method": "F", "effect": _eta_squared(samples), "effect_name": "eta squared",
        "ci_low": interval.low, "ci_high": interval.high, "ci_method": interval.method,
    }  # fmt: skip


def tukey(samples: Samples, names: Sequence[str]) -> list[Row]:
    """Tukey's HSD (Tukey-Kramer for unequal groups): difference of means with interval.

    Returns
    -------
    list of dict
        One a pair; ``effect`` is mean of ``a`` minus mean of ``b``, in the unit of the measure;
        its interval is simultaneous; ``p`` is corrected for all pairs by the method itself.
    """
    result = stats.tukey_hsd(*samples)
    bounds = result.confidence_interval(CONFIDENCE)
    rows: list[Row] = []
    for i, j in itertools.combinations(range(len(samples)), 2):
        rows.append({
            "a": names[i], "b": names[j], "test_statistic": float(result.statistic[i, j]),
            "p": float(result.pvalue[i, j]), "p_method": "studentised range",
            "effect": float(result.statistic[i, j]), "effect_name": "difference of means",
            "ci_low": float(bounds.low[i, j]), "ci_high": float(bounds.high[i, j]),
            "ci_method": "Tukey-Kramer, simultaneous", "n_a": len(samples[i]),
            "n_b": len(samples[j]),
        })  # fmt: skip
    return rows


def reason_against(samples: Samples, *, needs_spread: bool) -> str:
    """Why groups cannot be compared; empty when they can."""
    if len(samples) < MIN_IN_GROUP:
        return f"{len(samples)} group: needs 2"
    if sum(len(s) for s in samples) <= len(samples):
        return "one value a group"
    if min(len(s) for s in samples) < MIN_IN_GROUP:
        return "a group has fewer than two values"
    if np.ptp(np.concatenate(samples)) == 0:
        return "all values are equal"
    if needs_spread and all(np.ptp(s) == 0 for s in samples):
        return "no variance within the groups"
    return ""


def _rank_biserial(samples: Samples) -> float:
    a, b = samples
    ranks = stats.rankdata(np.concatenate([a, b]))
    u = float(ranks[: len(a)].sum()) - len(a) * (len(a) + 1) / 2
    return 2 * u / (len(a) * len(b)) - 1


def _epsilon_squared(samples: Samples) -> float:
    everything = np.concatenate(samples)
    if np.ptp(everything) == 0:
        return math.nan
    ranks = stats.rankdata(everything)
    return _eta_squared(np.split(ranks, np.cumsum([len(s) for s in samples])[:-1]))


def _eta_squared(samples: Samples) -> float:
    everything = np.concatenate(samples)
    total = float(((everything - everything.mean()) ** 2).sum())
    if total == 0:
        return math.nan
    between = sum(len(s) * (s.mean() - everything.mean()) ** 2 for s in samples)
    return float(between) / total


def _resampled(samples: Samples, statistic: Callable[[Samples], float]) -> Interval:
    """Percentile bootstrap within each group.

    Values and groups are drawn in the order of their numbers: renamed groups give the same bits.
    """
    if min(len(s) for s in samples) < MIN_IN_GROUP + 1:
        return NO_INTERVAL
    rng = np.random.default_rng(DEFAULT_SEED)
    ordered = [np.sort(s) for s in samples]
    order = sorted(range(len(ordered)), key=[s.tolist() for s in ordered].__getitem__)
    drawn: dict[int, np.ndarray] = {}
    for i in order:
        n = len(ordered[i])
        drawn[i] = ordered[i][rng.integers(0, n, size=(N_RESAMPLES, n))]
    values = np.array([
        statistic([drawn[i][j] for i in range(len(ordered))]) for j in range(N_RESAMPLES)
    ])  # fmt: skip
    values = values[np.isfinite(values)]
    if len(values) < N_RESAMPLES // 2:
        return NO_INTERVAL
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(float(low), float(high), f"bootstrap within groups ({N_RESAMPLES})")
