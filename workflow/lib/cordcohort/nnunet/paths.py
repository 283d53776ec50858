"""Where the steps of an nnU-Net training lie; light, since every parse of the rules asks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cordcohort.files import read_yaml
from cordcohort.scan import RESULTS
from cordcohort.trained import model_folder

TORCH, NNUNET = "torch", "nnunet"
PLANNED = "planned.json"
PLANS, DATASET = "plans.json", "dataset.json"
WEIGHTS = "weights.safetensors"
DATASET_ID = 1


def backend_of(entry: Mapping[str, Any]) -> str:
    """What trains a declared model; where the declaration does not say, its recipe does."""
    return str(entry.get("backend") or recipe_backend(Path(str(entry["recipe"]))))


def recipe_backend(recipe: Path) -> str:
    """What a recipe is for."""
    return str((read_yaml(recipe) or {}).get("backend", TORCH))


def folder_files(entry: Mapping[str, Any]) -> list[str]:
    """Files of a declared model folder."""
    return [f"{entry['folder']}/{file}" for file in sorted(entry["sha256"])]


def work_folder(name: str) -> str:
    """Folder of a training's own files, kept between runs."""
    return f"{RESULTS}/training/{name}/nnunet"


def dataset_name(name: str) -> str:
    """Name of the data set in nnU-Net's folders.

    Examples
    --------
    >>> dataset_name("sciseg-7")
    'Dataset001_sciseg7'
    """
    plain = "".join(letter for letter in name if letter.isalnum())
    return f"Dataset{DATASET_ID:03d}_{plain}"


def planned_record(name: str) -> str:
    """Record of export, plan and preprocessing."""
    return f"{work_folder(name)}/{PLANNED}"


def fold_record(name: str, fold: int) -> str:
    """Record of a fold that has been trained."""
    return f"{work_folder(name)}/fold_{fold}.json"


def nnunet_outputs(name: str) -> list[str]:
    """Files that the rule of the finished model promises."""
    folder = model_folder(name)
    return [f"{folder}/{file}" for file in ("model.yaml", PLANS, DATASET)]


def n_folds(entry: Mapping[str, Any]) -> int:
    """Number of folds of a declared training."""
    content = read_yaml(Path(str(entry["recipe"]))) or {}
    return int(content.get("folds", 1))
