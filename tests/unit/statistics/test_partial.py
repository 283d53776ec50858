"""Partial and dependent correlations: closed form, other implementation, degenerate data."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pingouin
import pytest
from cordcohort.statistics.covariates import covariate_table, design_of
from cordcohort.statistics.dependent import difference_row
from cordcohort.statistics.partial import meng_z, partial_rho, partial_spearman_row
from cordcohort.statistics.run import run_analysis

MakeLong = Callable[..., pd.DataFrame]


def _data(seed: int = 0, n: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.normal(50, 10, n)
    return pd.DataFrame({"x": age + rng.normal(0, 8, n), "y": age + rng.normal(0, 8, n),
                         "age": age, "dose": rng.normal(size=n)})  # fmt: skip


@pytest.mark.parametrize("covariates", [["age"], ["age", "dose"]])
def test_partial_spearman_agrees_with_pingouin(covariates: list[str]) -> None:
    data = _data()
    theirs = pingouin.partial_corr(data, "x", "y", covariates, method="spearman").iloc[0]
    row = partial_spearman_row(data["x"].to_numpy(), data["y"].to_numpy(), data[covariates])
    assert row["rho"] == pytest.approx(theirs["r"])
    assert row["p"] == pytest.approx(theirs["p_val"])


def test_one_covariate_has_the_closed_form_of_three_correlations() -> None:
    data = _data(3)
    r = data[["x", "y", "age"]].corr(method="spearman").to_numpy()
    expected = (r[0, 1] - r[0, 2] * r[1, 2]) / math.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    found = partial_rho(*(data[c].to_numpy() for c in "xy"), data[["age"]].to_numpy())
    assert found == pytest.approx(expected)


def test_partial_of_few_or_explained_persons_is_undefined() -> None:
    data = _data()
    few = partial_spearman_row(np.arange(4.0), np.arange(4.0), data[["age"]].head(4))
    assert few["flag"] == "undefined"
    x = data["age"].to_numpy()
    explained = partial_spearman_row(x, data["y"].to_numpy(), data[["age"]])
    assert explained["reason"] == "constant once the covariates are removed"


def test_declared_covariates_come_from_scores_and_missing_ones_are_counted(
    make_long: MakeLong,
) -> None:
    data = _data(1, 20)
    cohort = make_long([{"subject": f"{i}", "value": v} for i, v in enumerate(data["x"])])
    sex = ["F", "M"] * 9 + ["M", ""]
    scores = pd.concat([
        pd.DataFrame({"subject": [str(i) for i in range(20)], "variable": name,
                      "value": [str(v) for v in values]})
        for name, values in (("lems", data["y"]), ("age", data["age"]), ("sex", sex))
    ]).assign(dataset="a", person="", session="", time_point="").astype("str")  # fmt: skip
    spec = {"name": "p", "kind": "correlation", "with": {"score": ["lems"]},
            "covariates": ["age", "sex"]}  # fmt: skip
    row = run_analysis(spec, cohort, scores).table.iloc[0]
    assert (row["n"], row["n_incomplete"], row["controlled_for"]) == (19, 1, "age, sex")
    numeric = data.head(19).assign(sex=[float(s == "M") for s in sex[:19]])
    theirs = pingouin.partial_corr(numeric, "x", "y", ["age", "sex"], method="spearman").iloc[0]
    assert row["rho"] == pytest.approx(theirs["r"])


def test_covariate_that_differs_within_a_person_is_missing() -> None:
    rows = pd.DataFrame({"person_key": ["a", "a", "b"], "site": ["x", "y", "x"],
                         "age": ["30", "32", ""]})  # fmt: skip
    table = covariate_table(rows, ["site", "age"])
    assert table["site"].isna().tolist() == [True, False]
    assert table["age"].tolist()[0] == 31.0
    assert design_of(pd.DataFrame({"g": ["b", "a", "c"]})).columns.tolist() == ["g[b]", "g[c]"]


def test_equal_correlations_differ_by_nothing_and_swapping_changes_the_sign() -> None:
    assert meng_z(0.4, 0.4, 0.2, 30)[:2] == (0.0, 1.0)
    z, p, interval = meng_z(0.6, 0.2, 0.3, 40)
    assert meng_z(0.2, 0.6, 0.3, 40)[0] == pytest.approx(-z)
    assert (p < 0.05) == (interval.low > 0)


def test_meng_agrees_with_a_swap_permutation_test() -> None:
    rng = np.random.default_rng(0)
    score = rng.normal(size=60)
    data = np.column_stack([score + rng.normal(0, 1, 60), score + rng.normal(0, 2, 60), score])
    row = difference_row(data)
    ranks = np.argsort(np.argsort(data, axis=0), axis=0).astype(float)
    ranks -= ranks.mean(axis=0)

    def gap(a: np.ndarray, b: np.ndarray) -> float:
        size = np.linalg.norm
        s = ranks[:, 2] / size(ranks[:, 2])
        return float(a @ s / size(a) - b @ s / size(b))

    observed = gap(ranks[:, 0], ranks[:, 1])
    assert row["difference"] == pytest.approx(observed)
    swaps = rng.random((2000, 60)) < 0.5
    null = [gap(np.where(s, ranks[:, 1], ranks[:, 0]), np.where(s, ranks[:, 0], ranks[:, 1]))
            for s in swaps]  # fmt: skip
    p = np.mean(np.abs(null) >= abs(observed))
    assert row["p"] == pytest.approx(p, abs=0.03)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (np.zeros((3, 3)), "needs 5"),
        (np.column_stack([np.arange(6.0), np.ones(6), np.arange(6.0)]), "constant"),
        (np.column_stack([np.arange(8.0), [1, 0, 2, 3, 5, 4, 7, 6], np.arange(8.0)]), "perfect"),
    ],
)
def test_degenerate_dependent_correlations_have_a_reason(data: np.ndarray, reason: str) -> None:
    assert reason in str(difference_row(data)["reason"])


def test_manual_against_predicted_is_one_declaration(make_long: MakeLong) -> None:
    rng = np.random.default_rng(7)
    score = rng.normal(50, 10, 25)
    rows = [
        {"subject": f"{i}", "method": m, "value": float(s + rng.normal(0, sd))}
        for m, sd in (("manual", 5), ("cord-v1", 9)) for i, s in enumerate(score)
    ]  # fmt: skip
    scores = pd.DataFrame({"subject": [str(i) for i in range(25)], "variable": "lems",
                           "value": [str(s) for s in score]})  # fmt: skip
    scores = scores.assign(dataset="a", person="", session="", time_point="discharge").astype("str")
    spec = {"name": "d", "kind": "correlation_difference", "compare": "method",
            "values": ["manual", "cord-v1"], "score": "lems"}  # fmt: skip
    row = run_analysis(spec, make_long(rows), scores).table.iloc[0]
    assert (row["n"], row["time_point"]) == (25, "discharge")
    assert row["ci_low"] < row["difference"] < row["ci_high"]
    twice = pd.concat([scores, scores.assign(variable="pinprick")], ignore_index=True)
    several = run_analysis(spec | {"score": ["lems", "pinprick"]}, make_long(rows), twice).table
    assert list(several["with"]) == ["lems", "pinprick"]
    assert several["difference"].tolist() == [row["difference"]] * 2
    assert several["n_family"].tolist() == [2, 2]
    scores.loc[:1, "value"] = "ninety-eight"
    told = run_analysis(spec, make_long(rows), scores[:24]).table.iloc[0]
    assert (told["n"], told["n_incomplete"]) == (22, 3)  # two of text, one missing
    assert (told["flag"], told["reason"]) == ("warning", "2 with a score that is no number")
    scores["value"] = "ninety-eight"
    told = run_analysis(spec, make_long(rows), scores).table.iloc[0]
    assert (told["n"], told["n_incomplete"], told["time_point"]) == (0, 25, "discharge")
    assert told["reason"].endswith("needs 5; 25 with a score that is no number")


def test_leave_one_site_out_repeats_any_analysis(make_long: MakeLong) -> None:
    rows = [{"subject": f"{s}{i}", "site": s, "session": t, "value": 60.0 + i + int(t) * (s == "x")}
            for s in "xyz" for i in range(3) for t in "12"]  # fmt: skip
    spec = {"name": "v", "kind": "variability", "over": "session"}
    cohort = make_long(rows)
    table = run_analysis(spec | {"leave_one_out": "site"}, cohort).table
    assert table["left_out"].tolist() == ["", "x", "y", "z"]
    whole = run_analysis(spec, cohort).table
    pd.testing.assert_frame_equal(table.iloc[[0]].drop(columns="left_out"), whole)
    assert table.set_index("left_out").loc["x", "cov_percent"] == 0.0
    without = run_analysis(spec, cohort[cohort["site"] != "y"]).table
    assert table["cov_percent"].iloc[2] == without["cov_percent"].iloc[0]
