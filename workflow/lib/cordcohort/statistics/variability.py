"""Variability over a factor: the coefficient of variation (CoV) in each of its senses, by name.

*Within person*: each person's values over the factor, everything in ``HELD`` kept fixed; CoV of
each person, then the mean over persons. *Between person*: site means of different persons, as in
the spine-generic study; they hold differences between people as well as between sites.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from cordcohort.statistics.intervals import NO_INTERVAL, bootstrap_interval, means_of_resamples
from cordcohort.statistics.registry import Outcome, Parameters, analysis
from cordcohort.statistics.select import Selection, parts
from cordcohort.statistics.site_variability import BETWEEN_TEXTS, between_rows
from cordcohort.statistics.spread import cell_means, grouped_spread, pooled_sd

# What stays the same while the factor varies; the rest is averaged within a cell first.
HELD: dict[str, tuple[str, ...]] = {
    "site": (),
    "vendor": (),
    "session": ("site",),
    "run": ("site", "session"),
    "acquisition": ("site", "session"),
    "contrast": ("site", "session"),
    "resolution": ("site", "session"),
    "variant": ("site", "session", "acquisition", "run", "contrast"),
    "method": ("site", "session", "acquisition", "run", "contrast"),
    "rater": ("site", "session", "acquisition", "run", "contrast"),
    "seed": ("site", "session", "acquisition", "run", "contrast"),
}
COLUMN_OF = {"rater": "method"}  # raters are methods; named so, the result is inter-rater
ALSO_MERGED = {
    "method": ("method", "reference"),
    "rater": ("method", "reference"),
    "contrast": ("contrast", "acquisition"),
    "resolution": ("acquisition",),
    "acquisition": ("acquisition",),
}
SITE_FACTORS = ("site", "vendor")
REPEATABILITY_FACTOR = 1.96 * math.sqrt(2)
COLUMNS = [
    "definition", "scope", "over", "group", "n_persons", "n_values", "mean", "sd", "cov_percent",
    "cov_sd_percent", "cov_median_percent", "cov_rms_percent", "cov_pooled_percent",
    "ci_low_percent", "ci_high_percent", "ci_method", "mean_ci_low", "mean_ci_high",
    "repeatability_coefficient", "ddof", "flag", "reason",
]  # fmt: skip
PARAMETERS = {
    "over": {
        "enum": list(HELD),
        "description": "the factor whose variability is asked for; rater: methods that are raters",
    },
    "ddof": {
        "enum": [0, 1],
        "default": 1,
        "description": "1: sample SD (divide by n - 1); 0: population SD, as spine-generic",
    },
    "list_persons": {
        "type": "boolean",
        "default": False,
        "description": "also one row a person, besides the mean over persons",
    },
}


def _merged(p: Parameters) -> Sequence[str]:
    return ALSO_MERGED.get(p["over"], (str(p["over"]),))


@analysis(
    "variability",
    headline="cov_percent",
    columns=COLUMNS,
    parameters=PARAMETERS,
    required=["over"],
    merged=_merged,
)
def variability(selection: Selection, p: Parameters) -> Outcome:
    """Coefficient of variation over a factor, within persons first, then between them.

    Parameters
    ----------
    selection : Selection
        Rows of the long table.
    p : mapping
        ``over`` (the factor), ``ddof``, ``list_persons``.

    Returns
    -------
    Outcome
        ``definition`` (``inter_session``, ``inter_site``, ``intra_site``, ``inter_vendor``,
        ``inter_site_within_vendor``, ``between_person`` ...), ``scope``, ``group`` (``all``, a
        site, a vendor or a person), ``mean`` and ``sd`` in the unit of the measure (for persons:
        pooled within-person SD), ``cov_percent`` (mean over persons), its SD, median and root
        mean square over persons, the pooled SD over the mean (``cov_pooled_percent``), bootstrap
        interval by person, repeatability coefficient 1.96 sqrt(2) SD.
        Undefined cases have ``flag`` ``undefined`` and a ``reason``.
    """
    factor, ddof = str(p["over"]), int(p["ddof"])
    column = COLUMN_OF.get(factor, factor)
    usable = selection.usable
    if factor in SITE_FACTORS:  # an unknown site or vendor is not a site or vendor
        usable = usable[usable[factor] != ""]
    keys = ["stratum", "person_key", *_free(HELD[factor], selection.strata)]
    by_site = cell_means(usable, [*keys, factor, "site"]) if factor == "vendor" else usable
    cells = cell_means(by_site, [*keys, column])
    units = grouped_spread(cells, keys, ddof=ddof)
    rows: list[dict[str, object]] = []
    units_of = parts(units)
    for code, (stratum, part) in enumerate(selection.groups()):
        mine = units_of.get(code, units.iloc[:0])
        found = within_rows(mine, factor, ddof, list_persons=bool(p["list_persons"]))
        if factor in SITE_FACTORS:
            travels = bool((mine["n"] > 1).any())
            known = part[part[factor] != ""]
            within = within_vendor_rows(known, ddof) if factor == "vendor" else []
            found = [*(found if travels else []), *within, *between_rows(known, factor, ddof)]
        rows += [{**stratum, "over": factor, "ddof": ddof, **row} for row in found]
    varied = units.loc[units["n"] > 1, keys].drop_duplicates()
    used = None if factor in SITE_FACTORS else _rows_of(usable, varied, keys)
    if factor in SITE_FACTORS:
        used = usable.index
    return Outcome(
        table=pd.DataFrame(rows),
        method_text=_method_text(factor, ddof),
        unit="person",
        used=used,
        facts={"ddof": ddof, "over": factor, "held_fixed": list(HELD[factor])},
    )


def within_rows(
    units: pd.DataFrame, factor: str, ddof: int, *, list_persons: bool = False
) -> list[dict[str, object]]:
    """Summarise the spread of each person's units over persons.

    Parameters
    ----------
    units : DataFrame
        One row a person and held-fixed combination: ``person_key``, ``n``, ``mean``, ``variance``,
        ``cov_percent``, ``reason``.
    factor, ddof
        As in the analysis.
    list_persons : bool
        Also give a row a person.
    """
    head = {"definition": f"inter_{factor}", "scope": "within_person"}
    repeated = units[units["n"] > 1]
    if repeated.empty:
        reason = f"no person has two {factor}s" if len(units) else "no usable value"
        return [{**head, "group": "all", "n_persons": 0, "n_values": len(units),
                 "flag": "undefined", "reason": reason}]  # fmt: skip
    people = repeated.groupby("person_key", sort=True)["cov_percent"].mean().dropna()
    rows = [{**head, "group": "all", **_pooled(repeated, people, ddof)}]
    if list_persons:
        for person, part in repeated.groupby("person_key", sort=True):
            own = people[people.index == person]
            rows.append({**head, "group": str(person), **_pooled(part, own, ddof)})
    return rows


def within_vendor_rows(usable: pd.DataFrame, ddof: int) -> list[dict[str, object]]:
    """Inter-site CoV of travelling persons within each vendor, and over vendors.

    Every number of the row over vendors weighs vendors alike, whatever their persons: means over
    vendors, and for the root mean square that of the vendors' root mean squares (a mean of them
    could be less than the mean CoV beside it). Its remark names the vendors that have one.
    """
    cells = cell_means(usable[usable["site"] != ""], ["vendor", "person_key", "site"])
    units = grouped_spread(cells, ["vendor", "person_key"], ddof=ddof)
    name = {"definition": "inter_site_within_vendor"}
    rows: list[dict[str, object]] = []
    for vendor, part in units[units["n"] > 1].groupby("vendor", sort=True):
        rows += [r | name | {"group": vendor} for r in within_rows(part, "site", ddof)]
    return [*_over_vendors(rows, units), *rows]


def _over_vendors(rows: list[dict[str, object]], units: pd.DataFrame) -> list[dict[str, object]]:
    """The row of all vendors with a CoV; none where no vendor has one."""
    averaged = ["cov_percent", "mean", "sd", "cov_pooled_percent"]
    covs = pd.DataFrame(rows, columns=[*averaged, "cov_rms_percent", "n_values"])
    covs = covs.dropna(subset="cov_percent")
    if covs.empty:
        return []
    told = "; ".join(f"{row['group']}: {row['reason']}" for row in rows if row["reason"])
    return [{
        "definition": rows[0]["definition"], "scope": rows[0]["scope"], "group": "all",
        **{column: float(covs[column].mean()) for column in averaged},
        "cov_rms_percent": math.sqrt(float((covs["cov_rms_percent"] ** 2).mean())),
        "cov_sd_percent": float(covs["cov_percent"].std()),
        "cov_median_percent": float(covs["cov_percent"].median()),
        "n_persons": int(units.loc[units["n"] > 1, "person_key"].nunique()),
        "n_values": int(covs["n_values"].sum()), "ci_method": "none: mean over vendors",
        "flag": "warning" if told else "", "reason": told,
    }]  # fmt: skip


def _pooled(repeated: pd.DataFrame, people: pd.Series, ddof: int) -> dict[str, object]:
    n_values = repeated["n"].to_numpy()
    sd = pooled_sd(repeated["variance"].to_numpy(), n_values, ddof)
    covs = np.sort(people.to_numpy(dtype=float))
    many = len(covs) > 1
    in_order = people.to_numpy(dtype=float)
    ci = bootstrap_interval(in_order, means_of_resamples) if many else NO_INTERVAL
    lost = repeated.loc[repeated["reason"] != "", ["person_key", "reason"]].drop_duplicates()
    reason = "; ".join(f"{n} persons left out: {text}" for text, n in
                       lost["reason"].value_counts().sort_index().items())  # fmt: skip
    mean = float(np.average(np.sort(repeated["mean"].to_numpy())))
    flag = "undefined" if not len(covs) else ("warning" if reason else "")
    return {
        "n_persons": len(covs),
        "n_values": int(n_values.sum()),
        "mean": mean,
        "sd": sd,
        "cov_percent": float(covs.mean()) if len(covs) else math.nan,
        "cov_sd_percent": float(covs.std(ddof=1)) if many else math.nan,
        "cov_median_percent": float(np.median(covs)) if len(covs) else math.nan,
        "cov_rms_percent": float(np.sqrt((covs**2).mean())) if len(covs) else math.nan,
        "cov_pooled_percent": 100 * sd / abs(mean) if mean and len(covs) else math.nan,
        "ci_low_percent": ci.low,
        "ci_high_percent": ci.high,
        "ci_method": ci.method if many else "none: one person",
        "repeatability_coefficient": REPEATABILITY_FACTOR * sd,
        "flag": flag,
        "reason": reason,
    }


def _free(held: Sequence[str], strata: Sequence[str]) -> list[str]:
    return [c for c in held if c not in strata]


def _rows_of(rows: pd.DataFrame, cells: pd.DataFrame, keys: list[str]) -> pd.Index:
    marked = rows[keys].merge(cells.assign(_used=1), on=keys, how="left")["_used"].notna()
    return rows.index[marked.to_numpy(dtype=bool)]


def _method_text(factor: str, ddof: int) -> str:
    kind = "sample SD (ddof 1)" if ddof else "population SD (ddof 0)"
    held = f" at the same {', '.join(HELD[factor])}" if HELD[factor] else ""
    text = (
        f"Inter-{factor} coefficient of variation within person: values of one person{held} were "
        f"averaged per {factor}; CoV = 100 SD / |mean| over the {factor}s with the {kind}; then "
        "the mean over persons, with a percentile bootstrap interval by person; beside it the "
        "median, the root mean square and the pooled SD over the mean. The SD in units "
        "is the pooled within-person SD; the repeatability coefficient is 1.96 sqrt(2) SD."
    )
    return f"{text} {BETWEEN_TEXTS[factor]}" if factor in SITE_FACTORS else text
