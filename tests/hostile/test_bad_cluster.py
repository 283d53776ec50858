"""What goes wrong on clusters is refused in one line with the way out, and nothing is touched."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from conftest import ROOT
from cordcohort.cli import main
from unit.bids.tree import put, put_text

HERE = {"slurm_account": "lab", "slurm_partition": "main"}
GPU_JOBS = {"segmentation": {"models": [], "device": "cuda"}}
PROGRAMS = {
    "sinfo": "main*|(null)\ngpu-long|gpu:a100:4(S:0-1)\ngpu-long|(null)",
    "sacctmgr": "lab\nlab\ncord-imaging",
}


def _with(*, segment: dict[str, Any] | None = None, **keys: Any) -> dict[str, Any]:
    """Give a profile of this cluster with other default resources, and a stage of its own."""
    profile: dict[str, Any] = {"executor": "slurm", "jobs": 100, "default-resources": HERE | keys}
    return profile | ({"set-resources": {"segment": segment}} if segment is not None else {})


ARRAYS = {
    "slurm-array-jobs": "shape", "scheduler": "greedy", "max-jobs-per-timespan": "100/1s",
}  # fmt: skip


def _half_built(study: Path) -> None:
    folder = study / ".snakemake" / "conda"
    (folder / "abc_" / "conda-meta").mkdir(parents=True)
    (folder / "abc_.yaml").write_text("dependencies: [numpy=2.4.6]")


def _locked_by_another_run(study: Path) -> None:
    locks = study / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").touch()


# profile, changes of the config, what is done to the study before, words of the refusal
REFUSED: dict[str, tuple[dict, dict, Callable[[Path], None] | None, list[str]]] = {
    "unknown partition": (
        _with(slurm_partition="gpu-lang"), {}, None,
        ["default-resources.slurm_partition", "gpu-lang", "gpu-long"],
    ),
    "unknown partition of a stage": (
        _with(segment={"slurm_partition": "mainn"}), {}, None,
        ["set-resources.segment.slurm_partition", "mainn", "did you mean main"],
    ),
    "account not filled in": (
        _with(slurm_account="CHANGE_ME"), {}, None,
        ["default-resources.slurm_account", "CHANGE_ME", "sacctmgr"],
    ),
    "account of somebody else": (
        _with(slurm_account="cord-imagin"), {}, None,
        ["default-resources.slurm_account", "cord-imagin", "did you mean cord-imaging"],
    ),
    "profile without a key for GPUs": (
        _with(), GPU_JOBS, None, ["set-resources.segment", "gpu: 1", "gpu:1", "device: cpu"],
    ),
    "a GPU where there is none": (
        _with(segment={"gpu": 1}), GPU_JOBS, None,
        ["set-resources.segment.slurm_partition", "'main'", "name gpu-long", "device: cpu"],
    ),
    "a GPU in the other spelling where there is none": (
        _with(segment={"gpu": 0, "gres": "gpu:1", "slurm_partition": "main"}), GPU_JOBS, None,
        ["set-resources.segment.slurm_partition", "name gpu-long"],
    ),
    "GPU jobs in groups": (
        _with(segment={"gpu": 1, "slurm_partition": "gpu-long"}) | {"groups": ["segment=a"]},
        GPU_JOBS, None, ["groups", "add up their GPUs", "remove the key"],
    ),
    "arrays of which the plugin would forget jobs": (
        _with() | ARRAYS | {"jobs": 2}, {}, None,
        ["jobs", "at least", "remove slurm-array-jobs"],
    ),
    "arrays whose jobs the engine submits a few at a time": (
        _with() | ARRAYS | {"max-jobs-per-timespan": "2/1s"}, {}, None,
        ["max-jobs-per-timespan", "2/1s", "/5s or more"],
    ),
    "arrays with a limit that is not told": (
        _with() | {"slurm-array-jobs": "shape", "jobs": "unlimited"}, {}, None,
        ["max-jobs-per-timespan", "None"],
    ),
    "arrays whose jobs a solver picks": (
        _with() | ARRAYS | {"scheduler": "ilp"}, {}, None, ["scheduler", "ilp", "greedy"],
    ),
    "arrays whose jobs share what is scarce": (
        _with() | ARRAYS | {"resources": ["gpu=2"]}, {}, None, ["resources", "no such limit"],
    ),
    "a key that the engine does not know": (
        _with() | {"retris": 2}, {}, None, ["config.yaml: retris:", "did you mean retries?"],
    ),
    "a slip in a default resource": (
        _with(runtim=60), {}, None,
        ["config.yaml: default-resources.runtim:", "did you mean runtime?"],
    ),
    "a slip in a resource of a stage": (
        _with(segment={"mem_bm": 2000}), {}, None,
        ["set-resources.segment.mem_bm", "did you mean mem_mb?"],
    ),
    "environment half built": (_with(), {}, _half_built, ["abc_", "half built", "--prepare"]),
    "locked by another run": (_with(), {}, _locked_by_another_run, ["locked", "--unlock"]),
}  # fmt: skip


@pytest.fixture
def study(tmp_path, monkeypatch) -> Path:
    """Give a study with results of an earlier run, on a cluster that stand-ins tell about."""
    put(tmp_path / "data", "sub-01/anat/sub-01_T2w.nii.gz")
    folder = tmp_path / "study"
    put_text(folder, "results/cohort/long.tsv", "an earlier result\n")
    programs = tmp_path / "bin"
    for name, told in PROGRAMS.items():
        put_text(programs, name, f"#!/bin/sh\ncat <<END\n{told}\nEND\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return folder


def _write(study: Path, profile: dict, changes: dict) -> list[str]:
    content = {
        "study": {"name": "x"},
        "datasets": [{"name": "a", "path": "../data"}],
        "segmentation": {"models": []},
    }
    (study / "config").mkdir()
    (study / "config" / "config.yaml").write_text(yaml.safe_dump(content | changes))
    (study / "profile").mkdir()
    (study / "profile" / "config.yaml").write_text(yaml.safe_dump(profile))
    return ["cordcohort", "run", str(study), "--workflow-profile", str(study / "profile")]


def _everything(study: Path) -> dict[str, str]:
    return {
        str(path.relative_to(study)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(study.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("case", REFUSED)
def test_a_run_that_cannot_work_is_refused_in_one_line_and_touches_nothing(
    study, case, monkeypatch, capsys
):
    profile, changes, spoil, words = REFUSED[case]
    command = _write(study, profile, changes)
    if spoil is not None:
        spoil(study)
    monkeypatch.setattr(sys, "argv", command)
    before = _everything(study)
    for attempt in range(2):
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 1
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1, lines
        for word in words:
            assert word in lines[0], lines[0]
        after = _everything(study)
        if attempt == 0:  # the index of the data, and an empty lock, are all that is new
            made = set(after) - set(before)
            assert all(name.startswith(("results/bids/", ".snakemake/")) for name in made), made
        assert {name: after.get(name) for name in before} == before
        before = after
    assert not (study / ".snakemake" / "log").exists()  # the engine never started


@pytest.mark.parametrize("flags", [[], ["-n"]])
def test_a_profile_folder_that_is_not_there_is_refused_with_its_nearest_name(
    study, flags, monkeypatch, capsys
):
    command = _write(study, _with(), {})
    monkeypatch.setattr(sys, "argv", [*command[:-1], str(study / "profil"), *flags])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    for word in ("--workflow-profile", "profil: no such profile folder", "did you mean profile?"):
        assert word in lines[0]


@pytest.mark.parametrize("flags", [[], ["-n"], ["--prepare"]])
@pytest.mark.parametrize("told", ["", "conda 23.11.0"])
def test_environments_without_a_conda_to_build_them_are_refused(
    study, flags, told, monkeypatch, capsys
):
    """The first has no conda, the second one that the engine does not take."""
    conda = study.parent / "bin" / "conda"
    conda.write_text(f"#!/bin/sh\n{f'echo {told}' if told else 'exit 127'}\n")
    conda.chmod(0o755)
    command = _write(study, _with() | {"software-deployment-method": "conda"}, {})
    monkeypatch.setattr(sys, "argv", [*command, *flags])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    words = ("config.yaml: software-deployment-method", "24.7.1", told or "none", "remove the key")
    assert all(word in lines[0] for word in words), lines[0]


HOLD = """
import os, pwd, sys
from pathlib import Path
study, package, user = sys.argv[1:]
sys.path.insert(0, package)
from cordcohort.errors import CordcohortError
from cordcohort.study_lock import study_lock
os.environ["LOGNAME"] = user
os.setuid(pwd.getpwnam(user).pw_uid)
try:
    with study_lock(Path(study)):
        print("held", flush=True)
        sys.stdin.read()
except CordcohortError as error:
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's process needs root")
@pytest.mark.parametrize("holder", ["nobody", "root"])
def test_a_second_user_in_the_folder_is_refused_and_told_who_works_there(holder):
    """The second may or may not write in a folder that the first has made."""
    with TemporaryDirectory() as folder:  # pytest's own are for one user only
        Path(folder).chmod(0o755)
        _second_user(Path(folder) / "study", holder)


def _second_user(study: Path, holder: str) -> None:
    (study / ".snakemake").mkdir(parents=True)
    for folder in (study, study / ".snakemake"):
        folder.chmod(0o777)
    words = [sys.executable, "-c", HOLD, str(study), str(ROOT / "workflow" / "lib")]
    other = {"nobody": "root", "root": "nobody"}[holder]
    first = subprocess.Popen(
        [*words, holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    second = subprocess.run(
        [*words, other], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert f"of user {holder}" in second.stdout, second.stdout + second.stderr
    assert "wait for it" in second.stdout
    first.communicate("")
