"""A training of an experiment, made ready for the ordinary training rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from cordcohort.experiments.corrected import taken
from cordcohort.experiments.declared import experiment_of, started_from
from cordcohort.experiments.people import TEST, TRAIN, dealt
from cordcohort.experiments.scans import training_rows
from cordcohort.files import read_yaml, sha256_of, write_if_changed
from cordcohort.scan import RESULTS, Row
from cordcohort.trained import model_outputs, recipes_of

Entry = Mapping[str, Any]

DEFAULT_VALIDATION = 0.2
"""Share of the persons who are not kept for the test that validate, where the recipe says none."""


def ready_to_train(
    entry: Entry, rows: Sequence[Row], study_dir: Path = Path()
) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, str]]:
    """Recipe and scans of one phase and seed, in the form that any training takes.

    Parameters
    ----------
    entry : mapping
        A training of :func:`cordcohort.experiments.declared.trainings`.
    rows : sequence of index rows
        All of the study.
    study_dir : path
        The study.

    Returns
    -------
    entry : dict
        With a recipe that has the seed, validates on the recipe's share of the persons and starts
        where the phase says.
    rows : list of dict
        Scans to train on, with corrected masks where some were taken.
    split : dict
        Every person of the experiment who is kept for the test of this seed, in all its phases.
    """
    experiment = experiment_of(entry["experiment"])
    seed = int(entry["seed"])
    split = dealt(experiment, rows, seed)
    kept = {person for person, part in split.items() if part != TRAIN}

    def accept(of: Any, phase: Any, scans: Sequence[Row]) -> list[Row]:
        return taken(of, phase, scans, study_dir)

    found = training_rows(experiment, int(entry["phase"]), rows, kept, accept)
    own = [{**row, "split": ""} for row in found]
    recipe = _recipe(entry, study_dir)
    tested = {person: part for person, part in split.items() if part == TEST}
    return {**entry, "recipe": str(recipe)}, own, tested


def _recipe(entry: Entry, study_dir: Path) -> Path:
    """The recipe of a phase with the seed and the start of one training, beside its run."""
    content = dict(read_yaml(Path(recipes_of(entry)[str(entry["task"])])))
    seed = int(entry["seed"])
    sources = dict(content.get("sources") or {})
    share = float((sources.get("split") or {}).get("validation", DEFAULT_VALIDATION))
    sources["split"] = {"seed": seed, "train": 1 - share, "validation": share}
    content |= {"seed": seed, "sources": sources}
    steps = entry["experiment"]["steps"]
    if steps:
        schedule = {k: v for k, v in content.get("schedule", {}).items() if k != "epochs"}
        content["schedule"] = {**schedule, "steps": int(steps)}
    before = started_from(entry)
    note = ""
    if before:
        weights = study_dir / model_outputs(before, str(entry["task"]))[1]
        content["network"] = {**content.get("network", {}), "start_from": str(weights)}
        note = f"# starts from {before}, sha256 {sha256_of(weights)}\n"  # other weights: a new run
    path = study_dir / RESULTS / "training" / str(entry["name"]) / "recipe.yaml"
    write_if_changed(path, (note + yaml.safe_dump(content, sort_keys=True)).encode())
    return path
