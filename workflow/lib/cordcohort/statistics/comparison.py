"""Two methods of one quantity: Bland-Altman, Lin's concordance, Deming, Passing-Bablok, TOST.

Arithmetic on paired arrays; :mod:`cordcohort.statistics.method_comparison` declares them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from cordcohort.statistics.boundary import statistic_and_p
from cordcohort.statistics.intervals import CONFIDENCE, Interval
from cordcohort.statistics.limits import limits_around
from cordcohort.statistics.wilcoxon import paired_differences

TINY = 1e-12  # rounding error of a correlation
MAX_PASSING_BABLOK = 2000  # pairs of points grow with the square
_UPPER = (1 + CONFIDENCE) / 2


@dataclass(frozen=True)
class Repeated:
    """Bias and limits of agreement with several pairs a person.

    Parameters
    ----------
    bias, sd_between, sd_within, sd_total : float
        Mean difference; SD of persons' true differences; SD within a person; of one difference.
    interval : Interval
        Of the bias, over persons.
    """

    bias: float
    sd_between: float
    sd_within: float
    sd_total: float
    interval: Interval

    @property
    def limits(self) -> tuple[float, float]:
        """95 % limits of agreement of a single difference."""
        found = limits_around(self.bias, self.sd_total)
        return found.low, found.high


def repeated_limits(differences: np.ndarray, person: np.ndarray) -> Repeated:
    """Limits of agreement where persons have several pairs and the true value varies.

    One-way analysis of variance of the differences: ``var = var_within + var_between`` with
    ``var_between = (MSB - MSW) / n0`` (zero when negative). One pair a person gives the ordinary
    limits.

    Reference: Bland JM, Altman DG. J Biopharm Stat 2007;17:571-582, section 3.

    Examples
    --------
    >>> found = repeated_limits(np.array([1.0, 2, 3, 4]), np.array([0, 1, 2, 3]))
    >>> found.bias, round(found.sd_total, 6)
    (2.5, 1.290994)
    """
    n_each = np.bincount(person).astype(float)
    means = np.bincount(person, weights=differences) / n_each
    n_all, n_persons = float(n_each.sum()), len(n_each)
    bias = float(np.sort(differences).mean())
    df_within = n_all - n_persons
    ms_between = float((n_each * (means - differences.mean()) ** 2).sum()) / (n_persons - 1)
    if df_within == 0:
        within, between = 0.0, ms_between
    else:
        within = float(((differences - means[person]) ** 2).sum()) / df_within
        n0 = (n_all - (n_each**2).sum() / n_all) / (n_persons - 1)
        between = max(0.0, (ms_between - within) / n0)
    se = math.sqrt(ms_between / n_all)
    half = float(stats.t.ppf(_UPPER, n_persons - 1)) * se
    interval = Interval(bias - half, bias + half, "Student t over persons")
    total = math.sqrt(within + between)
    return Repeated(bias, math.sqrt(between), math.sqrt(within), total, interval)


def concordance(a: np.ndarray, b: np.ndarray) -> tuple[float, Interval, float, float]:
    """Lin's concordance correlation coefficient with interval, precision and accuracy.

    ``ccc = 2 s_ab / (s_a^2 + s_b^2 + (mean_a - mean_b)^2)`` with population moments.

    Returns
    -------
    ccc : float
        From -1 to 1.
    interval : Interval
        By Fisher's z with Lin's variance.
    precision : float
        Pearson's correlation.
    accuracy : float
        Bias correction factor, 0 to 1.

    Reference: Lin LI. Biometrics 1989;45:255-268; 2000;56:324-325 (correction).

    Examples
    --------
    >>> a = np.array([1.0, 2.0, 3.0, 4.0])
    >>> round(concordance(a, a + 1)[0], 6)
    0.714286
    """
    n = len(a)
    var_a, var_b = float(a.var()), float(b.var())
    covariance = float(((a - a.mean()) * (b - b.mean())).mean())
    shift = float(a.mean() - b.mean())
    ccc = 2 * covariance / (var_a + var_b + shift**2)
    r = covariance / math.sqrt(var_a * var_b)
    if abs(r) < TINY or abs(ccc) >= 1 - TINY:
        return ccc, Interval(math.nan, math.nan, "none: exact or no correlation"), r, ccc / r
    u2 = shift**2 / math.sqrt(var_a * var_b)
    term = (1 - r**2) * ccc**2 / ((1 - ccc**2) * r**2)
    term += 2 * ccc**3 * (1 - ccc) * u2 / (r * (1 - ccc**2) ** 2)
    term -= ccc**4 * u2**2 / (2 * r**2 * (1 - ccc**2) ** 2)
    half = float(stats.norm.ppf(_UPPER)) * math.sqrt(max(term, 0.0) / (n - 2))
    z = math.atanh(ccc)
    return ccc, Interval(math.tanh(z - half), math.tanh(z + half), "Fisher z (Lin)"), r, ccc / r


def deming(x: np.ndarray, y: np.ndarray, error_ratio: float = 1.0) -> tuple[float, float]:
    """Slope and intercept of Deming regression, both variables with error.

    Parameters
    ----------
    x, y : array (n,)
    error_ratio : float
        Variance of the errors of ``y`` over that of ``x`` (1: orthogonal regression).

    Examples
    --------
    >>> x = np.array([1.0, 2.0, 3.0])
    >>> deming(x, 2 * x + 1)
    (2.0, 1.0)
    """
    sxx, syy = float(x.var(ddof=1)), float(y.var(ddof=1))
    sxy = float(((x - x.mean()) * (y - y.mean())).sum()) / (len(x) - 1)
    gap = syy - error_ratio * sxx
    slope = (gap + math.sqrt(gap**2 + 4 * error_ratio * sxy**2)) / (2 * sxy)
    return slope, float(y.mean() - slope * x.mean())


def deming_jackknife(
    x: np.ndarray, y: np.ndarray, error_ratio: float = 1.0
) -> tuple[Interval, Interval]:
    """Intervals of Deming's slope and intercept by the jackknife (Linnet 1993)."""
    n = len(x)
    keep = ~np.eye(n, dtype=bool)
    whole = np.array(deming(x, y, error_ratio))
    left = np.array([deming(x[k], y[k], error_ratio) for k in keep])
    pseudo = n * whole - (n - 1) * left
    half = float(stats.t.ppf(_UPPER, n - 2)) * pseudo.std(axis=0, ddof=1) / math.sqrt(n)
    method = "jackknife, Student t"
    return (
        Interval(float(whole[0] - half[0]), float(whole[0] + half[0]), method),
        Interval(float(whole[1] - half[1]), float(whole[1] + half[1]), method),
    )


