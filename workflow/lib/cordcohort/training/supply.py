"""What a recipe trains and validates on: painted label maps, scans of a cohort, or a mixture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from cordcohort.errors import ConfigError, ImageError
from cordcohort.scan import Row, scan_id
from cordcohort.segmentation.card_limits import check_in_cord
from cordcohort.trained import said_of_persons
from cordcohort.training.cohort import Candidate, candidates, check_entries, load_item
from cordcohort.training.disc_painter import DISCS, disc_batches
from cordcohort.training.lesion_painter import LesionPainter
from cordcohort.training.load import load_sources
from cordcohort.training.mixture import (
    VALIDATION_SEED_SHIFT,
    Batch,
    Batches,
    Supply,
    fixed,
    joined,
)
from cordcohort.training.nested import CORD
from cordcohort.training.painter import Painter
from cordcohort.training.patches import Item, PatchSampler
from cordcohort.training.phantom_volumes import phantom_items
from cordcohort.training.recipe import Recipe, is_of_volumes
from cordcohort.training.region_supply import REGIONS, region_supply
from cordcohort.training.rootlet_details import DETAILS, detail_batches
from cordcohort.training.rootlet_painter import ROOTLETS
from cordcohort.training.rootlet_supply import rootlet_supply
from cordcohort.training.sources import CordStack
from cordcohort.training.split import (
    SPLIT_FILE,
    TRAIN,
    VALIDATION,
    split_persons,
    write_scans,
    write_split,
)

VOLUMES = "volumes"
FindRows = Callable[[str], Sequence[Row]]


def make_supply(
    recipe: Recipe, roots: Mapping[str, Path], find_rows: FindRows, device: torch.device,
    folder: Path, *, resume: bool,
) -> Supply:  # fmt: skip
    """Sources of a recipe, opened.

    Parameters
    ----------
    roots
        Folder of each key that ``atlas`` and ``masks`` name.
    find_rows
        Rows of the index for the key of a cohort source.
    folder
        Gets ``split.tsv`` (persons), ``scans.tsv`` (scans used, and why others are not) and, while
        the run lasts, ``volumes``.
    resume
        The split must be the one that the folder holds, if any.

    Raises
    ------
    ConfigError
        A source that is not there, or holds nothing to train on.
    """
    if recipe.task == DISCS:
        painter, checks = disc_batches(recipe, VALIDATION_SEED_SHIFT)
        return Supply(painter, checks, 0)
    if recipe.task == ROOTLETS:
        return rootlet_supply(recipe, roots, find_rows, folder, resume=resume)
    if recipe.task == DETAILS:
        painter, checks = detail_batches(recipe, VALIDATION_SEED_SHIFT)
        return Supply(painter, checks, 0)
    if recipe.task == REGIONS:
        return region_supply(recipe, roots, find_rows, device, folder, resume=resume)
    scans = _cohort(recipe, find_rows, device, folder, resume=resume)
    painted = _painted(recipe, roots, device)
    both = joined(scans, painted, float(recipe.sources["painted_share"]), recipe.seed)
    if both is None:
        raise ConfigError("sources", dict(recipe.sources),
                          "at least one cord shape to paint, or a cohort",
                          "name an atlas, masks, phantom or cohort source")  # fmt: skip
    return both


def _painted(recipe: Recipe, roots: Mapping[str, Path], device: torch.device) -> Supply | None:
    """Painted label maps, of slices or of volumes."""
    entries = recipe.sources
    if not (entries["atlas"] or entries["masks"] or entries["phantom"]):
        return None
    if "lesions" in recipe.painting and is_of_volumes(recipe.network):
        return _slices_or_blocks(recipe, roots, device)
    if is_of_volumes(recipe.network):
        people = entries["phantom"]
        step_mm = float(recipe.patches["spacing_mm"][0])
        items = phantom_items(int(people["persons"]), int(people["seed"]), step_mm)
        if not recipe.sources["split"]["validation"]:
            return _sampled(recipe, items, [], device, epoch_samples=0)
        return _sampled(recipe, items[:-1] or items, items[1:][-1:], device, epoch_samples=0)
    return _slices_or_blocks(recipe, roots, device)


def _slices_or_blocks(recipe: Recipe, roots: Mapping[str, Path], device: torch.device) -> Supply:
    """Painted shapes, for a network of slices or, of lesions, one of blocks along the cord."""
    stacks = load_sources(recipe.sources, roots)
    entries = recipe.sources
    held = bool(set(entries["validation"]) & {s.name for s in stacks})
    checks = _painter(recipe, stacks, device, validation=held)
    checks.seed = recipe.seed + VALIDATION_SEED_SHIFT
    train = _painter(recipe, stacks, device, validation=False)
    return Supply(train, _checks(recipe, checks), 0, unseen=held)


def _painter(
    recipe: Recipe, stacks: list[CordStack], device: torch.device, *, validation: bool
) -> Painter | LesionPainter:
    """Painter of the training or the held-out shapes."""
    held = set(recipe.sources["validation"])
    chosen = [s for s in stacks if (s.name in held) == validation]
    if not chosen:
        raise ConfigError("sources", dict(recipe.sources), "at least one cord shape to paint",
                          "name an atlas, masks or phantom source")  # fmt: skip
    table = recipe.sources["weights"]
    weights = [_weight(table, s.name) for s in chosen]
    if is_of_volumes(recipe.network):
        check_in_cord(recipe.network["options"], "network.options", recipe.name)
        return LesionPainter(chosen, weights, recipe.painting["lesions"] or {}, recipe.seed)
    return Painter(chosen, weights, recipe.painting, recipe.seed, device)


def _weight(table: Mapping[str, Any], name: str) -> float:
    """Weight of a shape: by its name, by the part before the first ``-``, or the default."""
    kind = name.partition("-")[0]
    return float(table.get(name, table.get(kind, table.get("default", 1.0))))


def _checks(recipe: Recipe, batches: Batches) -> list[Batch]:
    size = int(recipe.schedule["batch_size"])
    return fixed(batches, size, int(recipe.validation["samples"]))


def _sampled(
    recipe: Recipe, train: Sequence[Item], held: Sequence[Item], device: torch.device,
    epoch_samples: int,
) -> Supply:  # fmt: skip
    """Patches with augmentation to train on, without to validate on."""
    share = recipe.sources["split"]["validation"]
    if share and not held:
        raise ConfigError("sources.split.validation", share, "at least one person to validate on",
                          "name more persons or a larger share, or 0 to validate on the training "
                          "persons", recipe.name)  # fmt: skip
    seed, patches = recipe.seed, recipe.patches
    sampler = PatchSampler(train, patches, recipe.augmentation, seed, device)
    checks = PatchSampler(held or train, patches, None, seed + VALIDATION_SEED_SHIFT, device)
    return Supply(sampler, _checks(recipe, checks), epoch_samples, unseen=bool(held))


def _cohort(
    recipe: Recipe, find_rows: FindRows, device: torch.device, folder: Path, *, resume: bool
) -> Supply | None:
    """Scans of the cohort sources, split by person."""
    entries = check_entries(recipe.sources["cohort"])
    if not entries:
        return None
    regions = recipe.regions if len(recipe.regions) > 1 else (CORD,)
    found = [
        one for entry in entries for one in candidates(entry, find_rows(entry.folder), regions)
    ]
    said = said_of_persons(row for entry in entries for row in find_rows(entry.folder))
    usable = {str(one.row["person"]) for one in found if not one.reason}
    split = split_persons({p: said[p] for p in usable}, **recipe.sources["split"])
    write_split(folder / SPLIT_FILE, split, keep=resume)
    items: dict[str, list[Item]] = {TRAIN: [], VALIDATION: []}
    notes: list[tuple[str, ...]] = []
    for one in found:
        part = split.get(str(one.row["person"]), "")
        item, reason = _loaded(one, recipe, folder) if part in items else (None, one.reason)
        if item is not None:
            items[part].append(item)
        notes.append((scan_id(one.row), str(one.row["person"]), str(one.row["contrast"]),
                      one.entry.masks, part, reason))  # fmt: skip
    write_scans(folder, notes)
    return _sampled(recipe, items[TRAIN], items[VALIDATION], device, len(items[TRAIN]))


def _loaded(one: Candidate, recipe: Recipe, folder: Path) -> tuple[Item | None, str]:
    """Item of a scan, or why it cannot be used: one bad scan does not stop a training."""
    if one.reason:
        return None, one.reason
    try:
        return load_item(one, recipe.patches["spacing_mm"], folder / VOLUMES), ""
    except ImageError as error:
        return None, error.reason
