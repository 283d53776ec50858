"""Friedman, repeated-measures ANOVA, normality: closed form, other implementation, degenerate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pingouin
import pytest
from cordcohort.statistics.normality import normality_row
from cordcohort.statistics.repeated import friedman, rm_anova
from cordcohort.statistics.run import run_analysis
from scipy import stats
from statsmodels.stats.anova import AnovaRM

MakeLong = Callable[..., pd.DataFrame]


def _table(seed: int = 0, n: int = 12, k: int = 4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(70, 5, (n, 1)) + rng.normal(0, 1, (n, k)) + np.arange(k) * 0.4


def _cohort(make_long: MakeLong, table: np.ndarray) -> pd.DataFrame:
    rows = [{"subject": f"{i:02d}", "contrast": f"c{j}", "value": float(v)}
            for (i, j), v in np.ndenumerate(table) if np.isfinite(v)]  # fmt: skip
    return make_long(rows)


def _run(cohort: pd.DataFrame, **spec: Any) -> pd.DataFrame:
    declared = {"name": "r", "kind": "repeated_test", "compare": "contrast", **spec}
    return run_analysis(declared, cohort).table


def test_friedman_of_perfect_order_is_n_times_k_minus_1() -> None:
    row = friedman(np.tile(np.arange(4.0), (5, 1)))
    assert row["test_statistic"] == pytest.approx(5 * 3)
    assert row["effect"] == pytest.approx(1.0)


def test_friedman_and_kendall_w_agree_with_pingouin() -> None:
    table = _table()
    long = pd.DataFrame(table).reset_index().melt("index", var_name="c", value_name="v")
    theirs = pingouin.friedman(long, "v", "c", "index").iloc[0]
    row = friedman(table)
    assert row["test_statistic"] == pytest.approx(theirs["Q"])
    assert row["effect"] == pytest.approx(theirs["W"])
    assert row["p"] == pytest.approx(theirs["p_unc"])
    assert row["ci_low"] <= row["effect"] <= row["ci_high"]


def test_rm_anova_agrees_with_statsmodels_and_its_closed_form() -> None:
    table = _table(1)
    long = pd.DataFrame(table).reset_index().melt("index", var_name="c", value_name="v")
    theirs = AnovaRM(long, "v", "index", within=["c"]).fit().anova_table.iloc[0]
    row = rm_anova(table)
    assert row["test_statistic"] == pytest.approx(theirs["F Value"])
    assert row["p"] == pytest.approx(theirs["Pr > F"])
    n, k = table.shape
    effect = n * ((table.mean(axis=0) - table.mean()) ** 2).sum() / (k - 1)
    residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    assert row["test_statistic"] == pytest.approx(
        effect / ((residual**2).sum() / ((n - 1) * (k - 1)))
    )
    covariance = np.cov(table.T)
    centre = np.eye(k) - 1 / k
    doubly = centre @ covariance @ centre
    epsilon = np.trace(doubly) ** 2 / ((k - 1) * (doubly**2).sum())
    assert row["epsilon"] == pytest.approx(epsilon)


def test_incomplete_blocks_are_counted_and_post_hoc_corrected(make_long: MakeLong) -> None:
    table = _table(k=3)
    table[0, 1] = np.nan
    out = _run(_cohort(make_long, table), correction="bonferroni")
    assert out["n_complete"].tolist() == [11] * 4
    assert out["n_incomplete"].tolist() == [1] * 4
    omnibus, pairs = out.iloc[0], out.iloc[1:]
    assert (omnibus["test"], omnibus["a"]) == ("friedman", "")
    assert set(pairs["test"]) == {"wilcoxon"}
    np.testing.assert_allclose(pairs["p_adjusted"], np.minimum(1, 3 * pairs["p"]))
    assert out["n_used"].iloc[0] == 33


@pytest.mark.parametrize("test", ["friedman", "rm_anova"])
@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (_table(n=2), "2 complete blocks"),
        (_table(k=2), "2 conditions"),
        (np.tile(np.arange(5.0)[:, None], (1, 3)), "do not differ"),
    ],
)
def test_degenerate_blocks_have_a_reason(
    make_long: MakeLong, test: str, table: np.ndarray, reason: str
) -> None:
    out = _run(_cohort(make_long, table), test=test)
    assert out["flag"].tolist() == ["undefined"]
    assert reason in out["reason"].iloc[0]


def test_rm_anova_without_residual_is_undefined() -> None:
    table = np.arange(5.0)[:, None] + np.array([0.0, 1.0, 2.0])
    assert rm_anova(table)["reason"] == "no residual variance"


def test_normality_agrees_with_pingouin_and_its_closed_form() -> None:
    values = np.random.default_rng(0).normal(size=50)
    row = normality_row(values)
    theirs = pingouin.normality(values, method="normaltest").iloc[0]
    assert (row["k2"], row["p"]) == pytest.approx((theirs["W"], theirs["pval"]))
    z = stats.skewtest(values).statistic ** 2 + stats.kurtosistest(values).statistic ** 2
    assert row["k2"] == pytest.approx(z)
    assert row["p"] == pytest.approx(np.exp(-z / 2))


def test_normality_of_small_constant_and_skewed_samples(make_long: MakeLong) -> None:
    assert normality_row(np.ones(30))["reason"] == "all values are equal"
    assert normality_row(np.arange(10.0))["flag"] == "warning"
    assert float(str(normality_row(np.exp(np.arange(30.0)))["p"])) < 1e-6
    cohort = _cohort(make_long, _table(n=9, k=1))
    table = run_analysis({"name": "n", "kind": "normality"}, cohort).table
    assert table["n"].tolist() == [9]
