"""Declarations are checked by name; results are complete, counted and written the same way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
from cordcohort.errors import ConfigError, CordcohortError
from cordcohort.statistics.boundary import renamed
from cordcohort.statistics.catalogue import check_analyses, check_analysis, kinds
from cordcohort.statistics.run import run_analysis, write_result

MakeLong = Callable[..., pd.DataFrame]
SPEC: dict[str, Any] = {"name": "v", "kind": "variability", "over": "session"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "variabilty"}, "nearest.*variability"),
        ({"over": "scanner"}, r"analyses\[0\]\.over"),
        ({"over": "sesion"}, r"expected one of .*nearest: \['session'"),
        ({"ddof": 2}, "ddof"),
        ({"dof": 1}, "dof.*nearest.*ddof"),
        ({"name": "../x"}, "name"),
        ({"select": {"site": {}}}, "select"),
    ],
)
def test_a_wrong_declaration_is_refused_by_key(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check_analysis(SPEC | change)


def test_two_analyses_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"analyses\[1\]\.name"):
        check_analyses([SPEC, SPEC | {"name": "V"}])


def test_every_kind_has_a_valid_schema_with_descriptions() -> None:
    assert {"agreement", "correlation", "paired_test", "variability"} <= set(kinds())
    for kind in kinds().values():
        jsonschema.Draft202012Validator.check_schema(kind.schema)
        assert all("description" in v or "default" in v for v in kind.parameters.values())
        assert {"flag", "reason"} <= set(kind.columns)
        assert kind.function.__doc__


def test_unknown_column_in_select_names_the_nearest(make_long: MakeLong) -> None:
    cohort = make_long([{"subject": "01", "value": 1.0}])
    with pytest.raises(ConfigError, match=r"nearest.*'session'"):
        run_analysis(SPEC | {"select": {"sesion": "1"}}, cohort)


def test_split_by_a_score_variable_and_by_a_column(make_long: MakeLong) -> None:
    rows = [{"subject": f"{i}", "session": t, "value": 60.0 + i + int(t)}
            for i in range(4) for t in "12"]  # fmt: skip
    scores = pd.DataFrame({
        "dataset": "a", "subject": [str(i) for i in range(4)], "person": "", "session": "",
        "time_point": "", "variable": "sex", "value": ["F", "F", "M", ""],
    }).astype("str")  # fmt: skip
    table = run_analysis(SPEC | {"split_by": ["sex"]}, make_long(rows), scores).table
    assert table["sex"].tolist() == ["", "F", "M"]
    assert table["n_persons"].tolist() == [1, 2, 1]
    table = run_analysis(SPEC | {"split_by": ["site"]}, make_long(rows)).table
    assert table["site"].tolist() == ["s1"]
    assert table["n_used"].tolist() == [8]
    with pytest.raises(ConfigError, match="split_by"):
        run_analysis(SPEC | {"split_by": ["session"]}, make_long(rows))
    chosen = run_analysis(SPEC | {"select": {"sex": "M"}}, make_long(rows), scores).table
    assert chosen["n_persons"].tolist() == [1]


def test_ages_above_89_are_one_group_in_a_table_split_by_age(make_long: MakeLong) -> None:
    rows = [{"subject": f"{i}", "session": t, "value": 60.0 + i} for i in range(3) for t in "12"]
    scores = pd.DataFrame({
        "dataset": "a", "subject": ["0", "1", "2"], "person": "", "session": "",
        "time_point": "", "variable": "age", "value": ["34", "92", "97"],
    }).astype("str")  # fmt: skip
    table = run_analysis(SPEC | {"split_by": ["age"]}, make_long(rows), scores).table
    assert table.set_index("age")["n_persons"].to_dict() == {"34": 1, "90+": 2}


def test_empty_cohort_and_all_excluded_are_rows_with_a_reason(make_long: MakeLong) -> None:
    cohort = make_long([{"subject": "01", "value": 1.0, "flag": "excluded", "reason": "motion"}])
    for kind, more in (("variability", {"over": "site"}), ("agreement", {}),
                       ("paired_test", {"compare": "method"}),
                       ("correlation", {"with": {"score": ["x"]}})):  # fmt: skip
        for table in (cohort, cohort.iloc[:0]):
            result = run_analysis({"name": "n", "kind": kind, **more}, table)
            assert len(result.table) >= (0 if kind == "agreement" else 1)
            assert set(result.table["flag"]) <= {"undefined"}
            assert (result.table["reason"] != "").all()
            assert result.counts["n_excluded"].sum() == (1 if len(table) else 0)


def test_results_are_written_the_same_twice_with_their_record(
    make_long: MakeLong, tmp_path: Path
) -> None:
    rows = [{"subject": s, "session": t, "value": 60.0 + i}
            for i, s in enumerate("abc") for t in "12"]  # fmt: skip
    digests = set()
    for seed in (1, 2):
        result = run_analysis(SPEC, make_long(rows).sample(frac=1, random_state=seed))
        paths = write_result(result, tmp_path, {"exclude_sha256": "0"})
        digests.add(tuple(hashlib.sha256(p.read_bytes()).hexdigest() for p in paths))
    assert len(digests) == 1
    assert [p.name for p in paths] == ["v.tsv", "v.counts.tsv", "v.json"]
    record = json.loads(paths[2].read_text())
    assert record["schema"] == 1
    assert record["parameters"]["ddof"] == 1
    assert record["parameters"]["unit"] == "person"
    assert "pingouin" in record["versions"]
    assert "ddof 1" in record["method_text"]


def test_text_columns_are_never_missing(make_long: MakeLong) -> None:
    rows = [{"subject": "01", "session": t, "value": np.nan, "flag": "undefined", "reason": "x"}
            for t in "12"]  # fmt: skip
    table = run_analysis(SPEC, make_long(rows)).table
    for column in table.columns[table.dtypes == "str"]:
        assert table[column].notna().all()


def test_a_rename_upstream_fails_by_name() -> None:
    with pytest.raises(CordcohortError, match=r"p_val.*requirements\.lock"):
        renamed(pd.DataFrame({"p-val": [1.0]}), {"p_val": "p"}, "pingouin.wilcoxon")


def test_same_person_at_two_sites_is_one_person(make_long: MakeLong) -> None:
    rows = [
        {"dataset": d, "subject": s, "person": "T", "site": d, "session": "1", "value": v}
        for d, s, v in (("x", "01", 70.0), ("y", "07", 72.0))
    ]
    table = run_analysis(SPEC | {"over": "site"}, make_long(rows)).table
    assert table.loc[0, ["scope", "n_persons"]].tolist() == ["within_person", 1]
