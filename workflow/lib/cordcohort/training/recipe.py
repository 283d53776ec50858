"""A training recipe: one YAML file that fixes everything but the folders of the user's data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cordcohort.errors import ConfigError
from cordcohort.files import read_yaml
from cordcohort.segmentation.networks import VOLUME_NETWORKS
from cordcohort.training.augment import check_augmentation
from cordcohort.training.cohort import check_entries
from cordcohort.training.nested import check_regions
from cordcohort.training.patches import check_patches

_DEFAULTS: dict[str, dict[str, Any]] = {
    "sources": {
        "atlas": "",
        "masks": "",
        "phantom": {},
        "weights": {},
        "validation": [],
        "cohort": [],
        "split": {"seed": 15, "train": 0.6, "validation": 0.2},
        "painted_share": 0.5,
    },
    "painting": {},
    "patches": {},
    "augmentation": {},
    "network": {"name": "slice_unet", "options": {}, "start_from": ""},
    "loss": {"name": "dice_bce", "options": {}},
    "optimiser": {
        "name": "adamw",
        "learning_rate": 2e-3,
        "weight_decay": 1e-2,
        "momentum": 0.99,
        "ema": 0.999,
        "clip_norm": 5.0,
    },
    "schedule": {
        "steps": 10000,
        "epochs": 0,
        "warmup": 100,
        "decay": "cosine",
        "power": 0.9,
        "decay_from": 0.7,
        "batch_size": 32,
        "stop_after": 0,
        "skip_empty": False,
    },
    "validation": {"every": 250, "every_epochs": 0, "samples": 256, "patience": 20},
    "precision": {"autocast": "none"},
    "checkpoint": {"every": 250},
}
ROOTLETS = "rootlets"
"""The task whose blocks are painted from an atlas, too."""
ADAMW, SGD = "adamw", "sgd"
COSINE, POLYNOMIAL = "cosine", "polynomial"
_CHOICES = (("optimiser", "name", (ADAMW, SGD)), ("schedule", "decay", (COSINE, POLYNOMIAL)))
_FREE_SECTIONS = frozenset({"painting", "patches", "augmentation"})
_SPLIT_KEYS = frozenset({"seed", "train", "validation"})


@dataclass(frozen=True)
class Recipe:
    """A checked recipe.

    Attributes
    ----------
    name, task, seed
        Model name, ``cord``, ``localiser``, ``lesion`` or ``discs``, seed of everything.
    regions
        Names of the network's outputs: cord, the lesion in it, and parts of the lesion; of one
        output ``(task,)``.
    sources, painting, patches, augmentation, network, loss
        Sections with defaults filled in, as are the following.
    optimiser, schedule, validation, precision, checkpoint
        Sections with defaults filled in.
    """

    name: str
    task: str
    seed: int
    regions: tuple[str, ...] = ()
    sources: dict[str, Any] = field(default_factory=dict)
    painting: dict[str, Any] = field(default_factory=dict)
    patches: dict[str, Any] = field(default_factory=dict)
    augmentation: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    loss: dict[str, Any] = field(default_factory=dict)
    optimiser: dict[str, Any] = field(default_factory=dict)
    schedule: dict[str, Any] = field(default_factory=dict)
    validation: dict[str, Any] = field(default_factory=dict)
    precision: dict[str, Any] = field(default_factory=dict)
    checkpoint: dict[str, Any] = field(default_factory=dict)


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Raises
    ------
    ConfigError
        Unknown section or key, or a missing name, task or seed.
    """
    return parse_recipe(read_yaml(path), str(path.name))


