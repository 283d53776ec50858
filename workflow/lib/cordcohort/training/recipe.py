"""A training recipe: one YAML file that fixes everything but the folders of the user's data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cordcohort.errors import ConfigError
from cordcohort.files import read_yaml

_DEFAULTS: dict[str, dict[str, Any]] = {
    "sources": {"atlas": "", "masks": "", "phantom": {}, "weights": {}, "validation": []},
    "painting": {},
    "network": {"name": "slice_unet", "options": {}},
    "loss": {"name": "dice_bce", "options": {}},
    "optimiser": {"learning_rate": 2e-3, "weight_decay": 1e-2, "ema": 0.999, "clip_norm": 5.0},
    "schedule": {
        "steps": 10000,
        "warmup": 100,
        "decay_from": 0.7,
        "batch_size": 32,
        "stop_after": 0,
    },
    "validation": {"every": 250, "samples": 256, "patience": 20},
    "precision": {"autocast": "none"},
    "checkpoint": {"every": 250},
}
_FREE_SECTIONS = frozenset({"painting"})


@dataclass(frozen=True)
class Recipe:
    """A checked recipe.

    Attributes
    ----------
    name, task, seed
        Model name, ``cord`` or ``localiser``, seed of everything.
    sources, painting, network, loss, optimiser, schedule, validation, precision, checkpoint
        Sections with defaults filled in.
    """

    name: str
    task: str
    seed: int
    sources: dict[str, Any] = field(default_factory=dict)
    painting: dict[str, Any] = field(default_factory=dict)
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
    allowed = {"name", "task", "seed", *_DEFAULTS}
    for key in content:
        if key not in allowed:
            raise ConfigError(key, content[key], "one of " + ", ".join(sorted(allowed)),
                              "remove or correct the key", where)  # fmt: skip
    sections = {name: _section(name, content.get(name) or {}, where) for name in _DEFAULTS}
    return Recipe(str(content["name"]), str(content["task"]), int(content["seed"]), **sections)


def _section(name: str, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """One section with defaults; unknown keys refused."""
    known = _DEFAULTS[name]
    for key in given:
        if name not in _FREE_SECTIONS and key not in known:
            raise ConfigError(f"{name}.{key}", given[key], "one of " + ", ".join(known),
                              "remove or correct the key", where)  # fmt: skip
    return {**known, **given}
