"""Make a model folder from training runs: weights, card, recipes, logs, curves, registry entry."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import load_file

from cordcohort.files import read_json, read_yaml, sha256_of, write_text
from cordcohort.measures.regions import REGION_CODES
from cordcohort.model_uses import LESION
from cordcohort.segmentation.lesion_block import BLOCK, STEP_MM
from cordcohort.segmentation.registry import (
    CARD,
    REGISTRY,
    SCHEMA,
    SOFTMAX,
    THRESHOLDS,
    check_card,
    models_folder,
)
from cordcohort.spinal_names import DORSAL, ROOTLET_CLASSES, rootlet_name
from cordcohort.training.losses import CLASS_LOSSES, LINEAR_LOSSES, SOFTMAX_LOSSES
from cordcohort.training.recipe import ROOTLETS, Recipe, is_of_volumes, read_recipe
from cordcohort.training.state import save_tensors

LABELS = {
    "cord": {"1": "cord"},
    "discs": {"2": "joint C1/C2", "3": "disc C2/C3", "25": "L5/S1"},
    "regions": {str(code): name for name, code in REGION_CODES.items()},
    ROOTLETS: {},
    LESION: {"1": "cord, lesions included", "2": "lesion"},
}
"""What the labels of a task mean; discs count on from one to the next, rootlets depend on the
recipe's classes."""


def publish(
    folder: Path, runs: Mapping[str, Path], *, name: str,
    notes: Mapping[str, Any] | None = None, logit_offset: float = 0.0, localiser_of: str = "",
    register: bool = True,
) -> Path:  # fmt: skip
    """Write a model folder and, where wanted, list it in the registry beside it.

    Parameters
    ----------
    folder
        For example ``models/cord-v1``; its parent holds ``registry.yaml``.
    runs
        Output folder of :func:`cordcohort.training.engine.train` for each stage
        (``localiser`` and ``cord``; a cord network of volumes may stand alone; or ``discs``,
        ``regions``, ``rootlets``, for fine filaments with ``details``, or ``lesion``).
    notes
        Further keys of the card: ``description``, ``validation``, ``citation``.

    logit_offset
        Added to the cord network's raw output: corrects a constant bias of area.
    localiser_of
        Registered model (or folder of one) whose localiser is copied into this one.
    register
        Enter the model into the registry beside its folder.

    Returns
    -------
    Path
        The card.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stages: dict[str, Any] = {}
    training: dict[str, Any] = {}
    for stage, run in runs.items():
        recipe = read_recipe(run / "recipe.yaml")
        save_tensors(folder / f"{stage}.safetensors", load_file(str(run / "weights.safetensors")))
        for file in ("recipe.yaml", "log.csv", "curve.png"):
            shutil.copyfile(run / file, folder / f"{stage}-{file}")
        stages[stage] = _stage(recipe, stage) | _thresholds(run)
        training[stage] = _training(recipe, run)
    task = next((name for name in stages if name in LABELS), "cord")
    if task == "cord":
        stages["cord"]["logit_offset"] = float(logit_offset)
    if localiser_of:
        stages["localiser"], training["localiser"] = _borrowed(folder, localiser_of)
    card = {
        "schema": SCHEMA, "name": name, "task": task, "labels": _labels(task, runs),
        "orientation": "RAS", "threshold": 0.5, "stages": stages, "training": training,
        "licence": "GPL-3.0-or-later", **(notes or {}),
    }  # fmt: skip
    check_card(card, name)
    write_text(folder / CARD, yaml.safe_dump(card, sort_keys=False, width=100, allow_unicode=True))
    if register:
        _list(folder, name, task)
    return folder / CARD


def _labels(task: str, runs: Mapping[str, Path]) -> dict[str, str]:
    """What the labels that a model draws mean."""
    if task == LESION:
        parts = read_recipe(runs[task] / "recipe.yaml").regions[2:]
        return LABELS[task] | {str(code): name for code, name in enumerate(parts, start=3)}
    if task != ROOTLETS:
        return LABELS[task]
    classes = read_recipe(runs[task] / "recipe.yaml").painting.get("classes", DORSAL)
    return {str(code): rootlet_name(code) for code in ROOTLET_CLASSES[classes]}


def _thresholds(run: Path) -> dict[str, Any]:
    """What the training chose for outputs that want a threshold each."""
    summary = run / "summary.json"
    found = read_json(summary).get(THRESHOLDS) if summary.is_file() else None
    return {THRESHOLDS: found} if found else {}


def _borrowed(folder: Path, model: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Copy another model's localiser; its stage and what its weights were made from."""
    source = Path(model) if Path(model).is_dir() else models_folder() / model
    card = check_card(read_yaml(source / CARD), str(source / CARD))
    stage = card["stages"]["localiser"]
    shutil.copyfile(source / stage["weights"], folder / stage["weights"])
    return stage, {"model": card["name"], **card.get("training", {}).get("localiser", {})}


