"""Which sources of levels a study allows; light, since every job on a node asks."""

from __future__ import annotations

from collections.abc import Sequence

AUTO, NONE = "auto", "none"
LEVEL_SOURCES = ("discs", "vertebrae", "session", "pmj", "detected")
"""Labelled discs, a map of vertebrae, another scan of the session, the distance from the
pontomedullary junction, detected discs. Whatever order a study names them in, they are tried in
this one (see ``measures.level_sources``)."""
DISC_MODEL = "discs-v1"
"""The shipped detector of discs, a model of the registry."""


def chosen_sources(levels: str | Sequence[str]) -> tuple[str, ...]:
    """Sources that a study allows: all for ``auto``, none for ``none``, else those listed.

    Examples
    --------
    >>> chosen_sources("none"), chosen_sources(["pmj", "discs"])
    ((), ('discs', 'pmj'))
    """
    if isinstance(levels, str):
        return LEVEL_SOURCES if levels == AUTO else ()
    return tuple(source for source in LEVEL_SOURCES if source in levels)
