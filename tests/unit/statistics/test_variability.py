"""CoV in each of its senses: closed forms, real numbers, other implementation, undefined cases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cordcohort.cohort import build_cohort, read_external
from cordcohort.statistics.run import run_analysis
from cordcohort.table import SCAN_KEY
from scipy import stats

MakeLong = Callable[..., pd.DataFrame]


def _run(cohort: pd.DataFrame, over: str, **spec: Any) -> pd.DataFrame:
    return run_analysis({"name": "v", "kind": "variability", "over": over, **spec}, cohort).table


def _row(table: pd.DataFrame, definition: str, group: str = "all", scope: str = "") -> pd.Series:
    hit = (table["definition"] == definition) & (table["group"] == group)
    hit &= (table["scope"] == scope) if scope else True
    assert hit.sum() == 1, table[["definition", "scope", "group"]]
    return table[hit].iloc[0]


def test_within_person_session_cov_has_its_closed_form(make_long: MakeLong) -> None:
    values = {"01": (9.0, 11.0), "02": (19.0, 21.0), "03": (30.0,)}
    rows = [
        {"subject": s, "session": str(i), "value": v} for s, vs in values.items()
        for i, v in enumerate(vs)
    ]  # fmt: skip
    row = _row(_run(make_long(rows), "session"), "inter_session")
    covs = [100 * np.sqrt(2) / 10, 100 * np.sqrt(2) / 20]
    assert row["cov_percent"] == pytest.approx(np.mean(covs), abs=1e-12)
    assert row["cov_sd_percent"] == pytest.approx(np.std(covs, ddof=1))
    assert row["sd"] == pytest.approx(np.sqrt(2))
    assert row["repeatability_coefficient"] == pytest.approx(1.96 * 2)
    assert (row["n_persons"], row["n_values"], row["ddof"]) == (2, 4, 1)
    assert (row["n_found"], row["n_used"], row["n_unpaired"]) == (5, 4, 1)
    population = _row(_run(make_long(rows), "session", ddof=0), "inter_session")
    assert population["cov_percent"] == pytest.approx(np.mean(covs) / np.sqrt(2))


def test_runs_are_averaged_before_sessions_are_compared(make_long: MakeLong) -> None:
    rows = [
        {"subject": "01", "session": s, "run": r, "value": v}
        for s, r, v in (("1", "1", 9.0), ("1", "2", 11.0), ("2", "1", 12.0))
    ]
    session = _row(_run(make_long(rows), "session"), "inter_session")
    assert session["cov_percent"] == pytest.approx(100 * np.std([10, 12], ddof=1) / 11)
    run = _row(_run(make_long(rows), "run"), "inter_run")
    assert run["cov_percent"] == pytest.approx(100 * np.std([9, 11], ddof=1) / 10)


def test_travelling_person_gives_inter_site_within_person(make_long: MakeLong) -> None:
    rows = [
        {"subject": f"t{i}", "person": "T", "dataset": site, "site": site, "vendor": vendor,
         "value": v}
        for i, (site, vendor, v) in enumerate([("x", "A", 70.), ("y", "A", 72.), ("z", "B", 77.)])
    ]  # fmt: skip
    table = _run(make_long(rows), "site")
    row = _row(table, "inter_site", scope="within_person")
    assert row["cov_percent"] == pytest.approx(100 * np.std([70, 72, 77], ddof=1) / 73)
    assert _row(table, "intra_site")["reason"] == "one participant a site"
    vendors = _run(make_long(rows), "vendor")
    inter = _row(vendors, "inter_vendor", scope="within_person")
    assert inter["cov_percent"] == pytest.approx(100 * np.std([71, 77], ddof=1) / 74)
    within = _row(vendors, "inter_site_within_vendor", "A")
    assert within["cov_percent"] == pytest.approx(100 * np.std([70, 72], ddof=1) / 71)


def test_the_row_over_vendors_is_made_of_all_vendors_not_of_the_first(make_long: MakeLong) -> None:
    values = {"A": {"P": (70.0, 71.0), "Q": (60.0, 61.5)}, "B": {"P": (70.0, 80.0)},
              "C": {"P": (5.0, -5.0), "Q": (50.0, 53.0)}}  # fmt: skip
    rows = [
        {"subject": f"{vendor}{person}{i}", "person": person, "dataset": f"{vendor}{i}",
         "site": f"{vendor}{i}", "vendor": vendor, "value": v}
        for vendor, people in values.items() for person, pair in people.items()
        for i, v in enumerate(pair)
    ]  # fmt: skip
    covs = {
        "A": [100 * stats.variation(values["A"][p], ddof=1) for p in "PQ"],
        "B": [100 * stats.variation(values["B"]["P"], ddof=1)],
        "C": [100 * stats.variation(values["C"]["Q"], ddof=1)],  # P has no CoV: a mean of zero
    }
    table = _run(make_long(rows), "vendor")
    table = table[table["scope"] == "within_person"]
    row = _row(table, "inter_site_within_vendor", "all")
    assert row["cov_percent"] == pytest.approx(np.mean([np.mean(v) for v in covs.values()]))
    squares = [np.mean(np.square(v)) for v in covs.values()]
    assert row["cov_rms_percent"] == pytest.approx(np.sqrt(np.mean(squares)))
    assert row["cov_rms_percent"] >= row["cov_percent"]
    pooled = [_row(table, "inter_site_within_vendor", v)["cov_pooled_percent"] for v in "ABC"]
    assert row["cov_pooled_percent"] == pytest.approx(np.mean(pooled))
    assert (row["n_persons"], row["flag"]) == (2, "warning")
    assert row["reason"].startswith("C: ")
    assert np.isnan(row["repeatability_coefficient"])


def test_one_different_person_a_site_makes_no_claim_about_sites(make_long: MakeLong) -> None:
    rows = [{"subject": f"0{i}", "site": f"s{i}", "value": 70.0 + i} for i in range(4)]
    table = _run(make_long(rows), "site")
    between = _row(table, "between_person")
    assert between["flag"] == "warning"
    assert between["cov_percent"] == pytest.approx(100 * np.std(range(4), ddof=1) / 71.5)
    for definition in ("inter_site", "intra_site"):
        row = _row(table, definition)
        assert row["flag"] == "undefined"
        assert np.isnan(row["cov_percent"])
        assert "one" in row["reason"]
    assert "within_person" not in set(table["scope"])


def test_spine_generic_definitions_by_numpy(make_long: MakeLong) -> None:
    rng = np.random.default_rng(3)
    rows = [
        {"subject": f"{v}{s}{i}", "site": f"{v}{s}", "vendor": v, "value": x}
        for v, n_sites in (("A", 3), ("B", 2), ("C", 1)) for s in range(n_sites)
        for i, x in enumerate(rng.normal(70, 5, size=4 + s))
    ]  # fmt: skip
    cohort = make_long(rows)
    by_site = pd.DataFrame(rows).groupby(["vendor", "site"])["value"]
    means = by_site.mean()
    sites = _run(cohort, "site", ddof=0)
    assert _row(sites, "inter_site")["cov_percent"] == pytest.approx(100 * stats.variation(means))
    intra = by_site.apply(lambda v: 100 * np.std(v) / np.mean(v))
    assert _row(sites, "intra_site")["cov_percent"] == pytest.approx(intra.mean())
    assert _row(sites, "intra_site", "A1")["cov_percent"] == pytest.approx(intra["A", "A1"])
    vendors = _run(cohort, "vendor", ddof=0)
    for vendor in "AB":
        expected = 100 * stats.variation(means[vendor])
        row = _row(vendors, "inter_site_within_vendor", vendor)
        assert row["cov_percent"] == pytest.approx(expected)
    assert _row(vendors, "inter_site_within_vendor", "C")["reason"] == "one site"
    of_vendors = means.groupby("vendor").mean()
    inter = _row(vendors, "inter_vendor")["cov_percent"]
    assert inter == pytest.approx(100 * stats.variation(of_vendors))


def test_adding_a_person_to_one_site_leaves_the_other_sites_alone(make_long: MakeLong) -> None:
    rows = [
        {"subject": f"{s}{i}", "site": s, "value": 60.0 + i * i} for s in "xy" for i in range(4)
    ]
    before = _run(make_long(rows), "site")
    after = _run(make_long([*rows, {"subject": "x9", "site": "x", "value": 99.0}]), "site")
    columns = ["cov_percent", "sd", "mean", "n_persons"]
    old, new = _row(before, "intra_site", "y")[columns], _row(after, "intra_site", "y")[columns]
    assert old.tolist() == new.tolist()


def test_shuffled_rows_and_renamed_sites_give_the_same_bits(make_long: MakeLong) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"subject": f"{s}{i}", "site": s, "session": t, "value": float(v)}
        for s in "xyz" for i in range(5) for t, v in zip("12", rng.normal(70, 5, 2), strict=True)
    ]  # fmt: skip
    cohort = make_long(rows)
    numbers = ["cov_percent", "sd", "mean", "ci_low_percent", "n_used"]
    for over in ("site", "session"):
        table = _run(cohort, over)
        shuffled = _run(cohort.sample(frac=1, random_state=1), over)
        pd.testing.assert_frame_equal(table, shuffled)
        renamed = _run(cohort.assign(site=cohort["site"].map({"x": "q", "y": "b", "z": "m"})), over)
        every = [t.loc[t["group"] == "all", numbers] for t in (table, renamed)]
        pd.testing.assert_frame_equal(*every, check_exact=True)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((-1.0, 1.0), "both signs"),
        ((0.0, 0.0), "mean is zero"),
        ((5.0,), "no person has two sessions"),
        ((), "no row"),
    ],
)
def test_undefined_cov_is_a_row_with_a_reason(
    make_long: MakeLong, values: tuple[float, ...], reason: str
) -> None:
    rows = [{"subject": "01", "session": str(i), "value": v} for i, v in enumerate(values)]
    cohort = make_long(rows or [{"subject": "01", "value": 1.0, "measure": "other"}])
    table = _run(cohort, "session", select={"measure": "csa_mm2"})
    assert table["flag"].tolist() == ["undefined"]
    assert reason in table["reason"].iloc[0]
    assert np.isnan(table["cov_percent"].iloc[0])


def test_a_constant_measure_varies_by_zero_percent(make_long: MakeLong) -> None:
    rows = [{"subject": s, "session": t, "value": 70.1} for s in "ab" for t in "123"]
    row = _row(_run(make_long(rows), "session"), "inter_session")
    assert row["cov_percent"] == 0.0
    assert row["flag"] == ""


def test_failed_and_excluded_scans_are_counted_in_every_level(make_long: MakeLong) -> None:
    rows: list[dict[str, Any]] = [
        {"subject": "01", "session": t, "level": lv, "level_kind": "vertebral", "value": 70.0 + i}
        for i, t in enumerate("123") for lv in ("C2", "C3")
    ]  # fmt: skip
    rows.append({"subject": "02", "session": "1", "value": np.nan, "flag": "failed", "reason": "x"})
    rows[0] |= {"flag": "excluded", "reason": "motion"}
    spec = {"name": "v", "kind": "variability", "over": "session",
            "select": {"level": ["C2", "C3"], "level_kind": "vertebral"}}  # fmt: skip
    result = run_analysis(spec, make_long(rows))
    table = result.table.set_index("level")
    assert table.index.tolist() == ["C2", "C3"]
    assert table["n_failed"].tolist() == [1, 1]
    assert table["n_excluded"].tolist() == [1, 0]
    assert table["n_used"].tolist() == [2, 3]
    numbers = ["n_excluded", "n_failed", "n_undefined", "n_unpaired", "n_used"]
    assert (result.counts[numbers].sum(axis=1) == result.counts["n_found"]).all()


def test_slices_and_objects_do_not_mix_with_whole_scans(make_long: MakeLong) -> None:
    rows: list[dict[str, Any]] = [
        {"subject": "01", "session": t, "value": v} for t, v in (("1", 9.0), ("2", 11.0))
    ]
    rows += [{"subject": "01", "session": "1", "slice": k, "value": 500.0} for k in range(3)]
    rows += [{"subject": "01", "session": "1", "object": "1", "value": 500.0}]
    row = _row(_run(make_long(rows), "session"), "inter_session")
    assert row["mean"] == 10.0


def test_raters_are_compared_within_a_scan(make_long: MakeLong) -> None:
    rows = [
        {"subject": s, "method": m, "value": v}
        for s, m, v in (("a", "r1", 9.0), ("a", "r2", 11.0), ("b", "r1", 18.0), ("b", "r2", 22.0))
    ]
    row = _row(_run(make_long(rows), "method"), "inter_method")
    assert row["cov_percent"] == pytest.approx(100 * np.sqrt(2) / 10)


def _external(shared_data: Path, spec: dict[str, Any]) -> pd.DataFrame:
    table = read_external(spec, shared_data / "tables")
    index = pd.DataFrame(columns=[*SCAN_KEY, "site"], dtype="str")
    return build_cohort([], index, external=[table])


def test_travelling_subject_reproduces_3_97_and_2_71_percent(shared_data: Path) -> None:
    spec = {
        "name": "traveller", "file": "travelling_subject_csa.csv", "layout": "wide",
        "columns": {"subject": "participant_id", "site": "site", "vendor": "manufacturer",
                    "contrast": "contrast", "level": "vert_level", "session": "site"},
        "constants": {"level_kind": "vertebral", "structure": "cord", "statistic": "mean"},
        "values": {"level": {"2:3": "C2-C3"}},
        "measures": {"csa_mm2": {"column": "csa_mm2", "unit": "mm2"}},
    }  # fmt: skip
    cohort = _external(shared_data, spec)
    table = _run(cohort, "site")
    rows = table[(table["definition"] == "inter_site")].set_index("contrast")
    assert set(rows["scope"]) == {"within_person"}
    assert rows.loc["T1w", "cov_percent"] == pytest.approx(3.97, abs=0.005)
    assert rows.loc["T2w", "cov_percent"] == pytest.approx(2.71, abs=0.005)
    assert rows["mean"].round(2).tolist() == [68.16, 75.80]
    assert rows["sd"].round(2).tolist() == [2.70, 2.05]
    assert rows["n_values"].tolist() == [19, 19]


def test_masivar_reproduces_3_51_percent_at_c2(shared_data: Path) -> None:
    spec = {
        "name": "masivar", "file": "masivar_csa_by_level.csv", "layout": "wide",
        "columns": {"subject": "participant_id", "session": "session_id", "level": "vert_level"},
        "constants": {"level_kind": "vertebral", "contrast": "T1w", "statistic": "mean"},
        "values": {"level": {"1": "C1", "2": "C2", "3": "C3", "4": "C4"}},
        "measures": {"csa_mm2": {"column": "csa_mm2", "unit": "mm2"}},
    }  # fmt: skip
    table = _run(_external(shared_data, spec), "session", select={"level": "C2"})
    row = _row(table, "inter_session")
    assert row["cov_percent"] == pytest.approx(3.51, abs=0.005)
    assert row["n_persons"] == 40
    assert row["scope"] == "within_person"
    assert row["ci_low_percent"] < 3.51 < row["ci_high_percent"]
