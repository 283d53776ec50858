"""Batches: which scan goes into which job, and what a job on a node sees of the study."""

from __future__ import annotations

import pytest
from cordcohort.batches import batch_records, batches, bucket_of, jobs_of_node, numbers_of
from cordcohort.bids.shards import read_rows, rows_of_batches, write_shards
from cordcohort.errors import SheetError
from cordcohort.scan import scan_id
from hypothesis import given, settings
from hypothesis import strategies as st


def _rows(n, dataset="a"):
    return [
        {"dataset": dataset, "folder": f"sub-{i:04d}/anat", "stem": f"sub-{i:04d}_T2w", "masks": ""}
        for i in range(n)
    ]


def _outputs(row):
    return [f"{scan_id(row)}.out"]


def _deal(rows, size, only=()):
    return batches("shape", rows, size, lambda row: [scan_id(row)], _outputs, only=only)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 300), size=st.integers(1, 50))
def test_every_scan_is_in_exactly_one_batch_of_about_the_wanted_size(n, size):
    dealt = _deal(_rows(n), size)
    scans = [scan for batch in dealt for scan in batch.scans]
    assert sorted(scans) == sorted(scan_id(row) for row in _rows(n))
    assert all(len(batch.outputs) == len(batch.scans) for batch in dealt)
    number_of_batches = numbers_of([dealt[0].name])[0][1]
    assert size / 2 < n / number_of_batches <= size or number_of_batches == 1


def test_a_new_scan_changes_one_batch_only():
    before = {b.name: b.scans for b in _deal(_rows(100), 8)}
    after = {b.name: b.scans for b in _deal(_rows(101), 8)}
    assert sum(before.get(name) != scans for name, scans in after.items()) == 1


@pytest.mark.parametrize("size", [1, 3, 200])
def test_a_job_on_a_node_finds_its_own_batch_and_no_other(tmp_path, size):
    rows = _rows(700) + _rows(40, "b_a")
    write_shards(rows, tmp_path)
    for batch in _deal(rows, size)[:: 97 if size == 1 else 5]:
        only = {batch.name}
        seen = rows_of_batches(numbers_of(only), tmp_path)
        assert len(seen) < len(rows) or size == 200
        assert _deal(seen, size, only) == [batch]


def test_the_scans_of_a_subject_stay_together_in_every_stage():
    rows = [row | {"stem": f"{row['stem']}{n}"} for row in _rows(60) for n in range(4)]
    for size in (3, 16):
        batch_of = {scan: batch.name for batch in _deal(rows, size) for scan in batch.scans}
        for row in rows:
            assert batch_of[scan_id(row)] == batch_of[scan_id(row)[:-1] + "0"]


def test_the_records_of_a_stage_are_those_of_its_batches():
    rows = _rows(50) + _rows(9, "b")
    assert batch_records("shape", rows, 8) == [batch.record for batch in _deal(rows, 8)]


def test_rows_come_back_as_they_were_and_stale_shards_go(tmp_path):
    rows = _rows(50)
    write_shards(rows, tmp_path)
    wanted = [scan_id(row) for row in reversed(rows)]
    assert read_rows(wanted, tmp_path) == rows[::-1]
    write_shards(rows[:1], tmp_path)
    assert len(list((tmp_path / "results/bids/shards").iterdir())) == 1
    with pytest.raises(SheetError, match="sub-0049"):
        read_rows([scan_id(rows[49])], tmp_path)


def test_unchanged_rows_leave_their_shard_untouched(tmp_path):
    rows = _rows(5)
    write_shards(rows, tmp_path)
    path = tmp_path / "results/bids/shards" / f"{bucket_of(scan_id(rows[0]), 256):02x}.json"
    before = path.stat().st_mtime_ns
    write_shards(rows, tmp_path)
    assert path.stat().st_mtime_ns == before


def test_a_job_without_any_run_before_it_says_so(tmp_path):
    with pytest.raises(SheetError, match="cordcohort run"):
        rows_of_batches([(0, 1)], tmp_path)


def test_what_a_job_on_a_node_runs_is_on_its_command_line():
    words = ["segment:model=m-1,batch=a_b_0001of0002", "shape:batch=a_0003of0016", "cohort:"]
    line = ["snakemake", "--target-jobs", *words, "--allowed-rules", "segment", "shape", "cohort"]
    jobs = [("segment", "a_b_0001of0002"), ("shape", "a_0003of0016"), ("cohort", "")]
    assert jobs_of_node(line) == jobs
    assert jobs_of_node(["snakemake", "-n"]) == []
