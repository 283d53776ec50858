"""A profile of the engine that would fail late on this cluster, refused with the way out.

What the cluster has is asked of SLURM itself; where it does not answer, nothing is judged.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from cordcohort.cluster.profile_resources import DEFAULTS, OF_RULES, Resources, resources_of
from cordcohort.config import Config
from cordcohort.errors import ConfigError
from cordcohort.files import read_yaml
from cordcohort.root import workflow_root
from cordcohort.validation import nearest

PLACEHOLDER = "CHANGE_ME"
_PROFILE_FILES = ("profile.yaml", "config.yaml", "profile.v*+.yaml", "config.v*+.yaml")
_CONFIG_HOME = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
_ENGINE_FOLDERS = (_CONFIG_HOME / "snakemake", Path("/etc/xdg/snakemake"))
PROFILE_FLAGS = ("--profile", "--workflow-profile")
_DEPLOYMENT_FLAGS = ("--software-deployment-method", "--deployment-method", "--deployment", "--sdm")
_CONDA_FLAGS = ("--use-conda", "--conda-create-envs-only")
_OTHER_LIMITS = ("resources", "scheduler-subsample", "max-jobs-per-second")
_PATIENCE_S = 30


def values_of(flags: Sequence[str], *names: str) -> list[str]:
    """Values that flags of some names have on a command line.

    Examples
    --------
    >>> values_of(["--sdm", "conda", "apptainer", "-n", "--sdm=env-modules"], "--sdm")
    ['conda', 'apptainer', 'env-modules']
    >>> values_of(["-j4", "--jobs=5", "-j", "6"], "--jobs", "-j")
    ['4', '5', '6']
    """
    found: list[str] = []
    taking = False
    for flag in flags:
        name, equals, value = flag.partition("=")
        if flag[:2] in names and not equals:  # the value of a short flag may follow at once
            name, value = flag[:2], flag[2:]
        if flag.startswith("-"):
            taking = name in names
            found += [value] if taking and (equals or value) else []
        elif taking:
            found.append(flag)
    return found


def named_profiles(flags: Sequence[str]) -> list[tuple[str, str]]:
    """Flags that name a profile, with its name; what follows that is a target.

    Examples
    --------
    >>> named_profiles(["--profile", "lab", "report.html", "--workflow-profile=slurm"])
    [('--profile', 'lab'), ('--workflow-profile', 'slurm')]
    """
    told = ((before, flag, flag.partition("=")) for before, flag in pairwise(["", *flags]))
    return [
        (before, flag) if before in PROFILE_FLAGS else (name, value)
        for before, flag, (name, equals, value) in told
        if before in PROFILE_FLAGS or (equals and name in PROFILE_FLAGS)
    ]


def profile_file(flags: Sequence[str]) -> Path | None:
    """File of the profile that the engine's flags name, or nothing; a bare name may be one of ours.

    Examples
    --------
    >>> profile_file(["--workflow-profile=slurm"]).parent.name, profile_file(["--cores", "2"])
    ('slurm', None)
    """
    ours = workflow_root() / "config" / "profiles"
    for _, name in named_profiles(flags):
        if Path(name).is_file():
            return Path(name)
        places = (ours, Path(), Path("profiles"), *_ENGINE_FOLDERS)
        for folder in (place / name for place in places):
            for pattern in _PROFILE_FILES:
                for file in sorted(folder.glob(pattern)):
                    return file
    return None


def with_our_profiles(flags: Sequence[str]) -> list[str]:
    """Flags of the engine, in which the bare name of one of our profiles becomes its folder.

    Examples
    --------
    >>> [Path(flag).name for flag in with_our_profiles(["--workflow-profile", "slurm", "-n"])]
    ['--workflow-profile', 'slurm', '-n']
    """
    ours = workflow_root() / "config" / "profiles"
    found: list[str] = []
    for before, flag in pairwise(["", *flags]):
        name, equals, value = flag.partition("=")
        if before in PROFILE_FLAGS and (ours / flag).is_dir():
            found.append(str(ours / flag))
        elif equals and name in PROFILE_FLAGS and (ours / value).is_dir():
            found.append(f"{name}={ours / value}")
        else:
            found.append(flag)
    return found


def read_profile(flags: Sequence[str]) -> dict[str, Any]:
    """Content of the profile that the flags name; empty where there is none."""
    path = profile_file(flags)
    return {} if path is None else read_yaml(path) or {}


def goes_as_array(rule: str, named: str | None) -> bool:
    """Whether jobs of a rule go as arrays, by the rules that ``slurm-array-jobs`` names.

    Examples
    --------
    >>> goes_as_array("shape", "segment, shape"), goes_as_array("shape", "all")
    (True, True)
    >>> goes_as_array("shape", "segment;discs"), goes_as_array("shape", None)
    (False, False)
    """
    names = {name.strip() for name in (named or "").replace(";", ",").split(",")}
    return bool({rule, "all"} & names)


def uses_conda(flags: Sequence[str]) -> bool:
    """Whether the engine's flags, or the profile that they name, ask for conda environments."""
    if set(_CONDA_FLAGS) & set(flags):
        return True
    given = values_of(flags, *_DEPLOYMENT_FLAGS)
    if given:
        return "conda" in given
    return "conda" in str(read_profile(flags).get("software-deployment-method", ""))


