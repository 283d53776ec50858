from __future__ import annotations

import io
import sys

import pandas as pd
import pytest
from cordcohort.errors import CordcohortError
from cordcohort.launch import (
    _TALKING,
    engine_command,
    only_looks,
    only_talks,
    outcome_lines,
    runs_jobs,
    single_flags,
)
from cordcohort.progress import Line, Progress, ScanCounts, fault_lines
from cordcohort.root import workflow_root
from cordcohort.scan import SCANS
from cordcohort.table import write_parquet
from snakemake.cli import get_argument_parser


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


@pytest.mark.parametrize(
    "flags",
    [["-pj4"], ["-np"], ["-Fnq"], ["-kpj", "4"], ["-j4", "-p"], ["-fC", "a=-np"], ["-pR", "all"]],
)
def test_flags_written_together_mean_the_same_one_by_one(flags):
    parser = get_argument_parser()

    def read(given):
        found = vars(parser.parse_args(given))
        found.pop("max_jobs_per_timespan")  # its default equals only itself
        return found

    assert read(single_flags(flags)) == read(flags) != read([])
    assert not [f for f in single_flags(flags) if f[:2] in ("-n", "-p", "-k", "-F") and f[2:]]


def test_every_short_flag_without_a_value_is_told_from_one_that_has_a_value():
    for action in get_argument_parser()._actions:
        for flag in action.option_strings:
            if not flag.startswith("--"):
                alone = action.nargs == 0
                assert single_flags([f"{flag}p"]) == ([flag, "-p"] if alone else [f"{flag}p"])


def test_all_spellings_of_a_flag_with_which_the_engine_talks_are_known():
    for action in get_argument_parser()._actions:
        known = _TALKING & {*action.option_strings}
        assert not known or known == {*action.option_strings}, action.option_strings


def test_a_dry_run_is_one_however_it_is_written():
    for flags in (["-np"], ["-pn"], ["-nj4"], ["-pnq"]):
        assert only_looks(single_flags(flags))
        assert only_talks(single_flags(flags))
        assert not runs_jobs(single_flags(flags))
    assert runs_jobs(single_flags(["-pj4"]))


def test_progress_tells_what_runs_how_many_scans_and_how_long_is_left():
    clock = Clock()
    progress = Progress(lambda: ScanCounts(3, 0, 12), clock)
    assert progress.text() == "starting ..."
    clock.now = 30.0
    for line in ("rule shape_a_0001:", "    output: x", "5 of 20 steps (25%) done"):
        progress.read(line)
    assert progress.text() == ("step 5/20 | scans done 3/12 | about 2 min left | shape_a_0001")
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


def test_words_that_take_long_to_work_out_are_asked_for_seldom_and_only_when_due():
    clock, stream = Clock(), io.StringIO()
    line = Line(stream, clock)
    asked = []

    def words() -> str:
        asked.append(clock.now)
        clock.now += 1.0
        return "same"

    for _ in range(2000):
        line.show(words)
        clock.now += 0.1
    assert stream.getvalue() == "same\n"
    assert 1 < len(asked) < 20  # a twentieth of the 200 s, a second each


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


SLURM_FAILED = """\
Error in rule segment:
    message: SLURM-job '839' failed, SLURM status is: 'FAILED'. Detailed failure reason unavailable
    jobid: 1
    input: a.nii.gz
    output: results/batches/segment_m/a_0000of0001.json
    log: results/logs/a.log, /study/.snakemake/slurm_logs/rule_a/839.log (check log file(s))
Logfile results/logs/a.log:
{ruler}
ERROR cordcohort: config: device: expected a GPU
{ruler}
Logfile /study/.snakemake/slurm_logs/rule_a/839.log:
{ruler}
Building DAG of jobs...
cordcohort: config: device: expected a GPU
Error in rule segment:
    message: None
{told}
WorkflowError:
At least one job did not complete successfully.
{ruler}
Exiting because a job execution failed."""


@pytest.mark.parametrize(
    "told",
    [
        "slurmstepd: error: *** JOB 839 ON n1 CANCELLED AT 2026-11-21 DUE TO TIME LIMIT ***",
        "slurmstepd: error: StepId=839.0 exceeded memory limit (500 > 300), being killed",
        "Job 0 completed successfully, but some output files are missing. ... --latency-wait:",
    ],
)
def test_a_failed_job_of_a_cluster_is_told_once_with_what_slurm_says(told):
    lines = fault_lines(SLURM_FAILED.format(ruler="=" * 80, told=told).splitlines())
    assert lines == [
        "segment_m/a_0000of0001 failed:",
        "    SLURM-job '839' failed, SLURM status is: 'FAILED'",
        "    ERROR cordcohort: config: device: expected a GPU",
        f"    {told}",
    ]


def test_a_job_that_slurm_refuses_is_told_with_slurms_reason():
    output = """\
Error in rule huge:
    message: SLURM sbatch failed. The error message was 'sbatch: error: Memory specification
sbatch: error: Batch job submission failed: Requested node configuration is not available'.
    sbatch call:
        sbatch --parsable --job-name x
For further error details see the cluster/cloud log.
    jobid: 1
Exiting because a job execution failed."""
    first, second, third = fault_lines(output.splitlines())
    assert first == "huge failed:"
    assert second.endswith("Memory specification")
    assert "not available" in third


def test_a_finished_run_says_how_many_scans_failed_and_where_the_report_is(tmp_path):
    status = ["ok", "ok", "failed", "excluded"]
    failures = ["", "classical: too dark", "cord-v1: no cord found", ""]
    write_parquet(tmp_path / SCANS, pd.DataFrame({"status": status, "failures": failures}))
    lines = outcome_lines(tmp_path)
    assert lines[0] == "4 scans: 2 measured, 1 failed, 1 excluded"
    assert lines[1] == "1 scan on which some of several methods failed"
    assert lines[-1].endswith("results/report/index.html")
    with pytest.raises(CordcohortError, match="cordcohort run"):
        outcome_lines(tmp_path / "none")
