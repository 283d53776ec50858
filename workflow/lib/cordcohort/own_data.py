"""A published study on somebody's own data: what names its phantoms is written anew."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cordcohort.errors import ConfigError, CordcohortError
from cordcohort.model_uses import CORD, STRUCTURES, registered
from cordcohort.template import block_of, scalar

if TYPE_CHECKING:
    from cordcohort.config import Config

Block = Mapping[str, Any]
Names = Callable[[Block], str]
CORD_MODEL = "cord-v1"
_RATER = re.compile(r"\brater-\d+\b")
_CHOOSE = "not in your data: {}; write in its place what you have"


def with_own_names(text: str, unknown: Callable[[Block], str]) -> tuple[str, list[str]]:
    r"""Text of a study without the names of its phantoms' data sets and sheets.

    A selection of most of the data sets is the study's cohort, for which all of yours stand. What
    else your data do not have (a cohort of repeated sessions, a score) somebody has to choose: such
    an analysis is written as comments.

    Parameters
    ----------
    text : str
        Configuration of a published study.
    unknown : callable
        What of an analysis the data do not have, or nothing (:func:`names_unknown_to`).

    Returns
    -------
    str
        The text; as it was where no analysis names anything of the phantoms.
    list of str
        What is left to be chosen: ``analysis (what it names)``.

    Examples
    --------
    >>> text = ("datasets: [{name: a, path: a}, {name: b, path: b}, {name: c, path: c}]\n"
    ...         "analyses:\n  - {name: one, select: {dataset: [a, b]}}\n"
    ...         "  - {name: two, select: {dataset: c}}\n")
    >>> told, left = with_own_names(text, lambda analysis: analysis["select"].get("dataset", ""))
    >>> print(told.partition("analyses:")[2].strip())
    - name: one
        select: {}
      # not in your data: c; write in its place what you have
      # - name: two
      #   select: {dataset: c}
    >>> left
    ['two (c)']
    """
    content = yaml.safe_load(text)
    theirs = [str(entry["name"]) for entry in content["datasets"]]
    found = [_without_cohort(entry, theirs) for entry in content.get("analyses", ())]
    analyses = [(entry, unknown(entry)) for entry in found]
    left = {str(entry["name"]): name for entry, name in analyses if name}
    if found == content["analyses"] and not left:
        return text, []
    lines = text.splitlines(keepends=True)
    first, after = block_of(lines, "analyses")
    blocks = [_block(entry, name) for entry, name in analyses]
    text = "".join([*lines[:first], "analyses:\n", *blocks, "\n", *lines[after:]])
    if content.get("measures", {}).get("voxel_size_datasets"):
        text = re.sub(r"(?m)^  (voxel_sizes_mm|voxel_size_datasets):", r"  # \1:", text)
    published = content.get("report", {}).get("published", {})
    kept = {name: table for name, table in published.items() if name not in left}
    text = re.sub(r"(?m)^  published: .*$", f"  published: {scalar(kept)}", text)
    return text, [f"{name} ({why})" for name, why in left.items()]


def with_raters(text: str) -> str:
    r"""Text of a study with its raters among the methods that nobody may have supplied.

    Examples
    --------
    >>> with_raters("other_methods: [a]\nanalyses: [{select: {method: [manual, rater-2]}}]")
    'other_methods: [a, rater-2]\nanalyses: [{select: {method: [manual, rater-2]}}]'
    """
    content = yaml.safe_load(text)
    others = [str(name) for name in content.get("other_methods", ())]
    raters = set(_RATER.findall(str(content["analyses"]))) - set(others)
    told = f"other_methods: {scalar(others)}"
    return text.replace(told, f"other_methods: {scalar([*others, *sorted(raters)])}", 1)


def names_unknown_to(bids: Sequence[Mapping[str, str]], text: str, study: Path) -> Names:
    """What `check` would refuse of one analysis of a study on some data sets.

    Parameters
    ----------
    bids : sequence of mapping
        ``name`` and ``path`` of each data set.
    text : str
        Configuration of a published study.
    study : Path
        Folder of the study.
    """
    from cordcohort.bids.index import build_index  # noqa: PLC0415 - slow, rarely needed
    from cordcohort.bids.prepare import check_against_index  # noqa: PLC0415
    from cordcohort.config import make_config  # noqa: PLC0415

    content = yaml.safe_load(text) | {"datasets": list(bids), "report": {}}
    content.pop("experiments", None)
    content.get("measures", {}).pop("voxel_size_datasets", None)

    def config_of(analyses: list[Block]) -> Config:
        return make_config(content | {"analyses": analyses}, study, check=False)

    try:
        index = build_index(config_of([]))
        check_against_index(config_of([]), index)
    except CordcohortError:  # which `check` explains: then every analysis stays
        return lambda _: ""

    sites = set(index.scans["site"])

    def unknown(analysis: Block) -> str:
        try:
            check_against_index(config_of([analysis]), index)
        except ConfigError as error:
            return str(error.value)
        values = analysis.get("values", ()) if analysis.get("group") == "site" else ()
        return next((str(v) for v in values if v not in sites), "")

    return unknown


def with_cord_model(text: str) -> str:
    r"""Text of a study with a model that draws the cord, unless it has one.

    Examples
    --------
    >>> with_cord_model("segmentation:\n  models: [rootlets-v1]\n").splitlines()[1]
    '  models: [cord-v1, rootlets-v1]'
    """
    models = [str(name) for name in yaml.safe_load(text)["segmentation"]["models"]]
    tasks = [str(registered().get(name, {}).get("task", CORD)) for name in models]
    if not models or any(CORD in STRUCTURES[task] for task in tasks):
        return text
    return text.replace(f"models: {scalar(models)}", f"models: {scalar([CORD_MODEL, *models])}", 1)


def _without_cohort(analysis: Block, theirs: Sequence[str]) -> dict[str, Any]:
    """An analysis; of most of the phantoms' data sets it becomes one of all data sets."""
    select = dict(analysis.get("select", {}))
    asked = select.get("dataset", ())
    if isinstance(asked, list) and len(asked) * 2 > len(theirs):
        del select["dataset"]
    return {**analysis, "select": select}


def _block(analysis: Block, unknown: str) -> str:
    """An analysis as lines of a config; as comments where something has to be chosen."""
    pairs = [f"{key}: {scalar(value)}" for key, value in analysis.items()]
    lines = [f"- {pairs[0]}", *(f"  {pair}" for pair in pairs[1:])]
    if unknown:
        lines = [f"# {line}" for line in (_CHOOSE.format(unknown), *lines)]
    return "".join(f"  {line}\n" for line in lines)
