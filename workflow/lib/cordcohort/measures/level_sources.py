"""Where the levels of a scan come from: the first source that can be used, and what to say of it.

The order is fixed: discs labelled on the scan, a map of vertebrae on the scan, labels of another
scan of the session (carried by world coordinates, or by a rigid registration), discs that were
detected on the scan, discs that were detected on another scan of the session. The distance from the
PMJ is another kind of level and is written beside whichever of these was used. A source that
contradicts itself is left out with its reason; the next one is then tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cordcohort.measures.centreline import Centreline
from cordcohort.measures.discs import disc_points, heights_along
from cordcohort.measures.geometry import own_centreline
from cordcohort.measures.level_labels import (
    Entry,
    Floats,
    carried_mm,
    is_drawn,
    named,
    read_label,
    way,
)
from cordcohort.measures.levels import level_name, levels_from_heights, levels_from_map
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.pmj import PmjDistances
from cordcohort.measures.pmj_source import pmj_along
from cordcohort.nifti import Image
from cordcohort.spinal_names import spinal_name

DISCS, VERTEBRAE, SPINAL = "discs", "vertebrae", "spinal"
SESSION, FOUND = "session", "detected"
VERTEBRAL, DETECTED = "vertebral", "vertebral_detected"


@dataclass(frozen=True)
class ScanLevels:
    """Levels of one scan.

    Attributes
    ----------
    by_slice : dict
        Slice to name of the level; empty where there is no usable source.
    kind : {"vertebral", "vertebral_detected", "spinal"}
        What stands in the column ``level_kind``: levels that a person labelled, here or on another
        scan of the session, discs that a model detected, or spinal levels from rootlets.
    note : str
        What a reader of these levels must know; "" for labels drawn on the scan itself.
    fault : str
        Sources that could not be used, and why.
    pmj : PmjDistances or None
        How far the slices lie from the pontomedullary junction.
    pmj_note, pmj_fault : str
        As above, for the PMJ.
    """

    by_slice: dict[int, str] = field(default_factory=dict)
    kind: str = VERTEBRAL
    note: str = ""
    fault: str = ""
    pmj: PmjDistances | None = None
    pmj_note: str = ""
    pmj_fault: str = ""

    @property
    def told(self) -> str:
        """What stands with every value at these levels: their note, and better sources that failed.

        Examples
        --------
        >>> ScanLevels({4: "C3"}, note="levels: from elsewhere", fault="discs: empty").told
        'levels: from elsewhere; discs: empty'
        """
        return "; ".join(text for text in (self.note, self.fault) if text)


NO_LEVELS = ScanLevels()


def scan_levels(
    masks: Sequence[Entry], grid: Image | None, cord: Image | None, options: MeasureOptions
) -> ScanLevels:
    """Levels of the slices of a scan from the best source that its labels offer.

    Parameters
    ----------
    masks : sequence of mappings
        ``method, structure, kind, path, status, reason`` each, and ``of`` (name of the scan that it
        was drawn on) for labels of another scan, ``world`` (4 x 4, world of that scan to world of
        this one) where the two were registered, ``confidence`` for detected discs.
    grid : Image or None
        The scan's grid.
    cord : Image or None
        The cord mask that levels are carried along, canonical and not empty; without it discs are
        projected on the slice axis and there is no distance from the PMJ.
    options : MeasureOptions
        Which sources are allowed, and the least confidence of detected discs.
    """
    if grid is None or not options.sources:
        return NO_LEVELS
    if options.level_kind == SPINAL:
        return _spinal(masks, grid, cord, options)
    canonical = grid.canonical()
    line = None if cord is None else own_centreline(np.asarray(cord.data), cord.spacing_mm)
    faults: list[str] = []
    by_slice: dict[int, str] = {}
    kind, note = VERTEBRAL, ""
    for entry in _in_order(masks, options):
        by_slice, said, wrong = _levels_of(entry, grid, canonical, line, options)
        if by_slice:
            kind = DETECTED if _is_detected(entry) else VERTEBRAL
            note = "; ".join(text for text in (_origin(entry), said) if text)
            break
        faults.append(wrong)
    text = "; ".join(dict.fromkeys(f for f in faults if f))
    pmj, pmj_note, pmj_fault = pmj_along(masks, grid, cord, options)
    return ScanLevels(by_slice, kind, note, text, pmj, pmj_note, pmj_fault)


def _spinal(
    masks: Sequence[Entry], grid: Image, cord: Image | None, options: MeasureOptions
) -> ScanLevels:
    """Spinal levels from the map of the scan: a person's, or the one made from its rootlets."""
    faults: list[str] = []
    allowed = [m for m in masks if m["structure"] == SPINAL]
    allowed = [m for m in allowed if not m.get("of") or SESSION in options.sources]
    line = None if cord is None else own_centreline(np.asarray(cord.data), cord.spacing_mm)
    by_slice: dict[int, str] = {}
    note = ""
    for entry in sorted(allowed, key=lambda m: (bool(m.get("of")), not is_drawn(m))):
        label, wrong = read_label(entry, grid)
        if label is not None:
            carried = bool(entry.get("of"))
            by_slice, wrong = _from_map(
                label, grid.canonical(), line, carried=carried, name=spinal_name
            )
            where = f"levels: of {entry['of']}, {way(entry)}" if carried else ""
            note = "; ".join(t for t in (where, str(entry.get("note", ""))) if t)
            wrong = named(entry, wrong)
        if by_slice:
            break
        faults.append(wrong)
    text = "; ".join(f for f in faults if f)
    return ScanLevels(by_slice, SPINAL, note, text, *pmj_along(masks, grid, cord, options))


