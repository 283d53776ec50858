"""Jobs of experiments besides the training: ranking for correction, and what came back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cordcohort.experiments.declared import (
    CHOSEN,
    Experiment,
    Phase,
    experiment_of,
    started_from,
    up_to,
)
from cordcohort.experiments.people import TEST, TRAIN, dealt
from cordcohort.experiments.ranks import CORRECTED, EXPORT, RANKS
from cordcohort.experiments.scans import candidates, returned, training_rows
from cordcohort.model_uses import masks_of_task
from cordcohort.scan import Row, image_files, mask_record, masks_of, scan_id
from cordcohort.trained import model_outputs, recipes_of

RANK_RULE, CORRECTED_RULE = "rank", "corrected"
IsDrawn = Callable[[Row, str], bool]


@dataclass(frozen=True)
class PhaseJob:
    """One job of a phase: name of its rule and of its log, files, parameters."""

    rule: str
    name: str
    inputs: list[str]
    outputs: list[str]
    params: dict[str, Any]


def ranking_jobs(
    experiments: Iterable[Experiment], rows: Sequence[Row], is_drawn: IsDrawn
) -> list[PhaseJob]:
    """Jobs that rank scans and export those to correct, once the phase before is trained.

    Parameters
    ----------
    experiments : iterable of Experiment
    rows : sequence of index rows
    is_drawn : callable
        Whether a model, by name, is run on a scan.
    """
    return [_ranking(one, phase, rows, is_drawn) for one in experiments for phase in one.ranked()]


def _ranking(
    experiment: Experiment, phase: Phase, rows: Sequence[Row], is_drawn: IsDrawn
) -> PhaseJob:
    models = [experiment.model(phase.number - 1, seed) for seed in experiment.seeds]
    scans = [row for row in candidates(experiment, phase, rows)
             if all(is_drawn(row, model) for model in models)]  # fmt: skip
    records = [mask_record(row, model, structure) for row in scans for model in models
               for structure in masks_of_task(experiment.task)]  # fmt: skip
    folder = experiment.folder(phase.number)
    name = experiment.method(phase.number)
    outputs = [f"{folder}/{RANKS}", f"{folder}/{EXPORT}"]
    return PhaseJob(f"{RANK_RULE}_{name}", name, records, outputs,
                    {"experiment": up_to(experiment, phase.number), "phase": phase.number,
                     "scans": [scan_id(row) for row in scans]})  # fmt: skip


def corrected_jobs(experiments: Iterable[Experiment], rows: Sequence[Row]) -> list[PhaseJob]:
    """Jobs that tell what became of every corrected mask."""
    found: list[PhaseJob] = []
    for experiment in experiments:
        for phase in experiment.ready():
            if phase.correct:
                found.append(_corrected(experiment, phase, rows))
    return found


def _corrected(experiment: Experiment, phase: Phase, rows: Sequence[Row]) -> PhaseJob:
    asked = phase.correct
    scans = candidates(experiment, phase, rows)
    back = returned(asked, scans, experiment).masks if asked else {}
    images = [str(row["image"]) for row in scans if scan_id(row) in back]
    files = [str(mask["path"]) for masks in back.values() for mask in masks]
    name = experiment.method(phase.number)
    outputs = [f"{experiment.folder(phase.number)}/{CORRECTED}"]
    return PhaseJob(f"{CORRECTED_RULE}_{name}", name, [*images, *files, *_ranks(experiment, phase)],
                    outputs, {"experiment": up_to(experiment, phase.number), "phase": phase.number,
                              "scans": [scan_id(row) for row in scans]})  # fmt: skip


def _ranks(experiment: Experiment, phase: Phase) -> list[str]:
    """The table of ranks, where it decides which corrected masks are taken."""
    decides = phase.correct is not None and phase.correct.take == CHOSEN
    return [f"{experiment.folder(phase.number)}/{RANKS}"] if decides else []


def tested_persons(experiments: Iterable[Experiment], rows: Sequence[Row]) -> dict[str, list[str]]:
    """Persons whom a seed keeps for its test in any phase, for each model of that seed.

    The model of an early phase has not seen the test persons of later phases either.
    """
    found: dict[str, list[str]] = {}
    for one in experiments:
        for seed in one.seeds:
            kept = [p for p, part in dealt(one, rows, seed).items() if part == TEST]
            found |= {one.model(phase.number, seed): kept for phase in one.ready()}
    return found


def training_files(entry: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    """Files that one phase and seed is trained from, and no others.

    A corrected mask of a person whom this seed keeps for its test is not among them: it trains
    nothing anew here.
    """
    experiment = experiment_of(entry["experiment"])
    kept = {p for p, part in dealt(experiment, rows, int(entry["seed"])).items() if part != TRAIN}
    number = int(entry["phase"])
    files = list(recipes_of(entry).values())
    for row in training_rows(experiment, number, rows, kept):
        own = [m for m in masks_of(row) if m["method"] == experiment.masks and m["status"] == "ok"]
        files += [*image_files(row), *(str(mask["path"]) for mask in own)]
    for phase in experiment.phases[:number]:
        files += _ranks(experiment, phase)
    before = started_from(entry)
    return list(
        dict.fromkeys([*files, *(model_outputs(before, experiment.task) if before else [])])
    )
