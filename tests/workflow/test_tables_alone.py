"""A study of tables alone: measures from anywhere in, results and report out, no image anywhere."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import run_command

N_PERSONS, N_SITES = 8, 2


def _write_tables(folder):
    """A wide table with two visits a person, and a long one of another rater, with scores."""
    rng = np.random.default_rng(5)
    true = rng.normal(75, 6, N_PERSONS)
    wide, long = ["participant_id,visit,site,area,age"], ["id\tmetric\tvalue\tvisit\twho"]
    for i, area in enumerate(true):
        for visit in ("1", "2"):
            value = area + rng.normal(0, 1)
            wide.append(f"sub-{i:02d},{visit},{'ab'[i % N_SITES]},{value:.4f},{30 + i}")
            long.append(f"{i:02d}\tCSA\t{value + 1 + rng.normal(0, 0.5):.4f}\t{visit}\tp{i}")
    (folder / "areas.csv").write_text("\n".join(wide) + "\n")
    (folder / "rater.tsv").write_text("\n".join(long) + "\n")


@pytest.fixture(scope="module")
def tables_study(tmp_path_factory):
    """Folder of a finished study without a data set."""
    study = tmp_path_factory.mktemp("tables alone")
    (study / "config").mkdir()
    _write_tables(study)
    constants = {"contrast": "T2w", "structure": "cord", "level": "C2-C3"}
    content = {
        "study": {"name": "tables"},
        "external_measures": [
            {"name": "first", "file": "areas.csv", "dataset": "lab", "constants": constants,
             "columns": {"subject": "participant_id", "session": "visit", "site": "site"},
             "measures": {"csa_mm2": {"column": "area", "unit": "mm2"}}, "scores": {"age": "age"}},
            {"name": "second", "file": "rater.tsv", "dataset": "lab", "layout": "long",
             "constants": constants,
             "columns": {"subject": "id", "session": "visit", "measure": "metric",
                         "value": "value"},
             "measures": {"csa_mm2": {"column": "CSA", "unit": "mm2"}}},
        ],
        "analyses": [
            {"name": "sessions", "kind": "variability", "over": "session"},
            {"name": "age", "kind": "correlation", "with": {"score": ["age"]},
             "select": {"method": "first"}},
            {"name": "raters", "kind": "paired_test", "compare": "method"},
        ],
    }  # fmt: skip
    (study / "config" / "config.yaml").write_text(yaml.safe_dump(content))
    run_command("cordcohort", "run", study, "--cores", "1")
    return study


def _result(study, name) -> pd.DataFrame:
    return pd.read_csv(study / "results" / "statistics" / f"{name}.tsv", sep="\t")


def test_values_of_both_layouts_meet_in_one_long_table(tables_study):
    table = pd.read_parquet(tables_study / "results" / "cohort" / "measures.parquet")
    assert set(table["method"]) == {"first", "second"}
    assert len(table) == 2 * 2 * N_PERSONS
    scans = pd.read_parquet(tables_study / "results" / "cohort" / "scans.parquet")
    assert set(scans["status"]) == {"ok"}
    assert set(scans["origin"]) == {"external"}


def test_analyses_of_tables_alone_count_their_persons(tables_study):
    sessions = _result(tables_study, "sessions")
    assert sessions["n_persons"].tolist() == [N_PERSONS, N_PERSONS]
    assert sessions["cov_percent"].between(0.1, 5).all()
    assert _result(tables_study, "age")["n"].tolist() == [N_PERSONS]
    assert _result(tables_study, "raters")["n_pairs"].tolist() == [N_PERSONS]


def test_the_report_of_tables_alone_opens_offline(tables_study):
    page = (tables_study / "results" / "report" / "index.html").read_text()
    assert "csa" in page.lower()
    assert 'src="http' not in page


def test_a_study_of_tables_is_started_from_their_headers(tables_study, tmp_path):
    study = tmp_path / "new"
    run_command("cordcohort", "init", study, "--table", tables_study / "areas.csv")
    done = run_command("cordcohort", "check", study)
    assert "config and sheets stop no run" in done.stdout
    content = yaml.safe_load((study / "config" / "config.yaml").read_text())
    assert content["datasets"] == []
    assert content["external_measures"][0]["columns"]["session"] == "visit"
