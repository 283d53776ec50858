"""Tables of the eight regions: over patients, over pooled voxels, beside published values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cordcohort.files import read_yaml
from cordcohort.measures.regions import REGION_CODES
from cordcohort.phantom.config import study_from_dict
from cordcohort.report.layouts import laid_out_blocks
from cordcohort.report.published import with_published
from cordcohort.statistics.catalogue import check_analyses
from cordcohort.statistics.run import run_analysis
from cordcohort.table import as_long

# Voxels of (both, mask, reference) in the left dorsal column of three patients.
COUNTS = {"01": (8, 10, 12), "02": (0, 5, 10), "03": (30, 40, 30)}
ERRORS = {"01": -4.0, "02": 6.0, "03": np.nan}


def cohort():
    rows = []
    for subject, (both, mask, reference) in COUNTS.items():
        base = {
            "dataset": "a", "site": "x", "subject": subject, "person": subject, "contrast": "dwi",
            "method": "net", "reference": "manual",
        }  # fmt: skip
        for name in REGION_CODES:
            values = {
                "dice": 2 * both / (mask + reference), "precision": both / mask,
                "recall": both / reference, "both_voxels_n": both, "mask_voxels_n": mask,
                "reference_voxels_n": reference,
            }  # fmt: skip
            rows += [base | {"structure": name, "measure": m, "value": v, "unit": "1"}
                     for m, v in values.items()]  # fmt: skip
            error = ERRORS[subject]
            undefined = {"flag": "undefined", "reason": "no voxel of this region"}
            told = undefined if np.isnan(error) else {}
            for measure, value in (("fa_error_percent", abs(error)),
                                   ("fa_signed_error_percent", error)):  # fmt: skip
                rows.append(
                    base | told | {"structure": name, "measure": measure, "value": value,
                                   "unit": "percent", "statistic": "mean"}
                )  # fmt: skip
    return as_long(pd.DataFrame(rows))


def cell(table, **wanted):
    for column, value in wanted.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


@pytest.fixture(scope="module")
def scores():
    spec = {
        "name": "s", "kind": "region_scores", "select": {"reference": "manual", "statistic": ""},
        "methods": ["net", "absent"], "designs": {"net": {"network": "U", "input": "B0"}},
    }  # fmt: skip
    return run_analysis(spec, cohort()).table


@pytest.fixture(scope="module")
def errors():
    spec = {"name": "e", "kind": "region_errors", "select": {"statistic": "mean"}}
    return run_analysis(spec, cohort()).table


def test_patients_weigh_one_each_and_pooled_voxels_by_their_number(scores):
    dices = [2 * b / (m + r) for b, m, r in COUNTS.values()]
    one = cell(scores, structure="left_dorsal_wm", measure="dice", pooling="per patient")
    assert one["mean"] == pytest.approx(np.mean(dices))
    assert one["sd"] == pytest.approx(np.std(dices, ddof=1))
    both, mask, reference = np.sum(list(COUNTS.values()), axis=0)
    for measure, value in {
        "dice": 2 * both / (mask + reference), "precision": both / mask, "recall": both / reference
    }.items():  # fmt: skip
        pooled = cell(scores, structure="left_gm", measure=measure, pooling="pooled voxels")
        assert pooled["mean"] == pytest.approx(value)
        assert pooled["n"] == 3


def test_a_method_that_nobody_supplied_is_one_row_that_says_so(scores):
    row = cell(scores, method="absent")
    assert row["status"] == "not supplied"
    assert row["flag"] == "undefined"


def test_an_empty_region_leaves_the_mean_and_is_counted(errors):
    row = cell(errors, structure="left_dorsal_wm", measure="fa_error_percent")
    assert row[["mean", "n", "n_without"]].tolist() == [5.0, 2, 1]
    signed = cell(errors, structure="left_dorsal_wm", measure="fa_signed_error_percent")
    assert signed["mean"] == pytest.approx(1.0)


def test_published_errors_stand_beside_absolute_ones_only(errors):
    beside = with_published(errors, "scsnet")
    told = beside[beside["published"] != ""]
    assert set(told["measure"]) == {"fa_error_percent"}
    assert cell(told, structure="right_lateral_wm")["published"] == "4.60 % (n = 89)"
    earlier = with_published(errors, "eight-regions")
    assert cell(earlier, structure="left_ventral_wm", measure="fa_error_percent")["published"] == (
        "11 %"
    )


def test_the_error_table_has_sides_as_rows_and_tissues_as_columns(errors):
    (block,) = laid_out_blocks("region_errors", with_published(errors, "scsnet").astype("str"))
    assert list(block.table.columns) == ["side", "", "lateral", "dorsal", "ventral", "grey matter"]
    assert block.table["side"].tolist() == ["left"] * 3 + ["right"] * 3
    assert block.table["dorsal"].tolist()[:3] == ["5.0 ± 1.4", "1.0 ± 7.1", "10.14 % (n = 89)"]
    assert "reconstruction" in block.note
    assert "1 patients without a value" in block.note


def test_the_score_table_has_a_block_a_network_and_input(scores):
    told = with_published(scores, "eight-regions")
    told = told.assign(n=told["n"].fillna(0)).astype("str")
    blocks = laid_out_blocks("region_scores", told)
    assert [b.title for b in blocks] == ["net, U, B0", "Without a table"]
    assert len(blocks[0].table) == 8
    assert blocks[0].table["Dice, published"].tolist()[0] == "0.67"
    assert "absent" in blocks[1].note


@pytest.mark.parametrize("kind", ["region_scores", "region_errors"])
def test_without_any_row_there_is_a_reason(kind):
    table = run_analysis({"name": "n", "kind": kind}, cohort().iloc[:0]).table
    assert table["flag"].tolist() == ["undefined"]


def test_the_study_s_analyses_are_declared_as_their_kinds_ask(root):
    content = read_yaml(root / "config" / "studies" / "scsnet.yaml")
    kinds = {spec["kind"] for spec in check_analyses(content["analyses"])}
    assert {"region_errors", "region_scores", "paired_test", "equivalence", "bland_altman"} <= kinds
    phantom = read_yaml(root / "config" / "studies" / "scsnet.phantom.yaml")
    sites = [site.name for site in study_from_dict(phantom).sites]
    assert [dataset["name"] for dataset in content["datasets"]] == sites
