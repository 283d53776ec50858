"""Bootstrap intervals of the variability of sites: persons are drawn again within each site.

Sites and values are taken in the order of their numbers, never of their names, so that a renamed
site or person moves no bit; a site's own interval uses that site's values alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd

from cordcohort.statistics.intervals import (
    CONFIDENCE,
    DEFAULT_RESAMPLES,
    DEFAULT_SEED,
    MAX_DRAWS,
    MIN_RESAMPLES,
    MIN_UNITS_BOOTSTRAP,
    Interval,
    bootstrap_interval,
    remembered,
)

NAN = float("nan")
TRAVELLING = "none: some persons were at several sites"
# From means and SDs of the sites in each resample (n_resamples, n_sites) to one number each.
OfSites = Callable[[np.ndarray, np.ndarray], np.ndarray]


def cov_of(means: np.ndarray, ddof: int) -> np.ndarray:
    """CoV in percent over the last axis."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return 100 * means.std(axis=-1, ddof=ddof) / np.abs(means.mean(axis=-1))


def mean_cov_of(means: np.ndarray, sds: np.ndarray) -> np.ndarray:
    """Mean over sites of their own CoV in percent."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nanmean(100 * sds / np.abs(means), axis=-1)


def site_interval(values: np.ndarray, ddof: int) -> Interval:
    """Interval of the CoV of one site's persons."""
    return _site_interval(np.sort(values), ddof)


@remembered
def _site_interval(values: np.ndarray, ddof: int) -> Interval:
    def statistic(drawn: np.ndarray) -> np.ndarray:
        return cov_of(drawn, ddof)

    return bootstrap_interval(values, statistic)


def sites_interval(values: pd.DataFrame, statistic: OfSites, ddof: int) -> Interval:
    """Interval of a number over sites, persons drawn again within each.

    Parameters
    ----------
    values : DataFrame
        ``site``, ``person_key``, ``value``: one row a person and site.
    statistic : callable
        Of the resampled means and SDs of the sites.
    ddof : int
        Of the sites' SDs.
    """
    if values["person_key"].duplicated().any():
        return Interval(NAN, NAN, TRAVELLING)
    sites = sorted((np.sort(part.to_numpy(dtype=float)).tolist()
                    for _, part in values.groupby("site", sort=True)["value"]))  # fmt: skip
    return _interval(sites, statistic, ddof)


def vendors_interval(values: pd.DataFrame, statistic: OfSites, ddof: int) -> Interval:
    """As :func:`sites_interval`, of a number that averages over vendors.

    ``statistic`` is given the means of the vendors (each the mean of its sites' means) and the
    CoV of the site means within each vendor, a vendor of one site as NaN.
    """
    if values["person_key"].duplicated().any():
        return Interval(NAN, NAN, TRAVELLING)
    vendors = sorted(
        sorted(np.sort(part.to_numpy(dtype=float)).tolist()
               for _, part in of_vendor.groupby("site", sort=True)["value"])
        for _, of_vendor in values.groupby("vendor", sort=True)
    )  # fmt: skip
    ends = np.cumsum([len(v) for v in vendors])[:-1]

    def by_vendor(means: np.ndarray, _: np.ndarray) -> np.ndarray:
        blocks = np.split(means, ends, axis=1)
        of_vendors = np.stack([b.mean(axis=1) for b in blocks], axis=1)
        nothing = np.full(len(means), NAN)
        covs = [cov_of(b, ddof) if b.shape[1] > 1 else nothing for b in blocks]
        return statistic(of_vendors, np.stack(covs, axis=1))

    return _interval([site for vendor in vendors for site in vendor], by_vendor, ddof)


def _interval(sites: Sequence[Sequence[float]], statistic: OfSites, ddof: int) -> Interval:
    n_persons = sum(len(s) for s in sites)
    if n_persons < MIN_UNITS_BOOTSTRAP or max(len(s) for s in sites) == 1:
        return Interval(NAN, NAN, "none: one person a site")
    n_drawn = int(max(MIN_RESAMPLES, min(DEFAULT_RESAMPLES, MAX_DRAWS // n_persons)))
    values = np.concatenate([np.asarray(site, dtype=float) for site in sites])
    sizes = np.array([len(site) for site in sites])
    found = statistic(*_resampled(values, sizes, n_drawn, ddof))
    found = found[np.isfinite(found)]
    if len(found) < n_drawn // 2:
        return Interval(NAN, NAN, "none: undefined in most resamples")
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return Interval(float(low), float(high), f"bootstrap by person within sites ({n_drawn})")


@partial(remembered, most=8)
def _resampled(
    values: np.ndarray, sizes: np.ndarray, n_drawn: int, ddof: int
) -> tuple[np.ndarray, np.ndarray]:
    """Means and SDs of the sites in each resample, both ``(n_drawn, n_sites)``."""
    rng = np.random.default_rng(DEFAULT_SEED)
    means = np.empty((n_drawn, len(sizes)))
    sds = np.full((n_drawn, len(sizes)), NAN)
    for i, site in enumerate(np.split(values, np.cumsum(sizes)[:-1])):
        drawn = site[rng.integers(0, len(site), size=(n_drawn, len(site)))]
        means[:, i] = drawn.mean(axis=1)
        if len(site) > 1:
            sds[:, i] = drawn.std(axis=1, ddof=ddof)
    return means, sds
