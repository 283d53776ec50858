"""A commented configuration, written from the schema so that no key and no default is missing."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from cordcohort.validation import schema_of

_WIDTH = 92
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*\Z")
_YAML_WORDS = frozenset("y n yes no on off true false null none".split())
HEADER = """\
# Configuration of a cordcohort study. `cordcohort check` reads it and says what is wrong with it.
# Every key stands here with what it means and, unless it was set for you, its default.
"""
# One value a scan and structure: the mean over all its slices, not also medians, SDs and levels.
_AREA = 'measure: csa_mm2, structure: cord, statistic: mean, level: ""'
ANALYSES = f"""\
  - name: csa_over_sites
    kind: variability
    title: Cord area within and between sites
    select: {{{_AREA}}}
    over: site
"""
AGREEMENT = f"""\
  - name: overlap_with_manual
    kind: agreement
    select: {{measure: [dice, rve_percent], structure: cord}}
    reference: manual
  - name: csa_against_manual
    kind: agreement
    select: {{{_AREA}}}
    reference: manual
"""
FURTHER = f"""\
  # - name: csa_over_sessions
  #   kind: variability
  #   select: {{{_AREA}}}
  #   over: session
  # - name: csa_t1w_t2w
  #   kind: paired_test
  #   select: {{{_AREA}, contrast: [T1w, T2w]}}
  #   compare: contrast
  # - name: csa_and_age
  #   kind: correlation
  #   select: {{{_AREA}}}
  #   with: {{score: [age]}}
