"""What ``cordcohort check`` says of experiments: what each phase trains on, ranks or waits for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cordcohort.bids.index import Index, rows_of
from cordcohort.config import Config
from cordcohort.experiments.declared import (
    Correct,
    Experiment,
    Phase,
    experiment_of,
)
from cordcohort.experiments.ranks import EXPORT, KEPT
from cordcohort.experiments.scans import candidates, corrected_rows, is_labelled, returned
from cordcohort.files import read_json
from cordcohort.scan import Row
from cordcohort.scan_choice import is_selected


def lines_of_experiments(config: Config, index: Index, study_dir: Path) -> list[str]:
    """Lines on the experiments of a study; none where none is declared."""
    if not config.experiments:
        return []
    rows = rows_of(index.scans)
    found = [experiment_of(block) for block in config.experiments]
    return [line for one in found for line in experiment_lines(one, rows, study_dir)]


def experiment_lines(
    experiment: Experiment, rows: Sequence[Row], study_dir: Path = Path()
) -> list[str]:
    """Lines on every phase of an experiment, from names alone: no mask is opened."""
    ready = {phase.number for phase in experiment.ready()}
    lines: list[str] = []
    for phase in experiment.phases:
        told = [_added(experiment, phase, rows)] if phase.add else []
        if phase.correct:
            told += _corrected(experiment, phase, phase.correct, rows)
            told += _export(study_dir / experiment.folder(phase.number) / EXPORT)
        if phase.number not in ready:
            told.append("is not trained yet")
        lines.append(f"{experiment.name}, phase {phase.number}: " + "; ".join(told))
    return lines


def _added(experiment: Experiment, phase: Phase, rows: Sequence[Row]) -> str:
    scans = [row for row in rows if row["status"] == "ok" and is_selected(row, phase.add)]
    labelled = sum(is_labelled(row, experiment) for row in scans)
    without = f" ({len(scans) - labelled} without masks left out)" if labelled < len(scans) else ""
    return f"adds {labelled} scans with masks by {experiment.masks}{without}"


def _corrected(
    experiment: Experiment, phase: Phase, asked: Correct, rows: Sequence[Row]
) -> list[str]:
    scans = candidates(experiment, phase, rows)
    folder = Path(asked.folder).name
    told = [f"ranks {len(scans)} scans and exports {min(asked.choose, len(scans))}"]
    if not Path(asked.folder).is_dir():
        return [*told, f"waits for corrected masks in {folder}, which is not there yet"]
    back = returned(asked, scans, experiment)
    if not back.masks and not back.unmatched:
        return [*told, f"waits for corrected masks in {folder}, which holds none"]
    whole = len(corrected_rows(experiment, phase, scans))
    told.append(f"{whole} came back corrected in {folder}")
    if len(back.masks) > whole:
        told.append(f"{len(back.masks) - whole} more lack a mask")
    if back.unmatched:
        file, reason = back.unmatched[0]
        told.append(f"{len(back.unmatched)} files there match no scan ({file}: {reason})")
    return told


def _export(record: Path) -> list[str]:
    """Why the last export left the correction folder as it was."""
    told = read_json(record) if record.is_file() else {}
    return [str(told["reason"])] if told.get("status") == KEPT else []
