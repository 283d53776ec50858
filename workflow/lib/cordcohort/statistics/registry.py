"""Which analyses there are, what each one takes, and how a declared one is checked.

An analysis is one function from a :class:`~cordcohort.statistics.select.Selection` and its
parameters to an :class:`Outcome`. It registers itself with :func:`analysis`; the config, its
check, the run and the docs read the registry, so a new analysis is written in one place.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jsonschema
import pandas as pd

from cordcohort.errors import ConfigError
from cordcohort.statistics.select import Selection

Parameters = Mapping[str, Any]
_NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
_N_NEAREST = 3
_LABELS = {
    "anyOf": [
        {"type": ["string", "integer"]},
        {"type": "array", "items": {"type": ["string", "integer"]}, "minItems": 1},
    ]
}
COLUMN_LIST = {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "default": []}

COMMON_PARAMETERS: dict[str, dict[str, Any]] = {
    "name": {"type": "string", "pattern": _NAME_PATTERN, "description": "file name of the result"},
    "kind": {"type": "string", "description": "which analysis"},
    "title": {"type": "string", "default": "", "description": "heading in the report"},
    "select": {
        "type": "object",
        "additionalProperties": _LABELS,
        "default": {},
        "description": "rows used: long-table column or score variable -> one label or a list",
    },
    "split_by": COLUMN_LIST
    | {"description": "columns or score variables; each combination is analysed on its own"},
    "pool": COLUMN_LIST | {"description": "columns that are normally kept apart, averaged instead"},
    "average_over": COLUMN_LIST
    | {
        "items": {"enum": ["seed", "run"]},
        "description": "columns over which the values of a scan are averaged before anything else, "
        "so that it counts once: the seeds of an experiment, repeated runs",
    },
    "leave_one_out": {
        "enum": ["", "site", "vendor", "dataset", "person"],
        "default": "",
        "description": "repeat the analysis without each of these in turn; the column left_out "
        "says which, and is empty for the whole",
    },
    "per": COLUMN_LIST
    | {
        "items": {"enum": ["slice", "object"]},
        "description": "also use rows of single slices or objects (otherwise whole scan and level)",
    },
}


@dataclass(frozen=True)
class Outcome:
    """What an analysis function gives back.

    Parameters
    ----------
    table : DataFrame
        Tidy result; always with ``flag`` (``""``, ``warning``, ``undefined``) and ``reason``.
    method_text : str
        What was computed, in sentences fit for a methods section.
    unit : str
        What one independent observation is (person, scan, pair of scans ...).
    used : Index, optional
        Labels of the selected rows that entered a number; all usable rows when absent.
    count_by : list of str
        Columns besides the strata by which scans are counted.
    facts : mapping
        Conventions that belong beside the numbers: ``ddof``, ``correction``, ``seed`` ...
    """

    table: pd.DataFrame
    method_text: str
    unit: str
    used: pd.Index | None = None
    count_by: list[str] = field(default_factory=list)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """A registered kind of analysis."""

    name: str
    function: Callable[[Selection, Parameters], Outcome]
    parameters: Mapping[str, Mapping[str, Any]]
    required: tuple[str, ...]
    columns: tuple[str, ...]
    merged: Callable[[Parameters], Sequence[str]]
    headline: str = ""

    @property
    def schema(self) -> dict[str, Any]:
        """JSON schema of one declaration of this kind; unknown keys are refused."""
        properties = COMMON_PARAMETERS | {k: dict(v) for k, v in self.parameters.items()}
        properties = properties | {"kind": {"const": self.name}}
        return {
            "type": "object",
            "properties": properties,
            "required": ["name", "kind", *self.required],
            "additionalProperties": False,
        }


_KINDS: dict[str, Kind] = {}


def _nothing(_: Parameters) -> Sequence[str]:
    return ()


def analysis(
    name: str,
    *,
    columns: Sequence[str],
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    required: Sequence[str] = (),
    merged: Callable[[Parameters], Sequence[str]] = _nothing,
    headline: str = "",
) -> Callable[
    [Callable[[Selection, Parameters], Outcome]], Callable[[Selection, Parameters], Outcome]
]:
    """Register a function as a kind of analysis.

    Parameters
    ----------
    name : str
        The ``kind`` of the config.
    columns : sequence of str
        Columns of its result after the strata; what the function leaves out is filled as missing.
    parameters : mapping
        JSON schema, with description and default, of each parameter of its own.
    required : sequence of str
        Parameters without a default.
    merged : callable
        Strata that this analysis compares or averages over, given its parameters.
    headline : str
        Column of the number that the analysis is read for; leaving out sites is judged by it.
    """

    def register(
        function: Callable[[Selection, Parameters], Outcome],
    ) -> Callable[[Selection, Parameters], Outcome]:
        own = parameters or {}
        _KINDS[name] = Kind(name, function, own, tuple(required), tuple(columns), merged, headline)
        return function

    return register


def kinds() -> dict[str, Kind]:
    """All registered kinds of analysis by name."""
    return dict(sorted(_KINDS.items()))


def check_analysis(spec: Mapping[str, Any], key: str = "analyses[0]") -> dict[str, Any]:
    """Check one declared analysis and fill in the defaults.

    Parameters
    ----------
    spec : mapping
        One entry of ``analyses`` of the config.
    key : str
        Where it stands, for messages.

    Returns
    -------
    dict
        A copy with every parameter present.

    Raises
    ------
    ConfigError
        Naming the key, the value and what is allowed.
    """
    name = spec.get("kind")
    if name not in _KINDS:
        near = difflib.get_close_matches(str(name), list(_KINDS), _N_NEAREST, 0.0)
        way_out = f"nearest: {near}"
        raise ConfigError(f"{key}.kind", name, f"a kind among {sorted(_KINDS)}", way_out)
    schema = _KINDS[name].schema
    validator = jsonschema.Draft202012Validator(schema)
    for error in sorted(validator.iter_errors(dict(spec)), key=_error_place):
        raise _config_error(error, schema, key)
    filled: dict[str, Any] = dict(copy.deepcopy(dict(spec)))
    for parameter, about in schema["properties"].items():
        if "default" in about:
            filled.setdefault(parameter, copy.deepcopy(about["default"]))
    return filled


def _error_place(error: jsonschema.ValidationError) -> str:
    return str(error.json_path)


def _config_error(
    error: jsonschema.ValidationError, schema: Mapping[str, Any], key: str
) -> ConfigError:
    place = key + str(error.json_path).removeprefix("$")
    if error.validator == "additionalProperties":
        known = sorted(schema["properties"])
        given: Any = error.instance
        unknown = sorted(str(k) for k in set(given) - set(known))
        near = difflib.get_close_matches(unknown[0], known, _N_NEAREST, 0.0) if unknown else []
        return ConfigError(place, unknown, f"keys among {known}", f"nearest: {near}")
    if error.validator == "enum":
        choice: Any = error.validator_value
        allowed = [str(v) for v in choice]
        near = difflib.get_close_matches(str(error.instance), allowed, _N_NEAREST, 0.0)
        return ConfigError(place, error.instance, f"one of {allowed}", f"nearest: {near}")
    expected = f"a value that fits {error.validator} {error.validator_value!r}"
    return ConfigError(place, error.instance, expected, "correct it")


def check_analyses(specs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Check all declared analyses of a config; names must differ.

    Raises
    ------
    ConfigError
        As :func:`check_analysis`, and when two analyses have one name.
    """
    checked = [check_analysis(spec, f"analyses[{i}]") for i, spec in enumerate(specs)]
    names = [spec["name"].lower() for spec in checked]
    for i, name in enumerate(names):
        if name in names[:i]:
            way_out = "rename one of them"
            raise ConfigError(f"analyses[{i}].name", checked[i]["name"], "a new name", way_out)
    return checked
