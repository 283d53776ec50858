"""Variability of sites and vendors when different persons were scanned at each.

Definitions of the spine-generic study (one value a person and site):

* ``intra_site``: SD / mean over the persons of a site; ``all`` is the mean over sites.
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
from cordcohort.statistics.spread import cell_means, grouped_spread

ONE_PERSON_A_SITE = "one participant a site"
INSEPARABLE = "one different person a site: site and person cannot be told apart"
_SITE_TEXT = (
    "Where persons differ between sites (scope between_person): one value a person and site; "
    "intra-site CoV over the persons of a site, inter-site CoV over site means; with one person a "
    "site both are suppressed and the spread is labelled between-person."
)
BETWEEN_TEXTS = {
    "site": _SITE_TEXT,
    "vendor": "inter_site_within_vendor is the CoV of site means within a vendor; inter_vendor the "
    "CoV of vendor means (mean of the vendor's site means). " + _SITE_TEXT,
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
    numbers = _numbers(found, n_persons)
    if found["n"] < 2:  # noqa: PLR2004 - a spread over sites needs two of them
        return [_undefined("inter_site", "all", n_persons, "one site")]
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
    rows: list[Row] = [{**head, "group": "all", **_mean_of(fine, len(spreads), "site", n_persons)}]
    for found in records(spreads):
        if found["n"] == 1:
            rows.append(_undefined("intra_site", found["site"], 1, ONE_PERSON_A_SITE))
        else:
            rows.append({**head, "group": found["site"], **_numbers(found, int(found["n"]))})
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
        numbers = _numbers(found, n_persons)
        rows = [{"definition": "inter_vendor", "scope": scope, "group": "all", **numbers}]
    name = "inter_site_within_vendor"
    if inseparable:
        return [*rows, _undefined(name, "all", n_persons, INSEPARABLE)]
    spreads = grouped_spread(site_means, ["vendor"], ddof=ddof)
    fine = spreads[spreads["reason"] == ""]
    head: Row = {"definition": name, "scope": scope}
    if fine.empty:
        return [*rows, _undefined(name, "all", n_persons, "one site a vendor")]
    rows.append({**head, "group": "all", **_mean_of(fine, len(spreads), "vendor", n_persons)})
    at = values.groupby("vendor")["person_key"].nunique()
    for spread in records(spreads):
        vendor, n_there = spread["vendor"], int(at[spread["vendor"]])
        if spread["n"] == 1:
            rows.append(_undefined(name, vendor, n_there, "one site"))
        else:
            rows.append({**head, "group": vendor, **_numbers(spread, n_there)})
    return rows


def _mean_of(fine: pd.DataFrame, n_all: int, what: str, n_persons: int) -> Row:
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
        "flag": "warning" if left_out else "",
        "reason": f"{left_out} of {n_all} {what}s left out: too few values" if left_out else "",
    }


def _numbers(spread: Mapping[str, Any], n_persons: int) -> Row:
    return {
        "n_persons": n_persons,
        "n_values": int(spread["n"]),
        "mean": float(spread["mean"]),
        "sd": float(spread["sd"]),
        "cov_percent": float(spread["cov_percent"]),
        "flag": "undefined" if spread["reason"] else "",
        "reason": str(spread["reason"]),
    }


def _undefined(definition: str, group: str, n_persons: int, reason: str) -> Row:
    return {
        "definition": definition, "scope": "between_person", "group": group,
        "n_persons": n_persons, "flag": "undefined", "reason": reason,
    }  # fmt: skip
