"""What a recipe of the task ``rootlets`` trains and validates on: phantoms, an atlas, scans."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cordcohort.errors import ConfigError
from cordcohort.scan import Row
from cordcohort.spinal_names import DORSAL, DORSAL_VENTRAL, ROOTLET_CLASSES
from cordcohort.training.cohort import check_entries
from cordcohort.training.dealt import dealt
from cordcohort.training.mixture import VALIDATION_SEED_SHIFT, Mixture, Supply, fixed, joined
from cordcohort.training.recipe import Recipe
from cordcohort.training.rootlet_cohort import RootletShapes, rootlet_scans
from cordcohort.training.rootlet_painter import rootlet_batches
from cordcohort.training.rootlet_shapes import atlas_block

CLASSES = "classes"
FindRows = Callable[[str], Sequence[Row]]


def rootlet_classes(recipe: Recipe) -> str:
    """Which rootlets a recipe tells apart (``painting.classes``).

    Raises
    ------
    ConfigError
        An unknown name, another number of outputs than classes and the PMJ, or ventral rootlets of
        phantom people, who have none.

    Examples
    --------
    >>> from cordcohort.training.recipe import parse_recipe
    >>> rootlet_classes(parse_recipe({"name": "a", "task": "rootlets", "seed": 1, "network":
    ...     {"name": "folded_unet_3d", "options": {"out_channels": 9}}}))
    'dorsal'
    """
    classes = str(recipe.painting.get(CLASSES, DORSAL))
    if classes not in ROOTLET_CLASSES:
        raise ConfigError(f"painting.{CLASSES}", classes, "one of " + ", ".join(ROOTLET_CLASSES),
                          "correct the recipe", recipe.name)  # fmt: skip
    outputs = recipe.network["options"].get("out_channels")
    wanted = len(ROOTLET_CLASSES[classes]) + 1
    if outputs != wanted:
        raise ConfigError("network.options.out_channels", outputs,
                          f"{wanted}: the classes '{classes}' and the PMJ", "correct the recipe",
                          recipe.name)  # fmt: skip
    if classes == DORSAL_VENTRAL and recipe.sources["phantom"]:
        raise ConfigError("sources.phantom", dict(recipe.sources["phantom"]),
                          f"an atlas or a cohort for the classes '{classes}'",
                          "phantom people have dorsal rootlets only", recipe.name)  # fmt: skip
    return classes


def rootlet_supply(
    recipe: Recipe, roots: Mapping[str, Path], find_rows: FindRows, folder: Path, *, resume: bool
) -> Supply:
    """Sources of a recipe, opened.

    Parameters
    ----------
    folder
        Gets, of a cohort, ``split.tsv`` and ``scans.tsv``.
    resume
        The split must be the one that the folder holds, if any.

    Raises
    ------
    ConfigError
        No source, a folder that was not given, or no person to validate on.
    """
    classes = rootlet_classes(recipe)
    if recipe.sources["masks"]:
        raise ConfigError("sources.masks", recipe.sources["masks"], "an atlas, phantom or cohort",
                          "masks of the cord have no rootlets", recipe.name)  # fmt: skip
    painted = _painted(recipe, roots, classes)
    drawn = _cohort(recipe, find_rows, folder, classes, resume=resume)
    both = joined(drawn, painted, float(recipe.sources["painted_share"]), recipe.seed)
    if both is None:
        raise ConfigError("sources", dict(recipe.sources), "an atlas, phantom or cohort source",
                          "name one", recipe.name)  # fmt: skip
    return both


def _painted(recipe: Recipe, roots: Mapping[str, Path], classes: str) -> Supply | None:
    """Painted phantom people, who are others for validation, and the atlas, which is the same."""
    people = None
    if recipe.sources["phantom"]:
        train, checks = rootlet_batches(recipe, VALIDATION_SEED_SHIFT, classes)
        people = Supply(train, checks, 0)
    key = recipe.sources["atlas"]
    if not key:
        return people
    if key not in roots:
        raise ConfigError("sources.atlas", key, f"a folder for '{key}'",
                          f"add --source {key}=FOLDER", recipe.name)  # fmt: skip
    block = atlas_block(roots[key], classes)
    atlas = RootletShapes([block], recipe.seed, classes)
    if people is None:
        held = RootletShapes([block], recipe.seed + VALIDATION_SEED_SHIFT, classes)
        return Supply(atlas, _checks(recipe, held), 0, unseen=False)
    return Supply(Mixture(people.train, atlas, _atlas_share(recipe), recipe.seed), people.checks, 0)


def _atlas_share(recipe: Recipe) -> float:
    """Share of the painted samples that the atlas gives, by the weights of the sources."""
    atlas, people = (
        float(recipe.sources["weights"].get(name, 1.0)) for name in ("atlas", "phantom")
    )
    return atlas / (atlas + people)


def _cohort(
    recipe: Recipe, find_rows: FindRows, folder: Path, classes: str, *, resume: bool
) -> Supply | None:  # fmt: skip
    """Scans with rootlets, split by person."""
    entries = check_entries(recipe.sources["cohort"])
    if not entries:
        return None
    rows_of = {entry.folder: find_rows(entry.folder) for entry in entries}
    scans, notes = rootlet_scans(entries, rows_of, classes)
    every = [row for rows in rows_of.values() for row in rows]
    own = [(str(row["person"]), block) for row, block in scans]
    chosen, held = dealt(recipe, every, own, notes, folder, resume=resume)
    train = RootletShapes(chosen, recipe.seed, classes)
    seed = recipe.seed + VALIDATION_SEED_SHIFT
    checks = RootletShapes(held or chosen, seed, classes, changed=False)
    return Supply(train, _checks(recipe, checks), len(chosen), unseen=bool(held))


def _checks(recipe: Recipe, batches: Any) -> list[Any]:
    return fixed(batches, int(recipe.schedule["batch_size"]), int(recipe.validation["samples"]))
