"""What is printed: names, numbers, folders cut away, distances from the cohort."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cordcohort.report.against_cohort import against, cohort_ranges
from cordcohort.report.agreement_figures import agreement_figures, pairs_of
from cordcohort.report.analysis_tables import counts_title, readable
from cordcohort.report.correlation_figures import correlation_figures
from cordcohort.report.distributions import distribution_figures
from cordcohort.report.inputs import Analysis, Inputs
from cordcohort.report.methods_text import methods_section
from cordcohort.report.palette import declared_methods, looks
from cordcohort.report.privacy import public_text, safe_name, spreadsheet_safe
from cordcohort.report.profiles import profile_of, ticks
from cordcohort.report.words import number_text
from cordcohort.table import SCAN_KEY, as_long
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/ann/data/sub-01_T2w.nii.gz: broken", "sub-01_T2w.nii.gz: broken"),
        ("C:\\Users\\ann\\x.nii", "x.nii"),
        ("file:///srv/study/x.nii", "x.nii"),
        ("~/study/a/b.tsv", "b.tsv"),
        ("(/data/a/b.nii)", "(b.nii)"),
        ("found / excluded / used", "found / excluded / used"),
        ("0.5 mm2/s, 3/4", "0.5 mm2/s, 3/4"),
        ("</script>", "</script>"),
        ("doi:10.1038/s41597-021-00941-8", "doi:10.1038/s41597-021-00941-8"),
        ("a\x00b\u202ec\nd", "a b c d"),
        (None, ""),
        (math.nan, ""),
    ],
)
def test_folders_and_control_characters_are_cut_away(text: object, shown: str) -> None:
    assert public_text(text) == shown


@given(st.text())
def test_public_text_is_one_bounded_line_and_stable(text: str) -> None:
    shown = public_text(text)
    assert len(shown) <= 600
    assert not any(ord(c) < 32 for c in shown)
    assert "\n" not in shown


@given(st.text(min_size=1), st.text(min_size=1))
def test_different_labels_get_different_safe_names(one: str, other: str) -> None:
    assert "/" not in safe_name(one)
    assert safe_name(one) not in ("", ".", "..")
    assert (safe_name(one) == safe_name(other)) == (one == other)


@given(st.text(alphabet="=+-@\t0123456789ab.", min_size=1))
def test_no_cell_runs_in_a_spreadsheet(text: str) -> None:
    cell = str(spreadsheet_safe(text))
    if cell.startswith(("=", "@", "\t", "+", "-")):
        float(cell)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1234567.0, "1.23×10⁶"), (-0.5, "−0.5"), (123456.0, "123456"), (math.inf, "∞")],
)
def test_numbers_are_printed_for_people(value: float, text: str) -> None:
    assert number_text(value) == text


def long_of(values: list[float], flags: list[str] | None = None) -> pd.DataFrame:
    rows = [
        {
            "dataset": "a", "subject": f"{n:02d}", "contrast": "T2w", "method": "manual",
            "structure": "cord", "measure": "csa_mm2", "statistic": "mean", "unit": "mm2",
            "value": value, "flag": flag,
        }
        for n, (value, flag) in enumerate(zip(values, flags or [""] * len(values), strict=True))
    ]  # fmt: skip
    return as_long(pd.DataFrame(rows))


def test_the_robust_distance_has_its_closed_form() -> None:
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 30.0]
    table = long_of(values)
    spread = max(1.4826 * np.median(np.abs(np.array(values) - 5)), (7.0 - 3.0) / 1.349)
    compared = against(table, cohort_ranges(table))
    assert compared["z"].iloc[-1] == pytest.approx((30 - 5) / spread)


def test_values_that_failed_or_are_excluded_are_no_part_of_the_cohort() -> None:
    fine = long_of([1.0, 2.0, 3.0, 4.0, 5.0])
    mixed = long_of([1.0, 2.0, 3.0, 4.0, 5.0, 99.0, np.nan], [""] * 5 + ["excluded", "failed"])
    one, other = cohort_ranges(fine), cohort_ranges(mixed)
    pd.testing.assert_frame_equal(one, other)


@pytest.mark.parametrize("values", [[1.0], [2.0] * 8, [1.0, 2.0, 3.0, 4.0]])
def test_few_or_equal_values_give_no_distance(values: list[float]) -> None:
    table = long_of(values)
    assert against(table, cohort_ranges(table))["z"].isna().all()


def test_pairs_are_formed_by_key_and_not_by_order() -> None:
    one = long_of([1.0, 2.0, 3.0])
    other = long_of([30.0, 20.0, 10.0]).assign(method="x", subject=["02", "01", "07"])
    pairs = pairs_of(pd.concat([one, other]), "x", "manual")
    assert pairs[["subject", "reference", "method"]].values.tolist() == [
        ["01", 2.0, 20.0],
        ["02", 3.0, 30.0],
    ]


def test_a_method_keeps_its_colour_where_others_are_absent() -> None:
    config = {
        "segmentation": {"models": ["m2", "m1"]},
        "datasets": [{"external": {"toolbox": "derivatives/toolbox"}}, {"external": {}}],
    }
    known = declared_methods(config)
    assert known == ["manual", "m2", "m1", "toolbox"]
    together = looks([*known, "rater-2"], known)
    alone = looks(["m1"], known)
    assert alone["m1"].colour == together["m1"].colour
    assert len({look.colour for look in together.values()}) == 5
    assert not together["manual"].dashed


def test_a_result_table_tells_constants_once_and_joins_ends() -> None:
    table = pd.DataFrame(
        {
            "contrast": ["T2w", "T2w"], "measure": ["csa_mm2", "dice"], "unit": ["mm2", "1"],
            "ci_low": ["1.0", ""], "ci_high": ["2.0", ""], "ci_method": ["t", "t"],
            "n_found": ["3", "4"], "n_excluded": ["0", "1"], "n_failed": ["1", "0"],
            "n_used": ["2", "3"],
        }
    )  # fmt: skip
    shown, constants = readable(table)
    assert constants == "contrast T2w"
    assert shown.columns.tolist() == [
        "measure", "95 % interval", "scans: found / excluded / failed / used"
    ]  # fmt: skip
    assert shown.iloc[0].tolist() == ["Cross-sectional area [mm²]", "1 to 2", "3 / 0 / 1 / 2"]


def test_scans_counted_once_for_each_method_are_said_to_be() -> None:
    counts = pd.DataFrame({"site": ["x", "y"], "method": ["a", "b"], "n_found": [3, 3]})
    plain = "scans: found / excluded / failed / used"
    assert counts_title(pd.DataFrame({"method": ["a", "b"]}), counts) == plain
    assert counts_title(pd.DataFrame({"rho": [0.5]}), counts.assign(method="a")) == plain
    told = counts_title(pd.DataFrame({"rho": [0.5]}), counts)
    assert told == "scans, once for each method: found / excluded / failed / used"
    for of_a_scan in ("contrast", "vendor", "sex"):
        one = counts.rename(columns={"method": of_a_scan})
        assert counts_title(pd.DataFrame({"rho": [0.5]}), one) == plain


def test_the_interval_of_an_equivalence_is_called_one_of_90_percent() -> None:
    table = pd.DataFrame({
        "structure": ["gm", "cord"], "ci_low": ["1.0", ""], "ci_high": ["2.0", ""],
        "ci_method": ["Student t, 90 %", ""],
    })  # fmt: skip
    assert "90 % interval" in readable(table)[0]
    table.loc[1, "ci_method"] = "Student t"
    assert "95 % interval" in readable(table)[0]


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_few_and_within_the_range(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert len(found) <= 7
    assert all(low - 1e-6 * span <= t <= low + span * (1 + 1e-6) for t in found)


def test_a_profile_needs_three_slices_and_draws_each_method() -> None:
    rows = long_of([70.0, 71.0, 72.0, 70.0, 70.5, 71.0])
    rows["slice"] = pd.array([1, 2, 3, 1, 2, 3], dtype="Int64")
    rows["method"] = ["manual"] * 3 + ["x"] * 3
    drawn = profile_of(rows)
    assert drawn is not None
    assert [line["dashed"] for line in drawn["lines"]] == [False, True]
    assert profile_of(rows.iloc[:2]) is None
    assert set(SCAN_KEY) <= set(rows.columns)


def test_scans_with_levels_alone_are_drawn_at_their_most_frequent_level(tmp_path: Path) -> None:
    whole = long_of([70.0, 71.0, 72.0])
    levels = pd.concat(
        [long_of([60.0, 61.0, 62.0]).assign(level=level, level_kind="vertebral", dataset="b")
         for level in ("C2", "C3")]
    )  # fmt: skip
    levels = levels[(levels["level"] == "C3") | (levels["subject"] != "00")]
    drawn = distribution_figures(pd.concat([whole, levels]), tmp_path)
    assert [d.title for d in drawn] == [
        "Cross-sectional area of spinal cord, T2w",
        "Cross-sectional area of spinal cord, T2w at C3",
    ]
    assert all((tmp_path / d.file).is_file() for d in drawn)


def test_two_scans_make_no_distribution(tmp_path: Path) -> None:
    assert distribution_figures(long_of([70.0, 71.0]), tmp_path) == []


@pytest.mark.parametrize("n_sessions", [1, 3, 40])
def test_any_number_of_sessions_and_methods_is_drawn(tmp_path: Path, n_sessions: int) -> None:
    parts = [
        long_of([70.0 + k, 71.0, 72.0]).assign(session=f"{k:02d}", method=f"m{k}")
        for k in range(n_sessions)
    ]
    drawn = distribution_figures(pd.concat(parts), tmp_path)
    assert (tmp_path / drawn[0].file).stat().st_size < 1_000_000


def test_a_correlation_is_drawn_only_where_it_agrees_with_its_table(tmp_path: Path) -> None:
    n = 12
    measures = long_of([60.0 + 2 * k for k in range(n)])
    measures = measures.assign(person=measures["subject"])
    scores = pd.DataFrame(
        {
            "dataset": "a", "subject": [f"{k:02d}" for k in range(n)], "session": "",
            "person": [f"{k:02d}" for k in range(n)], "time_point": "baseline",
            "variable": "lems", "value": [str((k * 7) % n) for k in range(n)],
        }
    )  # fmt: skip
    rho = pd.DataFrame({"x": range(n), "y": [(k * 7) % n for k in range(n)]}).corr().iloc[0, 1]
    row = {"contrast": "T2w", "method": "manual", "structure": "cord", "measure": "csa_mm2",
           "unit": "mm2", "with": "lems", "time_point": "baseline"}  # fmt: skip
    for told, expected in ((rho, 1), (rho + 0.01, 0)):
        table = pd.DataFrame([row | {"n": "12.0", "rho": str(told)}])
        analysis = Analysis("x", "correlation", table, pd.DataFrame())
        inputs = Inputs(tmp_path, scores, scores, scores, measures, (analysis,), {})
        assert len(correlation_figures(inputs, tmp_path)) == expected


def test_agreement_needs_three_pairs(tmp_path: Path) -> None:
    one, other = long_of([1.0, 2.0]), long_of([1.0, 2.0]).assign(method="x")
    assert agreement_figures(pd.concat([one, other]), "manual", tmp_path) == []
    one, other = long_of([1.0, 2.0, 4.0]), long_of([2.0, 3.0, 5.0]).assign(method="x")
    scatter, difference = agreement_figures(pd.concat([one, other]), "manual", tmp_path)
    assert "bias 1 mm², limits of agreement 1 to 1 mm² (ddof 1), 3 scans" in difference.alt
    assert (tmp_path / scatter.file).is_file()
    ratios = pd.concat([one, other]).assign(structure="lesion", statistic="max", unit="1")
    ratios = ratios.assign(measure="lesion_damage_ratio")
    _, difference = agreement_figures(ratios, "manual", tmp_path)
    assert "bias 1, limits of agreement 1 to 1 (ddof 1), 3 scans" in difference.alt


@pytest.mark.parametrize(
    ("levels", "said", "not_said"),
    [
        ("auto", "discs detected by discs-v1 (a kind of level of its own)", "nothing"),
        (["vertebrae"], "first that it had of: a map of vertebrae on it.", "detected"),
        ("none", "", "Vertebral levels"),
    ],
)
def test_the_methods_say_where_levels_may_come_from(levels, said, not_said) -> None:
    empty = as_long(pd.DataFrame()).assign(state="", masks="", image="")
    measures = as_long(pd.DataFrame({"measure": ["csa_mm2"], "value": [70.0]}))
    inputs = Inputs(
        results=Path("results"), index=empty, scores=empty, scans=empty, measures=measures,
        analyses=[], config={"measures": {"levels": levels}},
    )  # fmt: skip
    text = " ".join(methods_section(inputs)["methods"])
    assert said in text
    assert not_said not in text
