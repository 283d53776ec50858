"""Curves over thresholds and voxel sizes: closed forms; other analyses leave variants out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from cordcohort.statistics.run import run_analysis

MakeLong = Callable[..., pd.DataFrame]
SPEC = {"name": "c", "kind": "variant_curve", "over": "threshold"}


@pytest.fixture
def cohort(make_long: MakeLong) -> pd.DataFrame:
    rows = [
        {"subject": str(i), "variant": f"threshold {t:g}" if t else "", "value": value}
        for i, usual in enumerate((60.0, 80.0))
        for t, value in ((0.0, usual), (0.3, 1.1 * usual), (0.7, 0.9 * usual))
    ]
    rows.append({"subject": "0", "variant": "voxel 1.2 mm", "value": 500.0})
    return make_long(rows)


def test_means_and_changes_at_each_threshold(cohort: pd.DataFrame) -> None:
    table = run_analysis(SPEC, cohort).table.set_index("x")
    assert table.loc[0.3, "mean"] == pytest.approx(77.0)
    assert table.loc[0.3, "sd"] == pytest.approx(np.std([66, 88], ddof=1))
    assert table.loc[0.3, "change_percent"] == pytest.approx(10.0)
    assert table.loc[0.7, "change_percent"] == pytest.approx(-10.0)
    assert table["n_persons"].tolist() == [2, 2, 2]
    assert 1.2 not in table.index


def test_the_usual_value_is_the_row_without_a_threshold(cohort: pd.DataFrame) -> None:
    table = run_analysis(SPEC, cohort).table
    usual = table[table["x"].isna()].iloc[0]
    assert usual["mean"] == 70.0
    assert np.isnan(usual["change_percent"])


def test_the_same_person_is_compared_where_the_usual_value_is_missing(cohort: pd.DataFrame) -> None:
    lacking = cohort[~((cohort["variant"] == "") & (cohort["subject"] == "1"))]
    table = run_analysis(SPEC, lacking).table.set_index("x")
    assert table.loc[0.3, "n_persons"] == 2
    assert table.loc[0.3, "n_compared"] == 1
    assert table.loc[0.3, "change_percent"] == pytest.approx(10.0)


@pytest.mark.parametrize("over", ["threshold", "voxel"])
def test_what_was_not_measured_says_which_key_asks_for_it(make_long: MakeLong, over: str) -> None:
    cohort = make_long([{"subject": "1", "value": 70.0}])
    row = run_analysis(SPEC | {"over": over}, cohort).table.iloc[0]
    assert row["flag"] == "undefined"
    assert "measures." in row["reason"]


def test_no_other_analysis_sees_a_variant_unless_it_names_the_column(cohort: pd.DataFrame) -> None:
    over_sites = run_analysis({"name": "v", "kind": "variability", "over": "site"}, cohort)
    assert set(over_sites.counts["n_found"]) == {2}
    by = {"name": "v", "kind": "normality", "split_by": ["variant"]}
    assert set(run_analysis(by, cohort).table["variant"]) == {
        "", "threshold 0.3", "threshold 0.7", "voxel 1.2 mm",
    }  # fmt: skip
    pair = {"name": "p", "kind": "paired_test", "compare": "variant"}
    tested = run_analysis(pair | {"values": ["threshold 0.3", "threshold 0.7"]}, cohort).table
    assert tested["n_pairs"].tolist() == [2]
    within = run_analysis({"name": "v", "kind": "variability", "over": "variant"}, cohort).table
    assert within["n_values"].max() > 2
