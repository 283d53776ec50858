"""Bland-Altman, concordance, Deming, Passing-Bablok, equivalence: three tests of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pingouin
import pytest
from cordcohort.statistics.comparison import (
    concordance,
    deming,
    deming_jackknife,
    passing_bablok,
    repeated_limits,
    tost,
)
from cordcohort.statistics.run import run_analysis
from scipy import stats

MakeLong = Callable[..., pd.DataFrame]


def _run(cohort: pd.DataFrame, kind: str, **spec: Any) -> pd.Series:
    declared = {"name": "m", "kind": kind, "compare": "method", "values": ["a", "b"], **spec}
    table = run_analysis(declared, cohort).table
    assert len(table) == 1
    return table.iloc[0]


def _cohort(make_long: MakeLong, a: Any, b: Any, sessions: int = 1) -> pd.DataFrame:
    rows = [
        {"subject": f"{i // sessions:03d}", "session": str(i % sessions), "method": m,
         "value": float(v)}
        for m, values in (("a", a), ("b", b)) for i, v in enumerate(values)
    ]  # fmt: skip
    return make_long(rows)


def _pairs(seed: int = 0, n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(70, 6, n)
    return truth + rng.normal(1.0, 1.5, n), truth + rng.normal(0.0, 1.5, n)


def test_bland_altman_without_repeats_is_the_textbook_one(make_long: MakeLong) -> None:
    a, b = _pairs()
    row = _run(_cohort(make_long, a, b), "bland_altman")
    d = a - b
    assert row["bias"] == pytest.approx(d.mean())
    assert row["loa_high"] == pytest.approx(d.mean() + 1.96 * d.std(ddof=1))
    line = stats.linregress((a + b) / 2, d)
    assert row["proportional_slope"] == pytest.approx(line.slope)
    assert row["proportional_p"] == pytest.approx(line.pvalue)
    low, high = stats.ttest_1samp(d, 0).confidence_interval()
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((low, high))


def test_bland_altman_with_repeats_agrees_with_a_mixed_model() -> None:
    import statsmodels.formula.api as smf  # noqa: PLC0415 - slow import

    rng = np.random.default_rng(3)
    person = np.repeat(np.arange(25), 3)
    d = rng.normal(0, 2, 25)[person] + rng.normal(0.5, 1, 75)
    found = repeated_limits(d, person)
    fit = smf.mixedlm("d ~ 1", pd.DataFrame({"d": d, "p": person}), groups="p").fit(reml=True)
    assert found.bias == pytest.approx(fit.fe_params.iloc[0])
    assert found.sd_within == pytest.approx(np.sqrt(fit.scale), rel=1e-4)
    assert found.sd_between == pytest.approx(np.sqrt(fit.cov_re.iloc[0, 0]), rel=1e-3)


def test_bland_altman_of_identical_methods_and_of_two_persons(make_long: MakeLong) -> None:
    same = _run(_cohort(make_long, [1.0, 2, 3, 4], [1.0, 2, 3, 4]), "bland_altman")
    assert (same["bias"], same["sd"], same["flag"]) == (0.0, 0.0, "warning")
    few = _run(_cohort(make_long, [1.0] * 4, [2.0] * 4, sessions=2), "bland_altman")
    assert few["reason"] == "2 persons: needs 3"
    none = _run(_cohort(make_long, [1.0], []), "bland_altman")
    assert none["flag"] == "undefined"


def test_concordance_of_a_shift_has_its_closed_form() -> None:
    a, _ = _pairs()
    ccc, _, pearson, accuracy = concordance(a, a + 2)
    assert ccc == pytest.approx(2 * a.var() / (2 * a.var() + 4))
    assert pearson == pytest.approx(1.0)
    assert accuracy == pytest.approx(ccc)


def test_concordance_is_one_minus_the_scaled_squared_distance_and_covers_its_bootstrap() -> None:
    a, b = _pairs()
    ccc, interval, _, _ = concordance(a, b)
    expected = 1 - ((a - b) ** 2).mean() / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)
    assert ccc == pytest.approx(expected)

    def statistic(first: np.ndarray, second: np.ndarray) -> float:
        return concordance(first, second)[0]

    boot = stats.bootstrap(
        (a, b), statistic, paired=True, vectorized=False, n_resamples=999, method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    assert (interval.low, interval.high) == pytest.approx((boot.low, boot.high), abs=0.04)


def test_concordance_of_a_constant_side_is_undefined(make_long: MakeLong) -> None:
    row = _run(_cohort(make_long, [1.0, 1, 1, 1], [1.0, 2, 3, 4]), "concordance")
    assert row["reason"] == "one side is constant"
    perfect = _run(_cohort(make_long, [1.0, 2, 3, 4], [1.0, 2, 3, 4]), "concordance")
    assert perfect["ccc"] == pytest.approx(1.0)
    assert np.isnan(perfect["ci_low"])


def test_deming_with_equal_errors_is_the_first_principal_axis() -> None:
    x, y = _pairs(2)
    axis = np.linalg.eigh(np.cov(x, y))[1][:, -1]
    slope, intercept = deming(x, y)
    assert slope == pytest.approx(axis[1] / axis[0])
    assert intercept == pytest.approx(y.mean() - slope * x.mean())
    of_slope, _ = deming_jackknife(x, y)
    assert of_slope.low < 1 < of_slope.high
    assert deming(y, x)[0] == pytest.approx(1 / slope)


def test_passing_bablok_is_theil_sen_when_no_slope_is_below_minus_one() -> None:
    x = np.array([1.0, 2, 3, 4, 5, 6, 7])
    y = np.array([1.1, 2.3, 2.9, 4.2, 5.1, 5.8, 7.3])
    slope, _, interval, _ = passing_bablok(x, y)
    assert slope == pytest.approx(stats.theilslopes(y, x).slope)
    assert interval.low < slope < interval.high


def test_passing_bablok_does_not_care_which_method_comes_first() -> None:
    x, y = _pairs(5)
    slope, intercept, interval, _ = passing_bablok(x, y)
    inverse = passing_bablok(y, x)
    assert inverse[0] == pytest.approx(1 / slope, rel=0.02)
    assert interval.low < 1 < interval.high
    assert abs(intercept - (y.mean() - slope * x.mean())) < 0.5


@pytest.mark.parametrize("line", ["deming", "passing_bablok"])
def test_exact_line_and_degenerate_lines(make_long: MakeLong, line: str) -> None:
    b = np.arange(1.0, 9.0)
    exact = _run(_cohort(make_long, 2 * b + 3, b), "method_regression", line=line)
    assert (exact["slope"], exact["intercept"]) == pytest.approx((2.0, 3.0))
    constant = _run(_cohort(make_long, b, b * 0), "method_regression", line=line)
    assert constant["flag"] == "undefined"
    few = _run(_cohort(make_long, b[:3], b[:3]), "method_regression", line=line)
    assert few["reason"] == "3 complete pairs: needs 5"


def test_equivalence_agrees_with_pingouin(make_long: MakeLong) -> None:
    a, b = _pairs(1)
    row = _run(_cohort(make_long, a, b), "equivalence", margin=2.0, correction="none")
    theirs = pingouin.tost(a, b, bound=2.0, paired=True).iloc[0]
    assert row["p"] == pytest.approx(theirs["pval"])
    low, high = stats.ttest_1samp(a - b, 0).confidence_interval(0.90)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((low, high))
    assert (row["equivalent"] == "yes") == (low > -2 and high < 2)


def test_rank_equivalence_has_its_closed_form_and_interval_of_walsh_averages() -> None:
    d = np.array([0.1, -0.2, 0.3, -0.4, 0.5, 0.6])
    found = tost(d, -10, 10, ranks=True)
    assert found.p == 2.0**-6
    assert found.interval.low <= np.median(d) <= found.interval.high


def test_equivalence_of_degenerate_pairs(make_long: MakeLong) -> None:
    same = _run(_cohort(make_long, [1.0, 2, 3], [1.0, 2, 3]), "equivalence", margin=1)
    assert (same["p"], same["equivalent"]) == (0.0, "yes")
    far = _run(_cohort(make_long, [5.0, 6, 7], [1.0, 2, 3]), "equivalence", margin=1)
    assert (far["p"], far["equivalent"]) == (1.0, "not shown")
    few = _run(_cohort(make_long, [1.0], [1.0]), "equivalence", margin=1)
    assert (few["flag"], few["equivalent"]) == ("undefined", "")
    percent = _run(_cohort(make_long, [101.0, 99, 100], [100.0] * 3), "equivalence", margin=5,
                   relative=True)  # fmt: skip
    assert percent["margin_high"] == pytest.approx(5.0)