"""


def config_text(
    name: str,
    datasets: Sequence[Mapping[str, str]],
    tables: Sequence[Mapping[str, Any]] = (),
    manual: bool = False,
) -> str:
    """Text of ``config/config.yaml`` for some data sets and tables from elsewhere.

    Parameters
    ----------
    name : str
        Short name of the study.
    datasets : sequence of mapping
        ``name`` and ``path`` of each.
    tables : sequence of mapping
        ``name``, ``file`` and the first mapping of each
        (:func:`cordcohort.cohort.draft.draft_mapping`).
    manual : bool
        Whether cords drawn by hand were found: then the agreement with them is switched on.
    """
    schema = schema_of("config")
    blocks = [HEADER]
    for key, about in schema["properties"].items():
        if key == "datasets" and datasets:
            blocks.append(_datasets_block(about, datasets))
        elif key == "external_measures" and tables:
            blocks.append(_tables_block(about, tables))
        elif key == "analyses":
            blocks.append(
                f"{_comment(about, 0)}analyses:\n{_first_analyses(datasets, tables, manual)}"
            )
        else:
            blocks.append(_entry(key, about, 0, {"study.name": name}, ""))
    return "\n".join(blocks)


def with_datasets(text: str, datasets: Sequence[Mapping[str, str]]) -> str:
    r"""Text of a config with other data sets: the block ``datasets`` is written anew.

    Examples
    --------
    >>> text = "a: 1\n\ndatasets:\n  - name: x\n\n# what b is\nb: 2\n"
    >>> with_datasets(text, [{"name": "y", "path": "/y"}]).splitlines()[-4:]
    ['    # external: {}', '', '# what b is', 'b: 2']
    """
    lines = text.splitlines(keepends=True)
    first, after = block_of(lines, "datasets")
    block = _datasets_block(schema_of("config")["properties"]["datasets"], datasets)
    return "".join([*lines[:first], block, "\n", *lines[after:]])


def as_comments(text: str, key: str) -> str:
    r"""Text of a config whose block of one key, if it has one, is written as comments.

    Examples
    --------
    >>> print(as_comments("a: 1\nb:\n  - c\n\n# what d is\nd: 2", "b"))
    a: 1
    # b:
    #   - c
    <BLANKLINE>
    # what d is
    d: 2
    """
    lines = text.splitlines(keepends=True)
    first, after = block_of(lines, key)
    block = [f"# {line}" if line.strip() else line for line in lines[first:after]]
    return "".join([*lines[:first], *block, *lines[after:]])


def block_of(lines: Sequence[str], key: str) -> tuple[int, int]:
    """First line of a key of the config and the line after its block; the end without it."""
    first = next((i for i, line in enumerate(lines) if line.startswith(f"{key}:")), len(lines))
    rest = (i for i, line in enumerate(lines) if i > first and line[:1] not in ("", " ", "\n"))
    return first, next(rest, len(lines))


def with_fewer_contrasts(text: str, wanted: Sequence[str], present: Sequence[str]) -> str:
    r"""Text of a study on fewer contrasts: its lists of all, and what stands for T2w.

    Analyses of a pair with a missing contrast are left out.

    Examples
    --------
    >>> text = "contrasts: [T1w, T2w, dwi]\nreference_contrast: T2w\n"
    >>> with_fewer_contrasts(text, ["T1w", "T2w", "dwi"], ["T1w", "dwi"]).splitlines()
    ['contrasts: [T1w, dwi]', 'reference_contrast: T1w']
    """
    text = text.replace(scalar(list(wanted)), scalar(list(present)))
    if not {"T1w", "T2w"} <= set(present):
        text = re.sub(r"  - name: area_t1w_on_t2w\n(?:    .*\n)*", "", text)
    if "T2w" not in present:
        for around in ("contrasts: [{}]", "contrast: {}", "which {} scans"):
            text = text.replace(around.format("T2w"), around.format(present[0]))
    return text


def _entry(
    key: str, about: Mapping[str, Any], indent: int, given: Mapping[str, str], at: str
) -> str:
    """A key with its comment and value, and the keys below it."""
    pad, path = " " * indent, f"{at}{key}"
    text = _comment(about, indent)
    if "properties" in about:
        below = [
            _entry(name, sub, indent + 2, given, f"{path}.")
            for name, sub in about["properties"].items()
        ]
        return f"{text}{pad}{key}:\n{''.join(below)}"
    return f"{text}{pad}{key}: {scalar(given.get(path, about.get('default')))}\n"


def _datasets_block(about: Mapping[str, Any], datasets: Sequence[Mapping[str, str]]) -> str:
    """The data sets; the optional keys of the first one stand as comments."""
    optional = schema_of("config")["$defs"]["dataset"]["properties"]
    text = f"{_comment(about, 0)}datasets:\n"
    for number, dataset in enumerate(datasets):
        text += f"  - name: {scalar(dataset['name'])}\n    path: {scalar(dataset['path'])}\n"
        if number == 0:
            for key in optional:
                if key not in ("name", "path"):
                    text += _comment(optional[key], 4)
                    text += f"    # {key}: {scalar(optional[key].get('default'))}\n"
    return text


def _tables_block(about: Mapping[str, Any], tables: Sequence[Mapping[str, Any]]) -> str:
    """The tables, each with the mapping that its header suggests."""
    text = f"{_comment(about, 0)}# Guessed from the headers: correct it, and write the units in.\n"
    text += "external_measures:\n"
    for table in tables:
        text += f"  - name: {scalar(table['name'])}\n"
        for key in ("file", "layout"):
            text += f"    {key}: {scalar(table[key])}\n"
        for key in ("columns", "measures", "scores"):
            text += _mapping(key, table[key])
        if table["left_out"]:
            text += f"    # Left out, as most of their cells are no numbers: {table['left_out']}\n"
        text += "    # What holds for all rows, such as {contrast: T2w, structure: cord}.\n"
        text += "    constants: {}\n"
    return text


def _mapping(key: str, entries: Mapping[str, Any]) -> str:
    if not entries:
        return f"    {key}: {{}}\n"
    lines = "".join(f"      {scalar(k)}: {scalar(v)}\n" for k, v in entries.items())
    return f"    {key}:\n{lines}"


def _first_analyses(
    datasets: Sequence[Mapping[str, str]], tables: Sequence[Mapping[str, Any]], manual: bool
) -> str:
    """Analyses to start with; of tables alone, their first measure over sites or sessions."""
    if datasets or not tables:
        commented = AGREEMENT.replace("  - ", "  # - ").replace("\n    ", "\n  #   ")
        return ANALYSES + (AGREEMENT if manual else commented) + FURTHER
    table = tables[0]
    over = "site" if "site" in table["columns"] else "session"
    wanted = {
        "method": table["name"] if "method" not in table["columns"] else "",
        "measure": table["first"],
        "statistic": table["statistic"],
    }
    select = ", ".join(f"{key}: {scalar(value)}" for key, value in wanted.items() if value)
    return (
        f"  - name: {scalar(str(table['name']) + '_over_' + over + 's')}\n"
        f"    kind: variability\n    select: {{{select}}}\n    over: {over}\n"
    )


def _comment(about: Mapping[str, Any], indent: int) -> str:
    description = " ".join(str(about.get("description", "")).split())
    if not description:
        return ""
    prefix = " " * indent + "# "
    wrapped = textwrap.wrap(
        description, _WIDTH, initial_indent=prefix, subsequent_indent=prefix,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return "\n".join(wrapped) + "\n"


def scalar(value: Any) -> str:
    """A value as YAML on one line: JSON is YAML, and plain words need no quotes."""
    if isinstance(value, list):
        return f"[{', '.join(scalar(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{scalar(k)}: {scalar(v)}' for k, v in value.items())}}}"
    if isinstance(value, str) and _PLAIN.match(value) and value.lower() not in _YAML_WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)


class AnalysisKind(Protocol):
    """What a registered kind of analysis tells of itself."""

    @property
    def name(self) -> str:
        """As in the config."""
        ...

    @property
    def schema(self) -> Mapping[str, Any]:
        """JSON schema of one declaration."""
        ...


def analysis_lines(kind: AnalysisKind) -> list[str]:
    """Name of a kind of analysis, and a line for each of its keys: default and meaning."""
    required = kind.schema["required"]
    lines = [f"kind: {kind.name}"]
    for key, about in kind.schema["properties"].items():
        if key not in ("name", "kind"):
            value = "required" if key in required else f"default {scalar(about.get('default'))}"
            allowed = f"; one of {scalar(about['enum'])}" if "enum" in about else ""
            lines.append(f"  {key} ({value}{allowed}): {about.get('description', '')}")
    return lines
