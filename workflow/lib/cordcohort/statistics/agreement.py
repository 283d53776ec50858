"""Agreement with a reference method: scores summarised, values compared in pairs, by site."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import pandas as pd

from cordcohort.measures.catalogue import CATALOGUE
from cordcohort.statistics.agreement_summary import observations, summary
from cordcohort.statistics.limits import LIMIT_SD
from cordcohort.statistics.pairs import form_pairs, pair_key
from cordcohort.statistics.registry import Outcome, Parameters, analysis
from cordcohort.statistics.select import Selection, parts

ALL_SITES = "all"
COLUMNS = [
    "quantity", "site", "n_scans", "n_persons", "n_only_method", "n_only_reference", "mean",
    "ci_low", "ci_high", "ci_method", "sd", "ddof", "median", "q25", "q75", "min", "max", "n_zero",
    "mean_absolute", "mean_percent", "mean_reference", "loa_low", "loa_high", "loa_low_ci_low",
    "loa_low_ci_high", "loa_high_ci_low", "loa_high_ci_high", "flag", "reason",
]  # fmt: skip
PARAMETERS = {
    "reference": {
        "type": "string",
        "default": "manual",
        "description": "method that the others are compared with",
    },
    "methods": {
        "type": "array",
        "items": {"type": "string"},
        "uniqueItems": True,
        "default": [],
        "description": "methods compared; empty: all that occur",
    },
    "unit": {
        "enum": ["scan", "person"],
        "default": "scan",
        "description": "one observation: a scan, or the mean over a person's scans at a site",
    },
    "by_site": {"type": "boolean", "default": True, "description": "also one row a site"},
    "ddof": {"enum": [0, 1], "default": 1, "description": "1: sample SD; 0: population SD"},
}
_KEY = ["person_key", "site", "session", "acquisition", "run", "contrast"]


def _merged(_: Parameters) -> Sequence[str]:
    return ("method", "reference")


@analysis(
    "agreement", headline="mean", columns=["method", "reference", *COLUMNS],
    parameters=PARAMETERS, merged=_merged,
)  # fmt: skip
def agreement(selection: Selection, p: Parameters) -> Outcome:
    """Agreement of every method with a reference method, over all sites and by site.

    Measures that were computed against the reference (Dice, precision, RVE ...: rows with a
    ``reference``) are summarised as ``score``. Measures of single methods (CSA, FA ...) are paired
    with the reference's value of the same scan; the ``difference`` is method minus reference, with
    bias, SD and 95 % limits of agreement (bias +- 1.96 SD) and their intervals.

    Parameters
    ----------
    selection : Selection
        Rows of the long table.
    p : mapping
        ``reference``, ``methods``, ``unit``, ``by_site``, ``ddof``.

    References
    ----------
    Bland JM, Altman DG. Lancet 1986;327:307-310.
    """
    rows: list[dict[str, object]] = []
    used: list[pd.Index] = [selection.rows.index[:0]]
    everything = parts(selection.rows[["stratum", "method", "reference"]])
    for code, (stratum, part) in enumerate(selection.groups()):
        inside = everything[code]
        values = _difference_values
        if (inside["reference"] == p["reference"]).any():
            values = _score_values
        for method in _methods(inside, p):
            head = {**stratum, "method": method, "reference": p["reference"], "ddof": p["ddof"]}
            table, missing, rows_used = values(part, method, p)
            used.append(rows_used)
            by_site = bool(p["by_site"]) and "site" not in stratum
            bounded = is_bounded(stratum.get("measure", ""))
            found = _summaries(table, missing, p, by_site=by_site, bounded=bounded)
            rows += [{**row, **head} for row in found]
    facts = {"ddof": p["ddof"], "limits_of_agreement": f"bias +- {LIMIT_SD} SD",
             "difference": "method - reference", "reference": p["reference"]}  # fmt: skip
    return Outcome(
        table=pd.DataFrame(rows), method_text=_method_text(p), unit=str(p["unit"]),
        used=used[0].append(used[1:]).unique(), count_by=["method"], facts=facts,
    )  # fmt: skip


def is_bounded(measure: str) -> bool:
    """Whether a measure is a score between two bounds that it may reach.

    Areas and the like have a plausible range too; no interval of theirs comes near its ends.

    Examples
    --------
    >>> is_bounded("dice"), is_bounded("csa_mm2"), is_bounded("rve_percent"), is_bounded("other")
    (True, False, False, False)
    """
    known = CATALOGUE.get(measure)
    if known is None or known.unit != "1":
        return False
    return isfinite(known.low) and isfinite(known.high)


def _methods(rows: pd.DataFrame, p: Parameters) -> list[str]:
    found = sorted(set(rows["method"]) - {p["reference"], ""})
    return [str(m) for m in p["methods"]] or found


def _score_values(
    part: pd.DataFrame, method: str, p: Parameters
) -> tuple[pd.DataFrame, dict[str, object], pd.Index]:
    mine = part[(part["method"] == method) & (part["reference"] == p["reference"])]
    table = mine.groupby(_KEY, sort=True)["value"].mean().reset_index()
    return table, {}, mine.index


def _difference_values(
    part: pd.DataFrame, method: str, p: Parameters
) -> tuple[pd.DataFrame, dict[str, object], pd.Index]:
    reference = str(p["reference"])
    key = pair_key("method", [], p["pool"])
    pairs = form_pairs(part, "method", (method, reference), key, key)
    table = pairs.table
    table = table.assign(value=table["a"] - table["b"])
    missing: dict[str, object] = {
        "n_only_method": pairs.n_only_a, "n_only_reference": pairs.n_only_b,
    }  # fmt: skip
    return table, missing, pairs.used


def _summaries(
    table: pd.DataFrame, missing: dict[str, object], p: Parameters, *, by_site: bool, bounded: bool
) -> list[dict[str, object]]:
    if p["unit"] == "person" and len(table):
        numbers = [c for c in ("value", "a", "b") if c in table]
        groups = table.groupby(["person_key", "site"], sort=True)
        table = groups[numbers].mean().reset_index().assign(n_scans=groups.size().to_numpy())
    sample, sites = observations(table)
    rows = [{"site": ALL_SITES, **missing, **summary(sample, int(p["ddof"]), bounded=bounded)}]
    if by_site:
        for code, site in enumerate(sites):
            rows.append({"site": site, **summary(sample.at(code), int(p["ddof"]), bounded=bounded)})
    return rows


def _method_text(p: Parameters) -> str:
    sd = "sample SD (ddof 1)" if p["ddof"] else "population SD (ddof 0)"
    return (
        f"Agreement with {p['reference']}, one observation a {p['unit']}, over all sites and by "
        f"site: overlap and error scores as mean, {sd} and quartiles; values of single methods as "
        "differences (method minus reference) of pairs formed by scan, with bias, limits of "
        "agreement (bias +- 1.96 SD) and their intervals. The interval of a mean is Student's, or "
        "a percentile bootstrap by person where persons have several values or the measure "
        "cannot leave a range (an overlap of 0 to 1, which Student's interval could pass)."
    )
