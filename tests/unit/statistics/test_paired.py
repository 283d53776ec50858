"""Wilcoxon signed-rank: closed forms, scipy and pingouin, zeros, ties, incomplete pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pingouin
import pytest
from cordcohort.errors import ConfigError
from cordcohort.statistics.boundary import renamed
from cordcohort.statistics.corrections import adjust
from cordcohort.statistics.run import run_analysis
from cordcohort.statistics.wilcoxon import rank_biserials, signed_rank
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

MakeLong = Callable[..., pd.DataFrame]


def _run(cohort: pd.DataFrame, **spec: Any) -> pd.DataFrame:
    declared = {"name": "w", "kind": "paired_test", "compare": "method", **spec}
    return run_analysis(declared, cohort).table


def _two_methods(make_long: MakeLong, a: list[float], b: list[float]) -> pd.DataFrame:
    rows = [{"subject": f"{i:03d}", "method": m, "value": v}
            for m, values in (("a", a), ("b", b)) for i, v in enumerate(values)]  # fmt: skip
    return make_long(rows)


def test_six_pairs_all_one_way_have_p_2_to_the_minus_5() -> None:
    result = signed_rank(np.arange(1.0, 7.0))
    assert result.p == 2.0**-5
    assert result.p_method == "exact"
    assert (result.w, result.w_plus, result.rank_biserial) == (0.0, 21.0, 1.0)


def test_exact_with_ties_enumerates_every_sign_pattern() -> None:
    differences = np.array([1.0, 1.0, 2.0, -2.0, 3.0, 3.0, 3.0])
    ranks = stats.rankdata(np.abs(differences))
    patterns = (np.arange(2**7)[:, None] >> np.arange(7)) & 1
    w_plus = patterns @ ranks
    observed = ranks[differences > 0].sum()
    tail = min((w_plus >= observed).mean(), (w_plus <= observed).mean())
    result = signed_rank(differences)
    assert result.p_method == "exact by sign permutation"
    assert result.p == pytest.approx(min(1.0, 2 * tail))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-20, 20), min_size=1, max_size=60), st.booleans())
def test_agrees_with_pingouin_and_scipy_whatever_the_data(values: list[int], spread: bool) -> None:
    d = np.array(values, dtype=float)
    d = d + np.linspace(0.01, 0.4, len(d)) if spread else d
    result = signed_rank(d, with_interval=False)
    assert result.n_zero == (d == 0).sum()
    moved = d[d != 0]
    if len(moved) == 0:
        assert result.reason == "all differences are zero"
        return
    method = {"exact": "exact", "normal approximation": "asymptotic"}.get(result.p_method)
    if method:
        theirs = renamed(
            pingouin.wilcoxon(moved, method=method, correction=method == "asymptotic"),
            {"W_val": "w", "p_val": "p", "RBC": "rank_biserial"}, "pingouin.wilcoxon",
        ).iloc[0]  # fmt: skip
        assert result.p == pytest.approx(theirs["p"], abs=1e-12)
        assert result.w == theirs["w"]
        assert result.rank_biserial == pytest.approx(theirs["rank_biserial"], abs=1e-12)
    assert rank_biserials(d[None])[0] == pytest.approx(result.rank_biserial)


def test_zero_differences_and_no_pairs_are_rows_with_a_reason(make_long: MakeLong) -> None:
    same = _run(_two_methods(make_long, [1.0, 2, 3], [1.0, 2, 3])).iloc[0]
    assert (same["flag"], same["n_pairs"], same["n_zero"]) == ("undefined", 3, 3)
    assert same["reason"] == "all differences are zero"
    none = _run(_two_methods(make_long, [1.0], [])).iloc[0]
    assert none["flag"] == "undefined"
    assert "fewer than two values" in none["reason"]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_too_few_pairs_to_reach_five_percent_are_said(make_long: MakeLong, n: int) -> None:
    values = [float(i + 1) for i in range(n)]
    row = _run(_two_methods(make_long, values, [0.0] * n)).iloc[0]
    assert row["p"] == min(1.0, 2.0 ** (1 - n))
    assert row["flag"] == "warning"
    assert "cannot give p below" in row["reason"]


def test_sign_of_the_effect_says_which_is_larger(make_long: MakeLong) -> None:
    row = _run(_two_methods(make_long, [2.0] * 8, [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7])).iloc[0]
    assert (row["a"], row["b"]) == ("a", "b")
    assert row["rank_biserial"] == 1.0
    assert row["mean_difference"] > 0


def test_pairs_are_formed_by_key_and_incomplete_ones_counted(make_long: MakeLong) -> None:
    rows = [
        {"subject": "01", "session": "1", "method": "a", "value": 10.0},
        {"subject": "01", "session": "1", "method": "b", "value": 8.0},
        {"subject": "01", "session": "2", "method": "a", "value": 90.0},
        {"subject": "02", "session": "1", "method": "b", "value": 5.0},
        {"subject": "03", "session": "1", "method": "a", "value": 5.0},
        {"subject": "03", "session": "1", "method": "b", "value": 6.0},
    ]
    result = run_analysis(
        {"name": "w", "kind": "paired_test", "compare": "method"}, make_long(rows)
    )
    row = result.table.iloc[0]
    assert (row["n_pairs"], row["n_only_a"], row["n_only_b"]) == (2, 1, 1)
    assert row["mean_difference"] == pytest.approx((2 - 1) / 2)
    counts = result.counts.set_index("method")
    assert counts["n_unpaired"].tolist() == [1, 1]
    assert counts["n_used"].tolist() == [2, 2]


def test_persons_are_the_unit_unless_scans_are_asked_for(make_long: MakeLong) -> None:
    rows = [
        {"subject": s, "session": t, "method": m, "value": float(v)}
        for s in "xyz" for t in "12" for m, v in (("a", ord(s) + int(t)), ("b", ord(s)))
    ]  # fmt: skip
    cohort = make_long(rows)
    assert _run(cohort)["n_pairs"].tolist() == [3]
    assert _run(cohort, unit="scan")["n_pairs"].tolist() == [6]


def test_levels_of_a_person_can_be_the_unit_as_published(make_long: MakeLong) -> None:
    rows = [
        {"subject": "x", "level": f"C{i}", "level_kind": "spinal", "method": m, "value": float(v)}
        for i in range(2, 9) for m, v in (("a", i + 1), ("b", i * 0.9))
    ]  # fmt: skip
    row = _run(make_long(rows), unit="level").iloc[0]
    assert (row["n_pairs"], row["p"]) == (7, 0.015625)


def test_sessions_and_contrasts_pair_within_a_person(make_long: MakeLong) -> None:
    rows = [{"subject": s, "session": t, "value": float(v)}
            for s, values in (("x", (1, 3)), ("y", (2, 5)))
            for t, v in zip("12", values, strict=True)]  # fmt: skip
    row = _run(make_long(rows), compare="session").iloc[0]
    assert (row["a"], row["b"], row["mean_difference"]) == ("1", "2", -2.5)
    cohort = make_long(rows).assign(contrast=lambda f: f["session"].map({"1": "T1w", "2": "T2w"}))
    cohort["session"] = pd.array([""] * 4, dtype="str")
    assert _run(cohort, compare="contrast").iloc[0]["n_pairs"] == 2


def test_family_and_missing_method_stay_in_the_table(make_long: MakeLong) -> None:
    rng = np.random.default_rng(1)
    rows = [
        {"subject": f"{i}", "method": m, "measure": k, "value": float(v)}
        for k in ("csa_mm2", "area_mm2") for m in ("ours", "p", "q")
        for i, v in enumerate(rng.normal(70, 1, 12))
    ]  # fmt: skip
    table = _run(make_long(rows), values=["ours", "p", "q", "absent"], against="ours",
                 correction="bonferroni", family=["measure"])  # fmt: skip
    assert len(table) == 6
    absent = table[table["a"] == "absent"]
    assert set(absent["flag"]) == {"undefined"}
    assert table.loc[table["a"] == "p", "n_family"].tolist() == [2, 2]
    tested = table[table["p"].notna()]
    np.testing.assert_allclose(tested["p_adjusted"], np.minimum(1, 2 * tested["p"]))
    with pytest.raises(ConfigError, match="family"):
        _run(make_long(rows), family=["nonsense"])


@pytest.mark.parametrize("kind", ["paired_test", "equivalence"])
def test_families_by_compared_values_stand_where_there_is_nothing_to_compare(
    make_long: MakeLong, kind: str
) -> None:
    spec = {"name": "f", "kind": kind, "compare": "method", "family": ["site", "a"]}
    spec |= {"margin": 1.0} if kind == "equivalence" else {}
    cohort = make_long([{"subject": "1", "site": "x", "method": "m", "value": 1.0}])
    table = run_analysis(spec | {"split_by": ["site"]}, cohort).table
    assert table["flag"].tolist() == ["undefined"]
    assert table["reason"].str.contains("fewer than two values of method").all()


@pytest.mark.parametrize("kind", ["paired_test", "agreement"])
def test_an_unreadable_image_is_counted_but_is_no_method(make_long: MakeLong, kind: str) -> None:
    rows: list[dict[str, Any]] = [
        {"subject": f"{i}", "method": m, "value": 60.0 + i} for i in range(4) for m in "ab"
    ]
    rows.append({"subject": "9", "method": "", "value": np.nan, "flag": "failed", "reason": "x"})
    spec = {"name": "w", "kind": kind}
    spec |= {"compare": "method"} if kind == "paired_test" else {"reference": "b"}
    result = run_analysis(spec, make_long(rows))
    names = set(result.table["a" if kind == "paired_test" else "method"])
    assert names == {"a"}
    assert result.counts["n_failed"].sum() == 1


@pytest.mark.parametrize("method", ["bonferroni", "holm", "fdr_bh"])
def test_corrections_agree_with_pingouin_and_skip_undefined(method: str) -> None:
    p = np.array([0.01, np.nan, 0.04, 0.03, 0.2, np.nan])
    ours = adjust(p, method)
    known = ~np.isnan(p)
    theirs = pingouin.multicomp(p[known], method=method)[1]
    np.testing.assert_allclose(ours[known], theirs)
    assert np.isnan(ours[~known]).all()
    assert adjust(np.array([np.nan]), method).tolist() != [0.0]


def test_order_of_rows_changes_nothing(make_long: MakeLong) -> None:
    rng = np.random.default_rng(5)
    cohort = _two_methods(make_long, list(rng.normal(70, 5, 15)), list(rng.normal(70, 5, 15)))
    pd.testing.assert_frame_equal(_run(cohort), _run(cohort.sample(frac=1, random_state=2)))


def test_tiny_p_values_do_not_become_zero() -> None:
    result = signed_rank(np.arange(1.0, 2001.0), with_interval=False)
    assert 0 < result.p <= 1e-300


def test_values_that_never_meet_say_which_key_would_pair_them(make_long: MakeLong) -> None:
    rows = [
        {"subject": f"{i}", "contrast": c, "acquisition": c, "value": 60.0 + i + (c == "MTon")}
        for i in range(6) for c in ("MTon", "MToff")
    ]  # fmt: skip
    spec = {"name": "p", "kind": "paired_test", "compare": "contrast", "correction": "none",
            "values": ["MTon", "MToff"]}  # fmt: skip
    apart = run_analysis(spec, make_long(rows)).table
    assert set(apart["n_pairs"]) == {0}
    assert all("pool: [acquisition]" in reason for reason in apart["reason"])
    pooled = run_analysis(spec | {"pool": ["acquisition"]}, make_long(rows)).table.iloc[0]
    assert (pooled["n_pairs"], pooled["rank_biserial"]) == (6, 1.0)
