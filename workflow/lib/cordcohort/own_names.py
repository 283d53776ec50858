"""The analyses of a published study on somebody's own data: what names its phantoms goes."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from cordcohort.template import block_of, scalar

Block = Mapping[str, Any]
# Whom the phantoms' sheets call so is everybody, where no sheet tells groups apart.
EVERYONE = ("group", "patient")
_CHOOSE = "not in your data: {}; write in its place what you have"
_WITHOUT = "without {}, which nothing draws in your study"
_OF_SEVERAL = ("kruskal_wallis", "friedman")  # tests for more than two methods
_ALL = "of everyone: no sheet has a column `group`"


@dataclass(frozen=True)
class Found:
    """What some data sets have of what a published study names.

    Attributes
    ----------
    methods : set of str or None
        Whose masks there are or will be; None where the data sets cannot be read.
    unknown : callable
        What `check` would refuse of an analysis, or nothing.
    groups : bool
        Whether a sheet tells groups of persons.
    fault : str
        Why the data sets cannot be read.
    """

    methods: Collection[str] | None
    unknown: Callable[[Block], str]
    groups: bool = True
    fault: str = ""


@dataclass
class Fitted:
    """An analysis as it fits the data: its keys, what it lost, and why it cannot be made."""

    keys: dict[str, Any]
    lost: list[str] = field(default_factory=list)
    why: str = ""
    of_everyone: bool = False


def with_own_names(text: str, found: Found) -> tuple[str, list[str], list[str]]:
    r"""Text of a study without the names of its phantoms' data sets, sheets and methods.

    A selection of most of the data sets is the study's cohort, for which all of yours stand.
    Methods that nothing draws leave the lists of an analysis, but those that somebody may supply
    stay as rows of its tables. What else your data do not have (a cohort of repeated sessions, a
    score, the method that all are compared with) somebody has to choose: such an analysis is
    written as comments.

    Parameters
    ----------
    text : str
        Configuration of a published study.
    found : Found
        What the data sets have (:func:`cordcohort.own_data.look_for_names`).

    Returns
    -------
    str
        The text; as it was where no analysis names anything of the phantoms.
    list of str
        What is left to be chosen: ``analysis (what it names)``.
    list of str
        Methods that left the lists of analyses.

    Examples
    --------
    >>> text = ("datasets: [{name: a, path: a}, {name: b, path: b}, {name: c, path: c}]\n"
    ...         "analyses:\n  - {name: one, select: {dataset: [a, b], method: [manual, x]}}\n"
    ...         "  - {name: two, select: {dataset: c}}\n")
    >>> found = Found({"manual"}, lambda analysis: analysis["select"].get("dataset", ""))
    >>> told, left, lost = with_own_names(text, found)
    >>> print(told.partition("analyses:")[2].strip())
    # without x, which nothing draws in your study
      - name: one
        select: {method: [manual]}
      # not in your data: c; write in its place what you have
      # - name: two
      #   select: {dataset: c}
    >>> left, lost
    (['two (c)'], ['x'])
    """
    content = yaml.safe_load(text)
    later = supplied_later(content)
    fitted = [_fitted(entry, content, found, later) for entry in content.get("analyses", ())]
    left = {str(one.keys["name"]): one.why for one in fitted if one.why}
    others = [name for name in content.get("other_methods", ()) if name in later]
    text = text.replace(f"other_methods: {scalar(content.get('other_methods', []))}",
                        f"other_methods: {scalar(others)}", 1)  # fmt: skip
    if [one.keys for one in fitted] == content["analyses"] and not left:
        return text, [], []
    lines = text.splitlines(keepends=True)
    first, after = block_of(lines, "analyses")
    comments = _comments(lines[first + 1 : after])
    blocks = [_block(one, comments.get(str(one.keys["name"]), [])) for one in fitted]
    text = "".join([*lines[:first], "analyses:\n", *blocks, "\n", *lines[after:]])
    if content.get("measures", {}).get("voxel_size_datasets"):
        text = re.sub(r"(?m)^  (voxel_sizes_mm|voxel_size_datasets):", r"  # \1:", text)
    published = content.get("report", {}).get("published", {})
    kept = {name: table for name, table in published.items() if name not in left}
    text = re.sub(r"(?m)^  published: .*$", f"  published: {scalar(kept)}", text)
    lost = dict.fromkeys(name for one in fitted if not one.why for name in one.lost)
    chosen = [f"{name} ({why.partition(' (')[0]})" for name, why in left.items()]
    return text, chosen, list(lost)


def supplied_later(content: Block) -> list[str]:
    """Methods of others that a centre may supply; not those of experiments or of phantoms alone."""
    of_phantoms = {name for one in content["datasets"] for name in one.get("external", ())}
    phases = [(one["name"], len(one["phases"])) for one in content.get("experiments", ())]
    trained = {f"{name}-phase{i}" for name, n in phases for i in range(1, n + 1)}
    others = [str(name) for name in content.get("other_methods", ())]
    return [name for name in others if name not in of_phantoms | trained]


def _fitted(analysis: Block, content: Block, found: Found, later: Sequence[str]) -> Fitted:
    """An analysis of the data there are: all data sets for most of the phantoms', methods drawn."""
    select = dict(analysis.get("select", {}))
    asked = select.get("dataset", ())
    if isinstance(asked, list) and len(asked) * 2 > len(content["datasets"]):
        del select["dataset"]
    column, value = EVERYONE
    of_everyone = not found.groups and select.get(column) == value
    if of_everyone:
        del select[column]
    whole = {**analysis, "select": select}
    lost: list[str] = []
    if found.methods is not None:
        fitted, lost, why = _with_methods(whole, found.methods, later)
        why = why or found.unknown(fitted)
        return Fitted(whole if why else fitted, lost, why, of_everyone)
    return Fitted(whole, lost, found.unknown(whole), of_everyone)


