"""The record of a batch: written last, as good as the files that it lists."""

from __future__ import annotations

import threading
import time

import pytest
from cordcohort.batch_record import (
    files_of_records,
    wait_for_files,
    withdraw_if_gone,
    write_batch_record,
)
from cordcohort.batches import Batch
from cordcohort.errors import CordcohortError, DamagedError


@pytest.fixture
def batch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = ["a.parquet", "b.parquet"]
    for name in files:
        (tmp_path / name).write_text("x")
    made = Batch("shape_d_0000of0001", "d_0000of0001", [], [], files, "results/batches/r.json")
    write_batch_record(made.record, files)
    return made


def test_a_record_lists_the_files_of_its_batch(batch):
    assert files_of_records([batch.record]) == batch.outputs
    assert not withdraw_if_gone(batch)
    assert files_of_records([batch.record]) == batch.outputs


def test_a_job_that_left_out_a_file_writes_no_record(batch, tmp_path):
    with pytest.raises(CordcohortError, match="1 of 3"):
        write_batch_record("other.json", [*batch.outputs, "c.parquet"])
    assert not (tmp_path / "other.json").exists()


def test_the_record_goes_with_any_of_its_files(batch, tmp_path):
    (tmp_path / "b.parquet").unlink()
    assert withdraw_if_gone(batch)
    assert not (tmp_path / batch.record).exists()
    assert not withdraw_if_gone(batch)  # the engine makes what has no record


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
