"""What every adapter shares: a job works on the scans that need it, and says so."""

from __future__ import annotations

import logging
import runpy
import sys
from dataclasses import asdict
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from cordcohort import adapter, table
from cordcohort.batches import batches
from cordcohort.bids.shards import write_shards
from cordcohort.errors import CordcohortError
from cordcohort.files import read_record, write_text
from cordcohort.measures import kinds, tasks
from cordcohort.measures.options import MeasureOptions
from cordcohort.scan import scan_id, soft_truth_record


class Named(dict):
    """Named values as the engine hands them over."""

    __getattr__ = dict.__getitem__

    def __iter__(self):
        return iter(self.values())


ROWS = [
    {"dataset": "d", "folder": f"sub-{n}", "stem": f"sub-{n}_T2w", "status": "failed",
     "reason": "", "image": f"{n}.nii", "masks": ""}
    for n in ("01", "02", "03")
]  # fmt: skip


@pytest.fixture
def engine_job(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # The log of a job would stay open for all tests that follow.
    monkeypatch.setattr(adapter, "_start_log", lambda log: None)
    write_shards(ROWS)
    for row in ROWS:
        write_text(row["image"], "image")
    (batch,) = batches("shape", ROWS, 9, lambda row: [row["image"]], lambda row: [_table(row)])
    params = Named(
        scans=batch.scans, files=batch.outputs, identity=batch.identity, science="aa",
        each=batch.each_scan() | {"tools": "t"},
    )  # fmt: skip
    return SimpleNamespace(
        input=Named(), output=[batch.record], params=params, threads=1, config={}, log=["log"]
    )


def _table(row) -> str:
    return f"results/{row['stem']}.parquet"


def _run(engine_job, fails_at: str = "") -> list[str]:
    made = []
    with adapter.job(engine_job) as j:
        for row in j.scans():
            assert row["stem"] != fails_at, "no reason"
            write_text(_table(row), "table")
            made.append(row["stem"])
    return made


def test_a_job_makes_only_the_scans_whose_image_changed(engine_job, caplog):
    with caplog.at_level(logging.INFO):
        assert _run(engine_job) == [row["stem"] for row in ROWS]
        record = read_record(engine_job.output[0], 1)
        kept = Path(_table(ROWS[0])).stat().st_mtime_ns
        write_text("02.nii", "another image")
        assert _run(engine_job) == ["sub-02_T2w"]
    assert "scans kept as they are: 2, to work out: 1" in caplog.text
    assert Path(_table(ROWS[0])).stat().st_mtime_ns == kept
    again = read_record(engine_job.output[0], 1)
    assert again["files"] == record["files"] == [_table(row) for row in ROWS]
    assert again["made"] != record["made"]
    assert _run(engine_job) == []


def test_a_job_without_scans_to_work_out_loads_no_network_and_is_done(engine_job):
    _run(engine_job)
    Path(engine_job.output[0]).unlink()
    with adapter.job(engine_job) as j:
        j.scans_or_end()
        pytest.fail("a network would be loaded")
    assert read_record(engine_job.output[0], 1)["files"] == [_table(row) for row in ROWS]
    write_text("02.nii", "another image")
    with adapter.job(engine_job) as j:
        (row,) = j.scans_or_end()
        write_text(_table(row), "table")
    assert row["stem"] == "sub-02_T2w"


def test_a_job_that_another_one_overtook_ends_with_one_line_and_leaves_no_record(
    engine_job, caplog
):
    def overtaken():
        with adapter.job(engine_job) as j:
            for row in j.scans():
                write_text(_table(row), "table")
            engine_job.params["science"] = "bb"
            _run(engine_job)

    with pytest.raises(SystemExit, match="of another job"):
        overtaken()
    assert not Path(engine_job.output[0]).exists()
    assert not Path(engine_job.params.each["list"]).exists()
    assert "Traceback" not in caplog.text
    assert len(_run(engine_job)) == len(ROWS)


def test_a_failed_job_goes_on_where_it_failed(engine_job):
    with pytest.raises(SystemExit):
        _run(engine_job, fails_at="sub-02_T2w")
    assert not Path(engine_job.output[0]).exists()
    assert _run(engine_job) == ["sub-02_T2w", "sub-03_T2w"]
    assert Path(engine_job.output[0]).exists()


def test_a_forced_job_whose_list_was_withdrawn_makes_every_scan(engine_job):
    _run(engine_job)
    Path(engine_job.params.each["list"]).unlink()
    assert len(_run(engine_job)) == len(ROWS)
    assert [scan_id(row) for row in ROWS] == engine_job.params.scans


def test_a_fault_that_a_person_can_mend_is_one_line_of_the_log_without_a_traceback(
    engine_job, caplog
):
    with (
        pytest.raises(SystemExit, match="cordcohort: x: expected a file; bring it back"),
        adapter.job(engine_job),
    ):
        raise CordcohortError("x: expected a file; bring it back")
    (fault,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert fault.getMessage() == "x: expected a file; bring it back"
    assert "Traceback" not in caplog.text


def test_a_soft_truth_that_the_plan_names_no_more_is_not_measured(engine_job, monkeypatch):
    """Its record may still lie there when the mask of the scan was withdrawn."""
    asked = {}
    monkeypatch.setitem(sys.modules, "_bootstrap", ModuleType("_bootstrap"))
    monkeypatch.setattr(
        tasks, "measuring_task",
        lambda kind, scan, models, *, soft_truth: asked.update({scan["stem"]: soft_truth})
        or SimpleNamespace(output=_table(scan)),
    )  # fmt: skip
    monkeypatch.setattr(kinds, "measure", lambda kind, task, options: "table")
    monkeypatch.setattr(table, "write_parquet", write_text)
    for row in ROWS:
        write_text(soft_truth_record(row), "{}")
    (batch,) = batches(
        "shape", ROWS, 9,
        lambda row: [row["image"], *([soft_truth_record(row)] if row is not ROWS[1] else [])],
        lambda row: [_table(row)],
    )  # fmt: skip
    engine_job.params |= {
        "each": batch.each_scan() | {"tools": "t"}, "kind": "shape", "models": [],
        "not_drawn": {}, "options": asdict(MeasureOptions()),
    }  # fmt: skip
    script = Path(__file__).parents[2] / "workflow" / "scripts" / "measure.py"
    runpy.run_path(str(script), {"snakemake": engine_job})
    assert asked == {"sub-01_T2w": True, "sub-02_T2w": False, "sub-03_T2w": True}
