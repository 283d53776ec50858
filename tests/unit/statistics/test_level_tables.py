"""Tables of spinal levels: published layout, CoV by hand, missing levels counted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cordcohort.report.layouts import laid_out_blocks
from cordcohort.statistics.level_tables import _merged, level_table
from cordcohort.statistics.select import choose_rows
from cordcohort.table import LONG_COLUMNS

C2, C3 = [50.0, 52.0, 54.0, 51.0], [66.0, 67.0, np.nan, 68.0]
SITES = {"a": "GE", "b": "GE", "c": "Siemens", "d": "Siemens"}


def row(**given) -> dict:
    base = dict.fromkeys(LONG_COLUMNS, "") | {"value": np.nan, "slice": None, "n_voxels": 9}
    kind = {"structure": "rootlets", "measure": "pmj_distance_mm", "unit": "mm"}
    return base | kind | {"level_kind": "spinal", "method": "manual", "contrast": "T2w"} | given


def travelling() -> pd.DataFrame:
    rows = []
    for name, values in (("C2", C2), ("C3", C3)):
        for (site, vendor), value in zip(SITES.items(), values, strict=True):
            lost = {"flag": "undefined", "reason": f"no rootlets of {name}"}
            one = row(
                dataset=site, site=site, vendor=vendor, subject="01", person="p", level=name,
                value=value,
            )  # fmt: skip
            rows.append(one | (lost if np.isnan(value) else {}))
    # Somebody who stayed at one site enters no table of sites.
    rows.append(row(dataset="a", site="a", vendor="GE", subject="02", person="q", level="C2",
                    value=90.0))  # fmt: skip
    return pd.DataFrame(rows)


def made(table: pd.DataFrame, over: str, ddof: int = 1, **spec) -> pd.DataFrame:
    declared = {"name": "t", "over": over, "ddof": ddof, **spec}
    selection = choose_rows(table, declared, merged=_merged(declared)).selection()
    return level_table(selection, declared).table


def cell(table: pd.DataFrame, level: str, column: str) -> pd.Series:
    return table[(table["level"] == level) & (table["column"] == column)].iloc[0]


def test_sites_have_the_cov_of_all_of_each_vendor_and_of_vendor_means():
    table = made(travelling(), "site")
    assert set(table["participant"]) == {"p:p"} or table["participant"].nunique() == 1
    assert cell(table, "C2", "COV")["value"] == pytest.approx(
        100 * np.std(C2, ddof=1) / np.mean(C2)
    )
    assert cell(table, "C2", "COV_GE")["value"] == pytest.approx(100 * np.sqrt(2) / 51)
    means = [51.0, 52.5]
    expected = 100 * np.std(means, ddof=1) / np.mean(means)
    assert cell(table, "C2", "COV_vendor_means")["value"] == pytest.approx(expected)
    assert cell(table, "C2", "SD")["value"] == pytest.approx(np.std(C2, ddof=1))
    population = made(travelling(), "site", ddof=0)
    assert cell(population, "C2", "SD")["value"] == pytest.approx(np.std(C2))


def test_a_missing_level_is_an_empty_cell_with_its_reason_and_is_counted():
    table = made(travelling(), "site")
    lost = cell(table, "C3", "c")
    assert np.isnan(lost["value"])
    assert lost["reason"] == "no rootlets of C3"
    whole = cell(table, "C3", "COV")
    assert (whole["n"], whole["n_missing"]) == (3, 1)
    known = [66.0, 67.0, 68.0]
    assert whole["value"] == pytest.approx(100 * np.std(known, ddof=1) / np.mean(known))
    alone = cell(table, "C3", "COV_Siemens")
    assert np.isnan(alone["value"])
    assert alone["flag"] == "undefined"


def test_the_page_has_the_published_layout():
    blocks = laid_out_blocks("level_table", made(travelling(), "site").fillna("").astype(str))
    assert len(blocks) == 1
    columns = list(blocks[0].table.columns)
    assert columns[:6] == ["level", "a", "b", "c", "d", "COV"]
    assert {"COV_GE", "COV_Siemens"} <= set(columns)
    assert blocks[0].table["level"].tolist() == ["C2", "C3"]
    assert "missing levels" in blocks[0].note


def test_sessions_of_several_participants_have_a_cov_each_and_their_mean():
    rows = [
        row(dataset="s", site="s", subject=who, person=who, session=session, level="C5", value=v)
        for who, values in (("x", (100.0, 102.0)), ("y", (90.0, 90.0)))
        for session, v in zip(("1", "2"), values, strict=True)
    ]
    table = made(pd.DataFrame(rows), "session")
    covs = table[table["column"] == "COV"]["value"].tolist()
    assert covs == [pytest.approx(100 * np.sqrt(2) / 101), 0.0]
    assert cell(table, "C5", "COV_mean")["value"] == pytest.approx(np.mean(covs))


def test_raters_are_columns_and_methods_do_not_split_the_table():
    rows = [
        row(dataset="s", site="s", subject="x", person="x", level="C5", method=f"rater-{k}",
            value=100.0 + k) for k in range(1, 5)
    ]  # fmt: skip
    table = made(pd.DataFrame(rows), "rater")
    assert [c for c in table["column"] if c.startswith("rater")] == [
        "rater-1", "rater-2", "rater-3", "rater-4",
    ]  # fmt: skip
    expected = 100 * np.std([1, 2, 3, 4], ddof=1) / 102.5
    assert cell(table, "C5", "COV")["value"] == pytest.approx(expected)


def test_voxel_sizes_have_the_original_first_and_a_mean_absolute_error():
    rows = [
        row(dataset="s", site="s", subject="x", person="x", level=level, value=v, variant=variant)
        for variant, values in (("", (50.0, 60.0)), ("voxel 1.2 mm", (51.0, 57.0)))
        for level, v in zip(("C2", "C3"), values, strict=True)
    ]
    table = made(pd.DataFrame(rows), "voxel")
    columns = list(dict.fromkeys(table["column"]))
    assert columns[:2] == ["original", "1.2 mm"]
    assert cell(table, "mae", "1.2 mm")["value"] == pytest.approx(2.0)
    assert cell(table, "mae", "original")["value"] == 0


def test_a_study_without_repetition_says_so():
    table = made(travelling().iloc[:1], "site")
    assert table["flag"].tolist() == ["undefined"]
    assert "nobody was measured in two sites" in table["reason"].iloc[0]
