"""What a reader must know of a model wherever its figures and pictures stand."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import pandas as pd

from cordcohort.errors import CordcohortError
from cordcohort.files import read_yaml
from cordcohort.lent_cord import lent_by, told_once
from cordcohort.model_uses import CORD
from cordcohort.report.inputs import Inputs, setting
from cordcohort.report.palette import method_order
from cordcohort.report.privacy import public_text
from cordcohort.root import workflow_root

Notes = Mapping[str, Collection[str]]
EXPERIMENTAL = "experimental"
_METHODS = ("method", "a", "b", "reference")


def model_cards(inputs: Inputs) -> dict[str, dict[str, Any]]:
    """``model.yaml`` of every model that the study used, as far as it is there."""
    cards: dict[str, dict[str, Any]] = {}
    for name in setting(inputs.config, "segmentation.models", ()):
        try:
            path = workflow_root() / "models" / str(name) / "model.yaml"
            if not path.is_file():  # one that the study trained
                path = inputs.results / "models" / str(name) / "model.yaml"
            card: Any = read_yaml(path) if path.is_file() else None
        except CordcohortError:
            continue
        if isinstance(card, dict):
            cards[str(name)] = card
    return cards


def model_notes(inputs: Inputs) -> dict[str, list[str]]:
    """Sentences on each model of the study of which there is something to know.

    Returns
    -------
    dict
        From the method to its sentences: that its card calls it experimental, and whose cord it
        shows.
    """
    cards = model_cards(inputs)
    notes: dict[str, list[str]] = {}
    for name, card in cards.items():
        why = public_text(card.get(EXPERIMENTAL) or "").rstrip(".")
        lender = lent_by(name, CORD, cards)
        told = [f"{public_text(name)} is experimental: {why}."] if why else []
        told += [told_once(public_text(name), public_text(lender))] if lender else []
        if told:
            notes[name] = told
    return notes


def notes_on(notes: Notes, methods: Iterable[str]) -> list[str]:
    """The sentences on some methods, in the order of the methods.

    Examples
    --------
    >>> notes_on({"b": ["b is experimental: no."], "a": ["one.", "two."]}, ["manual", "b", "a"])
    ['one.', 'two.', 'b is experimental: no.']
    """
    return [text for m in sorted({*methods} & {*notes}, key=method_order) for text in notes[m]]


def notes_on_table(notes: Notes, table: pd.DataFrame) -> list[str]:
    """The sentences on the methods that a table of results names, of lent cords only its own."""
    named = {str(v) for c in _METHODS if c in table for v in table[c].unique()}
    return [text for text in notes_on(notes, named) if f" is {EXPERIMENTAL}: " in text]
