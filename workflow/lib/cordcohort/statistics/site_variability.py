"""Variability of sites and vendors when different persons were scanned at each.

Definitions of the spine-generic study (one value a person and site):

* ``intra_site``: SD / mean over the persons of a site; ``all`` is the mean over sites.
  Over vendors, each vendor has the mean over its sites, as the spine-generic study reports it.
* ``inter_site``: SD / mean of the site means.
* ``inter_site_within_vendor``: the same within the sites of one vendor (published by some authors
  as "inter-vendor"); ``all`` is the mean over vendors.
* ``inter_vendor``: SD / mean of the vendor means, each the mean of its site means.
* ``between_person``: what remains when every site has one person who went nowhere else: site and
  person cannot be told apart, so nothing is claimed about sites.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.statistics.boundary import records
from cordcohort.statistics.intervals import Interval
from cordcohort.statistics.site_bootstrap import (
    cov_of,
    mean_cov_of,
    site_interval,
    sites_interval,
    vendors_interval,
)
from cordcohort.statistics.spread import cell_means, grouped_spread

NORMAL_95 = 1.96  # of the published interval of a vendor's mean

ONE_PERSON_A_SITE = "one participant a site"
INSEPARABLE = "one different person a site: site and person cannot be told apart"
_SITE_TEXT = (
    "Where persons differ between sites (scope between_person): one value a person and site; "
    "intra-site CoV over the persons of a site, inter-site CoV over site means; with one person a "
    "site both are suppressed and the spread is labelled between-person. Intervals are percentile "
    "bootstraps that draw persons again within each site."
)
BETWEEN_TEXTS = {
    "site": _SITE_TEXT,
    "vendor": "inter_site_within_vendor is the CoV of site means within a vendor; inter_vendor the "
    "CoV of vendor means (mean of the vendor's site means); intra_site is the mean over a vendor's "
    "sites; the interval of a vendor's mean is 1.96 SD / sqrt(sites). " + _SITE_TEXT,
}

Row = dict[str, object]


def between_rows(usable: pd.DataFrame, factor: str, ddof: int) -> list[Row]:
    """Rows of every definition that compares sites or vendors.

    Parameters
    ----------
    usable : DataFrame
        Rows of one stratum, with ``site``, ``vendor``, ``person_key`` and ``value``.
    factor : {'site', 'vendor'}
    ddof : int
    """
    usable = usable[usable["site"] != ""] if factor == "vendor" else usable
    if usable.empty:
        return [_undefined(f"inter_{factor}", "all", 0, "no usable value")]
    values = cell_means(usable, ["vendor", "site", "person_key"])
    n_sites_of = values.groupby("person_key")["site"].nunique()
    scope = "within_person" if _same_persons(values) else "between_person"
    n_persons_at = values.groupby("site")["person_key"].nunique()
    alone = bool((n_persons_at == 1).all()) and scope == "between_person"
    inseparable = alone and bool((n_sites_of == 1).all())
    site_means = cell_means(values, ["vendor", "site"])
    rows = _inter_site(values, site_means, ddof, scope=scope, inseparable=inseparable)
    if factor == "vendor":
        if scope == "within_person":  # the within-person rows say it already
            return []
        return _vendor_rows(values, site_means, ddof, scope=scope, inseparable=inseparable)
    if scope == "within_person":
        rows = []
    return [*rows, *_intra_site(values, ddof)]


def _same_persons(values: pd.DataFrame) -> bool:
    """Whether every person was measured at every site (and there are at least two sites)."""
    n_sites = values["site"].nunique()
    return n_sites > 1 and len(values) == n_sites * values["person_key"].nunique()


def _inter_site(
    values: pd.DataFrame, site_means: pd.DataFrame, ddof: int, *, scope: str, inseparable: bool
) -> list[Row]:
    found = records(grouped_spread(site_means, [], ddof=ddof))[0]
    n_persons = int(values["person_key"].nunique())
    if found["n"] < 2:  # noqa: PLR2004 - a spread over sites needs two of them
        return [_undefined("inter_site", "all", n_persons, "one site")]

    def of_means(means: np.ndarray, _: np.ndarray) -> np.ndarray:
        return cov_of(means, ddof)

    numbers = _numbers(found, n_persons, sites_interval(values, of_means, ddof))
    if inseparable:
        row = {"definition": "between_person", "scope": scope, "group": "all", **numbers}
        if not row["flag"]:
            row |= {"flag": "warning", "reason": INSEPARABLE}
        return [row, _undefined("inter_site", "all", n_persons, INSEPARABLE)]
    return [{"definition": "inter_site", "scope": scope, "group": "all", **numbers}]


def _intra_site(values: pd.DataFrame, ddof: int) -> list[Row]:
    spreads = grouped_spread(values, ["site"], ddof=ddof)
    head: Row = {"definition": "intra_site", "scope": "between_person"}
    fine = spreads[spreads["reason"] == ""]
    n_persons = int(values["person_key"].nunique())
    if fine.empty:
        single = bool((spreads["n"] == 1).all())
        reason = ONE_PERSON_A_SITE if single else str(spreads["reason"].iloc[0])
        return [_undefined("intra_site", "all", n_persons, reason)]
    kept = values[values["site"].isin(fine["site"])]
    interval = sites_interval(kept, mean_cov_of, ddof)
    mean = _mean_of(fine, len(spreads), "site", n_persons, interval)
    rows: list[Row] = [{**head, "group": "all", **mean}]
    of_site = dict(tuple(values.groupby("site", sort=True)["value"]))
    for found in records(spreads):
        if found["n"] == 1:
            rows.append(_undefined("intra_site", found["site"], 1, ONE_PERSON_A_SITE))
        else:
            own = site_interval(of_site[found["site"]].to_numpy(dtype=float), ddof)
            rows.append({**head, "group": found["site"], **_numbers(found, int(found["n"]), own)})
    return rows


def _intra_site_by_vendor(values: pd.DataFrame, ddof: int) -> list[Row]:
    """Each vendor's mean over its sites of the CoV over their persons, and that of all sites."""
    rows: list[Row] = []
    if values["vendor"].nunique() > 1:
        rows += _intra_site(values, ddof)[:1]
    for vendor, part in values.groupby("vendor", sort=True):
        rows.append(_intra_site(part, ddof)[0] | {"group": str(vendor)})
    return rows


