"""Partial Spearman correlation, and the difference of two correlations that share persons."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy import stats

from cordcohort.statistics.intervals import (
    CONFIDENCE,
    Interval,
    bootstrap_interval,
    fisher_interval,
)
from cordcohort.statistics.spread import is_constant

TINY = 1e-10  # what is left of ranks that the covariates explain wholly


def partial_rho(x: np.ndarray, y: np.ndarray, design: np.ndarray) -> float:
    """Spearman correlation of ``x`` and ``y`` with the covariates regressed out of the ranks.

    Parameters
    ----------
    x, y : array (n,)
    design : array (n, k)
        Covariates; continuous ones are ranked, indicators keep their meaning under ranking.

    Returns
    -------
    float
        NaN when the covariates explain either side wholly.

    Examples
    --------
    >>> x = np.array([1.0, 2, 3, 4, 5, 6])
    >>> round(partial_rho(x, x[::-1] ** 2, np.array([[0.0, 1, 0, 1, 0, 1]]).T), 6)
    -1.0
    """
    ranks = [stats.rankdata(v) for v in (x, y)]
    of_design = stats.rankdata(design, axis=0) if design.shape[1] else design
    full = np.column_stack([np.ones(len(x)), of_design])
    left = [r - full @ np.linalg.lstsq(full, r, rcond=None)[0] for r in ranks]
    sizes = [float(np.sqrt((r**2).sum())) for r in left]
    if min(sizes) < TINY * len(x):
        return math.nan
    return float((left[0] * left[1]).sum() / (sizes[0] * sizes[1]))


def partial_spearman_row(
    x: np.ndarray, y: np.ndarray, design: pd.DataFrame, interval: str = "fisher"
) -> dict[str, object]:
    """Partial rho with p (Student t, ``n - 2 - k`` degrees of freedom) and interval."""
    n, k = len(x), design.shape[1]
    row: dict[str, object] = {"n": n, "rho": math.nan, "p": math.nan}
    free = n - 2 - k
    if free < 2:  # noqa: PLR2004 - an interval needs one more than the test
        return row | {"flag": "undefined", "reason": f"{n} persons for {k} covariates: too few"}
    table = design.to_numpy(dtype=float)
    rho = math.nan if is_constant(x) or is_constant(y) else partial_rho(x, y, table)
    if not math.isfinite(rho):
        return row | {"flag": "undefined", "reason": "constant once the covariates are removed"}
    t = rho * math.sqrt(free / max(1 - rho**2, TINY**2))
    p = float(2 * stats.t.sf(abs(t), free))
    found = fisher_interval(rho, n, n_covariates=k)
    if interval == "bootstrap":
        found = _bootstrap(np.column_stack([x, y, table]))
    bounds = {"ci_low": found.low, "ci_high": found.high, "ci_method": found.method}
    return row | {"rho": rho, "p": p, "p_method": "Student t", **bounds, "flag": "", "reason": ""}


def _bootstrap(data: np.ndarray) -> Interval:
    def of_resamples(resamples: np.ndarray) -> np.ndarray:
        return np.array([partial_rho(r[:, 0], r[:, 1], r[:, 2:]) for r in resamples])

    return bootstrap_interval(data, of_resamples, n_resamples=500)


def meng_z(rho_a: float, rho_b: float, rho_ab: float, n: int) -> tuple[float, float, Interval]:
    """Difference of two correlations with the same score in the same persons.

    Parameters
    ----------
    rho_a, rho_b : float
        Correlations of a and of b with the score.
    rho_ab : float
        Correlation of a with b.
    n : int
        Persons.

    Returns
    -------
    z, p : float
        Test that both are equal (two-sided).
    interval : Interval
        Of the difference of the Fisher-transformed correlations.

    Reference: Meng XL, Rosenthal R, Rubin DB. Psychological Bulletin 1992;111:172-175.

    Examples
    --------
    >>> meng_z(0.5, 0.5, 0.3, 50)[:2]
    (0.0, 1.0)
    """
    mean_square = (rho_a**2 + rho_b**2) / 2
    f = min(1.0, (1 - rho_ab) / (2 * (1 - mean_square)))
    h = (1 - f * mean_square) / (1 - mean_square)
    gap = math.atanh(rho_a) - math.atanh(rho_b)
    scale = math.sqrt(2 * (1 - rho_ab) * h / (n - 3))
    z = gap / scale
    half = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * scale
    interval = Interval(gap - half, gap + half, "Meng-Rosenthal-Rubin, Fisher z")
    return z, float(2 * stats.norm.sf(abs(z))), interval
