"""Agreement: scores by method and site, differences with limits, pairs by scan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cordcohort.statistics.run import run_analysis
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

MakeLong = Callable[..., pd.DataFrame]


def _run(cohort: pd.DataFrame, **spec: Any) -> pd.DataFrame:
    return run_analysis({"name": "a", "kind": "agreement", **spec}, cohort).table


def _csa(make_long: MakeLong, model: list[float], manual: list[float]) -> pd.DataFrame:
    rows = [
        {"subject": f"{i}", "site": f"s{i % 2}", "method": m, "value": v}
        for m, values in (("cord-v1", model), ("manual", manual)) for i, v in enumerate(values)
    ]  # fmt: skip
    return make_long(rows)


def test_scores_are_summarised_by_method_and_site(make_long: MakeLong) -> None:
    rows = [
        {"subject": f"{m}{i}", "site": s, "method": m, "reference": "manual", "measure": "dice",
         "unit": "1", "value": v}
        for m in ("x", "y") for i, (s, v) in enumerate([("A", 0.8), ("A", 0.9), ("B", 0.0)])
    ]  # fmt: skip
    table = _run(make_long(rows), select={"measure": "dice"})
    x = table[table["method"] == "x"].set_index("site")
    assert x.index.tolist() == ["all", "A", "B"]
    assert set(x["quantity"]) == {"score"}
    assert x.loc["all", "mean"] == pytest.approx(1.7 / 3)
    assert x.loc["A", "sd"] == pytest.approx(np.std([0.8, 0.9], ddof=1))
    assert x["n_scans"].tolist() == [3, 2, 1]
    assert x["n_used"].tolist() == [3, 2, 1]
    assert x.loc["all", "n_zero"] == 1
    assert x.loc["B", "flag"] == "warning"
    assert np.isnan(x.loc["B", "sd"])


def test_bias_and_limits_have_their_closed_form(make_long: MakeLong) -> None:
    d = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    manual = [70.0, 60.0, 80.0, 75.0, 65.0]
    row = _run(_csa(make_long, list(manual + d), manual), by_site=False).iloc[0]
    sd = d.std(ddof=1)
    assert row["quantity"] == "difference"
    assert row["mean"] == pytest.approx(3.0)
    assert row["sd"] == pytest.approx(sd)
    assert row["loa_low"] == pytest.approx(3 - 1.96 * sd)
    assert row["mean_percent"] == pytest.approx(100 * 3 / 70)
    half = stats.t.ppf(0.975, 4) * sd * np.sqrt(1 / 5 + 1.96**2 / 8)
    assert row["loa_high_ci_high"] == pytest.approx(3 + 1.96 * sd + half)


def test_mean_interval_agrees_with_statsmodels(make_long: MakeLong) -> None:
    rng = np.random.default_rng(0)
    manual = rng.normal(70, 5, 20)
    model = manual + rng.normal(1, 2, 20)
    row = _run(_csa(make_long, list(model), list(manual)), by_site=False).iloc[0]
    low, high = DescrStatsW(model - manual).tconfint_mean()
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((low, high))


def test_unpaired_and_failed_scans_are_counted_by_site(make_long: MakeLong) -> None:
    cohort = _csa(make_long, [71.0, 72.0, 73.0], [70.0, 70.0, 70.0, 70.0])
    cohort.loc[cohort["subject"].eq("2") & cohort["method"].eq("cord-v1"),
               ["value", "flag", "reason"]] = [np.nan, "failed", "no cord found"]  # fmt: skip
    result = run_analysis({"name": "a", "kind": "agreement"}, cohort)
    row = result.table.set_index("site").loc["all"]
    assert (row["n_scans"], row["n_only_method"], row["n_only_reference"]) == (2, 0, 2)
    assert (row["n_found"], row["n_failed"], row["n_used"]) == (3, 1, 2)
    by_method = result.counts.groupby("method")[["n_found", "n_used", "n_unpaired"]].sum()
    assert by_method.loc["manual"].tolist() == [4, 2, 2]


def test_repeated_scans_of_one_person_are_said_and_averaged_on_request(
    make_long: MakeLong,
) -> None:
    rows = [
        {"subject": s, "session": t, "method": m, "value": v}
        for s in "xyz" for t in "12" for m, v in (("cord-v1", 71.0 + int(t)), ("manual", 70.0))
    ]  # fmt: skip
    scans = _run(make_long(rows), by_site=False).iloc[0]
    assert scans["flag"] == "warning"
    assert "several values a person" in scans["reason"]
    assert scans["ci_method"].startswith("bootstrap by person")
    persons = _run(make_long(rows), by_site=False, unit="person").iloc[0]
    assert (persons["n_scans"], persons["sd"], persons["flag"]) == (6, 0.0, "")


def test_method_that_is_absent_stays_as_a_row(make_long: MakeLong) -> None:
    cohort = _csa(make_long, [71.0, 72.0], [70.0, 70.0])
    table = _run(cohort, methods=["cord-v1", "absent"], by_site=False).set_index("method")
    assert table.loc["absent", "flag"] == "undefined"
    assert table.loc["absent", "reason"] == "no usable value"


def test_split_by_site_gives_one_row_a_site(make_long: MakeLong) -> None:
    cohort = _csa(make_long, [71.0, 72.0, 73.0, 74.0], [70.0] * 4)
    table = _run(cohort, split_by=["site"])
    assert table["site"].tolist() == ["s0", "s1"]
    assert table["mean"].tolist() == [2.0, 3.0]


def test_same_subject_label_in_two_data_sets_is_two_pairs(make_long: MakeLong) -> None:
    rows = [
        {"dataset": d, "subject": "01", "method": m, "value": v}
        for d in "ab" for m, v in (("cord-v1", 71.0), ("manual", 70.0))
    ]  # fmt: skip
    row = _run(make_long(rows), by_site=False).iloc[0]
    assert (row["n_scans"], row["n_persons"]) == (2, 2)


@pytest.mark.parametrize("values", [[0.2, 0.99, 1.0, 1.0], [0.0, 0.0, 0.1], [0.5, 1.0]])
def test_the_interval_of_an_overlap_stays_between_0_and_1(
    make_long: MakeLong, values: list[float]
) -> None:
    rows = [
        {"subject": str(i), "method": "x", "reference": "manual", "measure": "dice", "unit": "1",
         "value": v} for i, v in enumerate(values)
    ]  # fmt: skip
    row = _run(make_long(rows), by_site=False).iloc[0]
    student = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert student[0] < 0 or student[1] > 1  # what would be printed otherwise
    if len(values) > 2:
        assert 0 <= row["ci_low"] <= row["mean"] <= row["ci_high"] <= 1
    else:
        assert row["ci_method"].startswith("none: fewer than 3")


def test_a_site_that_no_sheet_reports_has_a_name(make_long: MakeLong) -> None:
    cohort = _csa(make_long, [71.0, 70.0, 69.0, 68.0], [70.0, 70.0, 70.0, 70.0])
    cohort["site"] = cohort["site"].replace("s1", "").astype("str")
    table = _run(cohort)
    assert table["site"].tolist() == ["all", "not reported", "s0"]
    assert table["n_used"].tolist() == [4, 2, 2]
