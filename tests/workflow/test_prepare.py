"""`cordcohort run --prepare`: all that needs a network is done on the login node, and no job."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from conftest import run_command
from hostile_study import study_content, write_config


@pytest.fixture
def prepared(root, small_data, tmp_path):
    """Return a study, and a function that prepares it where the engine finds a stand-in conda."""
    study = tmp_path / "study"
    study.mkdir()
    (study / "data").symlink_to(small_data / "data")
    write_config(study, study_content(segmentation={"models": ["cord-v1"], "device": "cpu"}))
    environment = {
        "PATH": f"{root / 'tests' / 'workflow' / 'stand_in' / 'bin'}:{os.environ['PATH']}",
        "STAND_IN_LOG": str(tmp_path / "calls"),
        "STAND_IN_PYTHON": sys.executable,
    }

    def prepare(*flags):
        command = ("cordcohort", "run", study, "--prepare", "--sdm", "conda", *flags)
        return run_command(*command, check=False, env=environment)

    return study, prepare


def _calls(folder: Path) -> int:
    return (folder / "calls").read_text().count("create")


def _built(study: Path) -> list[Path]:
    return [path for path in (study / ".snakemake" / "conda").iterdir() if path.is_dir()]


def test_every_environment_is_built_and_checked_and_no_job_runs(prepared, tmp_path):
    study, prepare = prepared
    done = prepare()
    assert done.returncode == 0, done.stderr
    assert "weights are as registered" in done.stdout
    assert done.stdout.splitlines()[-1] == "data, models and environments are ready"
    assert len(_built(study)) >= 5  # images, segmentation, measures, statistics, report
    assert all((folder / "bin" / "python").exists() for folder in _built(study))
    assert not (study / "results" / "segmentation").exists()
    assert not (study / "results" / "measures").exists()

    calls = _calls(tmp_path)
    broken = _built(study)[0]
    shutil.rmtree(broken / "conda-meta")
    done = prepare()
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert str(broken) in line
    assert "half built" in line
    shutil.rmtree(broken)  # the way out that the line names
    assert prepare().returncode == 0
    assert (broken / "bin" / "python").exists()
    assert _calls(tmp_path) == calls + 1  # nothing that stands is built again


def test_networks_on_gpus_get_a_build_of_torch_for_gpus_where_no_gpu_is(prepared, tmp_path):
    study, prepare = prepared
    write_config(study, study_content(segmentation={"models": ["cord-v1"], "device": "cuda"}))
    done = prepare()
    assert done.returncode == 0, done.stderr
    recipes = [path.read_text() for path in (study / ".snakemake" / "conda").glob("*.yaml")]
    assert [r.count("pytorch=2.13.0=cuda129") for r in recipes if "pytorch" in r] in (
        [1, 0],
        [0, 1],
    )
    created = [line for line in (tmp_path / "calls").read_text().splitlines() if "create" in line]
    assert all(line.endswith(" 12.9") for line in created)  # CONDA_OVERRIDE_CUDA
