"""Checks of a declared training by nnU-Net, before any job."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cordcohort.errors import ConfigError
from cordcohort.nnunet.paths import NNUNET, backend_of, recipe_backend


def check_backend(entry: Mapping[str, Any], key: str) -> None:
    """Refuse a recipe that the declared backend cannot train.

    Raises
    ------
    ConfigError
        A recipe of the other backend, or for nnU-Net: a fault of the recipe, another task than the
        declared one, a localiser to train, or a folder in the place of a data set of the study.
    """
    recipe = Path(str(entry["recipe"]))
    written = recipe_backend(recipe)
    if written != backend_of(entry):
        raise ConfigError(f"{key}.backend", backend_of(entry), f"{written}, as in {recipe.name}",
                          "correct the one or the other")  # fmt: skip
    if backend_of(entry) != NNUNET:
        return
    from cordcohort.nnunet.recipe import read_nnunet_recipe  # noqa: PLC0415 - few studies need it

    checked = read_nnunet_recipe(recipe)
    if checked.task != entry["task"]:
        raise ConfigError(f"{key}.task", entry["task"], f"{checked.task}, as in {recipe.name}",
                          "correct the one or the other")  # fmt: skip
    if str(entry["localiser"]).endswith(".yaml"):
        raise ConfigError(f"{key}.localiser", entry["localiser"], "none to train",
                          "leave it out: nnU-Net looks at whole scans")  # fmt: skip
    for name, source in entry["sources"].items():
        if Path(source).is_absolute():
            raise ConfigError(f"{key}.sources.{name}", source, "a data set of the study",
                              "add the folder under datasets")  # fmt: skip
