"""Averages over seeds: one value a scan, as the published tables have it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cordcohort.errors import ConfigError
from cordcohort.statistics.run import run_analysis
from cordcohort.statistics.select import choose_rows
from cordcohort.table import as_long

SPEC = {"name": "x", "select": {"split": "test"}, "average_over": ["seed"]}


def rows_of(values: dict[tuple[str, str], tuple[float, str, str]]) -> pd.DataFrame:
    """Dice of (subject, seed): value, split, flag."""
    return as_long(pd.DataFrame([
        {"dataset": "a", "subject": subject, "person": subject, "site": "n", "method": "m-phase1",
         "seed": seed, "reference": "manual", "measure": "dice", "unit": "1", "value": value,
         "split": split, "flag": flag, "reason": "no lesion" if flag == "undefined" else ""}
        for (subject, seed), (value, split, flag) in values.items()
    ]))  # fmt: skip


def test_a_scan_counts_once_with_the_mean_over_the_seeds_that_tested_it():
    rng = np.random.default_rng(3)
    values = {
        (str(subject), str(seed)): (float(rng.random()), rng.choice(["train", "test"]), "")
        for subject in range(12)
        for seed in (7, 42, 50)
    }
    table = rows_of(values)
    found = choose_rows(table, SPEC).selection().rows.set_index("subject")["value"]
    expected = table[table["split"] == "test"].groupby("subject")["value"].mean()
    assert found.sort_index().to_dict() == pytest.approx(expected.to_dict(), rel=1e-12)


def test_seeds_without_a_value_are_told_and_a_scan_without_any_stays_undefined():
    nothing = (float("nan"), "test", "undefined")
    table = rows_of({("1", "7"): (0.5, "test", ""), ("1", "42"): nothing,
                     ("2", "7"): nothing, ("2", "42"): nothing})  # fmt: skip
    selection = choose_rows(table, SPEC).selection()
    one, two = selection.rows.sort_values("subject").to_dict("records")
    assert (one["value"], one["flag"], one["reason"]) == (0.5, "warning", "1 of 2 without a value")
    assert np.isnan(two["value"])
    assert (two["flag"], two["reason"], two["usable"]) == ("undefined", "no lesion", False)
    assert len(selection.usable) == 1


def test_training_and_test_rows_of_one_scan_are_never_averaged_together():
    table = rows_of({("1", "7"): (0.9, "train", ""), ("1", "42"): (0.5, "test", "")})
    rows = choose_rows(table, SPEC | {"select": {}}).selection().rows
    assert dict(zip(rows["split"], rows["value"], strict=True)) == {"train": 0.9, "test": 0.5}


def test_without_it_every_seed_is_a_row_and_an_analysis_counts_scans_with_it():
    table = rows_of({(s, seed): (0.5 + 0.1 * int(s), "test", "") for s in "123"
                     for seed in ("7", "42")})  # fmt: skip
    assert len(choose_rows(table, {"name": "x"}).selection().rows) == 6
    result = run_analysis({"name": "x", "kind": "normality", "average_over": ["seed"]}, table)
    assert result.table["n_used"].tolist() == [3]
    assert result.table["n"].tolist() == [3]


def test_seeds_that_are_told_apart_and_single_objects_are_refused():
    table = rows_of({("1", "7"): (0.5, "test", "")})
    with pytest.raises(ConfigError, match=r"average_over.*'seed'"):
        choose_rows(table, SPEC | {"split_by": ["seed"]}).selection()
    with pytest.raises(ConfigError, match="lesion 1 of one seed is not that of another"):
        choose_rows(table, SPEC | {"per": ["object"]}).selection()
