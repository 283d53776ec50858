"""ICC: closed form, pingouin, the real number of MASiVar, unequal and degenerate data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pingouin
import pytest
from cordcohort.cohort import read_external
from cordcohort.statistics.boundary import renamed
from cordcohort.statistics.icc import of_mean, one_way, two_way
from cordcohort.statistics.icc_mixed import MIXED_FORMS, mixed_two_way
from cordcohort.statistics.run import run_analysis

MakeLong = Callable[..., pd.DataFrame]


def _run(cohort: pd.DataFrame, **spec: Any) -> pd.DataFrame:
    declared = {"name": "r", "kind": "reliability", "over": "session", **spec}
    return run_analysis(declared, cohort).table


def _rows(values: np.ndarray) -> list[dict[str, Any]]:
    return [{"subject": f"{i:02d}", "session": str(j), "value": float(v)}
            for (i, j), v in np.ndenumerate(values) if np.isfinite(v)]  # fmt: skip


def test_every_form_and_interval_agrees_with_pingouin() -> None:
    rng = np.random.default_rng(0)
    table = rng.normal(70, 5, (14, 1)) + rng.normal(0, 2, (14, 3)) + np.array([0.0, 1.0, 2.0])
    long = pd.DataFrame(_rows(table))
    theirs = renamed(
        pingouin.intraclass_corr(long, "subject", "session", "value"),
        {"Type": "form", "ICC": "icc", "F": "f", "pval": "p", "CI95": "ci"},
        "pingouin.intraclass_corr",
    ).set_index("form")
    single = {
        "ICC(1,1)": one_way(table.ravel(), np.repeat(np.arange(14), 3)),
        "ICC(A,1)": two_way(table, "agreement"),
        "ICC(C,1)": two_way(table, "consistency"),
    }
    ours = single | {k.replace(",1)", ",k)"): of_mean(v) for k, v in single.items()}
    for form, icc in ours.items():
        row = theirs.loc[form]
        assert icc.value == pytest.approx(row["icc"], abs=1e-10), form
        assert (icc.f, icc.p) == pytest.approx((row["f"], row["p"])), form
        # pingouin rounds its intervals to two digits
        assert (icc.interval.low, icc.interval.high) == pytest.approx(row["ci"], abs=0.0051), form


def test_unequal_repeats_have_the_closed_form_with_n0() -> None:
    values = np.array([1.0, 3.0, 5.0, 6.0, 7.0, 10.0])
    icc = one_way(values, np.array([0, 0, 1, 1, 1, 2]))
    n0 = (6 - (4 + 9 + 1) / 6) / 2
    ms_between = (2 * (2 - 32 / 6) ** 2 + 3 * (6 - 32 / 6) ** 2 + (10 - 32 / 6) ** 2) / 2
    ms_within = (2 + 2) / 3
    assert icc.k == pytest.approx(n0)
    expected = (ms_between - ms_within) / (ms_between + (n0 - 1) * ms_within)
    assert icc.value == pytest.approx(expected)
    assert "approximate" in icc.interval.method


def test_masivar_icc_at_c2_is_0_835(shared_data: Path) -> None:
    spec = {
        "name": "masivar", "file": "masivar_csa_by_level.csv",
        "columns": {"subject": "participant_id", "session": "session_id", "level": "vert_level"},
        "measures": {"csa_mm2": {"column": "csa_mm2", "unit": "mm2"}},
    }  # fmt: skip
    cohort = read_external(spec, shared_data / "tables")
    row = _run(cohort, select={"level": "2"}, forms=["one_way"]).iloc[0]
    assert row["icc"] == pytest.approx(0.835, abs=0.0005)
    assert row["n_targets"] == 40
    assert row["ci_low"] < 0.835 < row["ci_high"]


def test_two_way_forms_use_complete_persons_and_count_the_rest(make_long: MakeLong) -> None:
    values = np.random.default_rng(1).normal(70, 5, (8, 1)) + np.random.default_rng(2).normal(
        0, 1, (8, 3)
    )
    values[0, 2] = values[1, 1] = values[1, 2] = np.nan
    table = _run(make_long(_rows(values))).set_index("form")
    assert table["n_targets"].to_dict() == {"ICC(1,1)": 7, "ICC(A,1)": 6, "ICC(C,1)": 6}
    assert table["n_single"].to_dict() == {"ICC(1,1)": 1, "ICC(A,1)": 2, "ICC(C,1)": 2}
    assert table.loc["ICC(C,1)", "sem"] == pytest.approx(
        np.sqrt(two_way(values[2:], "consistency").ms_error)
    )


@pytest.mark.parametrize(
    ("values", "flag", "reason"),
    [
        (np.array([[1.0, 2.0], [3.0, 4.0]]), "undefined", "needs 3"),
        (np.full((4, 2), 5.0), "undefined", "constant"),
        (np.array([[1.0, 9.0], [9.0, 1.0], [2.0, 8.0], [8.0, 2.0]]), "warning", "negative"),
        (np.arange(5.0)[:, None], "undefined", "0 targets with repeats"),
    ],
)
def test_degenerate_data_have_a_reason(
    make_long: MakeLong, values: np.ndarray, flag: str, reason: str
) -> None:
    row = _run(make_long(_rows(values)), forms=["one_way"]).iloc[0]
    assert row["flag"] == flag
    assert reason in row["reason"]


def test_identical_repeats_have_icc_one_and_no_interval(make_long: MakeLong) -> None:
    values = np.repeat(np.arange(5.0)[:, None], 2, axis=1)
    table = _run(make_long(_rows(values)))
    assert table["icc"].tolist() == [1.0, 1.0, 1.0]
    assert table["ci_low"].isna().all()
    assert table["sem"].tolist() == [0.0, 0.0, 0.0]


def test_mixed_forms_of_a_complete_table_are_those_of_the_analysis_of_variance() -> None:
    rng = np.random.default_rng(3)
    table = rng.normal(70, 5, (14, 1)) + rng.normal(0, 2, (14, 3)) + np.array([0.0, 3.0, 6.0])
    for mixed, plain in zip(MIXED_FORMS, ("agreement", "consistency"), strict=True):
        icc, said = mixed_two_way(table, mixed)
        assert said == ""
        # REML stops at its own tolerance
        assert icc.value == pytest.approx(two_way(table, plain).value, abs=1e-4)
        assert icc.interval.low < icc.value < icc.interval.high


def test_mixed_forms_use_persons_that_miss_a_session(make_long: MakeLong) -> None:
    rng = np.random.default_rng(4)
    table = rng.normal(70, 5, (12, 1)) + rng.normal(0, 1, (12, 3))
    table[:5, 2] = np.nan
    table[0, 1] = np.nan
    found = _run(make_long(_rows(table)), forms=["agreement", *MIXED_FORMS]).set_index("form")
    assert found["n_targets"].tolist() == [7, 12, 12]
    assert found.loc["ICC(A,1) mixed", ["n_single", "n_values"]].tolist() == [1, 30]
    assert found.loc["ICC(C,1) mixed", "icc"] >= found.loc["ICC(A,1) mixed", "icc"] - 1e-9


def test_zero_variance_of_a_mixed_form_is_said(make_long: MakeLong) -> None:
    rng = np.random.default_rng(5)
    noise = rng.normal(70, 1, (6, 3))
    table = noise - noise.mean(axis=0)  # no session differs from another
    found = _run(make_long(_rows(table + 70)), forms=["agreement_mixed"]).iloc[0]
    assert found["flag"] == "warning"
    assert "repeat" in found["reason"]
    assert "zero (singular fit)" in found["reason"]
    constant = _run(make_long(_rows(np.full((4, 2), 70.0))), forms=list(MIXED_FORMS))
    assert set(constant["flag"]) == {"undefined"}
    few = _run(make_long(_rows(np.array([[1.0, 2.0], [3.0, np.nan]]))), forms=list(MIXED_FORMS))
    assert set(few["reason"]) == {"1 targets with repeats: needs 3"}
