"""Label maps whose codes have names: a colour and a name for each region or level.

One picture shows one method's map, and the reference's with it: the colour says which part, a whole
outline is the reference's and a broken one the method's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordcohort.measures.region_codes import REGION_CODES
from cordcohort.report.masks import MaskFile
from cordcohort.report.palette import MARKERS, ON_DARK, REFERENCE_METHOD, Look
from cordcohort.report.words import structure_text
from cordcohort.spinal_names import NO_LEVEL, VENTRAL, rootlet_name

Volume = tuple[MaskFile, NDArray[Any]]

TITLES = {"regions": "Regions of the cord", "rootlets": "Rootlets by level"}
_REGIONS = {code: structure_text(name) for name, code in REGION_CODES.items()}


def is_coded(mask: MaskFile) -> bool:
    """Whether a mask is a map whose codes have names."""
    return mask.kind == "dseg" and mask.structure in TITLES


def coded_pictures(volumes: Sequence[Volume]) -> list[tuple[str, str, list[Volume]]]:
    """What each picture shows: a title, a word for its file, and one or two maps.

    Parameters
    ----------
    volumes : sequence of (MaskFile, array)
        Maps for which :func:`is_coded` is true.
    """
    pictures: list[tuple[str, str, list[Volume]]] = []
    for structure, title in TITLES.items():
        own = [(m, v) for m, v in volumes if m.structure == structure]
        reference = [(m, v) for m, v in own if m.method == REFERENCE_METHOD][:1]
        others = [(m, v) for m, v in own if m.method != REFERENCE_METHOD]
        for other in others:
            method = other[0].method
            beside = f" (broken), {REFERENCE_METHOD} (whole)" if reference else ""
            word = f"{structure} {method}"
            pictures.append((f"{title}: {method}{beside}", word, [*reference, other]))
        if reference and not others:
            word = f"{structure} {REFERENCE_METHOD}"
            pictures.append((f"{title}: {REFERENCE_METHOD}", word, reference))
    return pictures


def coded_parts(volumes: Sequence[Volume]) -> dict[Look, list[NDArray[Any]]]:
    """The outlines of every named code, by look; codes without a name are left out.

    Ventral rootlets have the colour of their level.
    """
    parts: dict[Look, list[NDArray[Any]]] = {}
    for mask, volume in volumes:
        for code in np.unique(volume):
            name, order = _named(mask.structure, int(code))
            if name:
                look = Look(name, ON_DARK[order % len(ON_DARK)], MARKERS[order % len(MARKERS)],
                            dashed=mask.method != REFERENCE_METHOD, order=order)  # fmt: skip
                parts.setdefault(look, []).append(volume == code)
    return parts


def _named(structure: str, code: int) -> tuple[str, int]:
    """Name of a code and its place among the colours; no name for background or an unknown one."""
    if structure == "regions":
        return _REGIONS.get(code, ""), code - 1
    if code == NO_LEVEL or not rootlet_name(code):
        return rootlet_name(code), 0
    return rootlet_name(code % VENTRAL), code % VENTRAL - 2


def coded_legend(parts: Mapping[Look, Any]) -> list[dict[str, Any]]:
    """One entry a name, in the order of the codes."""
    entries = {look.name: look for look in sorted(parts, key=lambda look: look.order)}
    return [{"name": k, "colour": v.colour, "dashed": False} for k, v in entries.items()]
