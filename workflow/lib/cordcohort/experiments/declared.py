"""What an experiment declares, and the trainings that it stands for.

An experiment trains one model for each of its phases and seeds. Model ``NAME-phase2-seed7`` is
``method`` ``NAME-phase2`` and ``seed`` ``7`` of the long table. Every parse of the rules reads this
module, so it loads neither a network nor a table library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cordcohort.bids.names import split_extension
from cordcohort.scan import RESULTS
from cordcohort.scan_choice import Selectors
from cordcohort.trained import cohort_keys

Block = Mapping[str, Any]

FRESH, PREVIOUS = "fresh", "previous"
ALL, CHOSEN = "all", "chosen"
LINK = "link"


@dataclass(frozen=True)
class Correct:
    """Which scans a phase has corrected by people, and where their masks come back.

    Attributes
    ----------
    scans : selectors
        Scans that the previous phase's models are run on and that are ranked.
    labelled : bool
        Also rank scans that have masks already (a study in which drawn masks stand for corrected).
    choose : int
        How many are exported for correction.
    folder : str
        Where corrected masks are looked for.
    take : {"all", "chosen"}
        Whether corrected masks of scans that were not chosen are trained on, too.
    take_unchanged : bool
        Whether a mask that comes back as it was proposed is trained on.
    images : {"link", "copy"}
        How the scans get into the correction folder.
    """

    scans: Selectors
    labelled: bool
    choose: int
    folder: str
    take: str
    take_unchanged: bool
    images: str


@dataclass(frozen=True)
class Phase:
    """One phase: number from 1, recipe, scans that it adds, where its weights start, corrections.

    ``test`` is the share, in [0, 1], of each site's new persons that is kept for the test.
    """

    number: int
    recipe: str
    start: str
    add: Selectors
    test: float
    correct: Correct | None


@dataclass(frozen=True)
class Experiment:
    """A declared experiment; the keys are those of the schema, ``block`` is the declaration."""

    name: str
    seeds: tuple[int, ...]
    masks: str
    task: str
    phases: tuple[Phase, ...]
    block: Block

    def method(self, phase: int) -> str:
        """Method of a phase in the long table."""
        return f"{self.name}-phase{phase}"

    def model(self, phase: int, seed: int) -> str:
        """Model of a phase and seed."""
        return f"{self.method(phase)}-seed{seed}"

    def phase(self, number: int) -> Phase:
        """A phase by its number."""
        return self.phases[number - 1]

    def folder(self, phase: int) -> str:
        """Folder of what a phase leaves besides its models."""
        return f"{RESULTS}/experiments/{self.name}/phase{phase}"

    def ready(self) -> list[Phase]:
        """Phases that can be trained: all up to the first that no corrected mask came back for."""
        found: list[Phase] = []
        for phase in self.phases:
            if phase.correct and not has_masks(phase.correct.folder):
                break
            found.append(phase)
        return found

    def ranked(self) -> list[Phase]:
        """Phases whose scans can be ranked: those that follow a phase that is trained."""
        trained = {phase.number for phase in self.ready()}
        return [p for p in self.phases if p.correct and p.number - 1 in trained]

    def scans(self) -> list[Mapping[str, Sequence[str]]]:
        """Which scans the models of all phases are run on."""
        asked: list[Mapping[str, Sequence[str]]] = []
        for phase in self.phases:
            asked += [*phase.add, *(phase.correct.scans if phase.correct else ())]
        return [*asked, *self.block["evaluate"]]


def experiment_of(block: Block) -> Experiment:
    """An experiment from its declaration, in which recipes and folders are resolved."""
    phases = tuple(_phase(p, i, block) for i, p in enumerate(block["phases"], 1))
    seeds = tuple(int(seed) for seed in block["seeds"])
    return Experiment(block["name"], seeds, block["masks"], block["task"], phases, block)


def _phase(given: Block, number: int, block: Block) -> Phase:
    asked = given["correct"]
    test = block["test"] if given["test"] is None else given["test"]
    recipe = given["recipe"] or block["recipe"]
    correct = Correct(**asked) if asked else None
    return Phase(number, recipe, given["start"], given["add"], float(test), correct)


def has_masks(folder: str) -> bool:
    """Whether a folder holds a NIfTI file, at any depth."""
    return any(split_extension(path.name)[1] for path in Path(folder).rglob("*"))


def trainings(experiment: Experiment) -> list[dict[str, Any]]:
    """One training for each seed of each phase that is ready, in the form of key ``training``."""
    block = experiment.block
    return [
        {
            "name": experiment.model(phase.number, seed),
            "recipe": phase.recipe,
            "sources": _sources(block, phase.recipe),
            **{key: block[key] for key in ("localiser", "task", "contrasts", "device", "threads")},
            "scans": experiment.scans(),
            "experiment": _of_training(experiment, phase.number, seed),
            "phase": phase.number,
            "seed": seed,
        }
        for phase in experiment.ready()
        for seed in experiment.seeds
    ]


def up_to(experiment: Experiment, number: int) -> dict[str, Any]:
    """The declaration without what does not concern a phase.

    A job that gets no more than this is not run again when a later phase is declared.
    """
    return {**experiment.block, "phases": list(experiment.block["phases"][:number]), "evaluate": []}


def _of_training(experiment: Experiment, number: int, seed: int) -> dict[str, Any]:
    """As :func:`up_to`, without other seeds and what concerns the export only."""
    block = up_to(experiment, number)
    phases = [
        {**phase, "correct": {**phase["correct"], "choose": 0, "images": LINK}}
        if phase["correct"] else phase
        for phase in block["phases"]
    ]  # fmt: skip
    return {**block, "phases": phases, "seeds": [seed]}


def _sources(block: Block, recipe: str) -> dict[str, str]:
    """Folders of the declaration; the recipe's cohorts are the scans of the experiment."""
    return {**block["sources"], **dict.fromkeys(cohort_keys(recipe), str(block["name"]))}


def seeds_of_models(training: Iterable[Block]) -> dict[str, tuple[str, str]]:
    """Model to method and seed, as the long table tells them, for the models of experiments."""
    return {
        str(entry["name"]): (f"{entry['experiment']['name']}-phase{entry['phase']}",
                             str(entry["seed"]))
        for entry in training
        if "experiment" in entry
    }  # fmt: skip


def started_from(entry: Block) -> str:
    """Model whose weights a training of an experiment starts from; empty for none."""
    if "experiment" not in entry or entry["phase"] == 1:
        return ""
    experiment = experiment_of(entry["experiment"])
    number = int(entry["phase"])
    if experiment.phase(number).start != PREVIOUS:
        return ""
    return experiment.model(number - 1, int(entry["seed"]))
