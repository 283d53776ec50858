"""Scans of a cohort, dealt by person to training and validation, and the tables of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from cordcohort.errors import ConfigError
from cordcohort.scan import Row, scan_id
from cordcohort.trained import said_of_persons
from cordcohort.training.cohort import Entry
from cordcohort.training.recipe import Recipe
from cordcohort.training.split import (
    SPLIT_FILE,
    TRAIN,
    VALIDATION,
    split_persons,
    write_scans,
    write_split,
)

Scan = TypeVar("Scan")


def dealt(
    recipe: Recipe, rows: Iterable[Row], scans: Sequence[tuple[str, Scan]],
    notes: Sequence[tuple[Row, Entry, str]], folder: Path, *, resume: bool,
) -> tuple[list[Scan], list[Scan]]:  # fmt: skip
    """Scans that train and scans that validate; a person's all go the same way.

    Parameters
    ----------
    rows
        All rows of the cohort sources, for what sheets say of persons.
    scans
        Person and scan.
    notes
        Of every scan why it is not used, else empty.
    folder
        Gets ``split.tsv`` and ``scans.tsv``.
    resume
        The split must be the one that the folder holds, if any.

    Raises
    ------
    ConfigError
        Nobody to train on, or to validate on where the recipe wants somebody.
    """
    said = said_of_persons(rows)
    split = split_persons({p: said[p] for p in {p for p, _ in scans}}, **recipe.sources["split"])
    write_split(folder / SPLIT_FILE, split, keep=resume)
    write_scans(folder, [
        (scan_id(row), str(row["person"]), str(row["contrast"]), entry.masks,
         split.get(str(row["person"]), ""), reason)
        for row, entry, reason in notes
    ])  # fmt: skip
    train, held = ([s for p, s in scans if split[p] == part] for part in (TRAIN, VALIDATION))
    share = recipe.sources["split"]["validation"]
    if share and not held:
        raise ConfigError("sources.split.validation", share, "at least one person to validate on",
                          "name more persons, or 0", recipe.name)  # fmt: skip
    return train, held
