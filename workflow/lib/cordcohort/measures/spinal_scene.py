"""What the rootlets of a scan are placed in: maps of every method, one cord mask, the PMJ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cordcohort.measures.masks import CORD, ScanMask, read_scan_masks
from cordcohort.measures.options import MANUAL, MeasureOptions
from cordcohort.measures.pmj_source import find_pmj
from cordcohort.measures.rootlet_maps import dorsal_and_ventral
from cordcohort.measures.spinal_place import Along, along_cord
from cordcohort.nifti import Array, Image
from cordcohort.spinal_names import spinal_name

ROOTLETS = "rootlets"
SOFT_ONLY = "the cord mask is soft: levels need a binary one"
NO_MASK = "no cord mask to place the levels along"
NO_PMJ = "no PMJ in the scan: it is neither labelled nor detected"


@dataclass(frozen=True)
class Scene:
    """What the rootlets of a scan are placed in.

    Attributes
    ----------
    cord : Image or None
        Binary, canonical.
    along : Along or None
        Distances along it.
    fault : str
        Why there is no cord; then no level has a place.
    pmj_fault : str
        Why there is no distance from the PMJ.
    note : str
        What a reader of the distances must know.
    """

    cord: Image | None
    along: Along | None = None
    fault: str = ""
    pmj_fault: str = ""
    note: str = ""


def make_scene(
    masks: Sequence[Mapping[str, Any]], grid: Image | None, options: MeasureOptions
) -> Scene:
    """Cord mask and distances that every method's rootlets are placed with."""
    drawn = [m for m in read_scan_masks(masks, grid, (CORD,)) if m.image is not None]
    usable = [m for m in drawn if m.image is not None and m.image.data.any()]
    binary = [m for m in usable if m.kind == "seg"]
    order = sorted(binary, key=lambda m: (m.method != options.reference, m.method != MANUAL))
    cord = order[0].image if order else None
    if cord is None or grid is None:
        return Scene(None, fault=SOFT_ONLY if usable else NO_MASK)
    junction = find_pmj(masks, grid, cord, options)
    data = np.asarray(cord.data)
    if junction.place_mm is None:
        reason = "; ".join(t for t in (NO_PMJ, junction.fault) if t)
        return Scene(cord, along_cord(data, cord.spacing_mm, None), pmj_fault=reason)
    try:
        along = along_cord(data, cord.spacing_mm, junction.place_mm.tolist())
    except ValueError as error:
        away = along_cord(data, cord.spacing_mm, None)
        return Scene(cord, away, pmj_fault=f"PMJ: {error}")
    return Scene(cord, along, note=junction.note)


def rootlet_masks(
    masks: Sequence[Mapping[str, Any]], grid: Image | None
) -> list[ScanMask]:  # fmt: skip
    """Maps of rootlets of a scan, dorsal and ventral apart; of a method's a map before a mask."""
    read = [m for m in read_scan_masks(masks, grid, (ROOTLETS,)) if m.kind != "softseg"]
    mapped = {m.method for m in read if m.kind == "dseg" and m.image is not None}
    kept = [m for m in read if m.kind == "dseg" or m.method not in mapped]
    return [one for m in kept for one in dorsal_and_ventral(m)]


def levels_held(data: Array) -> list[int]:
    """Codes of the levels that a map holds."""
    return [int(c) for c in np.unique(data) if spinal_name(int(c))]
