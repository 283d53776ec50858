"""The pontomedullary junction of a scan: labelled by a person, by others, or detected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from cordcohort.measures.discs import labelled_centre
from cordcohort.measures.level_labels import (
    Entry,
    Floats,
    carried_mm,
    is_drawn,
    named,
    read_label,
    way,
)
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.pmj import PmjDistances, pmj_distances
from cordcohort.nifti import Image

PMJ, SESSION = "pmj", "session"


@dataclass(frozen=True)
class Junction:
    """Where the PMJ lies.

    Attributes
    ----------
    place_mm : array, shape (3,), or None
        In mm from voxel 0 of the canonical scan.
    note : str
        What a reader must know: that it was detected, or lies on another scan.
    fault : str
        Labels that could not be used, and why.
    """

    place_mm: Floats | None
    note: str = ""
    fault: str = ""


def find_pmj(
    masks: Iterable[Entry], grid: Image, target: Image, options: MeasureOptions
) -> Junction:
    """PMJ of a scan: a person's label first, then labels of the session, then a detected one.

    Parameters
    ----------
    masks : iterable of mappings
        As for :func:`cordcohort.measures.level_sources.scan_levels`; a detected one has a
        ``confidence``, and is left out below ``rootlets.pmj_confidence``.
    grid : Image
        The scan's grid.
    target : Image
        Canonical grid whose voxel 0 the place is given from.
    options : MeasureOptions
    """
    wanted = [m for m in masks if m["structure"] == PMJ and PMJ in options.sources]
    wanted = [m for m in wanted if not m.get("of") or SESSION in options.sources]
    faults: list[str] = []
    for entry in sorted(wanted, key=_order):
        label, wrong = read_label(entry, grid)
        sure = float(entry.get("confidence", 1.0))
        if label is not None and sure < options.rootlets.pmj_confidence:
            wrong = (
                f"detected with confidence {sure:.2f}, below {options.rootlets.pmj_confidence:g}"
            )
            label, wrong = None, named(entry, wrong)
        if label is not None:
            place, wrong = labelled_centre(np.asarray(label.data), label.spacing_mm, "PMJ")
            if place is not None:
                return Junction(carried_mm(place, label, target), _note(entry))
            wrong = named(entry, wrong)
        faults.append(wrong)
    return Junction(None, fault="; ".join(faults))


def _order(entry: Entry) -> tuple[bool, bool, bool, float]:
    """A person's label wins over a detected one, and the scan's own over one of the session."""
    found = "confidence" in entry
    sure = float(entry.get("confidence", 1.0))
    return found, bool(entry.get("of")), not is_drawn(entry), -sure


def _note(entry: Entry) -> str:
    if "confidence" in entry:
        where = f" on {entry['of']}, {way(entry)}" if entry.get("of") else ""
        return f"PMJ detected by {entry['method']}{where} (confidence {entry['confidence']:.2f})"
    return f"PMJ labelled on {entry['of']}, {way(entry)}" if entry.get("of") else ""


def pmj_along(
    masks: Iterable[Entry], grid: Image, cord: Image | None, options: MeasureOptions
) -> tuple[PmjDistances | None, str, str]:
    """Distances of the slices of a cord mask from the PMJ, a note, and why there are none."""
    found = find_pmj(masks, grid, grid.canonical() if cord is None else cord, options)
    if found.place_mm is None:
        return None, "", found.fault
    if cord is None:
        return None, "", "pmj: no cord mask to measure the distance along"
    try:
        along = pmj_distances(np.asarray(cord.data), cord.spacing_mm, found.place_mm.tolist())
    except ValueError as error:
        return None, "", f"pmj: {error}"
    return along, found.note, ""
