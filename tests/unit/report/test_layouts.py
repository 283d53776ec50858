"""Published layouts: every number of the tidy table stands in its cell, and nothing else."""

from __future__ import annotations

import pandas as pd
from cordcohort.report.layouts import laid_out_blocks
from cordcohort.report.published import with_published
from cordcohort.report.score_layouts import score_tables
from cordcohort.statistics.run import run_analysis
from unit.statistics.test_contrast_tables import cohort, declared


def blocks(kind, drop=(), published="", **more):
    result = run_analysis(declared(kind, **more), cohort(drop=drop)).table
    table = with_published(result, published)
    text = table.astype("object").where(table.notna(), "").astype("str")  # as the report reads it
    return {block.title: block for block in laid_out_blocks(kind, text)}


def test_csa_1_is_one_table_a_method_and_a_missing_method_is_told():
    found = blocks("csa_by_person", drop={("3", "soft_all", "dwi")})
    assert list(found) == ["GT_soft, mm²", "soft_all, mm²", "hard_all, mm²", "Without a table"]
    table = found["soft_all, mm²"].table
    assert list(table.columns) == ["person", "T1w", "T2w", "dwi", "mean", "std"]
    row = table[table["person"] == "d/2"].iloc[0]
    assert row.tolist()[1:] == ["73", "71", "72", "72", "1"]
    assert table["person"].tolist()[2] == "d/3*"
    assert "no comparison" in found["soft_all, mm²"].note
    assert found["Without a table"].note == "propseg (not supplied)."


def test_csa_2_has_a_row_a_method_with_mean_and_sd_in_one_cell():
    (block,) = blocks("csa_by_method").values()
    table = block.table.set_index("method")
    assert list(table.columns) == ["T1w", "T2w", "dwi", "all", "STD", "STD [%]", "n", "flag"]
    assert table.loc["soft_all", "T1w"] == "75.50 ± 2.45"
    assert table.loc["soft_all", "n"] == "8"
    assert table.loc["propseg"].tolist() == ["not supplied", *[""] * 6, "undefined"]


def test_csa_4_is_one_table_a_quantity_and_family():
    families = {"ours": ["soft_all", "hard_all", "propseg"]}
    found = blocks("csa_method_tests", reference="GT_soft", families=families)
    assert list(found) == [
        "STD, family ours, one pair a participant",
        "absolute error, family ours, one pair a participant",
    ]
    table = found["STD, family ours, one pair a participant"].table
    assert table["pair"].tolist() == [
        "soft_all and hard_all", "soft_all and propseg", "hard_all and propseg",
    ]  # fmt: skip
    assert table["remark"].tolist() == ["", "not supplied", "not supplied"]
    assert table["W"].tolist() == ["0", "", ""]


def test_what_varies_besides_the_layout_is_in_the_title():
    long = pd.concat([cohort(), cohort().assign(measure="csa_soft_mm2")], ignore_index=True)
    table = run_analysis(declared("csa_by_method"), long).table
    text = table.astype("object").where(table.notna(), "").astype("str")
    titles = [block.title for block in laid_out_blocks("csa_by_method", text)]
    assert titles == ["csa_mm2", "csa_soft_mm2"]


def test_seg_1_names_measures_and_units_in_words():
    found = blocks("mask_scores", measures=["csa_mm2", "rve_percent"])
    assert list(found) == ["d"]
    heads = list(found["d"].table.columns)
    assert heads[1].startswith("Cross-sectional area")
    assert heads[2].endswith("[%]")


def test_other_kinds_and_empty_tables_keep_their_own_form():
    assert laid_out_blocks("variability", pd.DataFrame({"status": ["x"]})) == []
    assert laid_out_blocks("csa_by_method", pd.DataFrame()) == []


def test_what_the_publication_states_stands_beside_the_result():
    found = blocks("csa_by_method", published="contrast-agnostic")
    table = found[""].table.set_index("method")
    assert table.loc["published", "STD"] == "not stated"
    families = {"training": ["soft_all", "hard_all"]}
    found = blocks(
        "csa_method_tests", published="contrast-agnostic", reference="GT_soft", families=families
    )
    (std,) = [block.table for title, block in found.items() if title.startswith("STD")]
    assert std["published"].str.startswith("p < 0.05").all()


def test_a_published_test_stands_beside_its_own_pair_only():
    members = ["soft_all", "hard_all", "cord-v1", "propseg"]
    rows = [(a, b) for a in members for b in members if a != b]
    table = pd.DataFrame(rows, columns=["a", "b"]).assign(quantity="STD", family="training")
    told = with_published(table, "contrast-agnostic")
    beside = told[told["published"].str.startswith("p < 0.05")]
    assert set(zip(beside["a"], beside["b"], strict=True)) == {
        ("soft_all", "hard_all"), ("hard_all", "soft_all"),
    }  # fmt: skip


def _score_cells(methods: tuple[str, ...]) -> pd.DataFrame:
    cells = [
        {"method": m, "structure": s, "measure": "dice", "unit": "1", "site": "all", "mean": "0.9",
         "sd": "0.1", "n": "5", "p": "", "against": "", "status": "", "n_empty_reference": "0",
         "n_empty_mask": "0", "n_small_reference": "0"}
        for m in methods for s in (("cord",) if m == "cord-v1" else ("cord", "lesion"))
    ]  # fmt: skip
    return pd.DataFrame(cells)


def test_a_cord_that_another_method_drew_is_no_second_result():
    lent, own = score_tables(_score_cells(("sciseg-v1", "cord-v1")), "")
    assert lent.table["structure"].tolist() == ["lesion"]
    assert "spinal cord: the mask of cord-v1, not a second one: see there." in lent.note
    assert own.table["structure"].tolist() == ["spinal cord"]
    assert "mask of" not in own.note
    (alone,) = score_tables(_score_cells(("sciseg-v1",)), "")
    assert alone.table["structure"].tolist() == ["spinal cord", "lesion"]
    assert "the mask of cord-v1, not a second one." in alone.note


def test_a_negative_mean_has_a_minus_sign_and_what_rounds_to_nothing_has_none():
    cells = _score_cells(("net",))
    (found,) = score_tables(cells.assign(mean=["-2.5", "-0.001"]), "")
    assert found.table["all sites"].tolist() == ["−2.50 ± 0.10 (5)", "0.00 ± 0.10 (5)"]


def test_a_model_that_draws_its_own_cord_keeps_its_rows():
    (found,) = score_tables(_score_cells(("sciseg-phase3",)), "")
    assert found.table["structure"].tolist() == ["spinal cord", "lesion"]
    assert "mask of" not in found.note
