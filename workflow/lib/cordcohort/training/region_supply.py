"""What a recipe of the task ``regions`` trains and validates on: painted maps, scans, or both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from cordcohort.errors import ConfigError
from cordcohort.scan import Row
from cordcohort.training.cohort import check_entries
from cordcohort.training.dealt import dealt
from cordcohort.training.mixture import (
    VALIDATION_SEED_SHIFT,
    Batch,
    Batches,
    Supply,
    fixed,
    joined,
)
from cordcohort.training.recipe import Recipe
from cordcohort.training.region_cohort import RegionScans, region_scans
from cordcohort.training.region_painter import RegionPainter, checked_painting
from cordcohort.training.region_sources import RegionStack, phantom_regions, region_stacks

REGIONS = "regions"
HELD_OUT_PERSONS = 10
FindRows = Callable[[str], Sequence[Row]]


def region_supply(
    recipe: Recipe, roots: Mapping[str, Path], find_rows: FindRows, device: torch.device,
    folder: Path, *, resume: bool,
) -> Supply:  # fmt: skip
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
    painted = _painted(recipe, roots, device)
    drawn = _cohort(recipe, find_rows, device, folder, resume=resume)
    both = joined(drawn, painted, float(recipe.sources["painted_share"]), recipe.seed)
    if both is None:
        raise ConfigError("sources", dict(recipe.sources), "an atlas, phantom or cohort source",
                          "name one", recipe.name)  # fmt: skip
    return both


def _painted(recipe: Recipe, roots: Mapping[str, Path], device: torch.device) -> Supply | None:
    """Painter of label maps; people whom it never shows validate, else the same shapes."""
    stacks = region_stacks(recipe.sources, roots)
    if not stacks:
        return None
    people = recipe.sources["phantom"]
    others = (
        phantom_regions(HELD_OUT_PERSONS, int(people["seed"]) + VALIDATION_SEED_SHIFT)
        if people
        else []
    )
    seed = recipe.seed + VALIDATION_SEED_SHIFT
    shapes = others or stacks
    held = RegionPainter(shapes, [1.0] * len(shapes), recipe.painting, seed, device)
    weights = _weights(stacks, recipe.sources["weights"])
    train = RegionPainter(stacks, weights, recipe.painting, recipe.seed, device)
    return Supply(train, _checks(recipe, held), 0, unseen=bool(others))


def _cohort(
    recipe: Recipe, find_rows: FindRows, device: torch.device, folder: Path, *, resume: bool
) -> Supply | None:  # fmt: skip
    """Scans with manual regions, split by person."""
    entries = check_entries(recipe.sources["cohort"])
    if not entries:
        return None
    rows_of = {entry.folder: find_rows(entry.folder) for entry in entries}
    seen = checked_painting(recipe.painting)["input"]
    scans, notes = region_scans(entries, rows_of, seen)
    every = [row for rows in rows_of.values() for row in rows]
    own = [(scan.person, scan) for scan in scans]
    chosen, held = dealt(recipe, every, own, notes, folder, resume=resume)
    train = RegionScans(chosen, recipe.painting, recipe.seed, device)
    seed = recipe.seed + VALIDATION_SEED_SHIFT
    checks = RegionScans(held or chosen, recipe.painting, seed, device, changed=False)
    return Supply(train, _checks(recipe, checks), len(chosen), unseen=bool(held))


def _checks(recipe: Recipe, batches: Batches) -> list[Batch]:
    size = int(recipe.schedule["batch_size"])
    return fixed(batches, size, int(recipe.validation["samples"]))


def _weights(stacks: Sequence[RegionStack], table: Mapping[str, Any]) -> list[float]:
    """Weight of each stack: a source's weight is shared by its stacks."""
    kinds = [s.name.partition("-")[0] for s in stacks]
    return [float(table.get(kind, 1.0)) / kinds.count(kind) for kind in kinds]
