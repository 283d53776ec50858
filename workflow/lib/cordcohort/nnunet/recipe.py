"""A training recipe of nnU-Net v2: what is told to its planner and trainer, nothing more.

It names only what a study decides; patch size, spacing and network are nnU-Net's own plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cordcohort.errors import ConfigError
from cordcohort.files import read_yaml
from cordcohort.model_uses import STRUCTURES
from cordcohort.nnunet.orientation import axes_of
from cordcohort.nnunet.paths import NNUNET
from cordcohort.spinal_names import DORSAL, ROOTLET_CLASSES, rootlet_name
from cordcohort.trained import REGIONS
from cordcohort.training.nested import ABSENT

CONFIGURATIONS = ("2d", "3d_fullres")
LOSSES = ("dice_ce", "dice_ce_no_smooth")
MOST = 100_000
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "sources": {"cohort": [], "split": {}},
    "split": {"seed": 15, "train": 0.6, "validation": 0.2},
    "planner": {"gpu_memory_gb": 8.0, "features": 32, "spacing_mm": []},
    "trainer": {
        "loss": "dice_ce", "epochs": 1000, "iterations": 250, "validation_iterations": 50,
        "learning_rate": 0.01, "checkpoint_every": 50,
    },
}  # fmt: skip
_COHORT = {"folder": "", "masks": "manual", "contrasts": [], "without_lesion": "skip"}
_TOP = frozenset({
    "name", "backend", "task", "regions", "classes", "seed", "configuration", "orientation",
    "folds", "sources", "planner", "trainer",
})  # fmt: skip
ROOTLETS = "rootlets"
_TASKS = ("cord", "lesion", ROOTLETS)
_ORIENTATIONS = {ROOTLETS: "LPI"}
"""Where it is not the usual one: as the published models have it."""


@dataclass(frozen=True)
class NnunetRecipe:
    """A checked recipe.

    Attributes
    ----------
    name, task, seed
        As in other recipes; the seed is of the weights and of what is drawn in training.
    regions
        Outputs, each a region of its own; masks of these names are read. Of rootlets the exclusive
        labels.
    classes
        Of the task ``rootlets``, key of :data:`cordcohort.spinal_names.ROOTLET_CLASSES`.
    configuration
        ``2d`` or ``3d_fullres``.
    orientation
        Code of the axes that the scans are turned to.
    folds
        1 trains on the persons of the split; more are a cross-validation by person over those who
        train and validate.
    cohort
        Data sets, methods and contrasts.
    split, planner, trainer
        With defaults.
    """

    name: str
    task: str
    seed: int
    regions: tuple[str, ...]
    configuration: str
    orientation: str
    folds: int
    cohort: tuple[Mapping[str, Any], ...]
    split: Mapping[str, Any]
    planner: Mapping[str, Any]
    trainer: Mapping[str, Any]
    classes: str = ""


def read_nnunet_recipe(path: Path) -> NnunetRecipe:
    """Read and check a recipe.

    Raises
    ------
    ConfigError
        Unknown or missing keys, values that nnU-Net or this backend cannot train with.
    """
    return parse_nnunet_recipe(read_yaml(path) or {}, path.name)


def parse_nnunet_recipe(content: Mapping[str, Any], where: str = "recipe") -> NnunetRecipe:
    """Check the content of a recipe and fill in the defaults.

    Examples
    --------
    >>> recipe = parse_nnunet_recipe({"name": "a", "backend": "nnunet", "task": "lesion", "seed": 7,
    ...                               "sources": {"cohort": [{"folder": "scans"}]}})
    >>> recipe.regions, recipe.trainer["epochs"], recipe.orientation
    (('cord', 'lesion'), 1000, 'RPI')
    """
    for key in ("name", "backend", "task", "seed"):
        if key not in content:
            raise ConfigError(key, None, "a value", f"add '{key}' to the recipe", where)
    _known(content, _TOP, "", where)
    _one_of("backend", content["backend"], (NNUNET,), where)
    task = _one_of("task", content["task"], _TASKS, where)
    configuration = content.get("configuration", "3d_fullres")
    sources = _filled("sources", content.get("sources"), where)
    classes = _classes(content, task, where)
    return NnunetRecipe(
        str(content["name"]), task, _whole("seed", content["seed"], 0, 2**31 - 1, where),
        _labels_of(classes) if classes else
        _regions(content.get("regions") or STRUCTURES[task], task, where),
        _one_of("configuration", configuration, CONFIGURATIONS, where),
        _orientation(content.get("orientation", _ORIENTATIONS.get(task, "RPI"))),
        _whole("folds", content.get("folds", 1), 1, 20, where),
        _cohort(sources["cohort"], where), _filled("split", sources["split"], where),
        _planner(_filled("planner", content.get("planner"), where), where),
        _trainer(_filled("trainer", content.get("trainer"), where), where), classes,
    )  # fmt: skip


def _classes(content: Mapping[str, Any], task: str, where: str) -> str:
    """Which rootlets are told apart; other tasks name their regions."""
    other = "regions" if task == ROOTLETS else "classes"
    if content.get(other):
        raise ConfigError(other, content[other], f"no such key for the task {task}",
                          "remove it", where)  # fmt: skip
    given = content.get("classes", DORSAL)
    return _one_of("classes", given, tuple(ROOTLET_CLASSES), where) if task == ROOTLETS else ""


def _labels_of(classes: str) -> tuple[str, ...]:
    return tuple(rootlet_name(code) for code in ROOTLET_CLASSES[classes])


def dataset_labels(regions: tuple[str, ...], *, exclusive: bool = False) -> dict[str, Any]:
    """``labels`` and ``regions_class_order`` of the ``dataset.json`` of nested regions.

    One region alone is one label, as nnU-Net has it. Exclusive labels count on from 1.

    Examples
    --------
    >>> dataset_labels(("cord", "lesion"))["labels"]
    {'background': 0, 'cord': [1, 2], 'lesion': [2]}
    >>> dataset_labels(("cord", "lesion", "oedema", "haemorrhage"))["labels"]["lesion"]
    [2, 3, 4]
    >>> dataset_labels(("C2", "C3"), exclusive=True)
    {'labels': {'background': 0, 'C2': 1, 'C3': 2}}
    """
    values = range(1, len(regions) + 1)
    inside = {"cord": list(values), "lesion": [v for v in values if v > 1]}
    labels = {name: inside.get(name, [v]) for name, v in zip(regions, values, strict=True)}
    if exclusive or len(regions) == 1:
        return {"labels": {"background": 0, **dict(zip(regions, values, strict=True))}}
    return {"labels": {"background": 0, **labels}, "regions_class_order": list(values)}


def structures_of(recipe: NnunetRecipe) -> dict[str, Any]:
    """Labels of each structure that a trained model draws; of a label map {code: label}."""
    if recipe.task == ROOTLETS:
        return {ROOTLETS: {code: rootlet_name(code) for code in ROOTLET_CLASSES[recipe.classes]}}
    return {s: [s] for s in recipe.regions}


def _regions(given: Any, task: str, where: str) -> tuple[str, ...]:
    regions = tuple(str(name) for name in given)
    needed = STRUCTURES[task]
    rest = regions[len(needed) :]
    if (
        regions[: len(needed)] != needed
        or (rest and task == "cord")
        or set(rest) - set(REGIONS[2:])
    ):
        expected = ", ".join(needed) + ("" if task == "cord" else ", then oedema, haemorrhage")
        raise ConfigError("regions", list(regions), expected, "correct the recipe", where)
    return regions


def _orientation(code: Any) -> str:
    axes_of(str(code))
    return str(code)


def _cohort(given: Any, where: str) -> tuple[Mapping[str, Any], ...]:
    entries = [given] if isinstance(given, Mapping) else list(given or [])
    found = []
    for number, entry in enumerate(entries):
        key = f"sources.cohort[{number}]"
        _known(entry, frozenset(_COHORT), f"{key}.", where)
        filled = {**_COHORT, **entry}
        _one_of(f"{key}.without_lesion", filled["without_lesion"], ABSENT, where)
        if not filled["folder"]:
            raise ConfigError(f"{key}.folder", "", "a name for the data set", "add it", where)
        found.append(filled)
    if not found:
        raise ConfigError("sources.cohort", given, "a data set", "add {folder: NAME}", where)
    return tuple(found)


def _planner(block: dict[str, Any], where: str) -> dict[str, Any]:
    _whole("planner.features", block["features"], 4, 512, where)
    _number("planner.gpu_memory_gb", block["gpu_memory_gb"], 0.01, 1000, where)
    spacing = block["spacing_mm"]
    if spacing and len(spacing) != 3:  # noqa: PLR2004
        raise ConfigError("planner.spacing_mm", spacing, "three lengths (z, y, x) or none",
                          "correct the recipe", where)  # fmt: skip
    for one in spacing:
        _number("planner.spacing_mm", one, 0.05, 20, where)
    return block


def _trainer(block: dict[str, Any], where: str) -> dict[str, Any]:
    _one_of("trainer.loss", block["loss"], LOSSES, where)
    for key in ("epochs", "iterations", "validation_iterations", "checkpoint_every"):
        _whole(f"trainer.{key}", block[key], 1, MOST, where)
    _number("trainer.learning_rate", block["learning_rate"], 1e-8, 10, where)
    return block


def _filled(name: str, given: Any, where: str) -> dict[str, Any]:
    block = given or {}
    prefix = "sources.split." if name == "split" else f"{name}."
    if not isinstance(block, Mapping):
        raise ConfigError(name, given, "a block of keys", "correct the recipe", where)
    _known(block, frozenset(DEFAULTS[name]), prefix, where)
    return {**DEFAULTS[name], **block}


def _known(block: Mapping[str, Any], allowed: frozenset[str], prefix: str, where: str) -> None:
    for key in block:
        if key not in allowed:
            raise ConfigError(f"{prefix}{key}", block[key], "one of " + ", ".join(sorted(allowed)),
                              "remove or correct the key", where)  # fmt: skip


def _one_of(key: str, value: Any, allowed: tuple[str, ...], where: str) -> str:
    if value not in allowed:
        raise ConfigError(key, value, "one of " + ", ".join(allowed), "correct the recipe", where)
    return str(value)


def _whole(key: str, value: Any, low: int, high: int, where: str) -> int:
    if type(value) is not int or not low <= value <= high:
        raise ConfigError(key, value, f"a whole number from {low} to {high}",
                          "correct the recipe", where)  # fmt: skip
    return value


def _number(key: str, value: Any, low: float, high: float, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ConfigError(key, value, f"a number from {low:g} to {high:g}",
                          "correct the recipe", where)  # fmt: skip
