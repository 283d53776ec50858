"""Rows dropped while the long table is read: the same results as from the whole table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cordcohort.statistics.read import read_cohort
from cordcohort.statistics.run import run_analysis
from cordcohort.table import write_parquet

MakeLong = Callable[..., pd.DataFrame]


def _cohort(make_long: MakeLong) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    rows: list[dict[str, Any]] = [
        {"subject": f"{i}", "site": f"s{i % 3}", "session": t, "measure": m, "level": level,
         "level_kind": "vertebral" if level else "", "value": float(v)}
        for i in range(9) for t in "12" for m in ("csa_mm2", "fa") for level in ("", "C3")
        for v in [70 + rng.normal()]
    ]  # fmt: skip
    rows += [{"subject": f"{i}", "site": "s0", "session": "1", "slice": k, "value": 60.0}
             for i in range(3) for k in range(2)]  # fmt: skip
    rows += [{"subject": "f", "site": "s1", "session": "1", "statistic": "", "value": np.nan,
              "flag": "failed", "reason": "unreadable"}]  # fmt: skip
    rows += [{"subject": "x", "site": "s2", "session": "1", "object": "1", "value": 3.0}]
    return make_long(rows)


@pytest.mark.parametrize(
    "spec",
    [
        {"select": {"measure": "csa_mm2", "level": "C3"}},
        {"select": {"measure": ["csa_mm2", "fa"], "statistic": "mean"}, "leave_one_out": "site"},
        {"select": {"site": ["s0", "s1"]}, "split_by": ["level"]},
        {"per": ["slice"]},
        {},
    ],
)
def test_an_analysis_of_the_rows_read_is_that_of_all_rows(
    make_long: MakeLong, tmp_path: Path, spec: dict[str, Any]
) -> None:
    cohort = _cohort(make_long)
    write_parquet(tmp_path / "measures.parquet", cohort)
    declared = {"name": "a", "kind": "variability", "over": "session"} | spec
    read = read_cohort(tmp_path / "measures.parquet", declared)
    assert len(read) <= len(cohort)
    ours, whole = run_analysis(declared, read), run_analysis(declared, cohort)
    pd.testing.assert_frame_equal(ours.table, whole.table)
    pd.testing.assert_frame_equal(ours.counts, whole.counts)


def test_a_selection_reads_few_rows_and_keeps_failures(make_long: MakeLong, tmp_path: Path) -> None:
    write_parquet(tmp_path / "measures.parquet", _cohort(make_long))
    read = read_cohort(tmp_path / "measures.parquet", {"select": {"level": "C3"}})
    assert set(read["level"]) == {"C3", ""}
    assert set(read.loc[read["level"] == "", "flag"]) == {"failed"}
