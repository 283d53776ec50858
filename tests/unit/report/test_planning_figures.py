"""Planning figures: drawn from the table of a planning analysis, in both of its forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cordcohort.report.inputs import Analysis
from cordcohort.report.planning_figures import planning_figures
from cordcohort.statistics.run import run_analysis
from cordcohort.table import as_long


def _analysis(effect: Any) -> Analysis:
    values = np.random.default_rng(0).normal(70, 4, (12, 2))
    rows = [
        {"dataset": "d", "subject": f"{i}", "site": f"s{i % 3}", "session": f"{j}",
         "measure": "csa_mm2", "unit": "mm2", "contrast": "T2w", "value": v}
        for (i, j), v in np.ndenumerate(values)
    ]  # fmt: skip
    spec = {"name": "plan", "kind": "planning", "effect": effect, "n_simulations": 200,
            "n_sites": [1, 3], "n_per_arm": [10, 40, 160]}  # fmt: skip
    result = run_analysis(spec, as_long(pd.DataFrame(rows)))
    text = result.table.astype("object").where(result.table.notna(), "").astype("str")
    return Analysis("plan", "planning", text, result.counts, {"parameters": dict(result.params)})


@pytest.mark.parametrize(
    ("effect", "axis"), [(3.0, "power"), ([1.0, 2.0, 4.0], "persons an arm for power 0.8")]
)
def test_one_figure_a_measure_with_a_line_a_number_of_sites(
    effect: Any, axis: str, tmp_path: Path
) -> None:
    figures = planning_figures(_analysis(effect), tmp_path)
    assert len(figures) == 1
    svg = (tmp_path / figures[0].file).read_text()
    assert svg.startswith("<?xml")
    assert "alpha 0.05" in figures[0].note
    assert (figures[0].title.startswith("Power")) == (axis == "power")
    again = planning_figures(_analysis(effect), tmp_path)
    assert (tmp_path / again[0].file).read_text() == svg


def test_more_effect_needs_fewer_persons() -> None:
    table = _analysis([1.0, 2.0, 4.0]).table
    needed = pd.to_numeric(table["smallest_enough"], errors="coerce")
    least = needed.groupby(pd.to_numeric(table["effect"])).min()
    assert least.dropna().is_monotonic_decreasing


def test_other_analyses_and_plans_without_numbers_have_no_figure(tmp_path: Path) -> None:
    plan = _analysis(3.0)
    assert planning_figures(Analysis("x", "agreement", plan.table, plan.counts), tmp_path) == []
    empty = plan.table.assign(power="")
    assert planning_figures(Analysis("x", "planning", empty, plan.counts), tmp_path) == []
