"""Figures of levels and of result tables: what is drawn, from which rows, and what is left out."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cordcohort.report import along_cord, result_figures
from cordcohort.report.agreement_figures import ddof_of
from cordcohort.report.inputs import Analysis, Inputs
from cordcohort.table import SCAN_KEY, as_long


def inputs_of(
    folder: Path,
    measures: pd.DataFrame | None = None,
    scores: pd.DataFrame | None = None,
    analyses: tuple[Analysis, ...] = (),
) -> Inputs:
    scans = pd.DataFrame({"site": ["a", "b", "c"], "vendor": ["GE", "GE", "Siemens"]})
    empty = pd.DataFrame(columns=["dataset", "subject", "person", "variable", "value"])
    scores = empty if scores is None else scores
    return Inputs(folder, scans, scores, scans, as_long(pd.DataFrame())
                  if measures is None else measures, analyses, {})  # fmt: skip


def levels_of(kind: str, levels: list[str], n_persons: int = 8) -> pd.DataFrame:
    """Person ``p`` has an area of ``60 + p`` at the first level and two less at each further."""
    rows = [
        {
            "dataset": "a", "subject": f"{p:02d}", "contrast": "T2w", "site": "ab"[p % 2],
            "method": "manual", "structure": "cord", "measure": "csa_mm2", "statistic": "mean",
            "unit": "mm2", "level_kind": kind, "level": level, "value": 60.0 + p - 2 * k,
            "session": session,
        }
        for p in range(n_persons) for k, level in enumerate(levels) for session in ("1", "2")
    ]  # fmt: skip
    return as_long(pd.DataFrame(rows))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Catches what would be drawn along the cord."""
    caught: dict[str, object] = {}

    def keep(table: pd.DataFrame, base: pd.DataFrame, labels: object, *_: object) -> str:
        caught.update(table=table, base=base, labels=labels)
        return "drawn"

    monkeypatch.setattr(along_cord, "_draw", keep)
    return caught


def test_the_band_is_of_controls_where_there_are_enough(
    tmp_path: Path, drawn: dict[str, object]
) -> None:
    measures = levels_of("vertebral", ["C2", "C3", "C2-C3"])
    groups = [
        {"dataset": "a", "subject": f"{p:02d}", "person": "", "variable": "group",
         "value": "control" if p < 5 else "patient"} for p in range(8)
    ]  # fmt: skip
    along_cord.along_cord_figures(inputs_of(tmp_path, measures, pd.DataFrame(groups)), tmp_path)
    base = drawn["base"]
    assert isinstance(base, pd.DataFrame)
    assert set(base["person_key"]) == {f"a/{p:02d}" for p in range(5)}
    assert drawn["labels"] == ("vertebral", "T2w", "manual", "controls")
    # One row a person and level: two sessions are averaged, ranges are no place along the cord.
    assert len(base) == 10
    assert base.groupby("place")["value"].median().to_dict() == {2.0: 62.0, 3.0: 60.0}


def test_distances_from_the_pmj_are_drawn_in_mm(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, levels_of("pmj_mm", ["50", "60", "100"]))
    (figure,) = along_cord.along_cord_figures(inputs, tmp_path)
    assert (tmp_path / figure.file).read_bytes().startswith(b"<?xml")
    assert "distance from the pontomedullary junction [mm]" in figure.alt
    assert figure.note == "band and median of 8 persons; sites by their median"


@pytest.mark.parametrize(
    "measures",
    [levels_of("vertebral", ["C2"]), levels_of("vertebral", ["C2", "C3"], 4),
     levels_of("vertebral", ["C2-C3", "C3-C4"]), as_long(pd.DataFrame())],
)  # fmt: skip
def test_few_persons_or_levels_make_no_band(tmp_path: Path, measures: pd.DataFrame) -> None:
    assert along_cord.along_cord_figures(inputs_of(tmp_path, measures), tmp_path) == []


def agreement_table() -> pd.DataFrame:
    rows = [
        {"contrast": "T2w", "structure": "cord", "measure": "csa_mm2", "unit": "mm2",
         "method": "m", "reference": "manual", "quantity": "difference", "site": site,
         "mean": mean, "ci_low": low, "ci_high": high, "ddof": "0", "loa_low": "1"}
        for site, mean, low, high in (("all", "-1", "-2", "0"), ("b", "-3", "n/a", ""),
                                      ("a", "1", "0.5", "1.5"))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_forest_has_a_row_a_site_and_the_whole_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysis = Analysis("csa", "agreement", agreement_table(), pd.DataFrame())
    (figure,) = result_figures.result_figures(inputs_of(tmp_path, analyses=(analysis,)), tmp_path)[
        "csa"
    ]
    assert (tmp_path / figure.file).is_file()
    assert "T2w, m against manual, by site" in figure.title
    orders: list[list[str]] = []
    monkeypatch.setattr(
        result_figures, "_draw_forest", lambda rows, *_: orders.append([*rows.index])
    )
    result_figures.result_figures(inputs_of(tmp_path, analyses=(analysis,)), tmp_path)
    assert orders == [["a", "b", "all"]]


def test_one_site_makes_no_forest(tmp_path: Path) -> None:
    table = agreement_table().iloc[[0, 2]]
    analysis = Analysis("csa", "agreement", table, pd.DataFrame())
    inputs = inputs_of(tmp_path, analyses=(analysis,))
    assert result_figures.result_figures(inputs, tmp_path) == {"csa": []}


def test_cov_bars_are_of_sites_with_their_vendor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.DataFrame(
        {"definition": "intra_site", "over": "site", "structure": "cord", "measure": "csa_mm2",
         "group": ["all", "a", "b", "c"], "cov_percent": ["4", "2", "6", "n/a"], "ddof": "1"}
    )  # fmt: skip
    analysis = Analysis("cov", "variability", table, pd.DataFrame())
    inputs = inputs_of(tmp_path, analyses=(analysis,))
    (figure,) = result_figures.result_figures(inputs, tmp_path)["cov"]
    assert figure.title.startswith("Intra-site CoV of Cross-sectional area")
    seen: list[pd.DataFrame] = []
    monkeypatch.setattr(result_figures, "_draw_cov", lambda rows, *_: seen.append(rows))
    result_figures.result_figures(inputs, tmp_path)
    assert seen[0][["group", "vendor"]].values.tolist() == [["a", "GE"], ["b", "GE"]]


def test_limits_in_figures_use_the_divisor_of_the_analysis() -> None:
    about = pd.Series({"structure": "cord", "measure": "csa_mm2", "contrast": "T2w"})
    analysis = Analysis("csa", "agreement", agreement_table(), pd.DataFrame())
    assert ddof_of([analysis], about, ("m", "manual")) == 0
    assert ddof_of([analysis], about, ("other", "manual")) == 1
    assert ddof_of([], about, ("m", "manual")) == 1


def test_clouds_of_equal_values_are_left_out(tmp_path: Path) -> None:
    from cordcohort.report.distributions import distribution_figures  # noqa: PLC0415 - slow

    table = levels_of("", [""]).drop_duplicates(SCAN_KEY).assign(site="a")
    varied = distribution_figures(table, tmp_path)
    shapes = [len(re.findall("FillBetween", (tmp_path / f.file).read_text())) for f in varied]
    same = distribution_figures(table.assign(value=np.float64(70.0)), tmp_path)
    flat = [len(re.findall("FillBetween", (tmp_path / f.file).read_text())) for f in same]
    assert sum(shapes) == 1
    assert sum(flat) == 0
