"""Tables of a multi-contrast study: closed forms, missing data, methods that were not supplied."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cordcohort.cohort.persons import person_keys
from cordcohort.errors import ConfigError
from cordcohort.statistics.catalogue import check_analysis
from cordcohort.statistics.contrast_tables import csa_1, csa_2, csa_3, laid_out, seg_1
from cordcohort.statistics.contrast_tests import csa_4
from cordcohort.statistics.contrast_values import (
    UNIT_CONTRAST,
    AreaQuery,
    absolute_errors,
    area_values,
    comparison_set,
)
from cordcohort.statistics.run import run_analysis
from cordcohort.table import LONG_COLUMNS, as_long
from scipy import stats

CONTRASTS = ("T1w", "T2w", "dwi")
METHODS = ("GT_soft", "soft_all", "hard_all", "propseg")
QUERY = AreaQuery(CONTRASTS, METHODS)


def row(subject, method, contrast, value, **more):
    base = dict.fromkeys(LONG_COLUMNS, "") | {
        "dataset": "d", "subject": subject, "person": "", "contrast": contrast,
        "method": method, "structure": "cord", "level_kind": "vertebral", "level": "C2-C3",
        "measure": "csa_mm2", "statistic": "mean", "unit": "mm2", "value": value,
        "slice": pd.NA, "n_voxels": pd.NA,
    }  # fmt: skip
    return base | more


def area(subject, method, contrast):
    """Known areas: the reference plus what the method adds by contrast and person."""
    person = float(subject)
    base = 70.0 + person
    error = {
        "GT_soft": {"T1w": 0.0, "T2w": 0.0, "dwi": 0.0},
        "soft_all": {"T1w": 1.0, "T2w": -1.0, "dwi": 0.0},
        "hard_all": {"T1w": 3.0 + 0.1 * person, "T2w": -3.0, "dwi": 0.0},
    }[method][contrast]
    return base + error


def cohort(subjects=8, drop=()):
    rows = [
        row(str(s), m, c, area(str(s), m, c))
        for s in range(1, subjects + 1)
        for m in METHODS[:3]
        for c in CONTRASTS
        if (str(s), m, c) not in drop
    ]
    return as_long(pd.DataFrame(rows))


def values_of(table, query=QUERY):
    return area_values(table.assign(person_key=person_keys(table)), query)


VALUES = values_of(cohort())


def test_one_value_stays_for_each_participant_method_and_contrast():
    assert len(VALUES) == 8 * 3 * 3
    assert list(VALUES.columns) == ["participant", "method", "contrast", "value"]


def declared(kind, **more):
    return {"name": "t", "kind": kind, "methods": list(METHODS), **more}


def test_runs_are_averaged_and_unusable_values_are_left_out():
    rows = [
        row("1", "GT_soft", "T1w", 70.0, run="1"),
        row("1", "GT_soft", "T1w", 74.0, run="2"),
        row("1", "GT_soft", "T1w", 900.0, run="3", flag="excluded"),
        row("1", "GT_soft", "T2w", np.nan, flag="failed", reason="x"),
        row("1", "GT_soft", "dwi", 71.0, flag="warning"),
        row("1", "GT_soft", "dwi", 500.0, level="C4"),
        row("1", "GT_soft", "dwi", 500.0, statistic="sd"),
        row("1", "GT_soft", "dwi", 500.0, slice=7),
        row("1", "GT_soft", "dwi", 500.0, measure="csa_soft_mm2"),
    ]
    select = {"level": "C2-C3", "statistic": "mean", "measure": "csa_mm2"}
    spec = declared("csa_by_person", select=select, contrasts=list(CONTRASTS))
    table = run_analysis(spec, as_long(pd.DataFrame(rows))).table
    found = table[table["method"] == "GT_soft"].set_index("column")["value"]
    assert found["T1w"] == 72.0
    assert found["dwi"] == 71.0
    assert np.isnan(found["T2w"])


def test_levels_statistics_and_soft_areas_are_tables_of_their_own():
    rows = [
        row("1", "GT_soft", "T1w", 70.0),
        row("1", "GT_soft", "T1w", 60.0, level_kind="spinal"),
        row("1", "GT_soft", "T1w", 50.0, measure="csa_soft_mm2"),
    ]
    table = run_analysis(declared("csa_by_person"), as_long(pd.DataFrame(rows))).table
    cells = table[table["column"] == "T1w"]
    assert cells.set_index(["level_kind", "measure"])["value"].to_dict() == {
        ("vertebral", "csa_mm2"): 70.0,
        ("spinal", "csa_mm2"): 60.0,
        ("vertebral", "csa_soft_mm2"): 50.0,
    }


def test_the_same_label_in_two_data_sets_is_two_participants():
    rows = [row("1", "GT_soft", "T1w", 70.0), row("1", "GT_soft", "T1w", 80.0, dataset="e")]
    assert len(values_of(as_long(pd.DataFrame(rows)))) == 2


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("csa_by_person", {}),
        ("csa_by_method", {}),
        ("csa_error", {"reference": "GT_soft"}),
        ("mask_scores", {"measures": ["csa_mm2"]}),
    ],
)
def test_a_declared_method_that_nobody_supplied_is_a_marked_row(kind, more):
    table = run_analysis(declared(kind, **more), cohort()).table
    absent = table[table["method"] == "propseg"]
    assert len(absent) >= 1
    assert set(absent["status"]) == {"not supplied"}
    assert set(absent["flag"]) == {"undefined"}
    assert absent["reason"].str.contains("not supplied").all()
    present = table[table["method"].isin(["soft_all", "hard_all"])]
    assert set(present["flag"]) == {""}


def test_a_method_whose_every_scan_failed_was_supplied_but_has_no_value():
    failed = [
        row(str(s), "propseg", c, np.nan, flag="failed", reason="no cord found")
        for s in range(1, 9)
        for c in CONTRASTS
    ]
    whole = pd.concat([cohort(), as_long(pd.DataFrame(failed))], ignore_index=True)
    table = run_analysis(declared("csa_by_method"), whole).table
    assert set(table.loc[table["method"] == "propseg", "status"]) == {"no value"}
    others = table[(table["method"] == "soft_all") & (table["column"] == "T1w")]
    assert others["n"].item() == 8  # a method without any value takes nobody out


def test_the_declared_tables_are_those_of_the_functions():
    families = {"ours": ["soft_all", "hard_all"]}
    spec = declared("csa_method_tests", reference="GT_soft", families=families)
    table = run_analysis(spec, cohort()).table
    direct = csa_4(VALUES, QUERY, families, "GT_soft")
    assert table["p"].tolist() == direct["p"].tolist()
    assert table["quantity"].tolist() == ["STD", "absolute error"]
    assert set(table["n_used"]) == {8 * 3 * 3}
    pooled = run_analysis(spec | {"unit": UNIT_CONTRAST}, cohort()).table
    assert pooled.set_index("quantity")["n_pairs"].to_dict() == {"STD": 8, "absolute error": 24}
    error = run_analysis(declared("csa_error", reference="GT_soft"), cohort()).table
    direct = csa_3(VALUES, QUERY, "GT_soft")
    assert error["mean"].tolist() == pytest.approx(direct["mean"].tolist(), nan_ok=True)


@pytest.mark.parametrize(
    "wrong", [{"families": {}}, {"families": {"f": ["soft_all"]}}, {"unit": "slice"}]
)
def test_a_wrong_declaration_is_refused_before_anything_runs(wrong):
    spec = declared("csa_method_tests", reference="GT_soft", families={"f": ["a", "b"]})
    with pytest.raises(ConfigError):
        check_analysis(spec | wrong)


def test_csa_1_has_mean_and_sample_sd_over_contrasts():
    table = csa_1(VALUES, QUERY, "soft_all").set_index("participant")
    assert list(table.columns) == [*CONTRASTS, "mean", "std", "n_contrasts", "in_comparison"]
    one = table.loc["d/3"]
    assert (one["T1w"], one["T2w"], one["dwi"]) == (74.0, 72.0, 73.0)
    assert one["mean"] == pytest.approx(73.0)
    assert one["std"] == pytest.approx(1.0)  # ddof 1; 0.816 with ddof 0
    assert table["in_comparison"].all()


def test_csa_1_keeps_participants_with_a_missing_contrast_and_says_so():
    drop = {("3", "soft_all", "dwi"), ("4", "soft_all", "dwi"), ("4", "soft_all", "T2w")}
    values = values_of(cohort(drop=drop))
    table = csa_1(values, QUERY, "soft_all").set_index("participant")
    assert table.loc["d/3", "n_contrasts"] == 2
    assert np.isnan(table.loc["d/3", "dwi"])
    assert table.loc["d/3", "std"] == pytest.approx(np.sqrt(2.0))
    assert np.isnan(table.loc["d/4", "std"])
    assert not table.loc[["d/3", "d/4"], "in_comparison"].any()
    assert len(comparison_set(values, QUERY)) == 6


def test_csa_1_of_a_method_that_was_not_supplied_is_empty():
    assert csa_1(VALUES, QUERY, "propseg").empty


def test_csa_2_against_closed_forms():
    table = csa_2(VALUES, QUERY).set_index(["method", "column"])
    people = np.arange(1, 9) + 70.0
    cell = table.loc[("soft_all", "T1w")]
    assert cell["mean"] == pytest.approx(people.mean() + 1.0)
    assert cell["sd"] == pytest.approx(people.std(ddof=1))
    assert cell["n"] == 8
    assert table.loc[("soft_all", "all"), "n"] == 24
    pooled = np.concatenate([people + 1, people - 1, people])
    assert table.loc[("soft_all", "all"), "sd"] == pytest.approx(pooled.std(ddof=1))
    assert table.loc[("soft_all", "STD"), "mean"] == pytest.approx(1.0)
    assert table.loc[("soft_all", "STD"), "sd"] == pytest.approx(0.0, abs=1e-12)
    assert table.loc[("GT_soft", "STD"), "mean"] == pytest.approx(0.0)


def test_methods_that_were_not_supplied_stay_as_rows():
    table = csa_2(VALUES, QUERY)
    assert list(dict.fromkeys(table["method"])) == list(METHODS)
    absent = table[table["method"] == "propseg"]
    assert set(absent["status"]) == {"not supplied"}
    assert (absent["n"] == 0).all()
    page = laid_out(table).set_index("method")
    assert list(page.columns) == [*CONTRASTS, "all", "STD", "STD [%]"]
    assert set(page.loc["propseg"]) == {"not supplied"}
    assert page.loc["soft_all", "STD"] == "1.00 ± 0.00"


def test_all_methods_are_judged_by_the_same_people():
    values = values_of(cohort(drop={("8", "hard_all", "dwi")}))
    table = csa_2(values, QUERY)
    used = table[(table["column"] == "T1w") & (table["status"] == "")]
    assert set(used["n"]) == {7}


def test_csa_3_absolute_error_is_averaged_within_a_participant_first():
    by_person = csa_3(VALUES, QUERY, "GT_soft").set_index(["method", "column"])
    pooled = csa_3(VALUES, QUERY, "GT_soft", UNIT_CONTRAST).set_index(["method", "column"])
    assert by_person.loc[("soft_all", "all"), "mean"] == pytest.approx(2.0 / 3.0)
    assert by_person.loc[("soft_all", "all"), "sd"] == pytest.approx(0.0, abs=1e-9)
    assert by_person.loc[("soft_all", "all"), "n"] == 8
    errors = np.tile([1.0, 1.0, 0.0], 8)
    assert pooled.loc[("soft_all", "all"), "mean"] == pytest.approx(errors.mean())
    assert pooled.loc[("soft_all", "all"), "sd"] == pytest.approx(errors.std(ddof=1))
    assert pooled.loc[("soft_all", "all"), "n"] == 24
    assert by_person.loc[("hard_all", "T2w"), "mean"] == pytest.approx(3.0)
    assert "GT_soft" not in by_person.index.get_level_values("method")
    assert by_person.loc[("propseg", "all"), "status"] == "not supplied"


def test_csa_3_without_a_supplied_reference_has_no_numbers():
    values = VALUES[VALUES["method"] != "GT_soft"]
    table = csa_3(values, QUERY, "GT_soft")
    assert table["mean"].isna().all()
    assert set(table["status"]) == {"not supplied"}


def test_csa_4_is_wilcoxon_with_bonferroni_within_the_family():
    query = AreaQuery(CONTRASTS, (*METHODS, "other"))
    values = pd.concat([VALUES, VALUES[VALUES["method"] == "hard_all"].assign(method="other")])
    bump = (values["method"] == "other") & (values["contrast"] == "T2w")
    values.loc[bump, "value"] -= values.loc[bump, "participant"].str[2:].astype(float) / 7.0
    families = {"ours": ["soft_all", "hard_all", "other"], "theirs": ["propseg", "soft_all"]}
    table = csa_4(values, query, families, "GT_soft")
    ours = table[(table["family"] == "ours") & (table["quantity"] == "STD")]
    assert list(zip(ours["a"], ours["b"], strict=True)) == [
        ("soft_all", "hard_all"), ("soft_all", "other"), ("hard_all", "other"),
    ]  # fmt: skip
    first = ours.iloc[0]
    std = {
        m: values[values["method"] == m].groupby("participant")["value"].std(ddof=1)
        for m in ("soft_all", "hard_all")
    }
    expected = stats.wilcoxon(std["soft_all"] - std["hard_all"], method="exact")
    assert first["w"] == pytest.approx(float(expected.statistic))
    assert first["p"] == pytest.approx(float(expected.pvalue))
    assert first["p_adjusted"] == pytest.approx(min(1.0, 3 * first["p"]))
    assert first["rank_biserial"] == -1.0  # the soft one varies less, in everybody
    absent = table[table["family"] == "theirs"]
    assert set(absent["status"]) == {"not supplied"}
    assert absent["p"].isna().all()
    assert len(absent) == 2


def test_csa_4_pairs_are_participants_or_each_contrast_of_them():
    families = {"f": ["soft_all", "hard_all"]}
    by_person = csa_4(VALUES, QUERY, families, "GT_soft")
    pooled = csa_4(VALUES, QUERY, families, "GT_soft", UNIT_CONTRAST)
    error = by_person["quantity"] == "absolute error"
    assert by_person.loc[error, "n_pairs"].tolist() == [8]
    assert pooled.loc[error, "n_pairs"].tolist() == [24]
    assert by_person.loc[~error, "n_pairs"].tolist() == pooled.loc[~error, "n_pairs"].tolist()
    assert set(pooled.loc[error, "unit_of_pairing"]) == {UNIT_CONTRAST}


def test_the_reference_in_a_family_has_no_error_and_says_why():
    table = csa_4(VALUES, QUERY, {"f": ["GT_soft", "soft_all"]}, "GT_soft")
    error = table[table["quantity"] == "absolute error"].iloc[0]
    assert error["status"] == "no value"
    assert "reference" in error["reason"]


@pytest.mark.parametrize("call", [csa_3, lambda *a: csa_4(a[0], a[1], {"f": ["x"]}, *a[2:])])
def test_unknown_units_and_references_are_refused(call):
    with pytest.raises(ConfigError, match="unit"):
        call(VALUES, QUERY, "GT_soft", "slice")
    with pytest.raises(ConfigError, match="reference"):
        call(VALUES, QUERY, "nobody", UNIT_CONTRAST)


def test_an_empty_cohort_gives_tables_without_numbers():
    empty = values_of(as_long(pd.DataFrame(columns=LONG_COLUMNS)))
    assert csa_1(empty, QUERY, "soft_all").empty
    assert set(csa_2(empty, QUERY)["status"]) == {"not supplied"}
    assert set(csa_3(empty, QUERY, "GT_soft")["status"]) == {"not supplied"}
    assert set(csa_4(empty, QUERY, {"f": METHODS}, "GT_soft")["status"]) == {"not supplied"}
    assert absolute_errors(empty, QUERY, "GT_soft").empty
    rows = as_long(pd.DataFrame(columns=LONG_COLUMNS)).assign(person_key="")
    assert seg_1(rows, METHODS).empty


def test_a_contrast_that_nobody_has_leaves_no_complete_participant():
    values = VALUES[VALUES["contrast"] != "dwi"]
    table = csa_2(values, QUERY)
    assert set(table.loc[table["method"] == "soft_all", "status"]) == {"no value"}


def test_seg_1_has_a_block_a_data_set_and_averages_scans_of_a_participant_first():
    def score(dataset, subject, run, method, *, dice, rve):
        more = {"dataset": dataset, "run": run, "level": "", "level_kind": "", "statistic": "",
                "reference": "manual"}  # fmt: skip
        return [
            row(subject, method, "T2w", dice, **more, measure="dice", unit="1"),
            row(subject, method, "T2w", rve, **more, measure="rve_percent", unit="percent"),
        ]

    rows = [
        *score("a", "1", "1", "soft_all", dice=0.90, rve=4.0),
        *score("a", "1", "2", "soft_all", dice=0.94, rve=-4.0),
        *score("a", "2", "1", "soft_all", dice=0.96, rve=2.0),
        *score("b", "1", "1", "hard_all", dice=0.80, rve=10.0),
    ]
    spec = declared("mask_scores", select={"reference": "manual"}, methods=["soft_all", "hard_all"])
    table = run_analysis(spec, as_long(pd.DataFrame(rows))).table
    assert list(dict.fromkeys(table["dataset"])) == ["a", "b"]
    cells = table.set_index(["dataset", "method", "column"])
    dice = cells.loc[("a", "soft_all", "dice")]
    assert dice["mean"] == pytest.approx(0.94)
    assert dice["sd"] == pytest.approx(np.std([0.92, 0.96], ddof=1))
    assert dice["n"] == 2
    assert cells.loc[("a", "soft_all", "rve_percent"), "mean"] == pytest.approx(1.0)
    assert cells.loc[("a", "hard_all", "dice"), "status"] == "not supplied"
    assert cells.loc[("a", "soft_all", "asd_mm"), "status"] == "no value"
    page = laid_out(table)
    assert page.loc[(page["dataset"] == "b") & (page["method"] == "hard_all"), "dice"].item() == (
        "0.80 ± n/a"
    )


def test_the_order_of_rows_does_not_matter():
    shuffled = cohort().sample(frac=1.0, random_state=0)
    values = values_of(shuffled)
    pd.testing.assert_frame_equal(csa_2(values, QUERY), csa_2(VALUES, QUERY))


def test_a_range_made_from_a_part_of_its_levels_is_left_out_unless_declared():
    whole = cohort()
    part = (whole["subject"] == "3") & (whole["contrast"] == "T2w")
    told = "levels: discs by discs-v1; no slice at C2"
    whole = whole.assign(
        value=whole["value"].mask(part, 20.0),
        flag=whole["flag"].mask(part, "warning"),
        reason=whole["reason"].mask(part, told),
    )
    without = run_analysis(declared("csa_by_method"), whole).table
    expected = run_analysis(declared("csa_by_method"), cohort()[~part]).table
    assert without["n"].max() == 3 * 7  # person 3 has not every contrast any more
    assert without["mean"].tolist() == pytest.approx(expected["mean"].tolist(), nan_ok=True)
    used = run_analysis(declared("csa_by_method", incomplete_ranges="use"), whole).table
    assert used["n"].max() == 3 * 8
    low = used[(used["method"] == "GT_soft") & (used["column"] == "T2w")]["mean"].item()
    assert low == pytest.approx((sum(range(71, 79)) - 73 + 20.0) / 8)


def test_a_warning_of_another_kind_is_used():
    whole = cohort().assign(flag="warning", reason="levels: discs by discs-v1")
    table = run_analysis(declared("csa_by_method"), whole).table
    assert table["n"].max() == 3 * 8
