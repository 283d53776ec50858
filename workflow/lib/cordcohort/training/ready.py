"""Which scans a declared training may see, whatever trains it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cordcohort.scan import Row
from cordcohort.trained import said_of_persons

Entry = Mapping[str, Any]


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
