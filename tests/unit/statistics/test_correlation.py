"""Spearman: closed forms, scipy and pingouin, exact small samples, incomplete persons."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pingouin
import pytest
from cordcohort.statistics.correlation import rank_correlations, spearman_row
from cordcohort.statistics.run import run_analysis
from scipy import stats

MakeLong = Callable[..., pd.DataFrame]


def _scores(values: dict[str, str], variable: str = "lems", time_point: str = "") -> pd.DataFrame:
    rows = [
        {"dataset": "a", "subject": s, "person": "", "session": "", "time_point": time_point,
         "variable": variable, "value": v} for s, v in values.items()
    ]  # fmt: skip
    return pd.DataFrame(rows).astype("str")


def _run(cohort: pd.DataFrame, scores: pd.DataFrame, **spec: Any) -> pd.DataFrame:
    declared = {"name": "c", "kind": "correlation", "with": {"score": ["lems"]}, **spec}
    return run_analysis(declared, cohort, scores).table


def test_rho_p_and_interval_agree_with_scipy_and_pingouin() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=30)
    y = x + rng.normal(size=30)
    row = spearman_row(x, y)
    theirs = stats.spearmanr(x, y)
    assert row["rho"] == pytest.approx(theirs.statistic)
    assert row["p"] == pytest.approx(theirs.pvalue)
    table = pingouin.corr(x, y, method="spearman").iloc[0]
    assert row["rho"] == pytest.approx(table["r"])
    bounds = (row["ci_low"], row["ci_high"])
    # pingouin takes the variance of Pearson's z, which is a little narrower
    assert bounds == pytest.approx(table["CI95"], abs=0.05)
    assert row["ci_low"] <= table["CI95"][0] + 0.005


def test_exact_p_of_five_pairs_counts_all_orders() -> None:
    x, y = np.arange(5.0), np.array([0.0, 2, 1, 3, 4])
    rho = stats.spearmanr(x, y).statistic
    every = [stats.spearmanr(x, p).statistic for p in itertools.permutations(y)]
    expected = 2 * np.mean(np.array(every) >= rho - 1e-12)
    row = spearman_row(x, y)
    assert row["p_method"] == "exact by permutation"
    assert row["p"] == pytest.approx(expected)


def test_bootstrap_rho_is_scipys_on_each_resample() -> None:
    data = np.random.default_rng(0).integers(0, 5, size=(3, 12, 2)).astype(float)
    expected = [stats.spearmanr(part).statistic for part in data]
    np.testing.assert_allclose(rank_correlations(data), expected)


def test_persons_are_averaged_and_incomplete_ones_counted(make_long: MakeLong) -> None:
    rows = [{"subject": f"{i}", "session": t, "value": 60.0 + i} for i in range(6) for t in "12"]
    scores = _scores({"0": "50", "1": "48", "2": "49", "3": "40", "4": "n/a", "9": "1"})
    row = _run(make_long(rows), scores).iloc[0]
    assert (row["n"], row["n_incomplete"], row["with"]) == (4, 2, "lems")
    assert row["rho"] == pytest.approx(stats.spearmanr(range(4), [50, 48, 49, 40]).statistic)
    assert (row["n_used"], row["n_unpaired"]) == (8, 4)


def test_time_points_make_rows_of_their_own(make_long: MakeLong) -> None:
    rows = [{"subject": f"{i}", "value": 60.0 + i} for i in range(6)]
    values = {str(i): str(i * i) for i in range(6)}
    scores = pd.concat([_scores(values, time_point=t) for t in ("admission", "discharge")])
    table = _run(make_long(rows), scores)
    assert table["time_point"].tolist() == ["admission", "discharge"]
    assert table["rho"].tolist() == [1.0, 1.0]
    one = _run(make_long(rows), scores, **{"with": {"score": ["lems"], "time_point": ["later"]}})
    assert one["flag"].tolist() == ["undefined"]


def test_two_measures_correlate_and_bootstrap_is_reproducible(make_long: MakeLong) -> None:
    rng = np.random.default_rng(4)
    rows = [
        {"subject": f"{i}", "measure": m, "value": float(v)}
        for m in ("csa_mm2", "fa") for i, v in enumerate(rng.normal(70, 5, 15))
    ]  # fmt: skip
    spec: dict[str, Any] = {"with": {"measure": "fa"}, "interval": "bootstrap"}
    first = _run(make_long(rows), _scores({}), **spec)
    again = _run(make_long(rows).sample(frac=1, random_state=3), _scores({}), **spec)
    pd.testing.assert_frame_equal(first, again)
    assert first["with"].tolist() == ["csa_mm2 ~ fa"]
    assert first["ci_low"].iloc[0] < first["rho"].iloc[0] < first["ci_high"].iloc[0]


@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        ([], [], "0 complete pairs"),
        ([1.0, 2.0], [1.0, 2.0], "2 complete pairs"),
        ([1.0] * 6, [1.0, 2, 3, 4, 5, 6], "measure is constant"),
        ([1.0, 2, 3, 4, 5, 6], [1.0] * 6, "score is constant"),
        (
            [4.141760623368529, 4.141760623368531] * 3,
            [6.0, 5, 4, 3, 2, 1],
            "measure is constant",
        ),
    ],
)
def test_undefined_correlations_have_a_reason(x: list[float], y: list[float], reason: str) -> None:
    row = spearman_row(np.array(x), np.array(y))
    assert row["flag"] == "undefined"
    assert reason in str(row["reason"])


def test_perfect_correlation_keeps_rho_and_says_that_it_has_no_interval() -> None:
    row = spearman_row(np.arange(10.0), np.arange(10.0))
    assert row["rho"] == pytest.approx(1.0)
    assert row["flag"] == "warning"


def test_a_score_that_is_text_leaves_its_person_out_and_is_said(make_long: MakeLong) -> None:
    subjects = [f"{k:02d}" for k in range(8)]
    rows = [{"subject": s, "value": float(k)} for k, s in enumerate(subjects)]
    values = {s: str(k * k) for k, s in enumerate(subjects)} | {"03": "not testable", "04": ""}
    row = _run(make_long(rows), _scores(values)).iloc[0]
    assert (row["n"], row["n_incomplete"]) == (6, 2)
    assert row["flag"] == "warning"
    assert "1 with a score that is no number" in row["reason"]
