"""One run at a time; what a killed run left is cleaned before the next, and only then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from cordcohort.errors import CordcohortError
from cordcohort.study_lock import RUN_LOCK, job_at_work, lock_if_free, study_lock

HOLD = """
import sys, time
from pathlib import Path
from cordcohort.study_lock import {name}
with {name}(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def _holder(study, name, root):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(name=name), str(study)], stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(root / "workflow" / "lib")},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def _leavings(study):
    locks = study / ".snakemake" / "locks"
    half = study / "results" / "a" / ".tmp-1-x.parquet"
    for path in (locks / "0.input.lock", half):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return locks / "0.input.lock", half


def test_a_second_run_is_refused_by_name_and_a_look_is_not(tmp_path, root):
    holder = _holder(tmp_path, "study_lock", root)
    with (
        pytest.raises(CordcohortError, match=rf"process {holder.pid} of user"),
        study_lock(tmp_path),
    ):
        pass
    with lock_if_free(tmp_path) as lock:
        assert lock is None
    holder.kill()
    holder.wait()
    with lock_if_free(tmp_path) as lock:
        assert lock is not None


def test_leavings_of_a_killed_run_are_removed(tmp_path, root):
    holder = _holder(tmp_path, "study_lock", root)
    left = _leavings(tmp_path)
    holder.kill()
    holder.wait()
    with study_lock(tmp_path):
        assert not any(path.exists() for path in left)
    assert (tmp_path / ".snakemake" / RUN_LOCK).read_text() == ""


def test_after_a_run_that_ended_by_itself_nothing_is_removed(tmp_path):
    with study_lock(tmp_path):
        pass
    left = _leavings(tmp_path)
    with study_lock(tmp_path):
        assert all(path.exists() for path in left)


def test_a_run_waits_for_jobs_that_outlived_their_run(tmp_path, root):
    run = _holder(tmp_path, "study_lock", root)
    job = _holder(tmp_path, "job_at_work", root)
    run.kill()
    run.wait()
    with pytest.raises(CordcohortError, match="still at work"), study_lock(tmp_path):
        pass
    job.kill()
    job.wait()
    with study_lock(tmp_path):
        pass


def test_a_process_that_inherits_the_lock_holds_it(tmp_path, root):
    with study_lock(tmp_path) as lock:
        heir = subprocess.Popen(["sleep", "60"], pass_fds=[lock.descriptor])
    with pytest.raises(CordcohortError, match="another run"), study_lock(tmp_path):
        pass
    heir.kill()
    heir.wait()
    with study_lock(tmp_path):
        pass


@pytest.mark.parametrize(("status", "engine_lock"), [(-9, False), (1, True)])
def test_an_engine_that_was_killed_or_kept_its_lock_leaves_work_for_the_next_run(
    tmp_path, status, engine_lock
):
    with study_lock(tmp_path) as lock:
        left = _leavings(tmp_path)
        if not engine_lock:
            left[0].unlink()
        lock.engine_ended(status)
    with study_lock(tmp_path) as lock:
        assert not any(path.exists() for path in left)
        lock.engine_ended(1)
        assert lock.clean


def test_a_job_needs_no_study_folder(tmp_path):
    with job_at_work(tmp_path / "nowhere"):
        pass
    assert not (tmp_path / "nowhere").exists()


def test_a_signal_ends_the_whole_group_at_once(tmp_path, root):
    code = (
        "import subprocess, sys\n"
        "from cordcohort.signals import SignalError, ended_by_signals, end_group\n"
        "with ended_by_signals():\n"
        "  engine = subprocess.Popen(['sh', '-c', 'sleep 60 & echo $!; wait'], text=True,\n"
        "                            stdout=subprocess.PIPE, process_group=0)\n"
        "  try:\n"
        "    print(engine.stdout.readline().strip(), flush=True); engine.wait()\n"
        "  except SignalError as error:\n"
        "    end_group(engine); print(error.number)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(root / "workflow" / "lib")},
    )  # fmt: skip
    assert process.stdout is not None
    job = int(process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert out.strip() == str(int(signal.SIGTERM))
    for _ in range(100):  # a killed process may be a zombie for a moment
        if not _alive(job):
            break
        time.sleep(0.1)
    assert not _alive(job)


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as handle:
            return handle.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
