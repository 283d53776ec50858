"""A published study on somebody's own data sets: contrasts, models and analyses that fit them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from cordcohort.errors import ConfigError, CordcohortError
from cordcohort.model_uses import CORD, STRUCTURES, registered
from cordcohort.own_names import EVERYONE, Block, Found, supplied_later, with_own_names
from cordcohort.scan import CONFIG_PATH
from cordcohort.template import as_comments, scalar, with_datasets, with_fewer_contrasts

if TYPE_CHECKING:
    from cordcohort.config import Config

CORD_MODEL = "cord-v1"
_LONGEST_WAY_OUT = 100  # characters: a list of every column helps nobody
_MIN_CONTRASTS = 2
_OF_COLUMNS = ("select", "split_by", "pool", "covariates")  # keys whose values are columns


def on_own_data(text: str, name: str, study: Path, datasets: Sequence[Mapping[str, str]]) -> str:
    """Text of a published study on some data sets; what was left out of it is told on stderr.

    Parameters
    ----------
    text : str
        Configuration of a published study.
    name : str
        Of that study.
    study : Path
        Folder of the study that is made.
    datasets : sequence of mapping
        ``name`` and ``path`` of each data set.

    Raises
    ------
    CordcohortError
        If the data sets have not the contrasts that the study is about.
    """
    text = with_cord_model(_with_contrasts(text, name, [study / one["path"] for one in datasets]))
    found = look_for_names(datasets, text, study)
    text, left, lost = with_own_names(text, found)
    if found.fault:
        sys.stderr.write(
            "the analyses are as published, because the data sets cannot be looked into: "
            f"{found.fault}; when that is mended, remove {study / CONFIG_PATH} and init again\n"
        )
    if left:
        sys.stderr.write(
            "analyses that stand as comments, because they name what your data do not have:\n"
            + "".join(f"  {one}\n" for one in left)
        )
    if lost:
        told = ", ".join(lost)
        sys.stderr.write(f"methods left out of analyses, because nothing draws them: {told}\n")
    # Experiments name data sets of the phantoms.
    return as_comments(with_datasets(text, datasets), "experiments")


def _with_contrasts(text: str, name: str, bids: Sequence[Path]) -> str:
    """Text of a published study with those of its contrasts that the data sets have."""
    from cordcohort.bids.first_look import look_at  # noqa: PLC0415 - slow, rarely needed

    wanted = [str(one) for one in yaml.safe_load(text).get("contrasts", [])]
    found = look_at(bids).contrasts
    missing = [one for one in wanted if one not in found]
    if not missing or not found:
        return text
    present = [one for one in wanted if one in found]
    if len(present) < min(len(wanted), _MIN_CONTRASTS):
        needed = wanted[0] if len(wanted) == 1 else f"two contrasts of {', '.join(wanted)}"
        raise CordcohortError(
            f"--study {name}: expected scans of {needed}, found {', '.join(sorted(found))} in "
            f"{', '.join(map(str, bids))}; add a data set that has them, or leave out --study"
        )
    sys.stderr.write(f"contrasts that no scan has: {', '.join(missing)}\n")
    return with_fewer_contrasts(text, wanted, present)


def look_for_names(bids: Sequence[Mapping[str, str]], text: str, study: Path) -> Found:
    """Look into some data sets for what the analyses of a study name.

    Parameters
    ----------
    bids : sequence of mapping
        ``name`` and ``path`` of each data set.
    text : str
        Configuration of a published study.
    study : Path
        Folder of the study.
    """
    from cordcohort.bids.index import build_index, masks_of  # noqa: PLC0415 - slow, rarely needed
    from cordcohort.bids.prepare import check_against_index, known_methods  # noqa: PLC0415
    from cordcohort.config import make_config  # noqa: PLC0415

    content = yaml.safe_load(text) | {"datasets": list(bids), "report": {}}
    later = supplied_later(content)
    content["other_methods"] = []
    content.pop("experiments", None)
    content.get("measures", {}).pop("voxel_size_datasets", None)

    def config_of(analyses: list[Block], others: Sequence[str] = ()) -> Config:
        changed = {"analyses": analyses, "other_methods": list(others)}
        return make_config(content | changed, study, check=False)

    try:
        index = build_index(config_of([]))
        check_against_index(config_of([]), index)
    except CordcohortError as error:
        return Found(None, lambda _: "", fault=str(error))

    sites = set(index.scans["site"])

    def unknown(analysis: Block) -> str:
        try:
            check_against_index(config_of([analysis], later), index)
        except ConfigError as error:
            return _told(error)
        values = analysis.get("values", ()) if analysis.get("group") == "site" else ()
        return next((f"site {v}" for v in values if v not in sites), "")

    methods = known_methods(config_of([]), masks_of(index.scans))
    return Found(methods, unknown, EVERYONE[0] in set(index.scores["variable"]))


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


def _told(error: ConfigError) -> str:
    """What an analysis names that the data do not have, and what there is where that is short."""
    key = error.key.partition("].")[2].removeprefix("select.") or "method"
    column = "column" if key in _OF_COLUMNS else key
    there = f" ({error.way_out})" if len(error.way_out) < _LONGEST_WAY_OUT else ""
    return f"{column} {error.value}{there}"
