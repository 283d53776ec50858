"""The slurm profile on a real SLURM (`make test-slurm` brings one up and takes it down).

What is not marked slow is run by .ci/run.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, run_command
from cordcohort.cluster.status import STATES
from cordcohort.phantom.config import DEMO_PROTOCOLS, DEMO_SITES, PhantomStudy
from cordcohort.phantom.study import write_study
from cordcohort.progress import fault_lines

HERE = Path(__file__).resolve().parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "workflow" / "lib")}
LOCAL_SLURM = [sys.executable, str(HERE / "local_slurm.py")]
ACCOUNT, PARTITION = "cordcohort", "main"
QUICK_STATUS = ["--slurm-init-seconds-before-status-checks", "3"]
ARRAY_LIMIT = 40  # as the profile recommends
BROKEN_STATES = {"FAILED", "OUT_OF_MEMORY", "CANCELLED", "TIMEOUT", "NODE_FAIL"}

pytestmark = [
    pytest.mark.xdist_group("slurm"),
    pytest.mark.skipif(
        "CORDCOHORT_TEST_SLURM" not in os.environ, reason="run by `make test-slurm`"
    ),
]


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """Bring the cluster up; a machine that cannot have one fails here, it does not pass."""
    up = subprocess.run([*LOCAL_SLURM, "up"], capture_output=True, text=True, check=False)
    assert up.returncode == 0, up.stderr
    yield
    subprocess.run([*LOCAL_SLURM, "down"], check=True)


@pytest.fixture
def profile(tmp_path) -> Path:
    """Return the profile as shipped, with the marked keys filled in and no conda."""
    shipped = yaml.safe_load((ROOT / "config/profiles/slurm/config.yaml").read_text())
    shipped["default-resources"] |= {"slurm_account": ACCOUNT, "slurm_partition": PARTITION}
    del shipped["software-deployment-method"]  # no conda channels here
    shipped["latency-wait"] = 10
    folder = tmp_path / "profile"
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(shipped))
    return folder


def _command(profile: Path, study: Path, scene: str, *flags: str, **config: object) -> list[str]:
    settings = [f"{key}={value}" for key, value in {"scene": scene, **config}.items()]
    return [
        sys.executable, "-m", "snakemake", "--snakefile", str(HERE / "Snakefile"),
        "--directory", str(study), "--workflow-profile", str(profile), *QUICK_STATUS,
        *flags, "--config", *settings,
    ]  # fmt: skip


def _run(profile: Path, study: Path, scene: str, *flags: str, **config: object):
    study.mkdir(exist_ok=True)
    command = _command(profile, study, scene, *flags, **config)
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _accounts(since: str, fields: str) -> list[list[str]]:
    """Rows of sacct since a time, one per job, once none is running any more."""
    for _ in range(60):
        done = subprocess.run(
            ["sacct", "-n", "-X", "-P", "-S", since, "-o", f"state,{fields}"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        rows = [line.split("|") for line in done.stdout.splitlines()]
        if rows and not any(row[0] in {"RUNNING", "PENDING"} for row in rows):
            return rows
        time.sleep(1)
    pytest.fail(f"accounting does not settle: {rows}")


@pytest.fixture
def since() -> str:
    """Return a time before which no job of this test began."""
    time.sleep(1.1)
    return time.strftime("%Y-%m-%dT%H:%M:%S")


@pytest.mark.parametrize("number", [1, pytest.param(101, marks=pytest.mark.slow)])
def test_arrays_of_one_and_of_many(profile, tmp_path, number):
    keys = ["--slurm-array-jobs", "all", "--slurm-array-limit", str(ARRAY_LIMIT), "--jobs", "200"]
    done = _run(profile, tmp_path / "study", "array", *keys, number=number)
    assert done.returncode == 0, done.stderr
    seen = [path.read_text().strip() for path in (tmp_path / "study" / "array").iterdir()]
    assert len(seen) == number
    if number > 1:
        arrays = set(seen) - {"none"}
        # As few arrays as the limit allows, or one more where jobs became ready apart.
        least = math.ceil((number - 1) / ARRAY_LIMIT)
        assert least <= len(arrays) <= math.ceil(number / ARRAY_LIMIT) + 1


def test_a_task_of_an_array_does_not_wait_for_the_first_one(profile, tmp_path, since):
    """Without `become_own_job` the plugin counts tasks as failed that are done long before it."""
    keys = ["--slurm-array-jobs", "uneven", "--retries", "0", "--latency-wait", "3"]
    done = _run(profile, tmp_path / "study", "uneven", *keys, number=4, seconds=30)
    assert done.returncode == 0, done.stderr
    seen = {path.read_text().strip() for path in (tmp_path / "study" / "uneven").iterdir()}
    assert seen == {"1", "2", "3", "4"}
    assert [state for state, _ in _accounts(since, "jobid")] == ["COMPLETED"] * 4


def test_gpus_are_never_given_twice(profile, tmp_path, since):
    done = _run(profile, tmp_path / "study", "gpu", number=6)
    assert done.returncode == 0, done.stderr
    devices = {path.read_text().strip() for path in (tmp_path / "study" / "gpu").iterdir()}
    assert devices <= {"0", "1"}, devices
    rows = _accounts(since, "start,end,nodelist,alloctres")
    jobs = [(start, end, node) for _, start, end, node, tres in rows if "gres/gpu=1" in tres]
    assert len(jobs) == 6
    for start, _, node in jobs:
        together = [j for j in jobs if j[2] == node and j[0] <= start < j[1]]
        assert len(together) <= 2, together


@pytest.mark.slow
def test_a_job_out_of_memory_is_tried_again_with_more(profile, tmp_path, since):
    done = _run(profile, tmp_path / "study", "hungry")
    assert done.returncode == 0, done.stderr
    assert int((tmp_path / "study" / "hungry").read_text()) >= 600
    rows = _accounts(since, "reqmem")
    assert len(rows) >= 2
    assert rows[0][0] in BROKEN_STATES
    assert rows[-1] == ["COMPLETED", rows[-1][1]]


@pytest.mark.slow
def test_a_job_past_its_time_leaves_no_half_file(profile, tmp_path, since):
    done = _run(profile, tmp_path / "study", "slow", "--retries", "0")
    assert done.returncode != 0
    assert not (tmp_path / "study" / "slow").exists()
    assert [row[0] for row in _accounts(since, "jobid")] == ["TIMEOUT"]


def test_a_failing_job_does_not_stop_the_others(profile, tmp_path):
    done = _run(profile, tmp_path / "study", "failing", "--retries", "0")
    assert done.returncode != 0
    assert not (tmp_path / "study" / "broken").exists()
    assert len(list((tmp_path / "study" / "array").iterdir())) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("patience_s", "ends_well"), [(20, True), (1, False)])
def test_a_slow_disk_is_waited_for_as_long_as_the_profile_says(
    profile, tmp_path, patience_s, ends_well
):
    flags = ["--latency-wait", str(patience_s), "--retries", "0"]
    done = _run(profile, tmp_path / "study", "late", *flags, seconds=8)
    assert (done.returncode == 0) == ends_well, done.stderr
    if not ends_well:
        told = " ".join(fault_lines(done.stderr.splitlines()))
        assert "latency-wait" in told, told


def test_a_job_that_slurm_refuses_is_told_with_its_reason(profile, tmp_path):
    done = _run(profile, tmp_path / "study", "huge", "--retries", "0")
    assert done.returncode != 0
    told = fault_lines(done.stderr.splitlines())
    assert any("emory" in line for line in told), told
    assert len(told) < 10, told


@pytest.mark.slow
@pytest.mark.parametrize("outage", [["bounce", "--seconds", "15"], ["kill", "--seconds", "3"]])
def test_run_survives_an_outage_in_its_middle(profile, tmp_path, outage):
    def fail_something() -> None:
        time.sleep(12)
        subprocess.run([*LOCAL_SLURM, *outage], check=True)

    trouble = threading.Thread(target=fail_something)
    trouble.start()
    done = _run(profile, tmp_path / "study", "long", number=4, seconds=15)
    trouble.join()
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "study" / "long").iterdir())) == 4


def _cancel_all_when(begun: Callable[[], bool]) -> threading.Thread:
    """Cancel every job of the cluster some seconds after something has begun."""

    def cancel_all() -> None:
        for _ in range(600):
            time.sleep(1)
            if begun():
                time.sleep(6)
                subprocess.run(["scancel", "--user", "root"], check=True)
                return

    trouble = threading.Thread(target=cancel_all)
    trouble.start()
    return trouble


def _something_runs() -> bool:
    running = subprocess.run(
        ["squeue", "-h", "-t", "R"], capture_output=True, text=True, check=True
    )
    return bool(running.stdout.strip())


@pytest.mark.slow
def test_run_goes_on_after_every_job_was_cancelled(profile, tmp_path):
    trouble = _cancel_all_when(_something_runs)
    first = _run(profile, tmp_path / "study", "long", "--retries", "0", number=2, seconds=20)
    trouble.join()
    assert first.returncode != 0
    second = _run(profile, tmp_path / "study", "long", number=2, seconds=1)
    assert second.returncode == 0, second.stderr
    assert len(list((tmp_path / "study" / "long").iterdir())) == 2


def _tables(study: Path) -> dict[str, bytes]:
    folders = ("cohort", "statistics", "measures")
    return {
        str(path.relative_to(study)): path.read_bytes()
        for folder in folders
        for path in sorted((study / "results" / folder).rglob("*"))
        if path.suffix in {".parquet", ".tsv"}
    }


def _small_study(folder: Path, subjects: int = 3, device: str = "cpu") -> Path:
    """Write phantoms of one site and a config that segments them with the shipped model."""
    sites = (replace(DEMO_SITES[0], subjects=subjects),)
    protocols = tuple(p for p in DEMO_PROTOCOLS if p.contrast in {"T2w", "dwi"})
    phantoms = PhantomStudy(
        sites=sites, protocols=protocols, traveller=False, missing=(), sessions=1
    )
    datasets = write_study(phantoms, folder / "data")
    config = {
        "study": {"name": "small"},
        "datasets": [{"name": path.name, "path": str(path.resolve())} for path in datasets],
        "segmentation": {"models": ["cord-v1"], "device": device, "batch_size": 2},
        "measures": {"batch_size": 2},
        "analyses": [
            {"name": "csa", "kind": "variability", "over": "site", "select": {"measure": "csa_mm2"}}
        ],
    }
    (folder / "config").mkdir()
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def _twin(local: Path, folder: Path) -> Path:
    """Give a second study of the same data, nothing run yet."""
    shutil.copytree(local / "config", folder / "config")
    if not (folder / "data").exists():
        (folder / "data").symlink_to(local / "data")
    return folder


def _cordcohort(*words: object) -> str:
    return run_command("cordcohort", *words).stdout


def _ratio(study: Path) -> float:
    told = _cordcohort("estimate", study).splitlines()[-1]
    print(told)
    return float(told.rpartition("estimate / actual ")[2].rstrip(")"))


@pytest.mark.slow
def test_the_demo_study_has_the_same_tables_as_on_one_machine(profile, tmp_path):
    local = tmp_path / "local"
    _cordcohort("demo", local, "--cores", "2")
    cluster = _twin(local, tmp_path / "cluster")
    _cordcohort("estimate", cluster, "--records", local)
    _cordcohort("run", cluster, "--workflow-profile", profile, *QUICK_STATUS)
    expected = _tables(local)
    assert len(expected) > 100  # of 51 scans
    assert _tables(cluster) == expected
    assert 0.5 <= _ratio(cluster) <= 2  # what users may count on


def _watched(study: Path, *words: object) -> list[dict[str, list[int]]]:
    """Run a study; what `status` told meanwhile and afterwards, stage to numbers of jobs."""
    told: list[dict[str, list[int]]] = []
    command = [sys.executable, "-m", "cordcohort", "run", study, *words]
    with subprocess.Popen([str(word) for word in command], env=ENVIRONMENT) as run:
        while run.poll() is None:
            time.sleep(10)
            if list((study / ".snakemake" / "log").glob("*.log")):
                told.append(_status(study))
    assert run.returncode == 0
    return [*told, _status(study)]


def _status(study: Path) -> dict[str, list[int]]:
    lines = _cordcohort("status", study).split("\n\n", maxsplit=1)[0].splitlines()
    assert lines[0].split()[-len(STATES) :] == list(STATES)
    return {
        line.split()[0]: [int(n) for n in line.split()[1:]]
        for line in lines[1:]
        if line.split()[-1].isdecimal()
    }


@pytest.fixture(scope="module")
def local_study(tmp_path_factory) -> Path:
    """Return a small study after its run on this machine."""
    study = _small_study(tmp_path_factory.mktemp("local"))
    _cordcohort("run", study, "--cores", "1")
    return study


def _arrays(study: Path) -> set[str]:
    """Rules of which jobs ran as tasks of an array, by their logs."""
    logs = (study / ".snakemake" / "slurm_logs").glob("rule_*/*_*.log")
    return {path.parent.name.removeprefix("rule_") for path in logs}


@pytest.mark.slow
def test_a_study_in_arrays_goes_on_after_it_was_cancelled_and_has_the_tables_of_one_machine(
    profile, local_study, tmp_path
):
    cluster = _twin(local_study, tmp_path / "cluster")
    flags = ["--workflow-profile", profile, *QUICK_STATUS]
    trouble = _cancel_all_when(lambda: "segment" in _arrays(cluster))
    first = run_command("cordcohort", "run", cluster, *flags, "--retries", "0", check=False)
    trouble.join()
    assert first.returncode != 0
    assert not (cluster / "results" / "cohort" / "measures.parquet").exists()
    _cordcohort("run", cluster, *flags)
    # Ready together from the start; later batches go together only if those before end together.
    assert "segment" in _arrays(cluster)
    assert _tables(cluster) == _tables(local_study)


def test_cluster_and_one_machine_agree_status_and_estimate_hold_and_the_end_is_told(
    profile, local_study, tmp_path
):
    tried = _small_study(tmp_path / "tried", subjects=2)  # a third less than what is estimated
    cluster = _twin(local_study, tmp_path / "cluster")
    _cordcohort("run", tried, "--cores", "1")
    _cordcohort("estimate", cluster, "--records", tried)
    mail = tmp_path / "mail"
    mail.write_text(f"#!/bin/sh\n(echo $CORDCOHORT_EXIT $CORDCOHORT_STUDY; cat) > {mail}.sent\n")
    mail.chmod(0o755)
    told = _watched(cluster, "--at-end", mail, "--workflow-profile", profile, *QUICK_STATUS)
    expected = _tables(local_study)
    assert len(expected) > 5
    assert _tables(cluster) == expected
    # Ready together from the start; later batches go together only if those before end together.
    assert "segment" in _arrays(cluster)
    done, running, failed, waiting = range(len(STATES))
    assert any(stage[running] for status in told for stage in status.values())
    assert any(stage[waiting] for status in told for stage in status.values())
    assert all(
        stage[failed] == stage[running] == stage[waiting] == 0 for stage in told[-1].values()
    )
    assert told[-1]["measures"][done] >= 2
    sent = mail.with_suffix(".sent").read_text().splitlines()
    assert sent[0] == f"0 {cluster.resolve()}"
    assert sent[1].startswith("jobs of the last run")
    assert 0.5 <= _ratio(cluster) <= 2  # what users may count on


@pytest.mark.parametrize(
    "key", [{"gpu": 1}, pytest.param({"gpu": 0, "gres": "'gpu:1'"}, marks=pytest.mark.slow)]
)
def test_the_profile_gives_a_gpu_to_segmentation_and_a_job_that_sees_none_says_what_to_change(
    profile, tmp_path, since, key
):
    path = profile / "config.yaml"
    content = yaml.safe_load(path.read_text()) | {"set-resources": {"segment": key}}
    path.write_text(yaml.safe_dump(content))
    study = _small_study(tmp_path / "study", subjects=1, device="cuda")
    flags = ["--workflow-profile", profile, *QUICK_STATUS, "--retries", "0"]
    done = run_command("cordcohort", "run", study, *flags, check=False)
    assert done.returncode != 0  # stand-in GPUs run nothing
    assert "expected a GPU that this job can see" in done.stderr
    assert "set-resources" in done.stderr
    on_gpu = [row for row in _accounts(since, "alloctres,jobname") if "gres/gpu=1" in row[1]]
    assert len(on_gpu) == 1, "of all jobs the segmentation only"
