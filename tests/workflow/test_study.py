"""The demo study: what a run makes, what a second run does, and what a change reruns."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT, run_command
from cordcohort.cluster.estimate import BENCHMARKS, planned_jobs
from cordcohort.plan import load_plan, read_content
from hostile_study import study_content, write_config

TABLES = (
    "cohort/measures.parquet",
    "cohort/measures.tsv",
    "cohort/scans.parquet",
    "statistics/area_over_sites.tsv",
)


def _plan(study) -> str:
    return run_command("cordcohort", "run", study, "--cores", "1", "--dry-run").stdout


def _planned(study) -> list[str]:
    """Rules of the jobs that a run would start."""
    return _rules(_plan(study))


def _rules(plan: str) -> list[str]:
    return re.findall(r"^(?:local)?rule (\S+):", plan, re.MULTILINE)


def test_demo_measures_every_scan_and_ends_with_a_report(finished_demo):
    scans = pd.read_parquet(finished_demo / "results" / "cohort" / "scans.parquet")
    assert set(scans["status"]) <= {"ok", "excluded"}, scans[scans["status"] == "failed"]
    assert (finished_demo / "results" / "report" / "index.html").is_file()


def test_two_data_sets_may_use_the_same_subject_label(finished_demo):
    table = pd.read_parquet(finished_demo / "results" / "cohort" / "measures.parquet")
    datasets = table[table["subject"] == "01"].groupby("dataset")["person"].unique()
    assert len(datasets) >= 2
    assert len({tuple(people) for people in datasets}) == len(datasets)


def test_model_agrees_with_the_raters_on_phantoms_that_it_never_saw(finished_demo):
    table = pd.read_parquet(finished_demo / "results" / "cohort" / "measures.parquet")
    dice = table[(table["measure"] == "dice") & (table["method"] == "cord-v1")]
    assert dice["value"].median() > 0.8


def test_second_run_does_nothing(finished_demo):
    assert _planned(finished_demo) == []


def test_the_estimate_counts_exactly_the_jobs_that_run(finished_demo):
    folder = finished_demo / BENCHMARKS
    ran = {str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.tsv")}
    plan = load_plan(read_content(finished_demo), refresh=False, study_dir=finished_demo)
    assert {job.benchmark for job in planned_jobs(plan)} == ran


def test_plain_snakemake_from_the_checkout_plans_the_same(finished_demo):
    done = run_command(
        "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", finished_demo, "--dry-run",
        "--rerun-triggers", "mtime", "params", "input", "code", "--cores", "1",
    )  # fmt: skip
    assert "Nothing to be done" in done.stdout + done.stderr


def test_a_job_on_a_node_plans_its_own_batch_and_sees_its_files(finished_demo):
    record = next(
        (finished_demo / "results" / "batches" / "segment_cord-v1").glob("*of*[0-9].json")
    )
    done = run_command(
        "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", finished_demo, "--dry-run",
        "--mode", "remote", "--target-jobs", f"segment:model=cord-v1,batch={record.stem}",
        "--allowed-rules", "segment", "--force", "--nolock", "--cores", "1",
    )  # fmt: skip
    plan = done.stdout + done.stderr
    assert _rules(plan) == ["segment"]
    assert f"output: results/batches/segment_cord-v1/{record.name}" in plan
    assert "results/batches/mean_b0" not in plan


def test_flags_of_the_engine_may_stand_where_the_study_is_left_out(finished_demo):
    done = run_command(
        "cordcohort", "run", "--cores", "1", "--dry-run", cwd=finished_demo, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Nothing to be done" in done.stdout + done.stderr


def test_a_touched_image_reruns_its_own_data_set_and_what_follows_from_it(finished_demo):
    image = next((finished_demo / "data" / "boston").glob("sub-*/ses-*/anat/*_T1w.nii.gz"))
    before = image.stat()
    os.utime(image)
    try:
        plan = _plan(finished_demo)
    finally:
        os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    batches = re.findall(r"^    output: \S+/(\w+)_\d+of\d+\.json$", plan, re.MULTILINE)
    assert set(batches) == {"boston"}
    assert {"cohort", "report"} <= set(_rules(plan))


def test_an_exclusion_reruns_no_segmentation_and_no_measure(finished_demo):
    exclude = finished_demo / "config" / "exclude.yaml"
    before, times = exclude.read_text(), exclude.stat()
    exclude.write_text("- {dataset: boston, subject: '01', reason: trial}\n")
    try:
        planned = set(_planned(finished_demo))
    finally:
        exclude.write_text(before)
        os.utime(exclude, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert planned <= {"cohort", "analysis", "subject_pages", "report", "all"}
    assert "cohort" in planned


@pytest.mark.parametrize("n_started", [1, 6])
def test_a_killed_run_resumes_and_gives_the_same_tables_to_the_byte(
    small_data, tmp_path, n_started
):
    results = []
    for name, killed in (("whole", False), ("killed", True)):
        study = tmp_path / name
        study.mkdir()
        (study / "data").symlink_to(small_data / "data")
        write_config(study, study_content(report={"pictures": False}))
        if killed:
            _run_and_kill(study, n_started)
        run_command("cordcohort", "run", study, "--cores", "2")
        results.append({t: (study / "results" / t).read_bytes() for t in TABLES})
        assert not list(study.rglob(".tmp-*"))
    assert results[0] == results[1]


def _run_and_kill(study, n_started: int) -> None:
    """Start a run, and kill every process of it when so many jobs have begun."""
    command = [sys.executable, "-m", "cordcohort", "run", str(study), "--cores", "2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow" / "lib")}
    process = subprocess.Popen(
        command, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while _jobs_begun(study) < n_started:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.05)
    while living := _session(process.pid):
        for pid in living:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (study / "results" / TABLES[-1]).exists(), "the run was over"


def _jobs_begun(study) -> int:
    logs = list((study / ".snakemake" / "log").glob("*.log"))
    lines = [line for log in logs for line in log.read_text(errors="replace").splitlines()]
    return sum(line.startswith(("rule ", "localrule ")) for line in lines)


def _session(leader: int) -> list[int]:
    """Living processes of a session: the command, the engine and its jobs."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(stat.parent.name))
    return found


def test_make_demo_calls_the_command_as_the_command_wants(root):
    line = re.search(r"-m cordcohort (demo .*)", (root / "Makefile").read_text())
    assert line is not None
    assert line[1] == "demo demo --cores $(CORES)"
