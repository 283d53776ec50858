"""Which scans a declared training may see, whatever trains it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cordcohort.scan import Row, soft_truth_record
from cordcohort.trained import said_of_persons

Entry = Mapping[str, Any]
_STATE = ("image", "image_size", "image_mtime_ns", "masks", "person", "split")


def made_of(recipe: str, rows: Sequence[Row], study_dir: Path) -> str:
    """Digest of what a run is made from; a run of another one may not be gone on with.

    Parameters
    ----------
    recipe
        Its file.
    rows
        Scans that it trains with: their images, masks and gradient files, and the soft ground
        truth that the study made of them.
    study_dir
        The study.
    """
    states = [[str(row.get(column, "")) for column in _STATE] for row in rows]
    truths = [study_dir / soft_truth_record(row) for row in rows]
    gradients = [Path(str(row[c])) for row in rows for c in ("bval", "bvec") if row.get(c)]
    made = [path.read_bytes() for path in (*truths, *gradients) if path.is_file()]
    text = Path(recipe).read_text(encoding="utf-8") + repr((sorted(states), sorted(made)))
    return hashlib.sha256(text.encode()).hexdigest()


def ready(
    entry: Entry, rows: Sequence[Row], study_dir: Path
) -> tuple[Entry, Sequence[Row], dict[str, str]]:
    """A declaration, its scans and the persons whom it keeps for the test.

    Parameters
    ----------
    entry
        A declaration of ``training``, or a training of an experiment.
    rows
        The study's index.
    study_dir
        The study.

    Returns
    -------
    tuple
        Of an experiment, recipe and scans of the phase and the persons of its test; else the
        declaration as it is, rows whose ``split`` is what any sheet says of the person, and nobody.
    """
    said = said_of_persons(rows)  # of all data sets: any of their sheets may keep a person out
    rows = [{**row, "split": said[str(row["person"])]} for row in rows]
    if "experiment" not in entry:
        return entry, rows, {}
    from cordcohort.experiments.training import ready_to_train  # noqa: PLC0415 - few have any

    return ready_to_train(entry, rows, study_dir)