def _in_order(masks: Sequence[Entry], options: MeasureOptions) -> list[Entry]:
    """Allowed sources of vertebral levels, the best first."""
    allowed = [entry for entry in masks if _rank(entry) is not None]
    allowed = [entry for entry in allowed if _source(entry) in options.sources]
    return sorted(allowed, key=_order)


def _order(entry: Entry) -> tuple[int, bool, float, str, str]:
    rank = _rank(entry)
    certainty = float(entry.get("confidence", 1.0))
    return (
        rank if rank is not None else 99, not is_drawn(entry), -certainty,
        str(entry.get("of", "")), str(entry["method"]),
    )  # fmt: skip


def _rank(entry: Entry) -> int | None:
    """Place of a label in the order of sources; None for what gives no vertebral level."""
    if entry["structure"] not in (DISCS, VERTEBRAE):
        return None
    if _is_detected(entry):
        return 5 if entry.get("of") else 4
    if entry.get("of"):
        return 2 if entry["structure"] == DISCS else 3
    return 0 if entry["structure"] == DISCS else 1


def _source(entry: Entry) -> str:
    """Name, in the config, of the source that a label is."""
    if _is_detected(entry):
        return FOUND
    return SESSION if entry.get("of") else str(entry["structure"])


def _is_detected(entry: Entry) -> bool:
    return "confidence" in entry


def _origin(entry: Entry) -> str:
    """What to say of levels that no person labelled on this very scan; else empty."""
    where = f" on {entry['of']}, {way(entry)}" if entry.get("of") else ""
    if _is_detected(entry):
        return f"levels: discs detected{where} (confidence {float(entry['confidence']):.2f})"
    who = "" if is_drawn(entry) else f" by {entry['method']}"
    return f"levels: {entry['structure']} labelled{who}{where}" if who or where else ""


def _levels_of(
    entry: Entry, grid: Image, canonical: Image, line: Centreline | None, options: MeasureOptions
) -> tuple[dict[int, str], str, str]:
    """Levels by slice, a note, and why there are none."""
    label, wrong = read_label(entry, grid)
    if label is None:
        return {}, "", wrong
    if _is_detected(entry) and float(entry["confidence"]) < options.disc_confidence:
        return (
            {},
            "",
            (
                f"discs detected with confidence {float(entry['confidence']):.2f}, "
                f"below {options.disc_confidence:g}"
            ),
        )
    if entry["structure"] == VERTEBRAE:
        levels, wrong = _from_map(label, canonical, line, carried=bool(entry.get("of")))
        return levels, "", named(entry, wrong)
    found = disc_points(np.asarray(label.data), label.spacing_mm)
    places = _carried(found.places_mm, label, canonical)
    heights, wrong = heights_along(places, line, canonical.spacing_mm[2])
    levels = levels_from_heights(heights)
    n_slices = canonical.data.shape[2]
    inside = {k: name for k, name in levels.items() if 0 <= k < n_slices}
    none = "" if inside or found.fault or wrong else "no slice lies between two labelled discs"
    return inside, found.note, named(entry, found.fault or wrong or none)


def _carried(places_mm: Mapping[int, Floats], label: Image, scan: Image) -> dict[int, Floats]:
    """Places in mm from voxel 0 of a label, in mm from voxel 0 of the scan."""
    return {code: carried_mm(place, label, scan) for code, place in places_mm.items()}


def _from_map(
    label: Image, scan: Image, line: Centreline | None, *, carried: bool,
    name: Callable[[int], str] = level_name,
) -> tuple[dict[int, str], str]:  # fmt: skip
    """Levels of slices from a map, on the scan or at the cord's places in another."""
    by_slice = levels_from_map(np.asarray(label.data), name)
    if not by_slice:
        return {}, "no vertebra is labelled" if name is level_name else "no level in it"
    if not carried:
        return by_slice, ""
    if line is None:
        return {}, "no cord mask to carry the levels along"
    points = np.column_stack([line.x_mm, line.y_mm, line.slices * scan.spacing_mm[2]])
    there = [carried_mm(p, scan, label)[2] / label.spacing_mm[2] for p in points]
    names = [by_slice.get(int(np.rint(k)), "") for k in there]
    levels = {int(k): name for k, name in zip(line.slices, names, strict=True) if name}
    return levels, "" if levels else "it does not reach this scan"
