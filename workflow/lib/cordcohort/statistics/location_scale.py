"""Location-scale harmonisation of sites: fitted on a group, applied to everyone.

The model of ComBat without its empirical-Bayes shrinkage (which borrows from other measures):
``y = grand mean + x beta + gamma_site + delta_site * residual``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MIN_PERSONS_A_SITE = 3
ROUNDING = 1e-12
TRAVELLERS = "travelling persons: their sites share persons, use a mixed model instead"


@dataclass(frozen=True)
class LocationScale:
    """Fitted parameters; plain numbers, so that they can be written as JSON.

    Parameters
    ----------
    sites : list of str
    grand_mean : float
        Mean of the site intercepts, weighted by persons, in the unit of the measure.
    beta : list of float
        Effect of each covariate, which is kept.
    pooled_sd : float
        SD of the residuals over all sites (population SD).
    shift, scale : list of float
        Of each site: shift in pooled SDs, and ratio of its SD to the pooled one.
    """

    sites: list[str]
    grand_mean: float
    beta: list[float]
    pooled_sd: float
    shift: list[float]
    scale: list[float]


def reason_against(
    site: Sequence[str], person: Sequence[str], x: np.ndarray, values: np.ndarray
) -> str:
    """Why these persons cannot serve to fit a harmonisation; empty when they can.

    Parameters
    ----------
    site, person : sequence of str, length n
    x : array (n, k)
        Covariates to keep.
    values : array (n,)
    """
    sites, code = np.unique(np.asarray(site, dtype=str), return_inverse=True)
    n_each = np.bincount(code)
    which = sites[int(np.argmin(n_each))]
    design = np.column_stack([np.eye(len(sites))[code], x])
    faults = {
        f"{len(sites)} site in the group that it is fitted on: needs 2": len(sites) == 1,
        TRAVELLERS: len(set(person)) < len(person),
        f"{n_each.min()} persons at {which}: needs {MIN_PERSONS_A_SITE} at every site": (
            n_each.min() < MIN_PERSONS_A_SITE
        ),
        "sites are confounded with a covariate or a group: their effects cannot be told": (
            np.linalg.matrix_rank(design) < design.shape[1]
        ),
        "too few persons for the sites and covariates": len(values) <= design.shape[1],
        "the measure is constant": np.ptp(values) == 0,
    }
    return next((reason for reason, is_so in faults.items() if is_so), "")


def fit_location_scale(values: np.ndarray, site: Sequence[str], x: np.ndarray) -> LocationScale:
    """Fit site shifts and scales, covariates kept.

    Parameters
    ----------
    values : array (n,)
    site : sequence of str
    x : array (n, k)

    Reference: Johnson WE, Li C, Rabinovic A. Biostatistics 2007;8:118-127; Fortin JP et al.
    NeuroImage 2018;167:104-120.

    Examples
    --------
    >>> values = np.array([1.0, 2.0, 3.0, 11.0, 12.0, 13.0])
    >>> fit = fit_location_scale(values, list("aaabbb"), np.zeros((6, 0)))
    >>> round(fit.grand_mean, 6), [round(v, 3) for v in fit.shift]
    (7.0, [-6.124, 6.124])
    """
    sites, code = np.unique(np.asarray(site, dtype=str), return_inverse=True)
    indicator = np.eye(len(sites))[code]
    design = np.column_stack([indicator, x])
    solved = np.linalg.lstsq(design, values, rcond=None)[0]
    intercepts, beta = solved[: len(sites)], solved[len(sites) :]
    n_each = np.bincount(code)
    grand = float((n_each * intercepts).sum() / n_each.sum())
    pooled = float(np.sqrt(np.mean((values - design @ solved) ** 2)))
    pooled = pooled if pooled > ROUNDING * float(np.abs(values).max()) else 1.0
    z = (values - grand - x @ beta) / pooled
    shift = np.bincount(code, weights=z) / n_each
    spread = [float(z[code == i].std(ddof=1)) for i in range(len(sites))]
    scale = [s if s > ROUNDING else 1.0 for s in spread]  # a constant site is shifted only
    return LocationScale(
        [str(s) for s in sites], grand, [float(b) for b in beta], pooled,
        [float(s) for s in shift], scale,
    )  # fmt: skip


def harmonised(
    fit: LocationScale, values: np.ndarray, site: Sequence[str], x: np.ndarray
) -> np.ndarray:
    """Values with their site's shift and scale removed; NaN at a site that was not fitted.

    Examples
    --------
    >>> values = np.array([1.0, 2.0, 3.0, 11.0, 12.0, 13.0])
    >>> fit = fit_location_scale(values, list("aaabbb"), np.zeros((6, 0)))
    >>> out = harmonised(fit, values, list("aaabbb"), np.zeros((6, 0)))
    >>> [round(float(v), 3) for v in out]
    [6.184, 7.0, 7.816, 6.184, 7.0, 7.816]
    """
    place = {s: i for i, s in enumerate(fit.sites)}
    index = np.array([place.get(str(s), -1) for s in site])
    kept = fit.grand_mean + x @ np.asarray(fit.beta)
    z = (values - kept) / fit.pooled_sd
    shift, scale = np.asarray(fit.shift)[index], np.asarray(fit.scale)[index]
    out = (z - shift) / scale * fit.pooled_sd + kept
    return np.where(index >= 0, out, np.nan)


def variance_share(values: np.ndarray, site: Sequence[str]) -> float:
    """Share of the variance between sites (eta squared), 0 to 1; NaN for a constant."""
    _, code = np.unique(np.asarray(site, dtype=str), return_inverse=True)
    total = float(((values - values.mean()) ** 2).sum())
    if total == 0:
        return float("nan")
    means = np.bincount(code, weights=values) / np.bincount(code)
    return float(((means[code] - values.mean()) ** 2).sum()) / total
