"""Resources that a profile asks for, in either spelling that the engine takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DEFAULTS, OF_RULES = "default-resources", "set-resources"
Resources = Mapping[str, Mapping[str, Any]]


def resources_of(profile: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Resources by stage, and under ``default-resources`` those of all stages.

    The engine takes names and values, or what its command line takes: ``name=value``, for one stage
    after ``rule:``.

    Parameters
    ----------
    profile : mapping
        As its file says.

    Examples
    --------
    >>> resources_of({"default-resources": ["gpu=1"], "set-resources": {"discs": {"gpu": 0}}})
    {'default-resources': {'gpu': 1}, 'discs': {'gpu': 0}}
    >>> resources_of({"set-resources": "discs:gres=gpu:1"})
    {'default-resources': {}, 'discs': {'gres': 'gpu:1'}}
    """
    found = {DEFAULTS: _named(profile.get(DEFAULTS))}
    given = profile.get(OF_RULES)
    if isinstance(given, Mapping):
        return found | {str(stage): _named(own) for stage, own in given.items()}
    for entry in _listed(given):
        stage, _, assigned = entry.partition(":")
        found.setdefault(stage, {}).update(_named(assigned))
    return found


def _named(given: Any) -> dict[str, Any]:
    if isinstance(given, Mapping):
        return {str(name): value for name, value in given.items()}
    pairs = [entry.partition("=") for entry in _listed(given)]
    return {name: int(text) if text.isdecimal() else text for name, _, text in pairs}


def _listed(given: Any) -> list[str]:
    if given is None:
        return []
    return [str(entry) for entry in (given if isinstance(given, list) else [given])]
