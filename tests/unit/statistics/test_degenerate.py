"""Every kind of analysis meets every degenerate cohort: a row with a reason, never an exception."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cordcohort.statistics.catalogue import kinds
from cordcohort.statistics.run import run_analysis

MakeLong = Callable[..., pd.DataFrame]
DECLARED: dict[str, dict[str, Any]] = {
    "agreement": {},
    "bland_altman": {"compare": "method"},
    "concordance": {"compare": "method"},
    "correlation": {"with": {"score": ["lems"]}},
    "correlation_difference": {"compare": "method", "values": ["manual", "m"], "score": "lems"},
    "csa_by_method": {},
    "csa_by_person": {},
    "csa_error": {"reference": "manual"},
    "csa_method_tests": {"reference": "manual", "families": {"f": ["manual", "m", "absent"]}},
    "equivalence": {"compare": "method", "margin": 1.0},
    "group_test": {"group": "site", "test": "kruskal_wallis"},
    "harmonisation": {"group": "vendor", "fit_on": ["V1"]},
    "level_table": {"over": "session"},
    "linear_model": {"covariates": ["site"]},
    "mask_scores": {"measures": ["csa_mm2"]},
    "method_regression": {"compare": "method"},
    "normality": {},
    "paired_test": {"compare": "method"},
    "planning": {"effect": 1.0, "n_simulations": 100, "n_sites": [2], "n_per_arm": [5]},
    "region_errors": {},
    "region_scores": {},
    "reliability": {"over": "session"},
    "repeated_test": {"compare": "session"},
    "score_table": {"measures": ["csa_mm2"], "against": "manual"},
    "share_above": {"bound": 71.0},
    "variability": {"over": "site"},
    "variance_components": {},
    "variant_curve": {"over": "threshold"},
}
COUNTS = ["n_excluded", "n_failed", "n_undefined", "n_unpaired", "n_used"]


def _cohorts(make_long: MakeLong) -> dict[str, pd.DataFrame]:
    def rows(n: int, value: Any, sites: str = "ab", sessions: str = "12") -> list[dict[str, Any]]:
        return [
            {"subject": f"{i}", "site": sites[i % len(sites)], "session": t, "method": m,
             "value": value(i, t, m)}
            for i, t, m in itertools.product(range(n), sessions, ("manual", "m"))
        ]  # fmt: skip

    def varied(i: int, t: str, m: str) -> float:
        return 70 + (i * 7 % 5) + 0.3 * int(t) + (m == "m") * (i % 3) * 0.5

    def constant(*_: object) -> float:
        return 70.0

    def around_zero(i: int, t: str, m: str) -> float:
        return (-1.0) ** i * (1 + int(t)) * (m == "m")

    failed = make_long(rows(4, varied))
    failed["value"] = np.nan
    failed["flag"] = "failed"
    failed["reason"] = "no cord found"
    excluded = make_long(rows(4, varied)).assign(flag="excluded", reason="motion")
    return {
        **{f"{n} persons": make_long(rows(n, varied)) for n in (1, 2, 3, 5)},
        "one site": make_long(rows(6, varied, sites="a")),
        "one person a site": make_long(rows(4, varied, sites="abcd")),
        "one session": make_long(rows(6, varied, sessions="1")),
        "three sessions": make_long(rows(6, varied, sessions="123")),
        "constant": make_long(rows(6, constant)),
        "around zero": make_long(rows(6, around_zero)),
        "all failed": failed,
        "all excluded": excluded,
    }


@pytest.fixture(scope="module")
def every(make_long: MakeLong) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All cohorts as data sets of one long table, and scores of everyone."""
    cohorts = _cohorts(make_long)
    parts = [c.assign(dataset=name) for name, c in cohorts.items()]
    ids = [str(i) for i in range(6)]
    scores = [
        pd.DataFrame({
            "dataset": name, "subject": ids, "person": "", "session": "", "time_point": "",
            "variable": "lems", "value": ["50", "50", "n/a", "40", "30", "20"],
        })
        for name in cohorts
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True), pd.concat(scores, ignore_index=True).astype("str")


def _check(table: pd.DataFrame, name: str) -> None:
    undefined = table["flag"] == "undefined"
    assert (table.loc[table["flag"] != "", "reason"] != "").all(), name
    assert table["flag"].isin(["", "warning", "undefined"]).all(), name
    if "p" in table:
        assert table.loc[~undefined, "p"].dropna().between(0, 1).all(), name
    assert not np.isinf(table.select_dtypes("float64").to_numpy()).any(), name
    if name in ("all failed", "all excluded", "empty"):
        assert undefined.all(), name
        assert len(table), name


def test_no_kind_is_forgotten_here() -> None:
    assert set(DECLARED) == set(kinds())


@pytest.mark.parametrize("kind", sorted(DECLARED))
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_degenerate_cohorts_give_rows_with_reasons(
    every: tuple[pd.DataFrame, pd.DataFrame], kind: str
) -> None:
    cohort, scores = every
    spec = {"name": "d", "kind": kind, **DECLARED[kind]}
    result = run_analysis(spec | {"split_by": ["dataset"]}, cohort, scores)
    assert (result.counts[COUNTS].sum(axis=1) == result.counts["n_found"]).all()
    assert set(result.table["dataset"]) == set(cohort["dataset"])
    for name, table in result.table.groupby("dataset"):
        _check(table, str(name))
    _check(run_analysis(spec, cohort.iloc[:0], scores).table, "empty")


@pytest.mark.parametrize("kind", sorted(set(DECLARED) - {"planning"}))
def test_results_do_not_depend_on_the_order_of_rows(
    every: tuple[pd.DataFrame, pd.DataFrame], kind: str
) -> None:
    cohort, scores = every
    cohort = cohort[cohort["dataset"] == "three sessions"]
    spec = {"name": "d", "kind": kind, **DECLARED[kind]}
    first = run_analysis(spec, cohort, scores).table
    again = run_analysis(spec, cohort.sample(frac=1, random_state=4), scores).table
    pd.testing.assert_frame_equal(first, again, check_exact=True)