def ordinary_line(x: np.ndarray, y: np.ndarray) -> tuple[float, float, Interval, Interval]:
    """Slope and intercept of the least squares line of y on x with their intervals.

    Examples
    --------
    >>> x = np.arange(1.0, 8.0)
    >>> slope, intercept, *_ = ordinary_line(x, 2 * x + 1)
    >>> round(slope, 12), round(intercept, 12)
    (2.0, 1.0)
    """
    found: Any = stats.linregress(x, y)
    t = float(stats.t.ppf(_UPPER, len(x) - 2))
    slope, intercept = float(found.slope), float(found.intercept)
    halves = t * float(found.stderr), t * float(found.intercept_stderr)
    of_slope, of_intercept = (
        Interval(value - half, value + half, "Student t")
        for value, half in zip((slope, intercept), halves, strict=True)
    )
    return slope, intercept, of_slope, of_intercept


def passing_bablok(x: np.ndarray, y: np.ndarray) -> tuple[float, float, Interval, Interval]:
    """Slope and intercept of Passing-Bablok regression with their intervals.

    The shifted median of the slopes of all pairs of points; slopes of exactly -1 are left out.

    Reference: Passing H, Bablok W. J Clin Chem Clin Biochem 1983;21:709-720.

    Examples
    --------
    >>> x = np.arange(1.0, 8.0)
    >>> passing_bablok(x, 2 * x + 1)[:2]
    (2.0, 1.0)
    """
    n = len(x)
    first, second = np.triu_indices(n, 1)
    dx, dy = x[second] - x[first], y[second] - y[first]
    real = (dx != 0) | (dy != 0)
    dx, dy = dx[real], dy[real]
    with np.errstate(divide="ignore"):
        slopes = np.where(dx == 0, np.copysign(np.inf, dy), dy / np.where(dx == 0, 1, dx))
    slopes = np.sort(slopes[slopes != -1])
    n_slopes, shift = len(slopes), int((slopes < -1).sum())
    middle = (n_slopes - 1) / 2 + shift
    low_i, high_i = math.floor(middle), math.ceil(middle)
    slope = float(slopes[[min(low_i, n_slopes - 1), min(high_i, n_slopes - 1)]].mean())
    c = float(stats.norm.ppf(_UPPER)) * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    m1 = round((n_slopes - c) / 2)
    m2 = n_slopes - m1 + 1
    low, high = (float(slopes[int(np.clip(m + shift - 1, 0, n_slopes - 1))]) for m in (m1, m2))
    intercept = float(np.median(y - slope * x))
    least, most = float(np.median(y - high * x)), float(np.median(y - low * x))
    name = "Passing-Bablok"
    return slope, intercept, Interval(low, high, name), Interval(least, most, name)


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests; equivalent at 5 % when ``p`` is below it (the larger of the two)."""

    p_low: float
    p_high: float
    interval: Interval

    @property
    def p(self) -> float:
        """P of equivalence: the larger of the two one-sided ones."""
        return max(self.p_low, self.p_high)


def tost(differences: np.ndarray, low: float, high: float, *, ranks: bool = False) -> Equivalence:
    """Two one-sided tests that the mean (or centre) of the differences is inside the margins.

    Parameters
    ----------
    differences : array (n,)
    low, high : float
        Margins in the unit of the measure, ``low < high``.
    ranks : bool
        Wilcoxon signed-rank instead of Student's t.

    Returns
    -------
    Equivalence
        With the 90 % interval of the mean (Student), or of the Hodges-Lehmann centre (Walsh
        averages) for ranks.

    Reference: Schuirmann DJ. J Pharmacokinet Biopharm 1987;15:657-680.
    """
    if ranks:
        return _rank_tost(differences, low, high)
    n, mean = len(differences), float(differences.mean())
    se = float(differences.std(ddof=1)) / math.sqrt(n)
    if se == 0:
        inside = (float(mean <= low), float(mean >= high))
        return Equivalence(*inside, Interval(mean, mean, "no spread"))
    p_low = float(stats.t.sf((mean - low) / se, n - 1))
    p_high = float(stats.t.cdf((mean - high) / se, n - 1))
    half = float(stats.t.ppf(0.95, n - 1)) * se
    return Equivalence(p_low, p_high, Interval(mean - half, mean + half, "Student t, 90 %"))


def _rank_tost(differences: np.ndarray, low: float, high: float) -> Equivalence:
    p_values: list[float] = []
    for margin, side in ((low, "greater"), (high, "less")):
        moved = paired_differences(differences, np.full(len(differences), margin))
        if not moved.any():
            p_values.append(1.0)
            continue
        p_values.append(statistic_and_p(stats.wilcoxon(moved, alternative=side))[1])
    i, j = np.triu_indices(len(differences))
    walsh = np.sort((differences[i] + differences[j]) / 2)
    n = len(differences)
    spread = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    cut = int(max(0, math.floor(n * (n + 1) / 4 - float(stats.norm.ppf(0.95)) * spread)))
    interval = Interval(float(walsh[cut]), float(walsh[-1 - cut]), "Walsh averages, 90 %")
    return Equivalence(p_values[0], p_values[1], interval)
