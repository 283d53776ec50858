"""The slurm profile on a real SLURM (`make test-slurm` brings one up and takes it down)."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from cordcohort.phantom.config import DEMO_PROTOCOLS, DEMO_SITES, PhantomStudy
from cordcohort.phantom.study import write_study

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LOCAL_SLURM = [sys.executable, str(HERE / "local_slurm.py")]
ACCOUNT, PARTITION = "cordcohort", "main"
QUICK_STATUS = ["--slurm-init-seconds-before-status-checks", "3"]
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
    done = _run(profile, tmp_path / "study", "array", number=number)
    assert done.returncode == 0, done.stderr
    seen = [path.read_text().strip() for path in (tmp_path / "study" / "array").iterdir()]
    assert len(seen) == number
    if number > 1:
        limit = yaml.safe_load((profile / "config.yaml").read_text())["slurm-array-limit"]
        arrays = set(seen) - {"none"}
        # As few arrays as the limit allows, or one more where jobs became ready apart.
        assert math.ceil((number - 1) / limit) <= len(arrays) <= math.ceil(number / limit) + 1


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


def test_a_job_out_of_memory_is_tried_again_with_more(profile, tmp_path, since):
    done = _run(profile, tmp_path / "study", "hungry")
    assert done.returncode == 0, done.stderr
    assert int((tmp_path / "study" / "hungry").read_text()) >= 600
    rows = _accounts(since, "reqmem")
    assert len(rows) >= 2
    assert rows[0][0] in BROKEN_STATES
    assert rows[-1] == ["COMPLETED", rows[-1][1]]


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


def test_run_goes_on_after_every_job_was_cancelled(profile, tmp_path):
    def cancel_all() -> None:
        for _ in range(120):
            time.sleep(1)
            waiting = subprocess.run(
                ["squeue", "-h", "-t", "R"], capture_output=True, text=True, check=True
            )
            if waiting.stdout.strip():
                time.sleep(6)
                subprocess.run(["scancel", "--user", "root"], check=True)
                return

    trouble = threading.Thread(target=cancel_all)
    trouble.start()
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


def _small_study(folder: Path, subjects: int = 3) -> Path:
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
        "segmentation": {"models": ["cord-v1"], "device": "cpu", "batch_size": 2},
        "measures": {"batch_size": 2},
        "analyses": [
            {"name": "csa", "kind": "variability", "over": "site", "select": {"measure": "csa_mm2"}}
        ],
    }
    (folder / "config").mkdir()
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def _cordcohort(*words: object) -> str:
    command = [sys.executable, "-m", "cordcohort", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow" / "lib")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_cluster_and_one_machine_give_the_same_tables_and_the_estimate_holds(profile, tmp_path):
    tried = _small_study(tmp_path / "tried", subjects=1)
    local = _small_study(tmp_path / "local")
    cluster = tmp_path / "cluster"
    shutil.copytree(local / "config", cluster / "config")
    _cordcohort("run", tried, "--cores", "1")
    _cordcohort("run", local, "--cores", "1")
    _cordcohort("estimate", cluster, "--records", tried)
    _cordcohort("run", cluster, "--workflow-profile", profile, *QUICK_STATUS)
    expected = _tables(local)
    assert len(expected) > 5
    assert _tables(cluster) == expected
    told = _cordcohort("estimate", cluster).splitlines()[-1]
    print(told)
    ratio = float(told.rpartition("estimate / actual ")[2].rstrip(")"))
    assert 0.5 <= ratio <= 2, told  # what users may count on
