"""Leaving out one site at a time: what moves, by how much, and whether verdicts hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cordcohort.statistics.catalogue import kinds
from cordcohort.statistics.run import run_analysis, write_result
from cordcohort.statistics.sensitivity import sensitivity, sensitivity_text

MakeLong = Callable[..., pd.DataFrame]


def _cohort(make_long: MakeLong) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    bias = {"a": 0.0, "b": 0.2, "c": 6.0}  # the model fails at c only
    rows = [
        {"subject": f"{site}{i}", "site": site, "method": method,
         "value": 70 + i + (bias[site] + rng.normal(0, 0.1) if method == "model" else 0)}
        for site in bias for i in range(4) for method in ("manual", "model")
    ]  # fmt: skip
    return make_long(rows)


def test_the_site_that_carries_the_result_is_named(make_long: MakeLong) -> None:
    spec = {"name": "s", "kind": "agreement", "leave_one_out": "site", "by_site": False}
    result = run_analysis(spec, _cohort(make_long))
    found = result.sensitivity[0]
    left = result.table.set_index("left_out")["mean"]
    assert found["moves_most"] == "c"
    assert found["whole"] == left[""]
    assert found["largest_change"] == pytest.approx(left["c"] - left[""])
    assert found["lowest"] == left["c"]
    assert "without c" in result.method_text


def test_a_verdict_that_one_site_carries_is_counted() -> None:
    table = pd.DataFrame({
        "left_out": ["", "a", "b", "", "a", "b"], "with": ["x"] * 3 + ["y"] * 3,
        "rho": [0.6, 0.5, 0.2, 0.9, 0.9, 0.8], "p": [0.01, 0.04, 0.3, 1e-6, 1e-5, 1e-4],
    })  # fmt: skip
    found = sensitivity(table, "rho")
    assert [row["verdict_holds"] for row in found] == [False, True]
    assert (found[0]["p_lowest"], found[0]["p_highest"]) == (0.04, 0.3)
    text = sensitivity_text(found, "site")
    assert "from 0.6 to 0.2 without b" in text
    assert "1 of 2 p-values cross 0.05" in text


def test_a_repetition_without_a_number_is_counted_not_compared() -> None:
    table = pd.DataFrame({"left_out": ["", "a", "b"], "cov": [2.0, np.nan, 2.5]})
    found = sensitivity(table, "cov")[0]
    assert (found["n_repeated"], found["n_undefined"], found["moves_most"]) == (2, 1, "b")
    nothing = sensitivity(table.assign(cov=[2.0, np.nan, np.nan]), "cov")
    assert nothing[0]["n_undefined"] == 2
    assert "no number could be compared" in sensitivity_text(nothing, "site")


def test_what_moves_most_has_a_number_even_where_nothing_moves() -> None:
    table = pd.DataFrame({"left_out": ["", "a", "b"], "rho": [0.9, np.nan, 0.9]})
    assert sensitivity(table, "rho")[0]["moves_most"] == "b"


def test_a_difference_about_zero_is_told_without_its_percentage() -> None:
    table = pd.DataFrame({"left_out": ["", "a", "b"], "mean": [0.02, -1.0, 0.03]})
    text = sensitivity_text(sensitivity(table, "mean"), "site")
    assert "up to more than itself: from 0.02 to -1 without a" in text
    assert "%" not in text


@pytest.mark.parametrize(
    ("kind", "more", "headline"),
    [
        ("csa_by_method", {}, "mean"),
        ("csa_error", {"reference": "manual"}, "mean"),
        ("csa_method_tests", {"reference": "manual", "families": {"f": ["model", "other"]}},
         "rank_biserial"),
        ("mask_scores", {"measures": ["csa_mm2"]}, "mean"),
    ],
)  # fmt: skip
def test_tables_of_methods_tell_what_one_site_does(
    make_long: MakeLong, kind: str, more: dict[str, object], headline: str
) -> None:
    rng = np.random.default_rng(5)
    rows = [
        {"subject": f"{site}{i}", "site": site, "method": method, "contrast": contrast,
         "value": 70 + i + rng.normal(0, 2 if method == "other" else 1)}
        for site in "abc" for i in range(4) for contrast in ("T1w", "T2w")
        for method in ("manual", "model", "other")
    ]  # fmt: skip
    methods = ["manual", "model", "other"]
    spec = {"name": "s", "kind": kind, "methods": methods, "leave_one_out": "site", **more}
    result = run_analysis(spec, make_long(rows))
    assert {row["headline"] for row in result.sensitivity} == {headline}
    assert f"moves {headline} by" in result.method_text


def test_a_kind_without_one_headline_makes_no_claim(make_long: MakeLong) -> None:
    rows = [
        {"subject": f"{site}{i}", "site": site, "contrast": contrast, "value": 70.0 + i}
        for site in "ab" for i in range(3) for contrast in ("T1w", "T2w")
    ]  # fmt: skip
    spec = {"name": "s", "kind": "csa_by_person", "leave_one_out": "site"}
    result = run_analysis(spec, make_long(rows))
    assert result.method_text.endswith("(left_out).")
    assert not result.sensitivity


def test_one_site_alone_is_told(make_long: MakeLong) -> None:
    rows = [{"subject": str(i), "value": 70.0 + i} for i in range(4)]
    spec = {"name": "s", "kind": "variability", "over": "site", "leave_one_out": "site"}
    result = run_analysis(spec, make_long(rows))
    assert "no number could be compared" in result.method_text


def test_the_record_holds_the_summary(make_long: MakeLong, tmp_path: Path) -> None:
    spec = {"name": "s", "kind": "agreement", "leave_one_out": "site", "by_site": False}
    paths = write_result(run_analysis(spec, _cohort(make_long)), tmp_path)
    record = json.loads(paths[2].read_text())
    assert record["sensitivity"][0]["moves_most"] == "c"


def test_a_headline_is_a_column_of_its_kind() -> None:
    for kind in kinds().values():
        assert kind.headline in {"", *kind.columns}, kind.name


def test_a_site_left_out_is_a_run_on_the_other_sites(make_long: MakeLong) -> None:
    cohort = _cohort(make_long)
    cohort.loc[0, ["value", "flag", "reason", "level", "statistic"]] = [
        np.nan, "failed", "unreadable", "", "",
    ]  # fmt: skip
    cohort["level"] = cohort["level"].mask(cohort["subject"].str.endswith("1"), "C3")
    for kind, more in (("agreement", {}), ("variability", {"over": "site"}),
                       ("paired_test", {"compare": "method"})):  # fmt: skip
        spec = {"name": "s", "kind": kind, **more}
        found = run_analysis(spec | {"leave_one_out": "site"}, cohort).table
        for site in "abc":
            alone = run_analysis(spec, cohort[cohort["site"] != site]).table
            if kind == "agreement":  # a site's own rows are not repeated
                alone = alone[alone["site"] == "all"].reset_index(drop=True)
            ours = found[found["left_out"] == site].drop(columns="left_out")
            pd.testing.assert_frame_equal(ours.reset_index(drop=True), alone)
