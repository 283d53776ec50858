"""A profile that is not there, or has keys that the engine does not know, is refused."""

from __future__ import annotations

import difflib
import functools
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cordcohort.cluster.profile import named_profiles, profile_file
from cordcohort.cluster.profile_resources import DEFAULTS, OF_RULES, resources_of
from cordcohort.errors import ConfigError, CordcohortError
from cordcohort.files import read_yaml
from cordcohort.root import workflow_root
from cordcohort.validation import nearest

_NO_PROFILE = "none"  # the engine's word
# Beside the adapters, since the package knows no engine.
_ASK_ENGINE = Path("workflow", "scripts", "_profile_keys.py")
_TEMPLATE_KEYS = ("__", "?")  # of yte, which makes other keys of them
# What the engine and the SLURM plugin (2.7, 2.8) look for among the resources of a job; all other
# names are free, so only what is nearly one of these is taken for a slip.
_RESOURCES = (
    "mem", "mem_mb", "mem_mib", "mem_mb_per_cpu", "disk", "disk_mb", "disk_mib", "tmpdir",
    "runtime", "threads", "nodes", "tasks", "tasks_per_node", "tasks_per_gpu", "cpus_per_task",
    "cpus_per_gpu",
    "mpi", "gpu", "gpu_model", "gpu_manufacturer", "gres", "constraint", "qos", "cluster",
    "clusters", "slurm_account", "slurm_partition", "slurm_cluster", "slurm_extra",
)  # fmt: skip
_NEARLY = 0.8  # of difflib's 0 to 1: runtim is 0.92 of runtime, gpu_mem 0.75 of gpu_model


def refuse_no_profile(flags: Sequence[str]) -> None:
    """Refuse flags that name a profile which is nowhere; the engine runs without it.

    Raises
    ------
    CordcohortError
        With the nearest name beside it.
    """
    for name, value in named_profiles(flags):
        if value == _NO_PROFILE or profile_file([name, value]) is not None:
            continue
        ours = workflow_root() / "config" / "profiles"
        if Path(value).exists():
            raise CordcohortError(
                f"{name} {value}: expected the folder of a profile, got one without config.yaml; "
                f"copy that of {ours / 'slurm'} into it and fill it in"
            )
        known = _profiles_in(Path(value).parent)
        known |= _profiles_in(ours) if Path(value).name == value else set()
        way_out = nearest(Path(value).name, known) if known else "mend the path"
        raise CordcohortError(
            f"{name} {value}: no such profile folder; {way_out} "
            f"(to make one: copy {ours / 'slurm'})"
        )


def _profiles_in(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.glob("*/config.yaml")}


def refuse_unknown_keys(flags: Sequence[str]) -> None:
    """Refuse a profile with keys that the engine does not know, and slips in names of resources.

    Raises
    ------
    ConfigError
        File, key and the nearest name.
    """
    path = profile_file(flags)
    if path is None:
        return
    profile = read_yaml(path) or {}
    if not isinstance(profile, Mapping):
        raise ConfigError(
            "profile", type(profile).__name__, "keys and values, such as `jobs: 100`",
            "see docs/cluster.md", where=str(path),
        )  # fmt: skip
    keys = [str(key) for key in profile if not str(key).startswith(_TEMPLATE_KEYS)]
    known = _engine_keys() if keys else frozenset()
    for key in keys:
        if known and key not in known:
            named = [one for one in known if len(one) > 1 and not one.startswith("-")]
            near = difflib.get_close_matches(key, named, 1)
            raise ConfigError(
                key, profile[key], "a key that the engine knows",
                f"did you mean {near[0]}?" if near else "remove it, or see docs/cluster.md",
                where=str(path),
            )  # fmt: skip
    for stage, resources in resources_of(profile).items():
        _refuse_slips(path, stage if stage == DEFAULTS else f"{OF_RULES}.{stage}", resources)


def _refuse_slips(path: Path, where: str, resources: Mapping[str, Any]) -> None:
    """Refuse names of resources that are nearly ones that are looked for; nothing reads them."""
    for name, value in resources.items():
        near = difflib.get_close_matches(name, _RESOURCES, 1, _NEARLY)
        if near and near[0] != name:
            raise ConfigError(
                f"{where}.{name}", value, "a resource that the engine or SLURM reads",
                f"did you mean {near[0]}? (one of your own needs a name less like it)",
                where=str(path),
            )  # fmt: skip


@functools.cache
def _engine_keys() -> frozenset[str]:
    """Keys that a profile may hold; none where the engine does not tell, and nothing is judged."""
    command = [sys.executable, str(workflow_root() / _ASK_ENGINE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return frozenset(done.stdout.split()) if done.returncode == 0 else frozenset()
