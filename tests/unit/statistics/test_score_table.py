"""Scores by site: means and hidden counts by hand, tests by another implementation, shares."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cordcohort.measures.empty import EMPTY_MASK, EMPTY_REFERENCE, SMALL_REFERENCE
from cordcohort.report.layouts import laid_out_blocks
from cordcohort.report.published import with_published
from cordcohort.statistics.run import run_analysis
from cordcohort.table import as_long
from scipy import stats

RNG = np.random.default_rng(5)


def row(subject, value, measure="dice", **other):
    return {
        "dataset": "a", "subject": subject, "person": subject, "session": "1", "contrast": "T2w",
        "method": "net", "reference": "manual", "structure": "lesion", "measure": measure,
        "unit": "1", "value": value, "site": "zurich" if subject < "05" else "colorado",
    } | other  # fmt: skip


def table_of(rows):
    return as_long(pd.DataFrame(rows))


def scores(rows, **spec):
    declared = {"name": "t", "kind": "score_table", "select": {"reference": "manual"}} | spec
    result = run_analysis(declared, table_of(rows))
    return result, result.table.set_index(["method", "measure", "site"])


SUBJECTS = [f"{k:02d}" for k in range(1, 11)]


def test_seeds_are_averaged_within_a_scan_before_anything_else():
    rows = [row("01", 0.4, seed="7"), row("01", 0.8, seed="42"), row("06", 0.5, seed="7")]
    _, table = scores(rows)
    cell = table.loc["net", "dice", "all"]
    assert (cell["n"], cell["mean"]) == (2, pytest.approx(0.55))
    assert cell["sd"] == pytest.approx(np.std([0.6, 0.5], ddof=1))
    assert table.loc["net", "dice", "zurich"]["n"] == 1


def test_what_conventions_hide_is_counted_and_an_empty_mask_is_dice_zero():
    rows = [row(s, 0.5) for s in SUBJECTS[:7]] + [row("08", 0.0)]
    rows += [row(s, 1.0, "asd_mm") for s in SUBJECTS[:7]]
    rows.append(row("08", np.nan, "asd_mm", flag="undefined", reason=EMPTY_MASK))
    for measure in ("dice", "asd_mm"):
        rows.append(row("09", np.nan, measure, flag="undefined", reason=EMPTY_REFERENCE))
    result, table = scores(rows)
    dice, distance = table.loc["net", "dice", "all"], table.loc["net", "asd_mm", "all"]
    assert (dice["n"], dice["n_empty_reference"]) == (8, 1)
    assert dice["mean"] == pytest.approx(3.5 / 8)
    assert (distance["n"], distance["n_empty_mask"], distance["n_empty_reference"]) == (7, 1, 1)
    block = laid_out_blocks("score_table", result.table.astype(str))[0]
    assert "1 with an empty mask (no distance)" in block.note
    assert "1 with an empty reference (no score)" in block.note


def test_a_reference_of_small_lesions_is_counted_as_such():
    rows = [row(s, 1.0, "lesion_sensitivity") for s in SUBJECTS[:7]]
    rows.append(row("08", np.nan, "lesion_sensitivity", flag="undefined", reason=SMALL_REFERENCE))
    result, table = scores(rows)
    cell = table.loc["net", "lesion_sensitivity", "all"]
    assert (cell["n"], cell["n_small_reference"], cell["n_empty_mask"]) == (7, 1, 0)
    block = laid_out_blocks("score_table", result.table.astype(str))[0]
    assert "1 with small lesions only (no sensitivity, F1 0)" in block.note


def test_a_test_against_another_method_pairs_the_same_scans():
    a, b = RNG.uniform(0.3, 0.9, 10), RNG.uniform(0.2, 0.7, 10)
    rows = [row(s, v) for s, v in zip(SUBJECTS, a, strict=True)]
    rows += [row(s, v, method="old") for s, v in zip(SUBJECTS[:9], b, strict=False)]
    _, table = scores(rows, against="old", correction="bonferroni")
    cell = table.loc["net", "dice", "all"]
    assert cell["n_pairs"] == 9
    assert cell["p"] == pytest.approx(stats.wilcoxon(a[:9], b[:9], method="exact").pvalue)
    assert np.isnan(table.loc["old", "dice", "all"]["p"])


def test_a_method_that_nobody_supplied_stays_as_rows_that_say_so():
    result, table = scores([row(s, 0.5) for s in SUBJECTS], methods=["net", "other"])
    assert set(table.loc["other"]["status"]) == {"not supplied"}
    blocks = laid_out_blocks("score_table", result.table.astype(str))
    assert [b.title for b in blocks] == ["net", "Without a table"]
    assert "other (not supplied)" in blocks[1].note


def test_the_layout_has_a_column_a_site_with_the_published_value_beside():
    result, _ = scores([row(s, 0.5 + 0.02 * int(s)) for s in SUBJECTS])
    told = with_published(result.table, "sciseg").astype(str)
    table = laid_out_blocks("score_table", told)[0].table
    assert table.loc[0, "zurich, published"] == "0.51 ± 0.30 (n = 79)"
    assert table.loc[0, "zurich"] == "0.55 ± 0.03 (4)"


def test_a_split_gives_a_block_each():
    rows = [row(s, 0.5, acquisition="ax" if int(s) % 2 else "sag") for s in SUBJECTS]
    result, _ = scores(rows, split_by=["acquisition"])
    blocks = laid_out_blocks("score_table", result.table.astype(str))
    assert [b.title for b in blocks] == ["ax, net", "sag, net"]


def test_share_above_is_a_share_with_wilsons_interval():
    rows = [row(s, float(s in ("01", "06")), "lesion_3mm3_n", reference="") for s in SUBJECTS]
    result = run_analysis({"name": "fp", "kind": "share_above"}, table_of(rows))
    cell = result.table.set_index("site").loc["all"]
    assert (cell["n"], cell["n_above"], cell["share"]) == (10, 2, 0.2)
    # Wilson's interval of 2 in 10 as tabulated (Newcombe 1998): 0.0567 to 0.5098.
    assert (round(cell["ci_low"], 4), round(cell["ci_high"], 4)) == (0.0567, 0.5098)
    twice = table_of([*rows, *(r | {"session": "2"} for r in rows)])
    result = run_analysis({"name": "fp", "kind": "share_above"}, twice)
    assert result.table["reason"].str.contains("several scans of a person").all()


def test_nothing_selected_is_a_row_with_a_reason():
    result, _ = scores([row("01", 0.5, reference="other")])
    assert result.table["flag"].tolist() == ["undefined"]
    assert laid_out_blocks("score_table", result.table.astype(str)) == []


def test_a_method_that_draws_no_lesions_has_no_rows_of_them_and_published_values_stand_once():
    rows = [row(s, 0.9, structure="cord", method=m) for s in SUBJECTS for m in ("net", "plain")]
    rows += [row(s, 0.5 + 0.01 * int(s)) for s in SUBJECTS]
    result, _ = scores(rows)
    blocks = laid_out_blocks("score_table", with_published(result.table, "sciseg").astype(str))
    assert [b.title for b in blocks] == ["net", "plain"]
    assert blocks[0].table["structure"].tolist() == ["spinal cord", "lesion"]
    assert blocks[1].table["structure"].tolist() == ["spinal cord"]
    assert "zurich, published" in blocks[0].table
    assert "zurich, published" not in blocks[1].table


def test_published_values_of_one_group_of_patients_stand_beside_a_study_of_one_site():
    result, _ = scores([row(s, 0.5) for s in SUBJECTS[:4]])
    assert result.table["site"].tolist() == ["zurich"]
    told = with_published(result.table, "sciseg-dcm")
    assert told["published"].tolist() == ["0.46 ± 0.26 (n = 14)"]
