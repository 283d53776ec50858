"""The long table: join, exclusion, order, checks, and what became of each scan."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cordcohort import table as long
from cordcohort.cohort import build_cohort, check_long, person_keys, read_entries, scans_table
from cordcohort.errors import DamagedError, SheetError
from cordcohort.table import SCAN_KEY, long_table, read_parquet, write_parquet, write_tsv


def _scan(subject: str, dataset: str = "a", session: str = "1", **more: str) -> dict[str, str]:
    key = dict.fromkeys(SCAN_KEY, "") | {"dataset": dataset, "subject": subject}
    return key | {"session": session, "contrast": "T2w"} | more


def _index(scans: list[dict[str, str]], **columns: Any) -> pd.DataFrame:
    frame = pd.DataFrame(scans).assign(
        site=lambda f: "site" + f["dataset"], vendor="V", person=lambda f: f["subject"],
        resolution="0.5x0.5x5", status="ok", reason="",
    )  # fmt: skip
    return frame.assign(**columns)


def _rows(value: float, **more: Any) -> list[dict[str, Any]]:
    base = {"method": "manual", "structure": "cord", "statistic": "mean", "unit": "mm2"}
    return [base | {"measure": m, "value": value + i} | more
            for i, m in enumerate(("csa_mm2", "diameter_ap_mm"))]  # fmt: skip


def _study(folder: Path, n: int = 4) -> tuple[list[Path], pd.DataFrame]:
    scans = [_scan(f"{i:02d}", dataset) for dataset in "ab" for i in range(n)]
    paths = []
    for i, scan in enumerate(scans):
        path = folder / f"{i}.parquet"
        write_parquet(path, long_table(_rows(60.0 + i), scan))
        paths.append(path)
    return paths, _index(scans)


def test_site_and_person_come_from_the_index_of_the_same_data_set(tmp_path: Path) -> None:
    paths, index = _study(tmp_path)
    cohort = build_cohort(paths, index)
    assert len(cohort) == 16
    assert set(cohort.loc[cohort["dataset"] == "b", "site"]) == {"siteb"}
    assert set(cohort.loc[cohort["dataset"] == "a", "site"]) == {"sitea"}
    check_long(cohort)


def test_order_of_files_and_rows_changes_no_byte(tmp_path: Path) -> None:
    paths, index = _study(tmp_path)
    digests = set()
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(paths))
        cohort = build_cohort([paths[i] for i in order], index.sample(frac=1, random_state=seed))
        write_parquet(tmp_path / "out.parquet", cohort)
        write_tsv(tmp_path / "out.tsv", cohort)
        digests.add(tuple(hashlib.sha256((tmp_path / f"out.{k}").read_bytes()).hexdigest()
                          for k in ("parquet", "tsv")))  # fmt: skip
    assert len(digests) == 1


def test_exclusion_by_list_keeps_value_and_reason_and_equals_deletion(tmp_path: Path) -> None:
    paths, index = _study(tmp_path)
    entry = {"dataset": "a", "subject": "sub-01", "reason": "motion", "by": "JD"}
    cohort = build_cohort(paths, index, [entry])
    hit = (cohort["dataset"] == "a") & (cohort["subject"] == "01")
    assert set(cohort.loc[hit, "flag"]) == {"excluded"}
    assert set(cohort.loc[hit, "reason"]) == {"motion"}
    assert cohort.loc[hit, "value"].notna().all()
    assert not (cohort.loc[~hit, "flag"] == "excluded").any()
    deleted = build_cohort([p for p in paths if p.name != "1.parquet"], index)
    kept = cohort[cohort["flag"] != "excluded"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, deleted)


def test_reasons_in_the_shared_tables_name_files_but_no_folder(tmp_path: Path) -> None:
    paths, index = _study(tmp_path)
    frame = read_parquet(paths[0])
    frame["flag"], frame["value"] = "failed", float("nan")
    frame["reason"] = "/home/ann/study/x.json: expected a record, got schema 2"
    write_parquet(paths[0], frame)
    cohort = build_cohort(paths, index)
    assert "x.json: expected a record, got schema 2" in set(cohort["reason"])
    scans = scans_table(index, cohort)
    for table in (cohort, scans):
        assert not table["reason"].str.contains("ann").any()


def test_exclusion_of_one_measure_leaves_the_others(tmp_path: Path) -> None:
    paths, index = _study(tmp_path)
    cohort = build_cohort(paths, index, [{"measure": "csa_mm2", "reason": "drift"}])
    flags = cohort.groupby("measure")["flag"].unique().map(list).to_dict()
    assert flags == {"csa_mm2": ["excluded"], "diameter_ap_mm": [""]}


def test_exclusion_that_matches_nothing_names_the_nearest_subject(tmp_path: Path) -> None:
    paths, index = _study(tmp_path)
    with pytest.raises(SheetError, match=r"nearest: \['01'"):
        build_cohort(paths, index, [{"subject": "011", "reason": "typing error"}])
    both = {"dataset": "a", "subject": "01", "run": "3", "reason": "x"}
    with pytest.raises(SheetError, match="run of the study"):
        build_cohort(paths, index, [both])


@pytest.mark.parametrize(
    "entry",
    [
        {"subject": "01"},
        {"subject": "01", "reason": " "},
        {"subjct": "01", "reason": "x"},
        {"reason": "x"},
        {"subject": False, "reason": "x"},
        {"subject": 1e5, "reason": "x"},
    ],
)
def test_incomplete_exclusions_are_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(SheetError):
        read_entries([entry])


def test_stale_scan_doubled_value_and_damaged_table_are_refused(tmp_path: Path) -> None:
    paths, index = _study(tmp_path)
    with pytest.raises(SheetError, match="stale"):
        build_cohort(paths, index.iloc[1:])
    with pytest.raises(SheetError, match="each value once"):
        build_cohort([*paths, paths[0]], index)
    paths[0].write_bytes(paths[0].read_bytes()[:200])
    with pytest.raises(DamagedError, match=r"0\.parquet"):
        build_cohort(paths, index)


def test_empty_study_gives_an_empty_table() -> None:
    cohort = build_cohort([], _index([_scan("01")]))
    assert cohort.empty
    assert list(cohort.columns) == long.LONG_COLUMNS
    assert scans_table(_index([_scan("01")]), cohort)["status"].tolist() == ["ok"]


def test_a_table_of_the_same_subjects_takes_their_site_and_person(tmp_path: Path) -> None:
    paths, index = _study(tmp_path)
    rater = long_table(_rows(50.0, method="rater"), _scan("01", "a"))
    stranger = long_table(_rows(50.0, method="rater"), _scan("99", "a"))
    cohort = build_cohort(paths, index, external=[pd.concat([rater, stranger])])
    found = cohort[cohort["method"] == "rater"].set_index("subject")
    assert found.loc["01", ["site", "person", "vendor"]].iloc[0].tolist() == ["sitea", "01", "V"]
    assert found.loc["99", ["site", "person"]].iloc[0].tolist() == ["", ""]


def test_a_table_never_takes_one_of_several_sites(tmp_path: Path) -> None:
    index = _index([_scan("T", session=s) for s in "12"], site=["rome", "oslo"])
    rater = pd.concat([long_table(_rows(5.0), _scan("T", session=s)) for s in "13"])
    cohort = build_cohort([], index, external=[rater])
    assert cohort.drop_duplicates("session")["site"].tolist() == ["rome", ""]


def test_external_rows_join_without_the_index(tmp_path: Path) -> None:
    paths, index = _study(tmp_path)
    other = long_table(_rows(50.0, method="lab"), _scan("77", "elsewhere")).assign(site="x")
    cohort = build_cohort(paths, index, external=[other])
    assert cohort.loc[cohort["method"] == "lab", "site"].tolist() == ["x", "x"]
    scans = scans_table(index, cohort)
    assert scans.loc[scans["dataset"] == "elsewhere", "origin"].tolist() == ["external"]
    assert len(scans) == 9


def test_a_suspicious_mask_is_told_with_its_scan_which_stays_ok() -> None:
    key = _scan("01")
    whole = key | {"structure": "cord", "measure": "csa_mm2", "unit": "mm2", "statistic": "mean"}
    told = {"flag": "warning", "reason": "2 separate pieces"}
    rows = [
        whole | {"method": "a", "value": 70.0} | told,
        whole | {"method": "b", "value": 71.0},
        whole | {"method": "c", "value": 9.0, "level": "C2"} | told,
        whole | {"method": "d", "value": 9.0, "statistic": "", "slice": 4} | told,
    ]
    scans = scans_table(_index([_scan("01"), _scan("02")]), long.as_long(pd.DataFrame(rows)))
    assert scans["warning"].tolist() == ["a: 2 separate pieces", ""]
    assert scans["status"].tolist() == ["ok", "ok"]


def test_scans_table_says_what_became_of_each_scan(tmp_path: Path) -> None:
    scans = [_scan(f"{i:02d}") for i in range(6)]
    index = _index(
        scans,
        status=["ok", "ok", "ok", "no_image", "failed", "failed"],
        reason=["", "", "", "", "truncated", "truncated"],
    )
    failed = {"flag": "failed", "value": np.nan, "method": "cord-v1", "reason": "no cord found"}
    tables = [long_table(_rows(60.0), scans[i]) for i in (0, 1, 2, 3)]
    tables[1] = long_table([r | failed for r in _rows(0.0)], scans[1])
    paths = []
    for i, part in enumerate(tables):
        write_parquet(tmp_path / f"{i}.parquet", part)
        paths.append(tmp_path / f"{i}.parquet")
    entries = [{"subject": "02", "reason": "motion"}, {"subject": "05", "reason": "withdrew"}]
    cohort = build_cohort(paths, index, entries)
    out = scans_table(index, cohort, entries).set_index("subject")
    assert out["status"].tolist() == ["ok", "failed", "excluded", "no_image", "failed", "excluded"]
    assert out["reason"].tolist() == [
        "", "cord-v1: no cord found", "motion", "", "truncated", "withdrew",
    ]  # fmt: skip
    assert out.loc["01", "n_failed"] == 2
    assert out.loc["02", "n_excluded"] == 2


@pytest.mark.parametrize(
    "change",
    [{"flag": "bad"}, {"flag": "failed"}, {"value": np.nan}, {"value": np.inf}, {"measure": ""}],
)
def test_the_schema_refuses_a_broken_row(change: dict[str, Any]) -> None:
    frame = long_table(_rows(60.0), _scan("01"))
    for column, value in change.items():
        frame.loc[0, column] = value
    with pytest.raises(SheetError):
        check_long(frame)


def test_the_schema_refuses_missing_text_and_other_columns() -> None:
    frame = long_table(_rows(60.0), _scan("01"))
    with pytest.raises(SheetError, match="site"):
        check_long(frame.assign(site=pd.array([None, "x"], dtype="str")))
    with pytest.raises(SheetError):
        check_long(frame.drop(columns="unit"))


def test_one_label_is_two_people_unless_the_index_says_that_they_are_one() -> None:
    rows = pd.DataFrame(
        {
            "dataset": list("aabb"),
            "subject": ["01", "T", "01", "T"],
            "person": ["a-01", "T", "b-01", "T"],
        }
    )
    keys = person_keys(rows).tolist()
    assert len(set(keys)) == 3
    assert keys[1] == keys[3]


def test_hundreds_of_files_gather_into_one_table(tmp_path: Path) -> None:
    scans = [_scan(f"{i:05d}") for i in range(300)]
    paths = []
    for i, scan in enumerate(scans):
        path = tmp_path / f"{i}.parquet"
        write_parquet(path, long_table(_rows(float(i + 1)), scan))
        paths.append(path)
    table = build_cohort(paths, _index(scans))
    assert len(table) == 600
    assert table["subject"].nunique() == 300


def test_rows_of_a_trained_model_say_whom_it_has_seen_and_no_other_row_moves(
    tmp_path: Path,
) -> None:
    scans = [_scan(f"{i}") for i in range(4)]
    paths = []
    for i, scan in enumerate(scans):
        rows = [row for m in ("manual", "own") for row in _rows(60.0 + i, method=m)]
        paths.append(tmp_path / f"{i}.parquet")
        write_parquet(paths[-1], long_table(rows, scan))
    index = _index(scans, split=["", "", "external", ""])
    seen = {"0": "train", "1": "validation", "2": "test"}  # the fourth person it never heard of
    people = pd.DataFrame({"person": list(seen), "split": list(seen.values())})
    plain = build_cohort(paths, index)
    told = build_cohort(paths, index, splits={"own": people})
    own = told[told["method"] == "own"].groupby("person")["split"].unique()
    assert {p: list(s) for p, s in own.items()} == {
        "0": ["train"], "1": ["validation"], "2": ["external"], "3": [""],
    }  # fmt: skip
    others = told["method"] != "own"
    pd.testing.assert_frame_equal(told[others], plain[others])
    pd.testing.assert_frame_equal(told.drop(columns="split"), plain.drop(columns="split"))
    assert list(scans_table(index, told)["split"]) == ["", "", "external", ""]
