"""Who trains, who validates, who is kept for the test: by person, from a seed, written down."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from cordcohort.errors import ConfigError
from cordcohort.files import write_text
from cordcohort.trained import KEPT_OUT

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLIT_FILE, SCANS_FILE = "split.tsv", "scans.tsv"
_ORDER = (TRAIN, VALIDATION, TEST)


def joined_splits(paths: Iterable[Path]) -> dict[str, str]:
    """Person to what a model of several stages saw of them: train before validation before test."""
    found: dict[str, str] = {}
    for path in paths:
        for person, part in read_split(path).items():
            found[person] = min(part, found.get(person, part), key=_ORDER.index)
    return dict(sorted(found.items()))


def read_split(path: Path) -> dict[str, str]:
    """Person to part, of a file of :func:`write_split`."""
    with path.open(encoding="utf-8", newline="") as handle:
        return {r["person"]: r["split"] for r in csv.DictReader(handle, delimiter="\t")}


def split_persons(
    persons: Mapping[str, str], seed: int, train: float, validation: float
) -> dict[str, str]:
    """Deal persons to train, validation and test.

    All scans of a person, of every site and session, go the same way.

    Parameters
    ----------
    persons
        Person to what the data set's sheet says of them: ``train``, ``test``, ``external`` or
        nothing. Whom a sheet keeps out (test, external) is never trained on.
    seed
        Of the split alone.
    train, validation
        Shares in [0, 1] of the persons who are free; the rest is the test set. At least one person
        validates where two are free.

    Returns
    -------
    dict
        Person to ``train``, ``validation`` or ``test``, sorted.

    Raises
    ------
    ConfigError
        No person is left to train on, or the shares are not shares.

    Examples
    --------
    >>> found = split_persons({str(i): "" for i in range(10)}, 15, 0.6, 0.2)
    >>> sorted(found.values()).count("train"), sorted(found.values()).count("test")
    (6, 2)
    """
    if min(train, validation) < 0 or train + validation > 1:
        raise ConfigError("sources.split", {"train": train, "validation": validation},
                          "shares from 0 to 1, together at most 1", "correct the shares",
                          "recipe")  # fmt: skip
    free = sorted(p for p, said in persons.items() if said not in KEPT_OUT)
    order = [free[i] for i in np.random.default_rng(seed).permutation(len(free))]
    n_validation = max(round(validation * len(free)), int(validation > 0 and len(free) > 1))
    n_train = min(round(train * len(free)), len(free) - n_validation)
    if n_train < 1:
        raise ConfigError("sources.split", f"{len(free)} persons", "at least one to train on",
                          "name more data or a larger share", "recipe")  # fmt: skip
    found = dict.fromkeys(persons, TEST)
    found |= dict.fromkeys(order[:n_train], TRAIN)
    found |= dict.fromkeys(order[n_train : n_train + n_validation], VALIDATION)
    return dict(sorted(found.items()))


def write_split(path: Path, split: Mapping[str, str], *, keep: bool) -> None:
    """Write a split as a table; where a run goes on it must be the one that it began with.

    Raises
    ------
    ConfigError
        The file holds another split and ``keep`` is set: the cohort or the recipe has changed.
    """
    text = _table(split.items())
    if keep and path.is_file() and path.read_text(encoding="utf-8") != text:
        raise ConfigError("sources.split", path.name, "the persons that the run began with",
                          "train into a new folder, or without going on", "recipe")  # fmt: skip
    write_text(path, text)


def _table(rows: Iterable[tuple[str, str]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter="\t", lineterminator="\n")
    writer.writerows([("person", "split"), *rows])
    return buffer.getvalue()


def write_scans(folder: Path, rows: Sequence[Sequence[str]]) -> None:
    """Write which scans a training used, and why others not, into ``scans.tsv`` of a folder."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter="\t", lineterminator="\n")
    writer.writerow(("scan", "person", "contrast", "masks", "split", "not_used_because"))
    writer.writerows(rows)
    write_text(folder / SCANS_FILE, buffer.getvalue())