def _stage(recipe: Recipe, stage: str) -> dict[str, Any]:
    """What inference needs to know of a stage."""
    loss = recipe.loss["name"]
    linear = loss in LINEAR_LOSSES
    known = {
        "architecture": recipe.network["name"],
        "options": recipe.network["options"],
        "weights": f"{stage}.safetensors",
        "normalisation": "z-score of each crop over what lies inside the scan",
    }
    if "lesions" in recipe.painting:
        return known | {
            "normalisation": "quartiles of each block over the drawn cord",
            "spacing_mm": STEP_MM[-1],
            "patch": list(BLOCK),
            "activation": "sigmoid",
            "in_cord": True,
        }
    if is_of_volumes(recipe.network):
        return known | {
            "spacing_mm": float(recipe.patches["spacing_mm"][0]),
            "patch": recipe.patches["size"],
            "activation": "relu_normalised" if linear else "sigmoid",
        }
    if recipe.patches:
        spacing, patch = recipe.patches["spacing_mm"], recipe.patches["size"][2]
        grid = {"spacing_mm": spacing[2], "patch": patch, "neighbour_mm": spacing[0]}
    else:
        painting = recipe.painting
        grid = {"spacing_mm": float(painting["pixel_mm"]), "patch": int(painting["grid"]),
                "neighbour_mm": float(painting["neighbour_mm"])}  # fmt: skip
    if loss in CLASS_LOSSES:
        return known | grid | {"activation": SOFTMAX if loss in SOFTMAX_LOSSES else THRESHOLDS}
    return known | grid | {"activation": "relu_clip" if linear else "sigmoid"}


def _training(recipe: Recipe, run: Path) -> dict[str, Any]:
    """What the weights were made from."""
    numbers = read_json(run / "state.json")
    steps = int(numbers.get("best_step", numbers["step"]))
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "data": _data(recipe),
        "sources": recipe.sources,
        "loss": recipe.loss["name"],
        "samples": steps * int(recipe.schedule["batch_size"]),
        "minutes": round(float(numbers["seconds"]) / 60, 1),
        "validation_loss": round(float(numbers["best"]), 5),
        **({"validated_on": numbers["validated_on"]} if "validated_on" in numbers else {}),
    }


def _data(recipe: Recipe) -> str:
    """What the network was shown."""
    if not recipe.sources["cohort"]:
        return "painted label maps only, no image"
    painted = any(recipe.sources[key] for key in ("atlas", "masks", "phantom"))
    return "scans of a cohort" + (" and painted label maps" if painted else "")


def _list(folder: Path, name: str, task: str) -> None:
    """Enter the model into the registry."""
    path = folder.parent / REGISTRY
    content = read_yaml(path) if path.is_file() else {"models": {}}
    weights = {f.name: sha256_of(f) for f in sorted(folder.glob("*.safetensors"))}
    content["models"][name] = {"folder": folder.name, "task": task, "weights": weights}
    write_text(path, yaml.safe_dump(content, sort_keys=True, width=100))