def _with_methods(
    analysis: Block, drawn: Collection[str], later: Collection[str]
) -> tuple[dict[str, Any], list[str], str]:
    """An analysis of methods that are drawn, those that it loses, and why nothing is left of it."""
    fitted = {**analysis, "select": dict(analysis["select"])}
    compared = "method" in (analysis.get(key) for key in ("compare", "group", "over"))
    needed = (3 if analysis.get("test") in _OF_SEVERAL else 2) if compared else 1
    lists = [(fitted, "methods", {*drawn, *later}, 1), (fitted["select"], "method", drawn, needed)]
    if compared:
        lists.append((fitted, "values", drawn, needed))
    lost: list[str] = []
    for block, key, known, least in lists:
        names = block.get(key, [])
        wanted = [str(name) for name in (names if isinstance(names, list) else [names])]
        gone = [name for name in wanted if name not in known]
        if len(wanted) - len(gone) < least and gone:
            return fitted, gone, f"method {', '.join(gone)}"
        if gone:
            block[key] = [name for name in wanted if name in known]
            lost += gone
    for key in ("against", "reference"):
        if analysis.get(key, "") not in ("", *drawn):
            return fitted, lost, f"method {analysis[key]}"
    return fitted, lost, ""


def _comments(lines: Sequence[str]) -> dict[str, list[str]]:
    """Comments of each analysis: those before it, and those between its keys."""
    found: dict[str, list[str]] = {}
    before: list[str] = []
    name = ""
    for line in lines:
        start = re.match(r"  - (?:\{)?name: ([^,\s]+)", line)
        if start:
            name, found[start[1]], before = start[1], before, []
        elif line.startswith("  #"):
            before.append(line.strip())
        elif line.lstrip().startswith("#") and name:
            found[name].append(line.strip())
    return found


def _block(fitted: Fitted, comments: Sequence[str]) -> str:
    """An analysis as lines of a config; as comments where something has to be chosen."""
    pairs = [f"{key}: {scalar(value)}" for key, value in fitted.keys.items()]
    lines = [f"- {pairs[0]}", *(f"  {pair}" for pair in pairs[1:])]
    told = list(comments)
    if fitted.of_everyone:
        told.append(f"# {_ALL}")
    if fitted.why:
        lines = [f"# {line}" for line in (_CHOOSE.format(fitted.why), *lines)]
    elif fitted.lost:
        told.append(f"# {_WITHOUT.format(', '.join(dict.fromkeys(fitted.lost)))}")
    return "".join(f"  {line}\n" for line in (*told, *lines))