def _vendor_rows(
    values: pd.DataFrame, site_means: pd.DataFrame, ddof: int, *, scope: str, inseparable: bool
) -> list[Row]:
    n_persons = int(values["person_key"].nunique())
    vendor_means = cell_means(site_means, ["vendor"])
    found = records(grouped_spread(vendor_means, [], ddof=ddof))[0]
    if found["n"] < 2:  # noqa: PLR2004 - a spread over vendors needs two of them
        rows: list[Row] = [_undefined("inter_vendor", "all", n_persons, "one vendor")]
    else:

        def of_means(means: np.ndarray, _: np.ndarray) -> np.ndarray:
            return cov_of(means, ddof)

        numbers = _numbers(found, n_persons, vendors_interval(values, of_means, ddof))
        rows = [{"definition": "inter_vendor", "scope": scope, "group": "all", **numbers}]
    if inseparable:
        return [*rows, _undefined("inter_site_within_vendor", "all", n_persons, INSEPARABLE)]
    within = _within_vendors(values, site_means, ddof, scope)
    return [*rows, *within, *_intra_site_by_vendor(values, ddof)]


def _within_vendors(
    values: pd.DataFrame, site_means: pd.DataFrame, ddof: int, scope: str
) -> list[Row]:
    """CoV of site means within each vendor, and the mean over vendors."""
    name, n_persons = "inter_site_within_vendor", int(values["person_key"].nunique())
    spreads = grouped_spread(site_means, ["vendor"], ddof=ddof)
    fine = spreads[spreads["reason"] == ""]
    head: Row = {"definition": name, "scope": scope}
    if fine.empty:
        return [_undefined(name, "all", n_persons, "one site a vendor")]

    def of_covs(_: np.ndarray, covs: np.ndarray) -> np.ndarray:
        return np.nanmean(covs, axis=1)

    kept = values[values["vendor"].isin(fine["vendor"])]
    interval = vendors_interval(kept, of_covs, ddof)
    rows: list[Row] = [
        {**head, "group": "all", **_mean_of(fine, len(spreads), "vendor", n_persons, interval)}
    ]
    for spread in records(spreads):
        vendor = spread["vendor"]
        there = values[values["vendor"] == vendor]
        n_there = int(there["person_key"].nunique())
        if spread["n"] == 1:
            rows.append(_undefined(name, vendor, n_there, "one site"))
            continue
        numbers = _numbers(spread, n_there, vendors_interval(there, of_covs, ddof))
        half = NORMAL_95 * float(spread["sd"]) / np.sqrt(float(spread["n"]))
        ends = {"mean_ci_low": spread["mean"] - half, "mean_ci_high": spread["mean"] + half}
        rows.append({**head, "group": vendor, **numbers, **ends})
    return rows


def _mean_of(fine: pd.DataFrame, n_all: int, what: str, n_persons: int, interval: Interval) -> Row:
    """Mean over groups of their CoV, as published per vendor."""
    covs = np.sort(fine["cov_percent"].to_numpy(dtype=float))
    left_out = n_all - len(fine)
    return {
        "n_persons": n_persons,
        "n_values": int(fine["n"].sum()),
        "mean": float(np.sort(fine["mean"].to_numpy()).mean()),
        "sd": float(np.sort(fine["sd"].to_numpy()).mean()),
        "cov_percent": float(covs.mean()),
        "cov_sd_percent": float(covs.std(ddof=1)) if len(covs) > 1 else np.nan,
        "cov_median_percent": float(np.median(covs)),
        "cov_rms_percent": float(np.sqrt((covs**2).mean())),
        **_ends(interval),
        "flag": "warning" if left_out else "",
        "reason": f"{left_out} of {n_all} {what}s left out: too few values" if left_out else "",
    }


def _numbers(spread: Mapping[str, Any], n_persons: int, interval: Interval) -> Row:
    return {
        **(_ends(interval) if not spread["reason"] else {}),
        "n_persons": n_persons,
        "n_values": int(spread["n"]),
        "mean": float(spread["mean"]),
        "sd": float(spread["sd"]),
        "cov_percent": float(spread["cov_percent"]),
        "flag": "undefined" if spread["reason"] else "",
        "reason": str(spread["reason"]),
    }


def _ends(interval: Interval) -> Row:
    return {
        "ci_low_percent": interval.low, "ci_high_percent": interval.high,
        "ci_method": interval.method,
    }  # fmt: skip


def _undefined(definition: str, group: str, n_persons: int, reason: str) -> Row:
    return {
        "definition": definition, "scope": "between_person", "group": group,
        "n_persons": n_persons, "flag": "undefined", "reason": reason,
    }  # fmt: skip
