"""Two-way intraclass correlations of incomplete tables, from the components of a mixed model.

``ICC(A,1) = t / (t + r + e)`` and ``ICC(C,1) = t / (t + e)`` with the variances of targets, repeats
(sessions, raters) and the residual, targets and repeats crossed. On a complete table whose mean
squares give no negative variance they are those of the analysis of variance.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from cordcohort.statistics.icc import Icc
from cordcohort.statistics.intervals import CONFIDENCE, Interval
from cordcohort.statistics.mixed import MAX_LEVELS, MixedFit, fit_mixed

MIXED_FORMS = {"agreement_mixed": "ICC(A,1) mixed", "consistency_mixed": "ICC(C,1) mixed"}
TARGET, REPEAT, RESIDUAL = "target", "repeat", "residual"


def mixed_two_way(table: np.ndarray, form: str) -> tuple[Icc, str]:
    """ICC(A,1) or ICC(C,1) of a table with gaps, and what is wrong with the fit, if anything.

    Parameters
    ----------
    table : array (n_targets, k)
        NaN where a repeat is missing; every target and every repeat has a value.
    form : {'agreement_mixed', 'consistency_mixed'}

    Returns
    -------
    icc : Icc
        Without an F test; the interval is Wald's on the logit, by the delta method.
    said : str
        Components that are zero, or an optimiser that did not converge; empty when all is well.

    Raises
    ------
    ValueError
        If there are too many targets for the mixed model.

    References
    ----------
    McGraw KO, Wong SP. Psychological Methods 1996;1:30-46. Nakagawa S, Schielzeth H. Biological
    Reviews 2010;85:935-956.

    Examples
    --------
    >>> table = np.array([[1.0, 2.0], [3.0, 5.0], [6.0, 6.0], [8.0, np.nan]])
    >>> icc, said = mixed_two_way(table, "agreement_mixed")
    >>> round(icc.value, 2), said
    (0.89, 'repeat variance estimated as zero (singular fit)')
    """
    target, repeat = np.nonzero(np.isfinite(table))
    values = table[target, repeat]
    if sum(table.shape) > MAX_LEVELS:
        raise ValueError(f"{sum(table.shape)} targets and repeats: at most {MAX_LEVELS}")
    fit = fit_mixed(values, np.ones((len(values), 1)), {TARGET: target, REPEAT: repeat})
    errors = (REPEAT, RESIDUAL) if form == "agreement_mixed" else (RESIDUAL,)
    between, within = fit.variance[TARGET], sum(fit.variance[name] for name in errors)
    value = between / (between + within) if between + within > 0 else math.nan
    nan = math.nan
    interval = _interval(fit, errors, value)
    k = len(values) / table.shape[0]
    icc = Icc(value, interval, nan, nan, nan, nan, nan, within, k)
    return icc, _said(fit)


def _said(fit: MixedFit) -> str:
    if not fit.converged:
        return "the optimiser did not converge"
    zero = [name for name, variance in fit.variance.items() if variance == 0]
    return f"{' and '.join(zero)} variance estimated as zero (singular fit)" if zero else ""


def _interval(fit: MixedFit, errors: tuple[str, ...], value: float) -> Interval:
    """Wald interval of the logit, log(target variance / error variance)."""
    gradient = dict.fromkeys(fit.variance, 0.0)
    within = sum(fit.variance[name] for name in errors)
    if not 0 < value < 1:
        return Interval(math.nan, math.nan, "none: a variance is zero")
    gradient[TARGET] = 2.0
    for name in errors:
        gradient[name] -= 2.0 * fit.variance[name] / within
    g = np.array([gradient[name] for name in fit.variance])
    held = fit.variance_of_log_sd
    known = np.isfinite(np.diag(held))
    variance = float(g[known] @ held[np.ix_(known, known)] @ g[known])
    if not (known[g != 0].all() and variance > 0):
        return Interval(math.nan, math.nan, "none: the curvature is not that of a minimum")
    half = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * math.sqrt(variance)
    logit = math.log(value / (1 - value))
    low, high = (1 / (1 + math.exp(-(logit + side * half))) for side in (-1, 1))
    return Interval(low, high, "Wald on the logit (mixed model)")
