"""Writing is all or nothing; reading is bounded and executes nothing."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from cordcohort.cohort.gather import _read_one as read_one
from cordcohort.errors import DamagedError, SheetError
from cordcohort.files import (
    MAX_SIDECAR_BYTES,
    atomic_path,
    read_json,
    read_record,
    read_yaml,
    write_if_changed,
    write_json,
)
from cordcohort.seal import EMPTY_SEAL, sealed
from cordcohort.table import (
    SCHEMA_KEY,
    SCHEMA_VERSION,
    as_long,
    long_table,
    read_parquet,
    read_tsv,
    write_parquet,
    write_tsv,
)

SCAN = {
    "dataset": "a",
    "subject": "01",
    "session": "",
    "acquisition": "",
    "run": "",
    "contrast": "T2w",
}


class StopError(Exception):
    """An interruption."""


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text("old")

    def interrupted() -> None:
        with atomic_path(path) as tmp:
            tmp.write_text("half")
            raise StopError

    with pytest.raises(StopError):
        interrupted()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["table.tsv"]


def test_two_writers_of_one_file_never_share_a_temporary_one(tmp_path):
    with atomic_path(tmp_path / "a.txt") as one, atomic_path(tmp_path / "a.txt") as other:
        assert one != other
        one.write_text("first")
        other.write_text("second")
    assert (tmp_path / "a.txt").read_text() == "first"  # the block that ends last wins


def test_unchanged_content_keeps_its_time_stamp(tmp_path):
    path = tmp_path / "x"
    assert write_if_changed(path, b"1")
    before = path.stat().st_mtime_ns
    assert not write_if_changed(path, b"1")
    assert path.stat().st_mtime_ns == before
    assert write_if_changed(path, b"2")


def test_json_refuses_nan_and_names_a_broken_file(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    (tmp_path / "y.json").write_text("{")
    with pytest.raises(SheetError, match=r"y\.json"):
        read_json(tmp_path / "y.json")


def test_yaml_executes_nothing_and_does_not_blow_up(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(f"a: !!python/object/apply:os.system ['touch {tmp_path}/owned']")
    with pytest.raises(SheetError):
        read_yaml(path)
    assert not (tmp_path / "owned").exists()
    levels = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 15)}]" for i in range(1, 11))
    path.write_text("a0: &a0 [x]\n" + levels)
    with pytest.raises(SheetError, match="aliases"):
        read_yaml(path)


def test_long_table_round_trip_keeps_types_labels_and_bytes(tmp_path):
    rows = [
        {"measure": "csa_mm2", "unit": "mm2", "value": 70.123456789012345, "slice": 3},
        {"measure": "csa_mm2", "value": None, "flag": "failed", "reason": "no cord"},
    ]
    table = long_table(rows, SCAN)
    for name in ("a", "b"):
        write_parquet(tmp_path / f"{name}.parquet", table)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    pd.testing.assert_frame_equal(as_long(read_parquet(tmp_path / "a.parquet")), table)
    assert table["slice"].tolist() == [3, pd.NA]
    write_tsv(tmp_path / "t.tsv", table)
    text = read_tsv(tmp_path / "t.tsv")
    assert text["subject"].tolist() == ["01", "01"]
    assert float(text["value"][0]) == table["value"][0]


@pytest.mark.parametrize("text", ["plain", 'a "quoted" cell', "a\ttab", "two\nlines"])
def test_a_tsv_of_many_rows_is_that_of_pandas(tmp_path, text):
    n = 6000
    values = np.random.default_rng(0).normal(0, 1, n) * 10.0 ** np.arange(-12, 12).repeat(n // 24)
    values[:6] = [np.nan, np.inf, -np.inf, 0.0, 70.0, 1e22]
    table = pd.DataFrame({
        "label": pd.Series([text, "", None] * (n // 3), dtype="str"), "value": values,
        "slice": pd.array([1, None] * (n // 2), dtype="Int64"), "count": np.arange(n),
    })  # fmt: skip
    write_tsv(tmp_path / "t.tsv", table)
    wanted = table.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n")
    assert (tmp_path / "t.tsv").read_bytes() == wanted.encode()


def test_rows_are_filtered_by_a_column_that_is_not_asked_for(tmp_path):
    write_parquet(tmp_path / "t.parquet", pd.DataFrame({"a": ["x", "y"], "b": [1.0, 2.0]}))
    found = read_parquet(tmp_path / "t.parquet", columns=["b"], filters=pc.field("a") == "y")
    assert found.to_dict("list") == {"b": [2.0]}
    nothing = read_parquet(tmp_path / "t.parquet", filters=pc.field("a") == "z")
    assert nothing.dtypes.astype(str).tolist() == ["str", "float64"]


def test_long_table_refuses_unknown_columns_and_flags():
    with pytest.raises(SheetError, match="colour"):
        long_table([{"measure": "x", "value": 1.0, "colour": "red"}], SCAN)
    with pytest.raises(SheetError, match="maybe"):
        long_table([{"measure": "x", "value": 1.0, "flag": "maybe"}], SCAN)


def test_an_empty_long_table_has_all_columns():
    assert len(long_table([], SCAN)) == 0


@pytest.mark.parametrize("text", ["a\ta\n1\t2\n", "a\tb\n1\t2\t3\t4\n", "\xff\xfe"])
def test_broken_sheets_are_named(tmp_path, text):
    path = tmp_path / "participants.tsv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SheetError, match=r"participants\.tsv"):
        read_tsv(path)


def test_sheets_keep_labels_as_text_and_know_windows_files(tmp_path):
    path = tmp_path / "participants.tsv"
    path.write_bytes("\ufeffparticipant_id\tage\r\nsub-01\t1e5\r\nsub-no\tn/a\r\n".encode())
    frame = read_tsv(path)
    assert frame["participant_id"].tolist() == ["sub-01", "sub-no"]
    assert frame["age"].tolist()[0] == "1e5"
    assert frame["age"].isna().tolist() == [False, True]


def _with_schema(path, version):
    table = pq.read_table(path)
    metadata = table.schema.metadata | {SCHEMA_KEY: version} | EMPTY_SEAL
    pq.write_table(table.replace_schema_metadata(metadata), path)
    path.write_bytes(sealed(path.read_bytes()))


@pytest.mark.parametrize("version", [b"2", b"999", b"next"])
def test_a_table_of_a_newer_schema_is_refused_by_name_and_an_older_one_is_read(tmp_path, version):
    path = tmp_path / "a.parquet"
    table = long_table([{"measure": "csa_mm2", "value": 70.0}], SCAN)
    write_parquet(path, table)
    assert pq.read_schema(path).metadata[SCHEMA_KEY] == str(SCHEMA_VERSION).encode()
    _with_schema(path, version)
    for read in (read_parquet, read_one):
        with pytest.raises(SheetError, match=rf"a\.parquet.*{version.decode()}.*newer"):
            read(path)
    table.to_parquet(path)  # as versions before this one wrote it
    assert len(read_parquet(path)) == 1


def test_records_of_a_newer_schema_are_refused_by_name(tmp_path):
    path = tmp_path / "sub-01_seg.json"
    for version in (2, "1"):
        write_json(path, {"schema": version, "status": "ok"})
        with pytest.raises(SheetError, match=r"sub-01_seg\.json.*newer"):
            read_record(path, 1)
    write_json(path, {"status": "ok"})
    assert read_record(path, 1)["status"] == "ok"
    write_json(path, [1])
    with pytest.raises(DamagedError, match="no record"):
        read_record(path, 1)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 50_000, "9" * 10_000, "\udcff", '{"a": 1', "x" * 3_000_000],
    ids=["lists", "mappings", "digits", "not utf-8", "cut off", "too large"],
)
def test_hostile_json_is_one_named_error(tmp_path, text):
    path = tmp_path / "sidecar.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SheetError, match=r"sidecar\.json"):
        read_json(path, MAX_SIDECAR_BYTES)


@pytest.mark.parametrize("text",
    [
        "[" * 900_000, "a: " * 20_000, "\x00", "- " * 5_000, "? " * 5_000, "a: &a [*a]",
        "x" * 1_100_000, "a: 2026-99-99",
    ],
    ids=["lists", "mappings", "zero byte", "items", "keys", "itself", "too large", "no day"],
)  # fmt: skip
def test_hostile_yaml_is_one_named_error(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(SheetError, match=r"config\.yaml"):
        read_yaml(path)


def test_a_sheet_beyond_any_study_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("cordcohort.table.MAX_TSV_BYTES", 10)
    (tmp_path / "participants.tsv").write_text("participant_id\nsub-01\n")
    with pytest.raises(SheetError, match="at most 10 bytes"):
        read_tsv(tmp_path / "participants.tsv")


@pytest.mark.parametrize("read", [read_json, read_yaml, read_tsv])
def test_pipes_folders_and_missing_files_are_refused_without_waiting(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder", "missing"):
        with pytest.raises(SheetError, match=name):
            read(tmp_path / name)
