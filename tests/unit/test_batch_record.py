"""The record of a batch: written last, as good as the files that it lists."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from cordcohort.batch_record import (
    files_of_records,
    is_stale,
    wait_for_files,
    withdraw_other_batchings,
    withdraw_stale,
    write_batch_record,
)
from cordcohort.batches import Batch
from cordcohort.errors import CordcohortError, DamagedError
from cordcohort.files import write_record


@pytest.fixture
def batch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = ["a.parquet", "b.parquet"]
    for name in files:
        (tmp_path / name).write_text("x")
    made = Batch("d_0000of0001", [], [], files, "results/batches/r.json")
    write_batch_record(made.record, files)
    return made


def test_a_record_lists_the_files_of_its_batch(batch):
    assert files_of_records([batch.record]) == batch.outputs
    assert not is_stale(batch)
    assert withdraw_stale([batch], may_change=True) == ""
    assert files_of_records([batch.record]) == batch.outputs


def test_a_job_that_left_out_a_file_writes_no_record(batch, tmp_path):
    with pytest.raises(CordcohortError, match="1 of 3"):
        write_batch_record("other.json", [*batch.outputs, "c.parquet"])
    assert not (tmp_path / "other.json").exists()


def test_the_record_goes_with_any_of_its_files(batch, tmp_path):
    (tmp_path / "b.parquet").unlink()
    assert is_stale(batch)
    assert withdraw_stale([batch], may_change=True) == ""
    assert not (tmp_path / batch.record).exists()
    assert not is_stale(batch)  # the engine makes what has no record


def test_who_only_looks_is_told_and_changes_nothing(batch, tmp_path):
    other = tmp_path / batch.record.replace("r.json", "d_0000of0002.json")
    other.write_text("{}")
    planned = [batch, replace(batch, record=str(other.with_name("d_0000of0001.json")))]
    assert withdraw_stale(planned, may_change=False) == ""
    (tmp_path / "b.parquet").unlink()
    told = withdraw_stale(planned, may_change=False)
    assert told.startswith("cordcohort: files of 1 batches are gone")
    assert (tmp_path / batch.record).exists()
    assert other.exists()
    withdraw_stale(planned, may_change=True)
    assert not other.exists()


def test_a_lost_mask_that_no_record_of_a_batch_lists_makes_it_stale(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.json", "a.nii.gz"):
        Path(name).write_text("{}")
    made = Batch("d_0000of0001", [], [], ["a.json"], "results/r.json")
    write_batch_record(made.record, made.outputs)
    assert not is_stale(made)
    files = {"a.json": "", "a.nii.gz": ""}
    write_record(made.kept, {"scans": {"d/a": {"key": "", "files": files}, "d/b": {"key": ""}}})
    assert not is_stale(made)
    Path("a.nii.gz").unlink()
    assert is_stale(made)
    for text in ("", "[]", '{"scans": {"d/a": 1}}', '{"scans": 3}'):
        Path(made.kept).write_text(text)
        assert not is_stale(made)  # a job that reads the mask tells


def test_a_lost_file_makes_the_record_stale_for_who_reads_it(batch, tmp_path):
    (tmp_path / "a.parquet").unlink()
    with pytest.raises(DamagedError) as told:
        files_of_records([batch.record])
    assert [str(path) for path in told.value.stale] == ["a.parquet", batch.record]


def test_a_changed_record_is_damaged(batch, tmp_path):
    record = tmp_path / batch.record
    record.write_text(record.read_text().replace("a.parquet", "c.parquet"))
    with pytest.raises(DamagedError, match="digest"):
        files_of_records([batch.record])


def test_files_of_another_node_are_waited_for_and_not_for_ever(tmp_path):
    late = tmp_path / "late"
    timer = threading.Timer(0.3, late.touch)
    timer.start()
    wait_for_files([str(late)], 60)
    assert late.exists()
    began = time.monotonic()
    wait_for_files([str(tmp_path / "never")], 0.1)
    assert time.monotonic() - began < 30


def test_a_batch_made_anew_has_another_record(batch, tmp_path):
    before = (tmp_path / batch.record).read_bytes()
    write_batch_record(batch.record, batch.outputs)
    assert (tmp_path / batch.record).read_bytes() == before
    (tmp_path / "a.parquet").write_text("other")
    write_batch_record(batch.record, batch.outputs)
    assert (tmp_path / batch.record).read_bytes() != before


def test_records_of_another_number_of_batches_are_removed_and_no_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results/batches/shape"
    folder.mkdir(parents=True)
    names = ["a_0000of0002", "a_0001of0002", "a_0000of0004", "a_0003of0004", "b_0000of0001"]
    for name in names:
        (folder / f"{name}.json").write_text("{}")
    planned = [Batch(name, [], [], [], f"results/batches/shape/{name}.json") for name in names[:2]]
    removed = withdraw_other_batchings(planned)
    assert sorted(path.stem for path in removed) == names[2:4]
    assert sorted(path.stem for path in folder.iterdir()) == ["a_0000of0002", "a_0001of0002",
                                                              "b_0000of0001"]  # fmt: skip


def test_a_late_file_is_waited_for_by_who_reads_its_record(batch, tmp_path):
    late = tmp_path / "a.parquet"
    late.rename(tmp_path / "hidden")
    timer = threading.Timer(0.3, (tmp_path / "hidden").rename, (late,))
    timer.start()
    assert files_of_records([batch.record], 60) == batch.outputs
