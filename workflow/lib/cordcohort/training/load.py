"""All label maps that a recipe names, as cord stacks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cordcohort.errors import ConfigError
from cordcohort.training.phantom_sources import phantom_stacks
from cordcohort.training.sources import CordStack, atlas_stacks, mask_stacks


def load_sources(entries: Mapping[str, Any], roots: Mapping[str, Path]) -> list[CordStack]:
    """All stacks of a recipe's ``sources``.

    Parameters
    ----------
    entries
        ``atlas`` and ``masks`` name keys of ``roots`` (either may be absent); ``phantom`` is
        ``{persons, seed}``.
    roots
        Folder of each key, given by the user.

    Raises
    ------
    ConfigError
        A folder that the recipe names was not given.

    Examples
    --------
    >>> [s.name for s in load_sources({"phantom": {"persons": 1, "seed": 3}}, {})]
    ['phantom-3-00']
    """
    stacks: list[CordStack] = []
    if entries.get("atlas"):
        stacks += atlas_stacks(_root(entries["atlas"], roots))
    template = stacks[0] if stacks else None
    if entries.get("masks"):
        stacks += mask_stacks(_root(entries["masks"], roots), template)
    people = entries.get("phantom") or {}
    if people:
        stacks += phantom_stacks(int(people["persons"]), int(people["seed"]))
    return stacks


def _root(key: str, roots: Mapping[str, Path]) -> Path:
    """Folder of a key."""
    if key not in roots:
        given = ", ".join(roots) or "none"
        raise ConfigError("sources", key, f"a folder for '{key}' (given: {given})",
                          f"add --source {key}=FOLDER", "recipe")  # fmt: skip
    return roots[key]
