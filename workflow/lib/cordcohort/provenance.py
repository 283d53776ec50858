"""The run record: hashes of everything that went into a run and of the tables that came out.

``results/provenance/run.json`` is meant for sharing: it holds hashes, versions and counts, no path,
user or host. ``inputs.parquet`` beside it lists every input file with its SHA-256, relative to its
data set; it stays with the study. A file whose size and time are those of the last run is not
hashed again; ``cordcohort check --deep`` hashes every one.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from cordcohort import __version__
from cordcohort.bids.index import Index, rows_of
from cordcohort.digest import files_digest
from cordcohort.errors import CordcohortError
from cordcohort.files import read_yaml, sha256_of, write_json
from cordcohort.level_choice import DISC_MODEL, chosen_sources
from cordcohort.level_plan import DETECTED
from cordcohort.root import workflow_root
from cordcohort.scan import COHORT, CONFIG_PATH, RESULTS, SCANS, masks_of
from cordcohort.table import read_parquet, write_parquet

if TYPE_CHECKING:
    from cordcohort.config import Config

RUN_RECORD = f"{RESULTS}/provenance/run.json"
INPUTS = f"{RESULTS}/provenance/inputs.parquet"
INPUT_COLUMNS = ["dataset", "path", "size", "mtime_ns", "sha256"]
SCHEMA = 1
UNREADABLE = ""  # instead of a hash
_SHEETS = ("participants.tsv", "sub-*/sub-*_sessions.tsv", "phenotype/*.tsv")


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that a study is made from: its data set, its place there, and where it lies now."""

    dataset: str
    place: str
    path: Path


def input_files(config: Config, index: Index) -> Iterator[InputFile]:
    """Every image, mask, sidecar, gradient file and sheet of a study, each once."""
    roots = {dataset.name: dataset.root for dataset in config.datasets}
    seen: set[Path] = set()
    for row in rows_of(index.scans):
        masks = [mask["path"] for mask in masks_of(row)]
        for text in (row["image"], row["sidecar"], row["bval"], row["bvec"], *masks):
            path = Path(str(text))
            if text and path not in seen:
                seen.add(path)
                yield _input_file(str(row["dataset"]), roots[row["dataset"]], path)
    for name, root in roots.items():
        for pattern in _SHEETS:
            for path in sorted(root.glob(pattern)):
                yield _input_file(name, root, path)


def _input_file(dataset: str, root: Path, path: Path) -> InputFile:
    place = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    return InputFile(dataset, place, path)


def hash_inputs(files: Iterable[InputFile], known: pd.DataFrame) -> pd.DataFrame:
    """Hash input files; one of the known size and time keeps its known hash.

    Parameters
    ----------
    files : iterable of InputFile
    known : DataFrame
        What was recorded before (:func:`recorded_inputs`); may be empty.

    Returns
    -------
    DataFrame
        ``dataset, path, size, mtime_ns, sha256``, sorted; the hash of an unreadable file is empty.
    """
    before = {(row[0], row[1], row[2], row[3]): row[4] for row in _rows(known)}
    rows: list[tuple[str, str, int, int, str]] = []
    for file in files:
        try:
            stat = file.path.stat()
            key = (file.dataset, file.place, stat.st_size, stat.st_mtime_ns)
            rows.append((*key, before.get(key) or sha256_of(file.path)))
        except OSError:
            rows.append((file.dataset, file.place, 0, 0, UNREADABLE))
    return pd.DataFrame(sorted(rows), columns=INPUT_COLUMNS)


def recorded_inputs(study: Path | str) -> pd.DataFrame:
    """Input files of the last run with their hashes; empty before the first."""
    path = Path(study) / INPUTS
    return read_parquet(path) if path.is_file() else pd.DataFrame(columns=INPUT_COLUMNS)


