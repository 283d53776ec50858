"""Linear mixed model with crossed or nested random intercepts, by restricted maximum likelihood.

The profiled deviance of Bates et al. is minimised over the relative standard deviations of the
random effects; the algebra is on as many equations as there are random levels, so persons crossed
with sites cost little. A component at zero is found as such (``singular``), not hidden.

Reference: Bates D, Maechler M, Bolker B, Walker S. J Stat Softw 2015;67(1).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import linalg, optimize, stats

from cordcohort.statistics.intervals import CONFIDENCE, Interval

ZERO_THETA = 1e-4  # relative SD below which a component is zero for every purpose
STEP = 1e-3  # of log standard deviations, for the numerical curvature
MAX_LEVELS = 3000  # random levels; beyond, memory grows with the square


@dataclass(frozen=True)
class MixedFit:
    """Result of :func:`fit_mixed`.

    Parameters
    ----------
    beta, covariance : array (p,), (p, p)
        Fixed effects and their covariance.
    variance : dict
        Variance of each random component, and of the ``residual``.
    interval_sd : dict
        95 % interval of each standard deviation (log-scale Wald); NaN for a zero component.
    variance_of_log_sd : array (c, c)
        Covariance of the logs of the standard deviations, in the order of ``variance``; NaN for
        a zero component.
    deviance : float
        REML criterion at the optimum.
    converged, singular : bool
        ``singular``: a component is estimated as zero.
    """

    beta: np.ndarray
    covariance: np.ndarray
    variance: dict[str, float]
    interval_sd: dict[str, Interval]
    variance_of_log_sd: np.ndarray
    deviance: float
    converged: bool
    singular: bool


class _Problem:
    """Cross products of one model, reused at every step of the optimiser."""

    def __init__(self, y: np.ndarray, x: np.ndarray, groups: Mapping[str, np.ndarray]) -> None:
        self.names = list(groups)
        self.sizes = [int(g.max()) + 1 for g in groups.values()]
        offsets = np.concatenate([[0], np.cumsum(self.sizes)])
        n, q = len(y), int(offsets[-1])
        z = np.zeros((n, q))
        for offset, codes in zip(offsets, groups.values(), strict=False):
            z[np.arange(n), offset + codes] = 1.0
        self.n, self.p = n, x.shape[1]
        self.ztz, self.ztx, self.zty = z.T @ z, z.T @ x, z.T @ y
        self.xtx, self.xty, self.yty = x.T @ x, x.T @ y, float(y @ y)
        self.component = np.repeat(np.arange(len(self.sizes)), self.sizes)

    def solve(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, float]:
        """Fixed effects, their Cholesky factor, residual sum of squares and log determinants."""
        scale = theta[self.component]
        a = self.ztz * np.outer(scale, scale)
        a[np.diag_indices_from(a)] += 1.0
        lower = linalg.cholesky(a, lower=True, check_finite=False)
        cu = linalg.solve_triangular(lower, scale * self.zty, lower=True, check_finite=False)
        rzx = linalg.solve_triangular(
            lower, scale[:, None] * self.ztx, lower=True, check_finite=False
        )
        rx = linalg.cholesky(self.xtx - rzx.T @ rzx, lower=True, check_finite=False)
        cb = linalg.solve_triangular(rx, self.xty - rzx.T @ cu, lower=True, check_finite=False)
        beta = linalg.solve_triangular(rx.T, cb, lower=False, check_finite=False)
        rss = max(self.yty - float(cu @ cu) - float(cb @ cb), np.finfo(float).tiny)
        log_det = 2 * float(np.log(np.diag(lower)).sum() + np.log(np.diag(rx)).sum())
        return beta, rx, rss, log_det

    def deviance(self, theta: np.ndarray) -> float:
        """REML criterion, residual variance profiled out."""
        free = self.n - self.p
        _, _, rss, log_det = self.solve(np.abs(theta))
        return log_det + free * (1 + math.log(2 * math.pi * rss / free))

    def full_deviance(self, log_sd: np.ndarray) -> float:
        """REML criterion as a function of the logs of all SDs, the residual last."""
        sigma2 = math.exp(2 * log_sd[-1])
        _, _, rss, log_det = self.solve(np.exp(log_sd[:-1] - log_sd[-1]))
        return log_det + (self.n - self.p) * math.log(2 * math.pi * sigma2) + rss / sigma2


def fit_mixed(y: np.ndarray, x: np.ndarray, groups: Mapping[str, np.ndarray]) -> MixedFit:
    """Fit ``y = x beta + sum of random intercepts + residual`` by REML.

    Parameters
    ----------
    y : array (n,)
    x : array (n, p)
        Fixed effects, of full rank, with a column of ones.
    groups : mapping
        Name of each random component -> level of each row (integers from 0).

    Returns
    -------
    MixedFit

    Raises
    ------
    ValueError
        If there are more than ``MAX_LEVELS`` random levels.

    Examples
    --------
    >>> y = np.array([1.0, 2.0, 4.0, 5.0, 9.0, 8.0])
    >>> fit = fit_mixed(y, np.ones((6, 1)), {"person": np.array([0, 0, 1, 1, 2, 2])})
    >>> round(float(fit.variance["residual"]), 4), round(float(fit.variance["person"]), 4)
    (0.5, 12.0833)
    """
    # By their numbers, never by their names: renamed sites or persons give the same bits.
    order = np.lexsort([*x.T[::-1], y])
    y, x = y[order], x[order]
    groups = {name: pd.factorize(codes[order])[0] for name, codes in groups.items()}
    n_levels = sum(int(g.max()) + 1 for g in groups.values())
    if n_levels > MAX_LEVELS:
        raise ValueError(f"{n_levels} random levels, at most {MAX_LEVELS}")
    centre, spread = float(y.mean()), float(y.std()) or 1.0
    problem = _Problem((y - centre) / spread, x, groups)
    theta, best, converged = _minimum(problem)
    theta = np.where(theta < ZERO_THETA, 0.0, theta)
    beta, rx, rss, _ = problem.solve(theta)
    sigma2 = rss / (problem.n - problem.p)
    inverse = linalg.solve_triangular(rx, np.eye(problem.p), lower=True)
    sds = np.append(theta, 1.0) * math.sqrt(sigma2)
    names = [*problem.names, "residual"]
    of_logs = _variance_of_log_sd(problem, sds)
    intervals = _sd_intervals(sds, np.diag(of_logs))
    beta_y = beta * spread
    beta_y[_intercept(x)] += centre
    return MixedFit(
        beta=beta_y,
        covariance=sigma2 * (inverse.T @ inverse) * spread**2,
        variance={n: float(s * spread) ** 2 for n, s in zip(names, sds, strict=True)},
        interval_sd={n: Interval(i.low * spread, i.high * spread, i.method)
                     for n, i in zip(names, intervals, strict=True)},
        variance_of_log_sd=of_logs,
        deviance=best + 2 * (problem.n - problem.p) * math.log(spread),
        converged=converged,
        singular=bool((theta == 0).any()),
    )  # fmt: skip


def _intercept(x: np.ndarray) -> int:
    return int(np.argmax((x == 1).all(axis=0)))


def _minimum(problem: _Problem) -> tuple[np.ndarray, float, bool]:
    """Best of several starts, with every component tried at zero."""
    k = len(problem.sizes)
    found: list[tuple[float, np.ndarray, bool]] = []
    for start in (1.0, 0.2, 5.0):
        result = optimize.minimize(
            problem.deviance, np.full(k, start), method="L-BFGS-B",
            bounds=[(0.0, None)] * k, options={"ftol": 1e-12, "gtol": 1e-8},
        )  # fmt: skip
        found.append((float(result.fun), np.asarray(result.x), bool(result.success)))
    value, theta, converged = min(found, key=_first)
    for component in range(k):
        at_zero = theta.copy()
        at_zero[component] = 0.0
        here = problem.deviance(at_zero)
        if here <= value + 1e-9:
            value, theta = here, at_zero
    return theta, value, converged


def _first(item: tuple[float, np.ndarray, bool]) -> float:
    return item[0]


def _variance_of_log_sd(problem: _Problem, sds: np.ndarray) -> np.ndarray:
    """Covariance of the log SDs, from the curvature of the criterion; NaN for zero components."""
    positive = np.nonzero(sds > 0)[0]
    log_sd = np.full(len(sds), -30.0)
    log_sd[positive] = np.log(sds[positive])
    hessian = np.zeros((len(positive), len(positive)))
    for i, a in enumerate(positive):
        for j, b in enumerate(positive[: i + 1]):
            hessian[i, j] = hessian[j, i] = _second_difference(problem, log_sd, int(a), int(b))
    out = np.full((len(sds), len(sds)), np.nan)
    try:
        out[np.ix_(positive, positive)] = linalg.inv(hessian / 2)
    except linalg.LinAlgError:
        return np.full_like(out, np.nan)
    return out


def _sd_intervals(sds: np.ndarray, variances: np.ndarray) -> list[Interval]:
    """Wald intervals of log SDs; none for a zero component."""
    out = [Interval(math.nan, math.nan, "none: the component is zero")] * len(sds)
    z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
    for place, variance in enumerate(variances):
        if variance > 0:
            half = z * math.sqrt(float(variance))
            low, high = (math.exp(math.log(sds[place]) + side * half) for side in (-1, 1))
            out[place] = Interval(low, high, "Wald on log SD")
    return out


def _second_difference(problem: _Problem, at: np.ndarray, a: int, b: int) -> float:
    total = 0.0
    for sign_a in (1, -1):
        for sign_b in (1, -1):
            moved = at.copy()
            moved[a] += sign_a * STEP
            moved[b] += sign_b * STEP
            total += sign_a * sign_b * problem.full_deviance(moved)
    return total / (4 * STEP**2)