def refuse_profile(flags: Sequence[str], config: Config, count_jobs: Callable[[], int]) -> None:
    """Refuse a profile that is not filled in, or asks for what this cluster does not have.

    Parameters
    ----------
    flags : sequence of str
        Flags of the engine, which may name a profile.
    config : Config
        Of the study.
    count_jobs : callable
        Gives the number of jobs of the study; called only where it matters.

    Raises
    ------
    ConfigError
        Key, value and way out.
    """
    path, profile = profile_file(flags), read_profile(flags)
    if path is None or profile.get("executor") != "slurm":
        return
    asked = resources_of(profile)
    _refuse_placeholders(path, asked)
    _refuse_without_gpu_key(path, profile, asked, config)
    _refuse_names(path, asked, "slurm_partition", [p.rstrip("*") for p in cluster_partitions()])
    _refuse_names(path, asked, "slurm_account", cluster_accounts())
    _refuse_partitions_without_gpu(path, asked, config)
    _refuse_dropped_arrays(path, flags, profile, count_jobs)


def _refuse_placeholders(path: Path, asked: Resources) -> None:
    for where, resources in asked.items():
        for key, value in resources.items():
            if value == PLACEHOLDER:
                raise ConfigError(
                    _key(where, key), PLACEHOLDER, "the name on your cluster",
                    "`sinfo -s` lists partitions, `sacctmgr show associations user=$USER` accounts",
                    where=str(path),
                )  # fmt: skip


def _key(where: str, key: str) -> str:
    return f"{where}.{key}" if where == DEFAULTS else f"{OF_RULES}.{where}.{key}"


def _refuse_without_gpu_key(
    path: Path, profile: Mapping[str, Any], asked: Resources, config: Config
) -> None:
    """Refuse a study of GPUs with a profile that asks for none, or that adds them up in groups."""
    stages = stages_on_gpu(config)
    for stage in stages:
        own = asked.get(stage) or {}
        if not {"gpu", "gres"} & {*own, *asked[DEFAULTS]}:
            raise ConfigError(
                f"set-resources.{stage}", dict(own), "gpu: 1 or gres: 'gpu:1', and the partition",
                f"{stages[stage]} is cuda; add it, or set device: cpu", where=str(path),
            )  # fmt: skip
    if stages and profile.get("groups"):
        raise ConfigError(
            "groups", profile["groups"], "no groups where jobs use GPUs",
            "members of a group add up their GPUs, more than a node has; remove the key",
            where=str(path),
        )  # fmt: skip


def stages_on_gpu(config: Config) -> dict[str, str]:
    """Stages of the profile whose jobs ask for a GPU, each with the key that says so."""
    found = {"segment": "segmentation.device"} if config.segmentation.device == "cuda" else {}
    if any(entry["device"] == "cuda" for entry in config.training):
        found["train"] = "training[].device"
    return found


