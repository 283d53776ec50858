"""Who is kept for the test: by person, for each seed anew, and the same in all phases of a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cordcohort.experiments.declared import Experiment, Phase
from cordcohort.experiments.scans import is_labelled
from cordcohort.scan import Row
from cordcohort.scan_choice import is_selected
from cordcohort.trained import KEPT_OUT, said_of_persons

TEST, TRAIN = "test", "train"


def dealt(experiment: Experiment, rows: Sequence[Row], seed: int) -> dict[str, str]:
    """Deal the persons of an experiment to training and test.

    Phase by phase, the persons who are new are dealt within their site, so that every site has its
    share of test persons; who was dealt before stays. All scans of a person, of every session, site
    and phase, go the same way. The order is that of a digest of seed and person: a person who joins
    moves at most the last ones of one site.

    Parameters
    ----------
    experiment : Experiment
    rows : sequence of index rows
        Of all data sets: any of their sheets may keep a person out.
    seed : int

    Returns
    -------
    dict
        Person to ``train``, ``test``, or what a sheet says of whom it keeps out (test, external).
    """
    said = said_of_persons(rows)
    found = {person: word for person, word in said.items() if word in KEPT_OUT}
    for phase in experiment.phases:
        for persons in _new_by_site(experiment, phase, rows, found):
            order = sorted(persons, key=_drawn_by(seed))
            n_test = max(round(phase.test * len(order)), int(phase.test > 0 and len(order) > 1))
            found |= dict.fromkeys(order[:n_test], TEST) | dict.fromkeys(order[n_test:], TRAIN)
    return dict(sorted(found.items()))


def _new_by_site(
    experiment: Experiment, phase: Phase, rows: Iterable[Row], known: Mapping[str, Any]
) -> list[set[str]]:
    """Persons of a phase who were not dealt before; one of several sites counts at the first."""
    sites: dict[str, str] = {}
    for row in rows:
        person, site = str(row["person"]), str(row["site"])
        if person not in known and _takes_part(row, experiment, phase):
            sites[person] = min(site, sites.get(person, site))
    return [{p for p, own in sites.items() if own == site} for site in sorted(set(sites.values()))]


def _takes_part(row: Row, experiment: Experiment, phase: Phase) -> bool:
    if row["status"] != "ok":
        return False
    if phase.correct and is_selected(row, phase.correct.scans):
        return True
    return is_selected(row, phase.add) and is_labelled(row, experiment)


def _drawn_by(seed: int) -> Any:
    def place(person: str) -> str:
        return hashlib.sha256(f"{seed}\x1f{person}".encode()).hexdigest()

    return place