def parse_recipe(content: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """Check a recipe's content and fill in the defaults.

    Examples
    --------
    >>> parse_recipe({"name": "a", "task": "cord", "seed": 1}).loss["name"]
    'dice_bce'
    """
    for key in ("name", "task", "seed"):
        if key not in content:
            raise ConfigError(key, None, "a value", f"add '{key}' to the recipe", where)
    allowed = {"name", "task", "seed", "regions", *_DEFAULTS}
    for key in content:
        if key not in allowed:
            raise ConfigError(key, content[key], "one of " + ", ".join(sorted(allowed)),
                              "remove or correct the key", where)  # fmt: skip
    sections = {name: _section(name, content.get(name) or {}, where) for name in _DEFAULTS}
    _check_images(sections, where, str(content["task"]))
    _check_choices(sections, where)
    task = str(content["task"])
    regions = tuple(str(name) for name in content.get("regions") or (task,))
    outputs = int(sections["network"]["options"].get("out_channels", len(regions)))
    if "regions" in content and outputs != len(regions):
        expected = f"{outputs} names, as network.options.out_channels says"
        raise ConfigError("regions", list(regions), expected, "name every output", where)
    if sections["sources"]["cohort"] and len(regions) > 1:
        check_regions(regions, where)
    return Recipe(str(content["name"]), task, int(content["seed"]), regions, **sections)


def _check_choices(sections: dict[str, dict[str, Any]], where: str) -> None:
    """Refuse a name that nothing stands behind."""
    for section, key, known in _CHOICES:
        if sections[section][key] not in known:
            expected = "one of " + ", ".join(known)
            raise ConfigError(f"{section}.{key}", sections[section][key], expected,
                              "correct the recipe", where)  # fmt: skip


def _check_images(sections: dict[str, dict[str, Any]], where: str, task: str) -> None:
    """Check and fill in what concerns images and patches, where the recipe has them."""
    sources = sections["sources"]
    for key in sources["split"]:
        if key not in _SPLIT_KEYS:
            raise ConfigError(f"sources.split.{key}", sources["split"][key],
                              "one of " + ", ".join(sorted(_SPLIT_KEYS)),
                              "remove or correct the key", where)  # fmt: skip
    sources["split"] = {**_DEFAULTS["sources"]["split"], **sources["split"]}
    check_entries(sources["cohort"], where)
    if sources["cohort"] or is_of_volumes(sections["network"]):
        sections["patches"] = check_patches(sections["patches"], where)
        sections["augmentation"] = check_augmentation(sections["augmentation"], where)
    if "lesions" in sections["painting"] and not is_of_volumes(sections["network"]):
        raise ConfigError("painting.lesions", sections["network"]["name"],
                          "one of " + ", ".join(VOLUME_NETWORKS) + " as network.name",
                          "name a network of volumes", where)  # fmt: skip
    along_cord = task == ROOTLETS or "lesions" in sections["painting"]
    shapes = not along_cord and (sources["atlas"] or sources["masks"])
    if is_of_volumes(sections["network"]) and shapes:
        raise ConfigError("sources", {k: sources[k] for k in ("atlas", "masks")},
                          "cohort or phantom sources for a network of volumes",
                          "use `painted` of a cohort source for masks", where)  # fmt: skip


def is_of_volumes(network: Mapping[str, Any]) -> bool:
    """Whether the network of a recipe takes volumes instead of stacks of slices."""
    return network["name"] in VOLUME_NETWORKS


def in_steps(recipe: Recipe, epoch_samples: int) -> Recipe:
    """Recipe whose epochs are written as steps; an epoch shows every scan once.

    Raises
    ------
    ConfigError
        Epochs of a recipe that paints only: it has no end of its own.

    Examples
    --------
    >>> schedule = {"epochs": 3, "batch_size": 2}
    >>> r = parse_recipe({"name": "a", "task": "cord", "seed": 1, "schedule": schedule})
    >>> in_steps(r, 5).schedule["steps"]
    9
    """
    per_epoch = -(-epoch_samples // int(recipe.schedule["batch_size"]))
    schedule, validation = dict(recipe.schedule), dict(recipe.validation)
    if not (schedule["epochs"] or validation["every_epochs"]):
        return recipe
    if not epoch_samples:
        raise ConfigError("schedule.epochs", schedule["epochs"], "steps, where all is painted",
                          "use schedule.steps and validation.every", recipe.name)  # fmt: skip
    if schedule["epochs"]:
        schedule["steps"] = int(schedule["epochs"]) * per_epoch
    if validation["every_epochs"]:
        validation["every"] = int(validation["every_epochs"]) * per_epoch
    return replace(recipe, schedule=schedule, validation=validation)


def _section(name: str, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """One section with defaults; unknown keys refused."""
    known = _DEFAULTS[name]
    for key in given:
        if name not in _FREE_SECTIONS and key not in known:
            raise ConfigError(f"{name}.{key}", given[key], "one of " + ", ".join(known),
                              "remove or correct the key", where)  # fmt: skip
    return {**known, **given}
