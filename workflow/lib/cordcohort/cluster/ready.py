"""Before and after a run: everything made ready on the login node, somebody told at the end."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cordcohort.cluster.profile import uses_conda
from cordcohort.cluster.refusals import refuse_half_built
from cordcohort.cluster.status import status_lines
from cordcohort.config import Config
from cordcohort.errors import CordcohortError
from cordcohort.files import read_yaml, sha256_of
from cordcohort.launch import engine_command
from cordcohort.model_uses import ModelUse
from cordcohort.root import workflow_root


def make_ready(study: Path, config: Config, flags: Sequence[str]) -> int:
    """Check the models and build every environment, so that compute nodes need no network.

    Parameters
    ----------
    study : Path
    config : Config
        Already checked against the data.
    flags : sequence of str
        Flags of the engine; the profile among them says whether environments are used.

    Returns
    -------
    int
        Exit status of the engine, 0 where there was nothing to build.
    """
    trained = {entry["name"] for entry in config.training}
    external = {entry["name"] for entry in config.segmentation.external_models}
    for model in config.segmentation.models:
        if model in trained:
            sys.stdout.write(f"model {model}: the study trains it\n")
            continue
        if model in external:  # the config was refused if not
            sys.stdout.write(f"model {model}: files are as declared\n")
            continue
        check_model(model)
        sys.stdout.write(f"model {model}: weights are as registered\n")
    if not uses_conda(flags):
        sys.stdout.write("data and models are ready; the profile builds no environment\n")
        return 0
    code = subprocess.run(
        [*engine_command(study, flags), "--conda-create-envs-only"], check=False
    ).returncode
    refuse_half_built(study, flags)
    if code == 0:
        sys.stdout.write("data, models and environments are ready\n")
    return code


def check_model(model: str, folder: Path | None = None) -> None:
    """Compare the weights of a registered model with their registered sha256.

    Raises
    ------
    CordcohortError
        If a file is missing or altered.
    """
    models = folder or workflow_root() / "models"
    entry = (read_yaml(models / "registry.yaml") or {}).get("models", {}).get(model)
    if entry is None:
        raise CordcohortError(f"models/registry.yaml: no model {model}; name one that it lists")
    for name, wanted in entry["weights"].items():
        path = models / entry["folder"] / name
        found = sha256_of(path) if path.is_file() else "no file"
        if found != wanted:
            raise CordcohortError(
                f"{path}: expected sha256 {wanted[:12]}..., found {found[:12]}; install it anew"
            )


def call_at_end(command: str, study: Path, code: int, models: Sequence[ModelUse]) -> None:
    """Call the user's command with the study and exit status in its environment, status on stdin.

    A command that fails is told on stderr and changes nothing about the run.
    """
    environment = os.environ | {
        "CORDCOHORT_STUDY": str(study.resolve()), "CORDCOHORT_EXIT": str(code)
    }  # fmt: skip
    try:
        text = "\n".join(status_lines(study, models)) + "\n"
        words = shlex.split(command)
        done = subprocess.run(words, input=text, text=True, env=environment, check=False)
        problem = f"ended with {done.returncode}" if done.returncode else ""
    except (OSError, ValueError, CordcohortError) as error:
        problem = str(error)
    if problem:
        sys.stderr.write(f"cordcohort: --at-end: {command}: {problem}\n")
