"""In which scans discs are detected, and which files give a scan its levels.

What is asked here can be told of a scan's own row (its labels and those of its session), so that a
job that knows the rows of its own batch gets the same answer as the main process.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from cordcohort import scan as paths
from cordcohort.level_choice import DISC_MODEL, chosen_sources

if TYPE_CHECKING:
    from cordcohort.config import Config
    from cordcohort.model_uses import ModelUse

SESSION, DETECTED = "session", "detected"
SPINAL, ROOTLETS = "spinal", "rootlets"
LABELLED = ("discs", "vertebrae")


def is_searched(member: paths.Row, config: Config, row: paths.Row | None = None) -> bool:
    """Whether discs are detected in a scan.

    They are where networks run, on images of anatomy, unless somebody labelled discs or vertebrae
    on the scan or, where levels may be carried, on another one of its session.

    Parameters
    ----------
    member : mapping
        Row of the index, or one of the peers of ``row``.
    config : Config
    row : mapping, optional
        The scan whose peer is asked for.
    """
    sources = chosen_sources(config.measures.levels)
    if DETECTED not in sources or not config.segmentation.models:
        return False
    whole = member if row is None else row
    if SESSION in sources:
        labels = paths.masks_of(whole)
        labels += [mask for peer in paths.peers_of(whole) for mask in peer["labels"]]
    else:
        labels = list(member["labels"]) if "labels" in member else paths.masks_of(member)
    usable = member["status"] == "ok" and member["datatype"] == "anat"
    return usable and not any(_is_usable(mask, sources) for mask in labels)


def _is_usable(mask: dict[str, Any], sources: tuple[str, ...]) -> bool:
    structure = mask["structure"]
    return structure in LABELLED and structure in sources and mask["status"] == "ok"


def spinal_files(row: paths.Row, config: Config, uses: Iterable[ModelUse]) -> list[str]:
    """Records of the maps of spinal levels, of a scan and its session, where they are asked for."""
    if config.measures.level_kind != SPINAL:
        return []
    members = [row, *_peers(row, config)]
    models = [use for use in uses if ROOTLETS in use.structures]
    return [paths.level_map_record(m) for m in members if _has_rootlets(m, models)]


def _has_rootlets(member: paths.Row, models: Iterable[ModelUse]) -> bool:
    labels = member["labels"] if "labels" in member else paths.masks_of(member)
    drawn = any(label["structure"] == ROOTLETS for label in labels)
    seen = member["status"] != "no_image" and member["datatype"] == "anat"
    return drawn or (seen and any(use.takes(member) for use in models))


def level_files(row: paths.Row, config: Config) -> list[str]:
    """Records of detected discs, and labels of the session's other scans, that give levels."""
    searched = [m for m in (row, *_peers(row, config)) if is_searched(m, config, row)]
    return [*(paths.disc_record(m, DISC_MODEL) for m in searched), *lent_labels(row, config)]


def lent_labels(row: paths.Row, config: Config) -> list[str]:
    """Labels of the session's other scans: their levels, and a PMJ that distances start from."""
    return [m["path"] for p in _peers(row, config) for m in p["labels"] if m["status"] == "ok"]


def _peers(row: paths.Row, config: Config) -> list[dict[str, Any]]:
    session = SESSION in chosen_sources(config.measures.levels)
    return paths.peers_of(row) if session else []
