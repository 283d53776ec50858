"""Validation of YAML against a JSON schema: defaults filled in, every refusal one plain line."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from jsonschema.validators import extend

from cordcohort.errors import ConfigError
from cordcohort.files import read_yaml
from cordcohort.root import workflow_root

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_N_NEAREST = 3
_NEAR_ENOUGH = 0.6
_NAMES = {
    "string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
    "array": "a list", "object": "a block of keys", "null": "nothing",
}  # fmt: skip


@functools.cache
def schema_of(name: str) -> dict[str, Any]:
    """Schema ``workflow/schemas/<name>.schema.yaml``; that it is a schema is for the tests to see.

    Every job on a node reads it: the loader in C takes a seventh of the time.
    """
    path = workflow_root() / "workflow" / "schemas" / f"{name}.schema.yaml"
    return yaml.load(path.read_text(encoding="utf-8"), _LOADER)  # noqa: S506 - a safe loader


def validated(content: Any, schema_name: str, where: str) -> Any:
    """Fill the defaults of a schema into some content and check it.

    Parameters
    ----------
    content : object
        As read from YAML; it is not changed.
    schema_name : str
        ``config`` or ``exclude``.
    where : str
        The file, for messages.

    Returns
    -------
    object
        A copy with every default filled in.

    Raises
    ------
    ConfigError
        For the first fault, naming key, value, what was expected and the way out.
    """
    filled = deepcopy(content)
    for error in faults(filled, schema_name, where):
        raise error
    return filled


def faults(content: Any, schema_name: str, where: str) -> Iterator[ConfigError]:
    """All faults of some content, in the order of its keys; defaults are filled in on the way."""
    validator = _Validator(schema_of(schema_name))
    for error in sorted(validator.iter_errors(content), key=_place):
        yield _refusal(error, where)


def _place(error: jsonschema.ValidationError) -> list[str]:
    return [str(part) for part in error.absolute_path]


def _fill_defaults(
    validator: Any, properties: Mapping[str, Any], instance: Any, schema: Any
) -> Iterator[jsonschema.ValidationError]:
    if isinstance(instance, dict):
        for key, sub in properties.items():
            resolved = sub
            if "$ref" in sub and "default" not in sub:
                resolved = validator._resolver.lookup(sub["$ref"]).contents
            if "default" in resolved:
                instance.setdefault(key, deepcopy(resolved["default"]))
    yield from jsonschema.Draft202012Validator.VALIDATORS["properties"](
        validator, properties, instance, schema
    )


_Validator: Any = extend(jsonschema.Draft202012Validator, {"properties": _fill_defaults})


def _refusal(error: Any, where: str) -> ConfigError:
    """One plain line for a fault."""
    key = dotted(error.absolute_path)
    schema: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}
    about = " ".join(str(schema.get("description", "")).split())
    way_out = f"this key is: {about}" if about else "correct it"
    if error.validator == "additionalProperties":
        return _unknown_key(error, schema, key, where)
    if error.validator == "required":
        missing = next(k for k in error.validator_value if k not in error.instance)
        wanted = schema.get("properties", {}).get(missing, {}).get("description", "a value")
        return ConfigError(_joined(key, missing), None, _one(wanted), "add this key", where)
    if error.validator == "type" and isinstance(error.instance, int) and "string" in _types(error):
        way_out = f"put it in quotes: '{error.instance}'"
    return ConfigError(key or "the file", error.instance, _expected(error), way_out, where)


def _unknown_key(error: Any, schema: Mapping[str, Any], key: str, where: str) -> ConfigError:
    known = list(schema.get("properties", {}))
    unknown = next(k for k in error.instance if k not in known)
    near = _near(str(unknown), known)
    way_out = f"did you mean {' or '.join(near)}?" if near else "remove it"
    expected = f"a known key ({', '.join(known)})"
    return ConfigError(
        _joined(key, str(unknown)), error.instance[unknown], expected, way_out, where
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """Way out for a name that is not known: the nearest ones, or all.

    Examples
    --------
    >>> nearest("t2v", ["T2w", "dwi"])
    'did you mean T2w?'
    """
    names = sorted(set(known) - {""})
    near = _near(name, names)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"choose among {', '.join(names)}" if names else "remove it"


def _near(name: str, known: Iterable[str]) -> list[str]:
    """Names that are nearly the same; upper and lower case are alike."""
    by_folded = {one.casefold(): one for one in known}
    found = difflib.get_close_matches(name.casefold(), by_folded, _N_NEAREST, _NEAR_ENOUGH)
    return [by_folded[one] for one in found]


def _types(error: Any) -> list[str]:
    value = error.validator_value
    return [value] if isinstance(value, str) else list(value)


def _expected(error: Any) -> str:
    """What a schema keyword asks for, in words."""
    value = error.validator_value
    words = {
        "enum": f"one of {value}",
        "const": f"{value!r}",
        "minimum": f"at least {value}",
        "maximum": f"at most {value}",
        "exclusiveMinimum": f"more than {value}",
        "exclusiveMaximum": f"less than {value}",
        "pattern": f"text that matches {value}",
        "minItems": f"at least {value} entry",
        "minLength": f"a text of at least {value} characters",
        "uniqueItems": "every entry once",
        "anyOf": "one of the allowed forms",
    }
    if error.validator == "type":
        return " or ".join(_NAMES[name] for name in _types(error))
    return words.get(str(error.validator), str(error.message))


def _one(text: Any) -> str:
    return " ".join(str(text).split())


def _joined(key: str, last: str) -> str:
    return f"{key}.{last}" if key else last


def dotted(parts: Any) -> str:
    """Path of a key as a person writes it.

    Examples
    --------
    >>> dotted(["datasets", 0, "path"])
    'datasets[0].path'
    """
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def read_strict_yaml(path: Path, *, text_only: bool = False) -> Any:
    """Read YAML and refuse keys that are there twice, of which YAML would silently keep the last.

    Parameters
    ----------
    path : Path
        The file.
    text_only : bool
        Give every scalar as text, as it is written: ``01``, ``no`` and ``1e5`` are labels.

    Raises
    ------
    ConfigError
        If a block has a key twice.
    SheetError
        If the file is no YAML or too large (:func:`cordcohort.files.read_yaml`).
    """
    content = read_yaml(path)
    node = yaml.compose(path.read_text(encoding="utf-8-sig"), yaml.SafeLoader)
    _refuse_repeated_keys(node, [], path.name)
    if text_only and node is not None:
        # BaseLoader makes nothing but text, lists and dictionaries.
        return yaml.load(path.read_text(encoding="utf-8-sig"), yaml.BaseLoader)  # noqa: S506
    return content


def _refuse_repeated_keys(node: Any, parts: list[str | int], where: str) -> None:
    if isinstance(node, yaml.MappingNode):
        keys = [str(key.value) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise ConfigError(
                    dotted([*parts, key]), "two values", "each key once", "remove one", where
                )
        for key, value in node.value:
            _refuse_repeated_keys(value, [*parts, str(key.value)], where)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            _refuse_repeated_keys(value, [*parts, position], where)
