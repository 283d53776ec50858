"""Make a model folder from training runs: weights, card, recipes, logs, curves, registry entry."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import load_file

from cordcohort.files import read_json, read_yaml, sha256_of, write_text
from cordcohort.segmentation.registry import CARD, REGISTRY, SCHEMA, check_card
from cordcohort.training.losses import LINEAR_LOSSES
from cordcohort.training.recipe import Recipe, read_recipe
from cordcohort.training.state import save_tensors

LABELS = {"cord": {"1": "cord"}, "discs": {"2": "joint C1/C2", "3": "disc C2/C3", "25": "L5/S1"}}
"""What the labels of a task mean; discs count on from one to the next."""


def publish(
    folder: Path, runs: Mapping[str, Path], *, name: str,
    notes: Mapping[str, Any] | None = None, logit_offset: float = 0.0,
) -> Path:  # fmt: skip
    """Write a model folder and list it in the registry beside it.

    Parameters
    ----------
    folder
        For example ``models/cord-v1``; its parent holds ``registry.yaml``.
    runs
        Output folder of :func:`cordcohort.training.engine.train` for each stage
        (``localiser`` and ``cord``, or ``discs``).
    notes
        Further keys of the card: ``description``, ``validation``, ``citation``.

    logit_offset
        Added to the cord network's raw output: corrects a constant bias of area.

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
        stages[stage] = _stage(recipe, stage)
        training[stage] = _training(recipe, run)
    task = "discs" if "discs" in stages else "cord"
    if task == "cord":
        stages["cord"]["logit_offset"] = float(logit_offset)
    card = {
        "schema": SCHEMA, "name": name, "task": task, "labels": LABELS[task],
        "orientation": "RAS", "threshold": 0.5, "stages": stages, "training": training,
        "licence": "GPL-3.0-or-later", **(notes or {}),
    }  # fmt: skip
    check_card(card, name)
    write_text(folder / CARD, yaml.safe_dump(card, sort_keys=False, width=100, allow_unicode=True))
    _list(folder, name, task)
    return folder / CARD


def _stage(recipe: Recipe, stage: str) -> dict[str, Any]:
    """What inference needs to know of a stage."""
    painting = recipe.painting
    return {
        "architecture": recipe.network["name"],
        "options": recipe.network["options"],
        "weights": f"{stage}.safetensors",
        "spacing_mm": float(painting["pixel_mm"]),
        "patch": int(painting["grid"]),
        "neighbour_mm": float(painting["neighbour_mm"]),
        "normalisation": "z-score of each crop over what lies inside the scan",
        "activation": "relu_clip" if recipe.loss["name"] in LINEAR_LOSSES else "sigmoid",
    }


def _training(recipe: Recipe, run: Path) -> dict[str, Any]:
    """What the weights were made from."""
    numbers = read_json(run / "state.json")
    steps = int(numbers.get("best_step", numbers["step"]))
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "data": "painted label maps only, no image",
        "sources": recipe.sources,
        "loss": recipe.loss["name"],
        "samples": steps * int(recipe.schedule["batch_size"]),
        "minutes": round(float(numbers["seconds"]) / 60, 1),
        "validation_loss": round(float(numbers["best"]), 5),
    }


def _list(folder: Path, name: str, task: str) -> None:
    """Enter the model into the registry."""
    path = folder.parent / REGISTRY
    content = read_yaml(path) if path.is_file() else {"models": {}}
    weights = {f.name: sha256_of(f) for f in sorted(folder.glob("*.safetensors"))}
    content["models"][name] = {"folder": folder.name, "task": task, "weights": weights}
    write_text(path, yaml.safe_dump(content, sort_keys=True, width=100))
