"""What would make a run fail late or do harm, refused before it starts with the way out."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cordcohort.config import Config
from cordcohort.errors import ConfigError, CordcohortError
from cordcohort.files import read_yaml
from cordcohort.nnunet.needed import require_nnunet
from cordcohort.nnunet.paths import NNUNET, backend_of
from cordcohort.validation import nearest

PLACEHOLDER = "CHANGE_ME"
_PROFILE_FLAGS = ("--profile", "--workflow-profile")
_RUNS_NOTHING = {"-n", "--dry-run", "--dryrun", "--unlock", "--nolock", "--lint", "--summary", "-D"}
_SINFO_PATIENCE_S = 30


def profile_folder(flags: Sequence[str]) -> Path | None:
    """Folder of the profile that the engine's flags name, or nothing.

    Examples
    --------
    >>> profile_folder(["--cores", "2", "--workflow-profile=there"])
    PosixPath('there')
    """
    for position, flag in enumerate(flags):
        name, _, value = flag.partition("=")
        if name in _PROFILE_FLAGS:
            value = value or (flags[position + 1] if position + 1 < len(flags) else "")
            return Path(value) if value else None
    return None


def uses_conda(flags: Sequence[str]) -> bool:
    """Whether the engine's flags, or the profile that they name, ask for conda environments."""
    text = " ".join(flags)
    if "conda" in text.split("--workflow-profile")[0]:
        return True
    folder = profile_folder(flags)
    path = folder / "config.yaml" if folder is not None else None
    if path is None or not path.is_file():
        return False
    profile = read_yaml(path) or {}
    return "conda" in str(profile.get("software-deployment-method", ""))


def refuse_early(study: Path, flags: Sequence[str], config: Config) -> None:
    """Check lock, environments and profile before a run.

    Raises
    ------
    CordcohortError, ConfigError
        With the way out.
    """
    if not _RUNS_NOTHING & set(flags):
        refuse_locked(study)
        refuse_without_nnunet(config, flags)
    refuse_half_built(study)
    folder = profile_folder(flags)
    if folder is not None and (folder / "config.yaml").is_file():
        refuse_profile(folder / "config.yaml", config)


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


def refuse_half_built(study: Path) -> None:
    """Refuse an environment whose building broke off, or that does not hold its pinned versions.

    The engine only warns where pins cannot be had and then takes other versions.
    """
    folder = study / ".snakemake" / "conda"
    for recipe in sorted(folder.glob("*.yaml")):
        built = folder / recipe.stem
        way_out = f"remove {built} and run `cordcohort run {study} --prepare` with a network"
        if not built.is_dir():
            continue
        records = {path.name for path in (built / "conda-meta").glob("*.json")}
        if not records:
            raise CordcohortError(f"{built}: the environment is half built; {way_out}")
        for name, version in pinned(read_yaml(recipe)):
            if not any(record.startswith(f"{name}-{version}-") for record in records):
                raise CordcohortError(
                    f"{built}: expected {name} {version} as pinned, found another; {way_out}"
                )


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


def refuse_profile(path: Path, config: Config) -> None:
    """Refuse a profile that is not filled in, names no partition of this cluster, or hides GPUs."""
    profile = read_yaml(path) or {}
    if profile.get("executor") != "slurm":
        return
    defaults: Mapping[str, Any] = profile.get("default-resources") or {}
    stages: Mapping[str, Mapping[str, Any]] = profile.get("set-resources") or {}
    for where, resources in [("default-resources", defaults), *stages.items()]:
        for key, value in resources.items():
            if value == PLACEHOLDER:
                raise ConfigError(
                    f"{where}.{key}", PLACEHOLDER, "the name on your cluster",
                    "`sinfo -s` lists partitions, `sacctmgr show associations` accounts",
                    where=str(path),
                )  # fmt: skip
    segment = stages.get("segment") or {}
    if config.segmentation.device == "cuda" and not {"gpu", "gres"} & {*segment, *defaults}:
        raise ConfigError(
            "set-resources.segment", dict(segment), "gpu: 1 or gres: 'gpu:1', and the partition",
            "segmentation.device is cuda; add it, or set device: cpu", where=str(path),
        )  # fmt: skip
    _refuse_partitions(path, {"default-resources": defaults, **stages})


def _refuse_partitions(path: Path, stages: Mapping[str, Mapping[str, Any]]) -> None:
    """Compare the named partitions with those of the cluster, where it can be asked."""
    known = cluster_partitions()
    for where, resources in stages.items():
        wanted = resources.get("slurm_partition")
        if known and wanted is not None and str(wanted) not in known:
            raise ConfigError(
                f"{where}.slurm_partition", wanted, "a partition of this cluster",
                nearest(str(wanted), known), where=str(path),
            )  # fmt: skip


def cluster_partitions() -> list[str]:
    """Partitions that ``sinfo`` lists; none where there is no SLURM or it does not answer."""
    if shutil.which("sinfo") is None:
        return []
    try:
        done = subprocess.run(
            ["sinfo", "-h", "-o", "%R"], capture_output=True, text=True, check=False,
            timeout=_SINFO_PATIENCE_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return []
    return sorted(set(done.stdout.split()))