def _rows(inputs: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(inputs[INPUT_COLUMNS].itertuples(index=False, name=None))


def record_run(study: Path | str, config: Config, index: Index) -> list[str]:
    """Write the run record and the table of inputs after a run that ended well.

    Parameters
    ----------
    study : path
        Folder of the study.
    config, index
        What the run was planned from.

    Returns
    -------
    list of str
        Images and masks that were changed while the run went on: their results may be of either
        version, and the next run makes them anew.
    """
    study = Path(study)
    inputs = hash_inputs(input_files(config, index), recorded_inputs(study))
    write_parquet(study / INPUTS, inputs)
    changed = _changed_meanwhile(config, index, inputs)
    write_json(study / RUN_RECORD, run_record(study, config, inputs) | {"changed_inputs": changed})
    return changed


def _changed_meanwhile(config: Config, index: Index, inputs: pd.DataFrame) -> list[str]:
    """Files whose size or time is no longer that of the index."""
    now = {(row[0], row[1]): (row[2], row[3]) for row in _rows(inputs)}
    roots = {dataset.name: dataset.root for dataset in config.datasets}
    changed: list[str] = []
    for row in rows_of(index.scans):
        states = [(row["image"], row["image_size"], row["image_mtime_ns"], row["status"])]
        states += [(m["path"], m["size"], m["mtime_ns"], m["status"]) for m in masks_of(row)]
        for path, size, mtime_ns, status in states:
            if path and status == "ok":
                file = _input_file(str(row["dataset"]), roots[row["dataset"]], Path(str(path)))
                if now.get((file.dataset, file.place)) != (size, mtime_ns):
                    changed.append(f"{file.dataset}/{file.place}")
    return sorted(set(changed))


def run_record(study: Path, config: Config, inputs: pd.DataFrame) -> dict[str, Any]:
    """What a run was made of, without a path, a user or a host.

    Returns
    -------
    dict
        ``schema, cordcohort, code_sha256, python, system, packages, environments, config,
        models, inputs, tables``.
    """
    root = workflow_root()
    return {
        "schema": SCHEMA,
        "cordcohort": __version__,
        "code_sha256": files_digest("workflow", root, suffixes=(".py", ".smk", ".yaml")),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {d.metadata["Name"].lower(): d.version for d in distributions()},
        "environments": _hashes(root, ["requirements*.lock", "envs/*.yaml", "envs/*.txt"]),
        "config": {name: sha256_of(p) for name, p in config_files(study, config.exclude).items()},
        "models": {
            name: {path.name: sha256_of(path) for path in files}
            for name, files in model_files(
                study, config.segmentation.models, config.measures.levels
            ).items()
        }
        | {str(e["name"]): dict(e["sha256"]) for e in config.segmentation.external_models},
        "inputs": {
            "files": len(inputs),
            "unreadable": int((inputs["sha256"] == UNREADABLE).sum()),
            "sha256": _one_hash(inputs),
        },
        "tables": _hashes(study, [COHORT, SCANS, f"{RESULTS}/statistics/*.tsv"]),
    }


def config_files(study: Path, lists: Iterable[Path]) -> dict[str, Path]:
    """The configuration and the exclusion lists that exist, by their place in the study.

    A list that lies elsewhere goes by a number and its name: no folder of this machine is told.
    """
    found: dict[str, Path] = {}
    home = study.resolve()
    for number, path in enumerate((study / CONFIG_PATH, *lists)):
        whole = path.resolve()
        inside = whole.is_relative_to(home)
        name = whole.relative_to(home).as_posix() if inside else f"outside-{number}/{path.name}"
        if path.is_file():
            found[name] = path
    return found


def model_files(
    study: Path, models: Iterable[str], levels: str | Sequence[str]
) -> dict[str, list[Path]]:
    """Card and weights of every model that a study draws with, detects discs with, or trained.

    Parameters
    ----------
    study : Path
        Folder of the study.
    models : iterable of str
        ``segmentation.models``.
    levels : str or sequence of str
        ``measures.levels``.
    """
    names = list(models)
    folders = {name: _shipped_folder(name) for name in names}
    if names and DETECTED in chosen_sources(levels):
        folders[DISC_MODEL] = _shipped_folder(DISC_MODEL)
    trained = (study / RESULTS / "models").glob("*/model.yaml")
    folders |= {card.parent.name: card.parent for card in sorted(trained)}
    return {
        name: sorted(p for pattern in ("*.safetensors", "model.yaml") for p in folder.glob(pattern))
        for name, folder in folders.items()
    }


def _hashes(folder: Path, patterns: Iterable[str]) -> dict[str, str]:
    """File name to SHA-256 of the files that match."""
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return {path.name: sha256_of(path) for path in sorted(found)}


def _one_hash(inputs: pd.DataFrame) -> str:
    """One hash of all inputs that does not depend on when they were copied."""
    lines = [f"{row[0]}/{row[1]} {row[4]}" for row in _rows(inputs)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _shipped_folder(name: str) -> Path:
    """Folder of a model of the registry; that of its name where the registry lacks it."""
    models = workflow_root() / "models"
    try:
        return models / str(read_yaml(models / "registry.yaml")["models"][name]["folder"])
    except (CordcohortError, KeyError, TypeError):
        return models / name
