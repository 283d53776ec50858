"""Checks of declared experiments, before any job."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from cordcohort.bids.names import contrast_of
from cordcohort.errors import ConfigError
from cordcohort.experiments.declared import (
    PREVIOUS,
    Experiment,
    experiment_of,
)
from cordcohort.experiments.people import TRAIN, dealt
from cordcohort.experiments.scans import candidates, training_rows
from cordcohort.nnunet.paths import NNUNET, recipe_backend
from cordcohort.scan import RESULTS, Row
from cordcohort.scan_choice import COLUMN_OF, is_selected
from cordcohort.trained import cohort_keys, sources_of
from cordcohort.trained_checks import recipe_file, source_folder
from cordcohort.validation import nearest

Block = Mapping[str, Any]


def resolved_experiment(block: Block, number: int, study_dir: Path) -> dict[str, Any]:
    """A declaration with the paths of recipes and folders, and contrasts under their names here.

    Raises
    ------
    ConfigError
        A recipe or folder that is not there, or corrected masks below ``results``.
    """
    key = f"experiments[{number}]"
    phases = [_phase(p, f"{key}.phases[{i}]", study_dir) for i, p in enumerate(block["phases"])]
    sources = {n: source_folder(text, study_dir, f"{key}.sources.{n}")
               for n, text in block["sources"].items()}  # fmt: skip
    recipe = str(recipe_file(block["recipe"], study_dir, f"{key}.recipe"))
    contrasts = [contrast_of(name) for name in block["contrasts"]]
    return {**block, "recipe": recipe, "phases": phases, "sources": sources,
            "contrasts": contrasts, "evaluate": _named(block["evaluate"])}  # fmt: skip


def _phase(given: Block, key: str, study_dir: Path) -> dict[str, Any]:
    recipe, asked = given["recipe"], given["correct"]
    if recipe:
        recipe = str(recipe_file(recipe, study_dir, f"{key}.recipe"))
    if asked:
        folder = (study_dir / Path(asked["folder"]).expanduser()).resolve()
        if folder.is_relative_to((study_dir / RESULTS).resolve()):
            way_out = "put corrected masks elsewhere: results can be made anew"
            raise ConfigError(f"{key}.correct.folder", asked["folder"], "a folder outside results",
                              way_out)  # fmt: skip
        asked = {**asked, "folder": str(folder), "scans": _named(asked["scans"])}
    return {**given, "recipe": recipe, "add": _named(given["add"]), "correct": asked}


def _named(choice: Sequence[Mapping[str, Sequence[str]]]) -> list[dict[str, list[str]]]:
    """A choice of scans with contrasts under the names that the index has."""
    return [
        {key: [contrast_of(v) for v in values] if key == "contrasts" else list(values)
         for key, values in one.items()}
        for one in choice
    ]  # fmt: skip


def check_experiments(
    declared: Sequence[Block], registered: Collection[str], taken: Collection[str]
) -> None:
    """Refuse what can be told from the configuration alone.

    Parameters
    ----------
    declared : sequence of mapping
        Resolved declarations.
    registered : collection of str
        Models of the registry, whose localiser may be taken over.
    taken : collection of str
        Names of other models and of data sets.

    Raises
    ------
    ConfigError
        Names that clash, phases without scans or without a phase before them, an unknown localiser,
        a folder that the recipe names and nobody gives.
    """
    seen = set(taken)
    for number, block in enumerate(declared):
        key = f"experiments[{number}]"
        experiment = experiment_of(block)
        names = {experiment.name, *(experiment.method(p.number) for p in experiment.phases)}
        if names & seen:
            raise ConfigError(f"{key}.name", experiment.name, "a name that no other model, "
                              "experiment or data set has", "rename it")  # fmt: skip
        seen |= names
        if block["localiser"] and block["localiser"] not in registered:
            raise ConfigError(f"{key}.localiser", block["localiser"], "a registered model or ''",
                              nearest(block["localiser"], registered))  # fmt: skip
        _check_phases(experiment, key)
        _check_steps(experiment, key)
        _check_sources(experiment, key)


def _check_phases(experiment: Experiment, key: str) -> None:
    for phase in experiment.phases:
        where = f"{key}.phases[{phase.number - 1}]"
        if phase.number == 1 and (phase.correct or phase.start == PREVIOUS):
            what = "correct" if phase.correct else "start"
            raise ConfigError(f"{where}.{what}", experiment.block["phases"][0][what],
                              "nothing that needs a phase before the first",
                              "leave it to the second phase")  # fmt: skip
        if phase.start == PREVIOUS and NNUNET in _backends(experiment, phase.number):
            raise ConfigError(f"{where}.start", PREVIOUS, "fresh",
                              "leave it out: nnU-Net starts from no earlier weights")  # fmt: skip
        if not phase.add and not phase.correct:
            raise ConfigError(where, "neither add nor correct", "scans that the phase adds",
                              "name them under `add` or `correct`")  # fmt: skip
        if phase.correct and not phase.correct.scans:
            raise ConfigError(f"{where}.correct.scans", [], "at least one entry", "name scans")


def _backends(experiment: Experiment, number: int) -> set[str]:
    """What trains a phase and the one before it."""
    phases = experiment.phases[max(number - 2, 0) : number]
    return {recipe_backend(Path(phase.recipe)) for phase in phases}


def _check_steps(experiment: Experiment, key: str) -> None:
    steps = experiment.block["steps"]
    for phase in experiment.phases if steps else ():
        if recipe_backend(Path(phase.recipe)) == NNUNET:
            raise ConfigError(f"{key}.steps", steps, "recipes of the own engine", "leave it out: "
                              f"{Path(phase.recipe).name} says `trainer.epochs`")  # fmt: skip


def _check_sources(experiment: Experiment, key: str) -> None:
    for recipe in sorted({phase.recipe for phase in experiment.phases}):
        cohorts, given = cohort_keys(recipe), experiment.block["sources"]
        if not cohorts:
            raise ConfigError(f"{key}.recipe", Path(recipe).name, "a recipe with sources.cohort",
                              "an experiment trains on scans: add a cohort source")  # fmt: skip
        for source in sources_of(recipe):
            if source not in cohorts and source not in given:
                what = f"'{source}', which {Path(recipe).name} names"
                raise ConfigError(f"{key}.sources", dict(given), what, f"add {source}: FOLDER")


def check_experiment_scans(experiment: Experiment, number: int, rows: Sequence[Row]) -> None:
    """Refuse scans that the study does not have, and seeds that leave nobody to train on.

    Raises
    ------
    ConfigError
    """
    key = f"experiments[{number}]"
    for where, choice in _choices(experiment):
        for i, one in enumerate(choice):
            _check_choice(one, rows, f"{key}.{where}[{i}]")
    for phase in experiment.phases:
        if phase.correct and not candidates(experiment, phase, rows):
            raise ConfigError(
                f"{key}.phases[{phase.number - 1}].correct.scans",
                [dict(one) for one in phase.correct.scans],
                f"a scan without masks by '{experiment.masks}'",
                "name others, or set labelled: true",
            )
    for seed in experiment.seeds:
        kept = {p for p, part in dealt(experiment, rows, seed).items() if part != TRAIN}
        if not training_rows(experiment, 1, rows, kept):
            raise ConfigError(
                f"{key}.phases[0].add", f"nobody (seed {seed})",
                f"persons with masks by '{experiment.masks}' to train on", "name more scans",
            )  # fmt: skip


def _choices(experiment: Experiment) -> list[tuple[str, Sequence[Mapping[str, Sequence[str]]]]]:
    found = [("evaluate", experiment.block["evaluate"])]
    for phase in experiment.phases:
        where = f"phases[{phase.number - 1}]"
        found.append((f"{where}.add", phase.add))
        if phase.correct:
            found.append((f"{where}.correct.scans", phase.correct.scans))
    return found


def _check_choice(one: Mapping[str, Sequence[str]], rows: Sequence[Row], key: str) -> None:
    for name, values in one.items():
        known = {str(row[COLUMN_OF[name]]) for row in rows}
        for value in values:
            label = value.removeprefix("acq-") if name == "acquisitions" else value
            if label not in known:
                raise ConfigError(f"{key}.{name}", value, f"a value that some scan has in "
                                  f"{COLUMN_OF[name]}", nearest(label, known))  # fmt: skip
    if not any(row["status"] != "no_image" and is_selected(row, [one]) for row in rows):
        raise ConfigError(key, dict(one), "at least one scan that matches",
                          "correct the names, or leave the entry out")  # fmt: skip