def _refuse_names(path: Path, asked: Resources, key: str, known: Sequence[str]) -> None:
    """Compare named partitions or accounts with those of the cluster, where it can be asked."""
    what = key.removeprefix("slurm_")
    for where, resources in asked.items():
        wanted = resources.get(key)
        if known and wanted is not None and str(wanted) not in known:
            whose = "of this cluster" if what == "partition" else "that you may use here"
            raise ConfigError(
                _key(where, key), wanted, f"{'an' if what == 'account' else 'a'} {what} {whose}",
                nearest(str(wanted), known), where=str(path),
            )  # fmt: skip


def _refuse_partitions_without_gpu(path: Path, asked: Resources, config: Config) -> None:
    """Refuse a stage that asks for a GPU in a partition whose nodes have none."""
    partitions = cluster_partitions()
    default = next((p.rstrip("*") for p in partitions if p.endswith("*")), "")
    with_gpu = sorted(p.rstrip("*") for p, gres in partitions.items() if "gpu" in gres)
    idle = {"segment", "train"} - set(stages_on_gpu(config))
    for where, own in asked.items():
        resources = {**asked[DEFAULTS], **own}
        wants = resources.get("gpu") or "gpu" in str(resources.get("gres", ""))
        name = str(resources.get("slurm_partition", default))
        if partitions and wants and where not in idle and name not in with_gpu:
            way_out = f"name {' or '.join(with_gpu)}" if with_gpu else "no partition here has one"
            raise ConfigError(
                _key(where, "slurm_partition"), name, "a partition whose nodes have a GPU",
                f"{way_out}, or set device: cpu", where=str(path),
            )  # fmt: skip


def _refuse_dropped_arrays(
    path: Path, flags: Sequence[str], profile: Mapping[str, Any], count_jobs: Callable[[], int]
) -> None:
    """Refuse job arrays where the engine might start but some of the jobs of a rule that are ready.

    The plugin (2.7, 2.8) then waits for the others, forgets those that it has, and the run waits
    for them for ever (its issue 473).
    """

    def asked(*names: str) -> str:
        given = values_of(flags, *(f"--{n}" if len(n) > 1 else f"-{n}" for n in names))
        return str(given[-1] if given else profile.get(names[0], ""))

    if not asked("slurm-array-jobs"):
        return
    needed = count_jobs()
    rate, jobs = asked("max-jobs-per-timespan"), asked("jobs", "j")
    wrong = (
        ("jobs", jobs, f"at least {needed}, all jobs of the study", _below(jobs, needed)),
        ("max-jobs-per-timespan", rate, f"{needed}/5s or more", _below(rate, needed)),
        ("scheduler", asked("scheduler"), "greedy", asked("scheduler") != "greedy"),
        *((key, asked(key), "no such limit", bool(asked(key))) for key in _OTHER_LIMITS),
    )
    for key, value, expected, is_wrong in wrong:
        if is_wrong:
            raise ConfigError(
                key, value or None, f"{expected}, with slurm-array-jobs",
                "the plugin forgets jobs of an array that may not start together; change it, take "
                "a larger batch_size, or remove slurm-array-jobs", where=str(path),
            )  # fmt: skip


def _below(value: str, needed: int) -> bool:
    """Whether a limit such as ``100`` or ``100/1s`` is too low; none given is, too."""
    number = value.partition("/")[0]
    return number != "unlimited" and (not number.isdecimal() or int(number) < needed)


def cluster_partitions() -> dict[str, str]:
    """Partitions that ``sinfo`` lists with their generic resources; the default's name ends in *.

    None where there is no SLURM or it does not answer.
    """
    found: dict[str, str] = {}
    for line in _asked("sinfo", "-h", "-o", "%P|%G"):
        name, _, gres = line.partition("|")
        found[name] = f"{found.get(name, '')} {gres}".strip()
    return found


def cluster_accounts() -> list[str]:
    """Accounts of this user; none where accounting does not answer or keeps no associations."""
    user = getpass.getuser()
    words = ("-n", "-P", "show", "associations", f"user={user}", "format=account")
    return sorted({line.strip() for line in _asked("sacctmgr", *words)} - {""})


def _asked(program: str, *words: str) -> list[str]:
    """Lines that a program of SLURM prints; none where it is missing, fails or takes too long."""
    if shutil.which(program) is None:
        return []
    try:
        done = subprocess.run(
            [program, *words], capture_output=True, text=True, check=False, timeout=_PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []
