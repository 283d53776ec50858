"""What leaving out a site does stands on the page as a table of its own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from cordcohort.report.analysis_tables import analysis_entry, sensitivity_table
from cordcohort.report.inputs import Analysis, read_inputs
from cordcohort.statistics.run import run_analysis, write_result
from cordcohort.table import as_long


def _analysis(tmp_path: Path, **spec: object) -> Analysis:
    """Persons of three sites in two contrasts; T2w is larger by 1, 2 and 6 mm2."""
    step = {"a": 1.0, "b": 2.0, "c": 6.0}
    rows = [
        {"dataset": "d", "subject": f"{site}{i}", "site": site, "contrast": contrast,
         "method": "manual", "structure": "cord", "measure": "csa_mm2", "statistic": "mean",
         "unit": "mm2", "person": "", "value": 70 + i + (step[site] if contrast == "T2w" else 0)}
        for site in step for i in range(4) for contrast in ("T1w", "T2w")
    ]  # fmt: skip
    declared = {"name": "s", "kind": "paired_test", "compare": "contrast", **spec}
    folder = tmp_path / "results" / "statistics"
    write_result(run_analysis(declared, as_long(pd.DataFrame(rows))), folder)
    return read_inputs(tmp_path, {"analyses": [declared]}).analyses[0]


def test_the_page_tells_each_result_its_range_and_what_moves_it_most(tmp_path: Path) -> None:
    analysis = _analysis(tmp_path, leave_one_out="site")
    entry = analysis_entry(analysis, tmp_path / "report")
    assert entry["left_out"] == "site"
    titles = [column.title for column in entry["sensitivity"].columns]
    assert {"value", "range with one left out", "moves most", "range of p"} <= set(titles)
    assert len(entry["sensitivity"].rows) == 1
    assert len(analysis.whole) == 1
    assert len(analysis.table) == 4


def test_an_analysis_that_was_not_repeated_has_no_such_table(tmp_path: Path) -> None:
    analysis = _analysis(tmp_path)
    assert sensitivity_table(analysis).empty
    assert not analysis_entry(analysis, tmp_path / "report")["sensitivity"].rows
