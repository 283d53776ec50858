"""Models that a study trains itself (key ``training``): what is declared, needed and made.

The training is in :mod:`cordcohort.training.declared`, the checks are in
:mod:`cordcohort.trained_checks`. Every parse of the rules and every training reads this module, so
it loads neither a network nor a schema library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cordcohort import scan as paths
from cordcohort.files import read_yaml
from cordcohort.model_uses import LESION, LESION_PARTS, STRUCTURES

CORD, LOCALISER = "cord", "localiser"
REGIONS = (CORD, LESION, *LESION_PARTS)
"""Nested: the cord holds all, the lesion holds both of its parts."""
RECIPE_SUFFIX = ".yaml"
KEPT_OUT = frozenset({"test", "external"})
"""Words of a sheet's column ``split`` that keep a person out of every training."""
Declared = Mapping[str, Any]


def recipes_of(entry: Declared) -> dict[str, str]:
    """Recipe file of each stage that is trained; the stage that draws is named after the task."""
    found = {str(entry.get("task", CORD)): str(entry["recipe"])}
    if str(entry["localiser"]).endswith(RECIPE_SUFFIX):
        found[LOCALISER] = str(entry["localiser"])
    return found


def sources_of(recipe: Path | str) -> list[str]:
    """Keys of the folders that a recipe wants."""
    sources = (read_yaml(Path(recipe)) or {}).get("sources") or {}
    named = cohort_keys(recipe) + [str(sources.get(key) or "") for key in ("atlas", "masks")]
    return sorted({name for name in named if name})


def cohort_keys(recipe: Path | str) -> list[str]:
    """Keys of the data sets whose scans a recipe trains on."""
    return [str(entry.get("folder", "")) for entry in _cohort(recipe)]


def _cohort(recipe: Path | str) -> list[Mapping[str, Any]]:
    """Cohort sources of a recipe."""
    cohort = ((read_yaml(Path(recipe)) or {}).get("sources") or {}).get("cohort") or []
    return [cohort] if isinstance(cohort, Mapping) else list(cohort)


def model_folder(name: str) -> str:
    """Folder of a model that a study trains."""
    return f"{paths.RESULTS}/models/{name}"


def model_outputs(name: str, task: str = CORD) -> list[str]:
    """Files that the training rule promises: the card and the weights of the network that draws."""
    return [f"{model_folder(name)}/{file}" for file in ("model.yaml", f"{task}.safetensors")]


def model_split(name: str) -> str:
    """Table of the persons whom a model was trained, validated and tested on, one row each."""
    return f"{model_folder(name)}/split.tsv"


def said_of_persons(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """What sheets say of each person; one row that keeps a person out decides.

    Examples
    --------
    >>> said_of_persons([{"person": "a", "split": "test"}, {"person": "a", "split": ""}])
    {'a': 'test'}
    """
    found: dict[str, str] = {}
    for row in rows:
        person, said = str(row["person"]), str(row["split"])
        if said in KEPT_OUT or not found.get(person):
            found[person] = said
    return found


def rows_by_key(entry: Declared, rows: Sequence[paths.Row]) -> dict[str, list[paths.Row]]:
    """Rows of each data set that a declaration names, by the recipe's key.

    The rows of an experiment were chosen before, whatever data set they are of: each cohort key of
    its recipe stands for all of them.
    """
    if "experiment" in entry:
        own = entry["experiment"]["name"]
        return {key: list(rows) for key, source in entry["sources"].items() if source == own}
    named = {row["dataset"] for row in rows}
    return {
        key: [row for row in rows if row["dataset"] == source]
        for key, source in entry["sources"].items()
        if source in named
    }


def scans_of(entry: Declared, rows: Sequence[paths.Row]) -> list[paths.Row]:
    """Rows of the data sets that a declaration names, each once."""
    found = {paths.scan_id(row): row for own in rows_by_key(entry, rows).values() for row in own}
    return [row for row in rows if paths.scan_id(row) in found]


def wants_truth(entry: Declared) -> bool:
    """Whether a recipe trains on the soft ground truth that the study makes."""
    names = (paths.SOFT_TRUTH, paths.SOFT_TRUTH_BINARY)
    return any(
        one.get("masks") in names
        for recipe in recipes_of(entry).values()
        for one in _cohort(recipe)
    )


def training_inputs(entry: Declared, rows: Sequence[paths.Row]) -> list[str]:
    """Recipes, images (of series with gradient files) and masks: a new one trains anew."""
    files = list(recipes_of(entry).values())
    task = str(entry.get("task", CORD))
    drawn = {"lesion": REGIONS, "rootlets": (CORD, *STRUCTURES["rootlets"])}.get(
        task, STRUCTURES[task]
    )
    for row in scans_of(entry, rows):
        if row["status"] == "ok":
            files += paths.image_files(row)
            files += [str(mask["path"]) for mask in paths.masks_of(row)
                      if mask["structure"] in drawn and mask["status"] == "ok"]  # fmt: skip
    return list(dict.fromkeys(files))
