"""Planning: power against closed forms and statsmodels, and what cannot be planned."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from cordcohort.statistics.power import Design, power, reason_against
from cordcohort.statistics.run import run_analysis
from scipy import stats
from statsmodels.stats.power import TTestIndPower

MakeLong = Callable[..., pd.DataFrame]
SDS = {"person": 4.0, "site": 2.0, "residual": 3.0}
N = 20_000


def test_one_site_is_the_power_of_the_t_test() -> None:
    found, error = power(Design(1, 40), 3.0, SDS, alpha=0.05, n_simulations=N, seed=0)
    expected = TTestIndPower().power(effect_size=3.0 / 5.0, nobs1=40, alpha=0.05)
    assert found == pytest.approx(expected, abs=4 * error)


def test_both_arms_at_every_site_agree_with_a_fitted_model() -> None:
    rng = np.random.default_rng(0)
    n_sites, n_each, hits = 4, 5, []
    arm = np.tile(np.repeat([0, 1], n_each), n_sites)
    site = np.repeat(np.arange(n_sites), 2 * n_each)
    x = np.column_stack([arm, np.eye(n_sites)[site]])
    inverse = np.linalg.inv(x.T @ x)
    df = len(arm) - x.shape[1]
    for _ in range(3000):
        y = 4.0 * arm + rng.normal(0, 2, n_sites)[site] + rng.normal(0, 5, len(arm))
        beta = inverse @ x.T @ y
        s2 = ((y - x @ beta) ** 2).sum() / df
        hits.append(2 * stats.t.sf(abs(beta[0]) / np.sqrt(s2 * inverse[0, 0]), df) < 0.05)
    found, _ = power(Design(4, 20), 4.0, SDS, alpha=0.05, n_simulations=N, seed=1)
    assert found == pytest.approx(np.mean(hits), abs=0.035)


def test_each_site_in_one_arm_is_a_t_test_of_site_means() -> None:
    found, error = power(
        Design(10, 50, allocation="between_sites"), 4.0, SDS, alpha=0.05, n_simulations=N, seed=0
    )
    sd = np.sqrt(4 + 25 / 10)
    expected = TTestIndPower().power(effect_size=4.0 / sd, nobs1=5, alpha=0.05)
    assert found == pytest.approx(expected, abs=4 * error)


def test_repeated_scans_only_lower_the_residual() -> None:
    one, _ = power(Design(1, 30, 1), 2.5, SDS, alpha=0.05, n_simulations=N, seed=0)
    many, _ = power(Design(1, 30, 100), 2.5, SDS, alpha=0.05, n_simulations=N, seed=0)
    limit = TTestIndPower().power(effect_size=2.5 / 4.0, nobs1=30, alpha=0.05)
    assert one < many
    assert many == pytest.approx(limit, abs=0.02)


@pytest.mark.parametrize(
    ("design", "words"),
    [
        (Design(10, 15), "fewer than 2 persons"),
        (Design(3, 15, allocation="between_sites"), "3 sites"),
        (Design(20, 5, allocation="between_sites"), "fewer persons than sites"),
    ],
)
def test_impossible_designs_have_a_reason(design: Design, words: str) -> None:
    assert words in reason_against(design)


def test_a_declared_plan_uses_the_measured_components(make_long: MakeLong) -> None:
    rng = np.random.default_rng(0)
    site = dict(zip("abcdef", rng.normal(0, 2, 6), strict=True))
    rows = [
        {"subject": f"{s}{i}", "site": s, "session": t,
         "value": float(70 + site[s] + p + rng.normal(0, 2))}
        for s, i in itertools.product("abcdef", range(6)) for p in [rng.normal(0, 5)] for t in "12"
    ]  # fmt: skip
    spec = {"name": "p", "kind": "planning", "effect": 5, "relative": True, "n_sites": [2],
            "n_per_arm": [10, 40, 400], "n_simulations": 1000}  # fmt: skip
    table = run_analysis(spec, make_long(rows)).table
    assert table["power"].is_monotonic_increasing
    assert table["enough"].tolist()[-1] == "yes"
    assert table["sd_person"].iloc[0] == pytest.approx(5, rel=0.4)
    assert table["effect_percent"].iloc[0] == pytest.approx(5)
    again = run_analysis(spec, make_long(rows).sample(frac=1, random_state=1)).table
    pd.testing.assert_frame_equal(table, again)


def test_nothing_measured_gives_a_reason_and_one_site_is_said(make_long: MakeLong) -> None:
    few = run_analysis(
        {"name": "p", "kind": "planning", "effect": 1}, make_long([{"subject": "1", "value": 1.0}])
    ).table
    assert few["flag"].tolist() == ["undefined"]
    values = np.random.default_rng(0).normal(70, 4, (8, 2))
    rows = [{"subject": f"{i}", "session": f"{j}", "value": float(v)}
            for (i, j), v in np.ndenumerate(values)]  # fmt: skip
    spec = {"name": "p", "kind": "planning", "effect": 5, "n_sites": [2], "n_per_arm": [20]}
    one = run_analysis(spec, make_long(rows)).table
    assert one["flag"].tolist() == ["warning"]
    assert "site not measured here" in one["reason"].iloc[0]
