"""Comparison of independent groups, declared: one value a person, scan or site."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from cordcohort.statistics.corrections import CORRECTION_PARAMETERS, with_correction
from cordcohort.statistics.group_tests import (
    Row,
    kruskal_wallis,
    mann_whitney,
    one_way_anova,
    reason_against,
    tukey,
)
from cordcohort.statistics.intervals import DEFAULT_SEED
from cordcohort.statistics.registry import Outcome, Parameters, analysis
from cordcohort.statistics.select import Selection
from cordcohort.statistics.spread import cell_means

TESTS = ("mann_whitney", "kruskal_wallis", "anova", "tukey")
NAMES = {
    "mann_whitney": "two-sided Mann-Whitney U tests (exact without ties up to 20 in the smaller "
    "group) with the rank-biserial correlation",
    "kruskal_wallis": "Kruskal-Wallis test with epsilon squared",
    "anova": "one-way analysis of variance with eta squared",
    "tukey": "Tukey's HSD on differences of means",
}
COLUMNS = [
    "group", "test", "a", "b", "n_groups", "n_values", "n_a", "n_b", "median_a", "median_b",
    "test_statistic", "df1", "df2", "p", "p_method", "effect", "effect_name", "ci_low", "ci_high",
    "ci_method", "p_adjusted", "correction", "family", "n_family", "flag", "reason",
]  # fmt: skip
PARAMETERS = {
    "group": {"type": "string", "description": "column or score variable that makes the groups"},
    "test": {"enum": list(TESTS), "description": "which test"},
    "values": {
        "type": "array",
        "items": {"type": "string"},
        "uniqueItems": True,
        "default": [],
        "description": "groups compared; empty: all",
    },
    "unit": {
        "enum": ["person", "scan", "site"],
        "default": "person",
        "description": "one observation: mean over a person's rows in the group, a scan, or the "
        "mean over the persons of a site",
    },
    **CORRECTION_PARAMETERS,
}
_SCAN = ["site", "session", "acquisition", "run", "contrast"]


def _merged(p: Parameters) -> Sequence[str]:
    return (str(p["group"]),)


@analysis(
    "group_test", headline="effect", columns=COLUMNS, parameters=PARAMETERS,
    required=["group", "test"], merged=_merged,
)  # fmt: skip
def group_test(selection: Selection, p: Parameters) -> Outcome:
    """Compare independent groups.

    Parameters
    ----------
    selection : Selection
        Rows of the long table.
    p : mapping
        ``group``, ``test``, ``values``, ``unit``, ``correction``, ``family``.

    Returns
    -------
    Outcome
        One row a stratum (omnibus tests) or a pair of groups, with effect size and interval. A
        group column of empty text is left out. A person in several groups is said: the groups are
        then not independent.
    """
    rows: list[Row] = []
    usable = selection.usable
    usable = usable[usable[str(p["group"])].astype("str") != ""]
    if p["values"]:
        usable = usable[usable[str(p["group"])].isin([str(v) for v in p["values"]])]
    for stratum, part in selection.groups():
        values = _unit_values(part[part.index.isin(usable.index)], p)
        rows += [{**stratum, **row} for row in _stratum_rows(values, p)]
    table = pd.DataFrame(rows)
    table = table if "p" in table else table.assign(p=math.nan)
    correction = "none" if p["test"] == "tukey" else str(p["correction"])
    table = with_correction(table, correction, p["family"])
    corrected = f"{correction} correction" if p["test"] != "tukey" else "corrected by the test"
    text = (
        f"Groups of {p['group']} compared by {NAMES[str(p['test'])]}, one value a {p['unit']}; "
        f"{corrected}."
    )
    facts = {"correction": correction, "seed": DEFAULT_SEED, "sides": 2}
    return Outcome(table, text, str(p["unit"]), usable.index, [str(p["group"])], facts)


def _unit_values(part: pd.DataFrame, p: Parameters) -> pd.DataFrame:
    """One value a unit and group (``person_key``, group, ``value``)."""
    group = str(p["group"])
    if p["unit"] == "scan":
        return cell_means(part, list(dict.fromkeys(["person_key", *_SCAN, group])))
    if p["unit"] == "site":
        persons = cell_means(part, list(dict.fromkeys(["site", "person_key", group])))
        sites = cell_means(persons, list(dict.fromkeys(["site", group])))
        return sites.assign(person_key=sites["site"])
    return cell_means(part, ["person_key", group])


def _stratum_rows(values: pd.DataFrame, p: Parameters) -> list[Row]:
    group, test = str(p["group"]), str(p["test"])
    found = {str(k): g["value"].to_numpy(dtype=float) for k, g in values.groupby(group, sort=True)}
    names = [str(v) for v in p["values"]] or list(found)
    head: Row = {"group": group, "test": test}
    said = _dependence(values, group)
    if test == "mann_whitney":
        couples = list(itertools.combinations(names, 2)) or [("", "")]
        return [{**head, **_pair_row(found, a, b), **_said(said, found, (a, b))}
                for a, b in couples]  # fmt: skip
    samples = [found.get(n, np.array([])) for n in names]
    head |= {"n_groups": len(samples), "n_values": int(sum(len(s) for s in samples))}
    reason = reason_against(samples, needs_spread=test in ("anova", "tukey"))
    if reason:
        return [{**head, "flag": "undefined", "reason": reason}]
    if test == "tukey":
        found_rows = tukey(samples, names)
    else:
        found_rows = [kruskal_wallis(samples) if test == "kruskal_wallis" else
                      one_way_anova(samples)]  # fmt: skip
    flag = {"flag": "warning" if said else "", "reason": said}
    return [{**head, **row, **flag} for row in found_rows]


def _pair_row(found: dict[str, np.ndarray], a: str, b: str) -> Row:
    nothing = np.array([])
    x, y = found.get(a, nothing), found.get(b, nothing)
    row: Row = {"a": a, "b": b, "n_a": len(x), "n_b": len(y), "n_groups": 2,
                "n_values": len(x) + len(y)}  # fmt: skip
    reason = reason_against([x, y], needs_spread=False)
    if reason:
        return {**row, "flag": "undefined", "reason": reason}
    medians = {"median_a": float(np.median(x)), "median_b": float(np.median(y))}
    return {**row, **medians, **mann_whitney(x, y)}


def _said(said: str, found: dict[str, np.ndarray], pair: tuple[str, str]) -> Row:
    if reason_against([found.get(n, np.array([])) for n in pair], needs_spread=False):
        return {}
    return {"flag": "warning" if said else "", "reason": said}


def _dependence(values: pd.DataFrame, group: str) -> str:
    n_groups = values.groupby("person_key")[group].nunique()
    shared = int((n_groups > 1).sum())
    if not shared:
        return ""
    return f"{shared} persons are in several groups: not independent, prefer a paired test"
