"""What a recipe of the task ``regions`` trains and validates on: painted maps, scans, or both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from cordcohort.errors import ConfigError
from cordcohort.training.mixture import Batch
from cordcohort.training.recipe import Recipe
from cordcohort.training.region_painter import RegionPainter
from cordcohort.training.region_sources import RegionStack, phantom_regions, region_stacks

REGIONS = "regions"
HELD_OUT_PERSONS = 10


def region_batches(
    recipe: Recipe, roots: Mapping[str, Path], device: torch.device, held_out_seed_shift: int
) -> tuple[RegionPainter, list[Batch]]:
    """Painter of a recipe, and fixed batches of people (else of slices) that it never shows.

    Raises
    ------
    ConfigError
        No source to paint, or a folder that was not given.
    """
    stacks = region_stacks(recipe.sources, roots)
    if not stacks:
        raise ConfigError("sources", dict(recipe.sources), "an atlas or phantom source",
                          "name one", recipe.name)  # fmt: skip
    seed = recipe.seed + held_out_seed_shift
    people = recipe.sources["phantom"]
    others = (
        phantom_regions(HELD_OUT_PERSONS, int(people["seed"]) + held_out_seed_shift)
        if people else stacks
    )  # fmt: skip
    held = RegionPainter(others, [1.0] * len(others), recipe.painting, seed, device)
    size = int(recipe.schedule["batch_size"])
    count = max(1, int(recipe.validation["samples"]) // size)
    checks = [held.batch(i, size) for i in range(count)]
    weights = _weights(stacks, recipe.sources["weights"])
    return RegionPainter(stacks, weights, recipe.painting, recipe.seed, device), checks


def _weights(stacks: Sequence[RegionStack], table: Mapping[str, Any]) -> list[float]:
    """Weight of each stack: a source's weight is shared by its stacks."""
    kinds = [s.name.partition("-")[0] for s in stacks]
    return [float(table.get(kind, 1.0)) / kinds.count(kind) for kind in kinds]
