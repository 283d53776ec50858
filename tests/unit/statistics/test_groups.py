"""Mann-Whitney, Kruskal-Wallis, ANOVA, Tukey: closed form, other implementation, degenerate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pingouin
import pytest
from cordcohort.statistics.group_tests import kruskal_wallis, mann_whitney, one_way_anova, tukey
from cordcohort.statistics.run import run_analysis
from scipy import stats

MakeLong = Callable[..., pd.DataFrame]


def _run(cohort: pd.DataFrame, test: str, **spec: Any) -> pd.DataFrame:
    declared = {"name": "g", "kind": "group_test", "group": "site", "test": test, **spec}
    return run_analysis(declared, cohort).table


def _sites(make_long: MakeLong, groups: dict[str, list[float]]) -> pd.DataFrame:
    rows = [{"subject": f"{s}{i}", "site": s, "value": v}
            for s, values in groups.items() for i, v in enumerate(values)]  # fmt: skip
    return make_long(rows)


def _samples(seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(70 + 2 * i, 4, n) for i, n in enumerate((12, 9, 15))]


def test_mann_whitney_of_separated_groups_has_p_2_over_20() -> None:
    row = mann_whitney(np.array([4.0, 5, 6]), np.array([1.0, 2, 3]))
    assert row["p"] == pytest.approx(2 / 20)
    assert row["p_method"] == "exact"


def test_mann_whitney_agrees_with_pingouin_with_and_without_ties() -> None:
    a, b, _ = _samples()
    for x, y in ((a, b), (a.round(), b.round())):
        row = mann_whitney(x, y)
        theirs = pingouin.mwu(x, y, method="exact" if x is a else "asymptotic").iloc[0]
        assert row["test_statistic"] == theirs["U_val"]
        assert row["p"] == pytest.approx(theirs["p_val"])
        assert row["effect"] == pytest.approx(theirs["RBC"])


def test_omnibus_tests_agree_with_pingouin() -> None:
    samples = _samples()
    frame = pd.DataFrame({"g": np.repeat(list("abc"), [len(s) for s in samples]),
                          "v": np.concatenate(samples)})  # fmt: skip
    f = pingouin.anova(frame, "v", "g", detailed=True).iloc[0]
    ours = one_way_anova(samples)
    assert ours["test_statistic"] == pytest.approx(f["F"])
    assert ours["p"] == pytest.approx(f["p_unc"])
    assert ours["effect"] == pytest.approx(f["np2"])
    h = pingouin.kruskal(frame, "v", "g").iloc[0]
    ours = kruskal_wallis(samples)
    assert ours["test_statistic"] == pytest.approx(h["H"])
    assert ours["effect"] == pytest.approx(h["H"] / (len(frame) - 1))
    pairs = pingouin.pairwise_tukey(frame, "v", "g")
    for row, theirs in zip(tukey(samples, list("abc")), pairs.itertuples(), strict=True):
        assert (row["a"], row["b"]) == (theirs.A, theirs.B)
        assert row["effect"] == pytest.approx(theirs.diff)
        assert row["p"] == pytest.approx(theirs.p_tukey, abs=1e-6)


def test_two_group_anova_is_the_t_test_squared() -> None:
    a, b, _ = _samples()
    assert one_way_anova([a, b])["test_statistic"] == pytest.approx(
        stats.ttest_ind(a, b).statistic ** 2
    )


def test_kruskal_of_perfectly_ordered_groups_has_its_closed_form() -> None:
    row = kruskal_wallis([np.array([1.0, 2]), np.array([3.0, 4]), np.array([5.0, 6])])
    assert row["test_statistic"] == pytest.approx(12 / 42 * (9 + 49 + 121) / 2 - 3 * 7)


def test_sites_are_compared_on_persons_and_vendors_on_site_means(make_long: MakeLong) -> None:
    cohort = _sites(make_long, {"x": [1.0, 2, 3], "y": [2.0, 3, 4], "z": [7.0, 8, 9]})
    cohort["vendor"] = cohort["site"].map({"x": "A", "y": "A", "z": "B"})
    row = _run(cohort, "anova").iloc[0]
    assert (row["n_values"], row["df1"], row["df2"]) == (9, 2, 6)
    vendors = _run(cohort, "anova", group="vendor", unit="site").iloc[0]
    assert vendors["n_values"] == 3
    assert vendors["reason"] == "a group has fewer than two values"


def test_one_person_a_site_suppresses_the_anova(make_long: MakeLong) -> None:
    row = _run(_sites(make_long, {"x": [1.0], "y": [2.0], "z": [3.0]}), "anova").iloc[0]
    assert (row["flag"], row["reason"]) == ("undefined", "one value a group")
    assert np.isnan(row["p"])


@pytest.mark.parametrize("test", ["mann_whitney", "kruskal_wallis", "anova", "tukey"])
def test_constant_and_single_groups_are_undefined(make_long: MakeLong, test: str) -> None:
    constant = _run(_sites(make_long, {"x": [1.0] * 3, "y": [1.0] * 3}), test)
    assert constant["reason"].tolist() == ["all values are equal"]
    single = _run(_sites(make_long, {"x": [1.0, 2.0]}), test)
    assert single["flag"].tolist() == ["undefined"]


def test_persons_in_several_groups_are_said(make_long: MakeLong) -> None:
    cohort = _sites(make_long, {"x": [1.0, 2, 3], "y": [2.0, 5, 4]})
    cohort["subject"] = cohort["subject"].str[1:]
    cohort["person"] = cohort["subject"]
    row = _run(cohort, "mann_whitney").iloc[0]
    assert row["flag"] == "warning"
    assert "3 persons are in several groups" in row["reason"]


def test_groups_may_come_from_the_scores(make_long: MakeLong) -> None:
    cohort = _sites(make_long, {"x": [1.0, 2, 3, 9], "y": [2.0, 5, 4, 8]})
    scores = pd.DataFrame({
        "dataset": "a", "subject": cohort["subject"], "person": "", "session": "",
        "time_point": "", "variable": "group", "value": ["HC", "MS", "HC", "MS"] * 2,
    }).astype("str")  # fmt: skip
    spec = {"name": "g", "kind": "group_test", "group": "group", "test": "mann_whitney"}
    row = run_analysis(spec, cohort, scores).table.iloc[0]
    assert (row["a"], row["b"], row["n_a"], row["n_b"]) == ("HC", "MS", 4, 4)
    assert (
        row["effect"] == mann_whitney(np.array([1.0, 3, 2, 4]), np.array([2.0, 9, 5, 8]))["effect"]
    )
