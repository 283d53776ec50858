"""What would make a run fail late or do harm, refused before it starts with the way out."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cordcohort.cluster.profile import (
    profile_file,
    read_profile,
    refuse_profile,
    uses_conda,
    values_of,
)
from cordcohort.cluster.profile_keys import refuse_no_profile, refuse_unknown_keys
from cordcohort.config import Config
from cordcohort.errors import CordcohortError
from cordcohort.files import read_yaml
from cordcohort.nnunet.needed import require_nnunet
from cordcohort.nnunet.paths import NNUNET, backend_of
from cordcohort.root import workflow_root

_OLDEST_CONDA = (24, 7, 1)  # that the engine (9.20 to 9.26) takes
_PATIENCE_S = 120  # a network disk that wakes up
_DRY_RUNS = {"-n", "--dry-run", "--dryrun"}
_RUNS_NOTHING = {*_DRY_RUNS, "--unlock", "--nolock", "--lint", "--summary", "-D"}


def refuse_early(
    study: Path, flags: Sequence[str], config: Config, count_jobs: Callable[[], int]
) -> None:
    """Check lock, environments and profile before a run.

    Parameters
    ----------
    study : Path
    flags : sequence of str
        Flags of the engine.
    config : Config
    count_jobs : callable
        Gives the number of jobs of the study.

    Raises
    ------
    CordcohortError, ConfigError
        With the way out.
    """
    refuse_no_profile(flags)
    refuse_unknown_keys(flags)
    refuse_without_conda(flags)
    if not _RUNS_NOTHING & set(flags):
        refuse_locked(study)
        refuse_without_nnunet(config, flags)
    refuse_half_built(study, flags)
    refuse_profile(flags, config, count_jobs)


def refuse_without_conda(flags: Sequence[str]) -> None:
    """Refuse environments of conda where the engine would find none, or too old a one.

    Raises
    ------
    CordcohortError
        With the key and the ways out.
    """
    only_mends = (_RUNS_NOTHING - _DRY_RUNS) & set(flags)
    if only_mends or values_of(flags, "--conda-base-path") or not uses_conda(flags):
        return
    came = _conda_version()
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", came)
    if found is None or tuple(map(int, found.groups())) < _OLDEST_CONDA:
        wanted = ".".join(map(str, _OLDEST_CONDA))
        raise CordcohortError(
            f"{profile_file(flags) or 'flags'}: software-deployment-method: conda: expected conda "
            f"{wanted} or newer on PATH, got {came or 'none'}; install or load it (as `module load "
            "conda`), or remove the key and run in the environment that cordcohort is installed in"
        )


def _conda_version() -> str:
    """What conda says of its version, asked as the engine does; empty where there is none."""
    asked = ["bash", "-c", "conda --version"]
    try:
        done = subprocess.run(
            asked, capture_output=True, text=True, check=False, timeout=_PATIENCE_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return " ".join(done.stdout.split()) if done.returncode == 0 else ""


def refuse_without_nnunet(config: Config, flags: Sequence[str]) -> None:
    """Refuse models and trainings of nnU-Net where no job could run them.

    Raises
    ------
    CordcohortError
        With the two ways to have it.
    """
    external = {str(entry["name"]) for entry in config.segmentation.external_models}
    wanted = [entry for entry in config.training if backend_of(entry) == NNUNET]
    if (wanted or external & set(config.segmentation.models)) and not uses_conda(flags):
        require_nnunet()


def refuse_locked(study: Path) -> None:
    """Refuse a study that another run works on, or that a killed run left locked."""
    locks = study / ".snakemake" / "locks"
    if locks.is_dir() and any(locks.iterdir()):
        owner = locks.owner()
        raise CordcohortError(
            f"{study}: locked by a run of user {owner}; wait for it, or, if none runs any more, "
            f"`cordcohort run {study} --unlock`"
        )


def refuse_half_built(study: Path, flags: Sequence[str] = ()) -> None:
    """Refuse an environment whose building broke off, or that does not hold its pinned versions.

    The engine only warns where pins cannot be had and then takes other versions. In a folder that
    profile or flags name (``conda-prefix``), and that other workflows may share, only environments
    of this one are judged.
    """
    folder = environment_folder(flags)
    ours = None
    if folder is None:
        folder = study / ".snakemake" / "conda"
    else:
        ours = {path.read_bytes() for path in (workflow_root() / "envs").glob("*.yaml")}
    for recipe in sorted(folder.glob("*.yaml")):
        built = folder / recipe.stem
        if not built.is_dir() or (ours is not None and recipe.read_bytes() not in ours):
            continue
        way_out = f"remove {built} and run `cordcohort run {study} --prepare` with a network"
        records = {path.name for path in (built / "conda-meta").glob("*.json")}
        if not records:
            raise CordcohortError(f"{built}: the environment is half built; {way_out}")
        for name, version in pinned(read_yaml(recipe)):
            if not any(record.startswith(f"{name}-{version}-") for record in records):
                raise CordcohortError(
                    f"{built}: expected {name} {version} as pinned, found another; {way_out}"
                )


def environment_folder(flags: Sequence[str]) -> Path | None:
    """Folder of the environments that flags or profile name, or nothing.

    Examples
    --------
    >>> environment_folder(["--conda-prefix", "/shared/envs"])
    PosixPath('/shared/envs')
    """
    named = values_of(flags, "--conda-prefix") or [read_profile(flags).get("conda-prefix")]
    return Path(os.path.expandvars(named[0])).expanduser() if named[0] else None


def pinned(recipe: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and exact versions of an environment file.

    Examples
    --------
    >>> pinned({"dependencies": ["numpy=2.4.6", "pytorch=2.13.0=cpu_generic*", "pip"]})
    [('numpy', '2.4.6'), ('pytorch', '2.13.0')]
    """
    entries = [entry for entry in recipe.get("dependencies", ()) if isinstance(entry, str)]
    split = [entry.split("=") for entry in entries]
    return [(parts[0], parts[1]) for parts in split if len(parts) > 1]
