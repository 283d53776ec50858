"""The table of what became of every corrected mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from cordcohort.errors import ConfigError
from cordcohort.experiments.corrected import REFUSED, TAKEN, Judged, judged
from cordcohort.experiments.declared import Experiment, Phase
from cordcohort.experiments.ranks import CORRECTED
from cordcohort.experiments.scans import (
    Returned,
    candidates,
    corrected_rows,
    lacking,
    returned,
    with_masks,
)
from cordcohort.report.analysis_tables import write_people_table
from cordcohort.scan import Row, masks_of, scan_id

UNMATCHED = "unmatched"
COLUMNS = ["scan", "structure", "file", "status", "reason"]


def write_corrected(
    experiment: Experiment, number: int, rows: Sequence[Row], study_dir: Path = Path()
) -> None:
    """Write :func:`corrected_table` where the phase has its tables."""
    table = corrected_table(experiment, experiment.phase(number), rows, study_dir)
    path = study_dir / experiment.folder(number) / CORRECTED
    write_people_table(path, pd.DataFrame(table, columns=COLUMNS))


def corrected_table(
    experiment: Experiment, phase: Phase, rows: Sequence[Row], study_dir: Path = Path()
) -> list[dict[str, str]]:
    """What became of every file of the folder of corrected masks, one row each.

    Raises
    ------
    ConfigError
        Masks came back, but none can be taken.
    """
    asked = phase.correct
    if asked is None:
        return []
    scans = candidates(experiment, phase, rows)
    back = returned(asked, scans, experiment)
    whole = corrected_rows(experiment, phase, scans)
    told = {scan_id(row): what for row, what in judged(experiment, phase, whole, study_dir)}
    table = _rows(back, scans, told, experiment)
    if not any(row["status"] == TAKEN for row in table):
        reasons = "; ".join(dict.fromkeys(f"{r['file']}: {r['reason']}" for r in table[:3]))
        raise ConfigError(
            f"experiments {experiment.name}, phase {phase.number}: correct.folder", asked.folder,
            "at least one corrected mask that can be taken", f"mend them ({reasons})",
        )  # fmt: skip
    return table


def _rows(
    back: Returned, scans: Sequence[Row], told: Mapping[str, Judged], experiment: Experiment
) -> list[dict[str, str]]:
    table: list[dict[str, str]] = []
    for row in scans:
        masks = masks_of(with_masks({**row, "masks": ""}, back.masks.get(scan_id(row), [])))
        missing = lacking(masks, experiment)
        what = told.get(scan_id(row)) or Judged(
            REFUSED, f"the mask of {', '.join(missing)} is missing: put all masks of a scan there"
        )
        table += [
            {"scan": scan_id(row), "structure": str(mask["structure"]),
             "file": Path(str(mask["path"])).name, "status": what.status, "reason": what.reason}
            for mask in masks
        ]  # fmt: skip
    unmatched = [{"scan": "", "structure": "", "file": file, "status": UNMATCHED, "reason": reason}
                 for file, reason in back.unmatched]  # fmt: skip
    return [*table, *unmatched]
