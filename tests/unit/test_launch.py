from __future__ import annotations

import io
import sys

import pandas as pd
import pytest
from cordcohort.errors import CordcohortError
from cordcohort.launch import engine_command, outcome_lines
from cordcohort.progress import Line, Progress, fault_lines
from cordcohort.root import workflow_root
from cordcohort.scan import SCANS
from cordcohort.table import write_parquet


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_the_command_names_snakefile_study_and_our_profile(tmp_path):
    command = engine_command(tmp_path, ["--", "--cores", "2", "-n"])
    assert command[:3] == [sys.executable, "-m", "snakemake"]
    assert command[command.index("--directory") + 1] == str(tmp_path)
    assert command[command.index("--snakefile") + 1] == str(workflow_root() / "Snakefile")
    assert command[command.index("--workflow-profile") + 1].endswith("profiles/default")
    assert command[-3:] == ["--cores", "2", "-n"]


def test_the_user_s_profile_takes_the_place_of_ours(tmp_path):
    command = engine_command(tmp_path, ["--workflow-profile", "slurm"])
    assert command.count("--workflow-profile") == 1
    assert command[-1] == str(workflow_root() / "config" / "profiles" / "slurm")
    command = engine_command(tmp_path, ["--workflow-profile=slurm"])
    assert command[-1].endswith("config/profiles/slurm")
    assert command[-1].startswith("--workflow-profile=/")
    command = engine_command(tmp_path, ["--profile=/mine"])
    assert "--workflow-profile" not in command


def test_progress_tells_what_runs_how_many_scans_and_how_long_is_left():
    clock = Clock()
    progress = Progress(lambda: (3, 12), clock)
    assert progress.text() == "starting ..."
    clock.now = 30.0
    for line in ("rule shape_a_0001:", "    output: x", "5 of 20 steps (25%) done"):
        progress.read(line)
    assert progress.text() == ("step 5/20 | scans measured 3/12 | about 2 min left | shape_a_0001")
    clock.now = 60.0
    progress.read("19 of 20 steps (95%) done")
    assert "about 3 s left" in progress.text()
    progress.read("20 of 20 steps (100%) done")
    assert progress.finished
    assert "done" in progress.text()


def test_a_pipe_gets_a_line_now_and_then_and_a_terminal_one_line():
    clock, stream = Clock(), io.StringIO()
    line = Line(stream, clock)
    for second in range(25):
        clock.now = float(second)
        line.show(f"at {second}")
    line.show("last", force=True)
    line.show("last", force=True)
    assert stream.getvalue().splitlines() == ["at 0", "at 10", "at 20", "last"]


def test_a_failed_run_tells_the_rules_and_the_end_of_their_logs():
    ruler = "=" * 80
    output = ["rule a:", "    input: " + "x" * 5000, ruler, "Error in rule a_01:", "    jobid: 1"]
    output += ["Logfile results/logs/a.log:", ruler, *map(str, range(20)), "no space left", ruler]
    output += ["Error in rule b_01:", "Exiting because a job execution failed."]
    told = fault_lines(output)
    assert told[0] == "a_01 failed:"
    assert told[-2:] == ["    no space left", "b_01 failed:"]
    assert len(told) < 10
    silent = ["Error in rule c:", "Logfile c.log: empty file", "Exiting"]
    assert "killed, or out of memory" in fault_lines(silent)[1]
    own = "cordcohort: a.json: expected the file as it was written; run again"
    assert fault_lines([own, *silent]) == ["c failed:", own]
    logged = ["Error in rule d:", ruler, own.replace("cordcohort: ", "ERROR cordcohort: "), ruler]
    assert len(fault_lines([own, *logged])) == 2
    assert fault_lines(["LockException:", "Directory cannot be locked."])[0] == "LockException:"


def test_a_finished_run_says_how_many_scans_failed_and_where_the_report_is(tmp_path):
    status = ["ok", "ok", "failed", "excluded"]
    write_parquet(tmp_path / SCANS, pd.DataFrame({"status": status}))
    lines = outcome_lines(tmp_path)
    assert lines[0] == "4 scans: 1 failed, 1 excluded, 2 ok"
    assert lines[-1].endswith("results/report/index.html")
    with pytest.raises(CordcohortError, match="cordcohort run"):
        outcome_lines(tmp_path / "none")
