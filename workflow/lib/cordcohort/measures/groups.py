"""Groups of slices that are summarised together: the scan, levels, ranges, distances from the PMJ.

Every slice has weight one. A group that the scan cannot give is kept as undefined with its reason
where levels are known at all, so that it is counted; a scan without any source of levels has none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cordcohort.measures.empty import NO_SLICE_AT
from cordcohort.measures.level_sources import VERTEBRAL, ScanLevels
from cordcohort.measures.options import MeasureOptions

PMJ_KIND = "pmj_mm"


@dataclass(frozen=True)
class Group:
    """Slices that are summarised together.

    Attributes
    ----------
    level : str
        Name of the level or range, or distance from the PMJ in mm; "" for the whole scan.
    slices : set of int
        Slice numbers that belong to it.
    reason : str
        What is missing, for example a level of a range, or where the levels come from.
    kind : {"vertebral", "vertebral_detected", "spinal", "pmj_mm"}
        Kind of level.
    undefined : bool
        The scan cannot give this group: its rows have no value.
    """

    level: str
    slices: frozenset[int]
    reason: str = ""
    kind: str = VERTEBRAL
    undefined: bool = False

    @property
    def columns(self) -> dict[str, str]:
        """The long table's level columns."""
        return level_columns(self.level, self.kind)


def level_columns(level: str, kind: str = VERTEBRAL) -> dict[str, str]:
    """Level columns of a slice, a level or a scan."""
    return {"level_kind": kind if level else "", "level": level}


def groups_of(slices: Iterable[int], levels: ScanLevels, options: MeasureOptions) -> list[Group]:
    """The whole scan, its levels, the ranges and the distances that the config asks for.

    Parameters
    ----------
    slices : iterable of int
        Slices that hold the structure.
    levels : ScanLevels
    options : MeasureOptions
        ``level_ranges``, ``pmj_distances_mm`` and ``pmj_extent_mm``.

    Examples
    --------
    >>> found = groups_of([4, 5, 6], ScanLevels({4: "C3", 5: "C3", 6: "C2"}), MeasureOptions())
    >>> [(g.level, sorted(g.slices)) for g in found]
    [('', [4, 5, 6]), ('C2', [6]), ('C3', [4, 5]), ('C2-C3', [4, 5, 6])]

    A level that is skipped is undefined:

    >>> found = groups_of([4, 6], ScanLevels({4: "C4", 6: "C2"}), MeasureOptions())
    >>> [(g.level, g.undefined) for g in found if g.level == "C3"]
    [('C3', True)]
    """
    present = [int(k) for k in slices]
    groups = [Group("", frozenset(present))]
    by_level: dict[str, set[int]] = {}
    for k in present:
        if k in levels.by_slice:
            by_level.setdefault(levels.by_slice[k], set()).add(k)
    groups += [
        Group(name, frozenset(ks), levels.told, levels.kind)
        for name, ks in sorted(by_level.items())
    ]
    groups += _skipped(by_level, levels, options)
    if levels.by_slice or levels.fault:
        ranges = [text for text in options.level_ranges if len(options.members(text)) > 1]
        groups += [_range(text, by_level, levels, options) for text in ranges]
    return groups + _distances(present, levels, options)


def _skipped(
    by_level: dict[str, set[int]], levels: ScanLevels, options: MeasureOptions
) -> list[Group]:
    """Levels between the highest and the lowest that are there, without a slice of their own.

    A disc that nobody labelled takes two levels away; they must not vanish without a word.
    """
    by_height = sorted(by_level, key=lambda name: max(by_level[name]))
    if not by_height:
        return []
    try:
        between = options.members(f"{by_height[-1]}-{by_height[0]}")
    except ValueError:  # labels that do not run along the cord are told where they are read
        return []
    return [
        Group(name, frozenset(), f"{NO_SLICE_AT} {name}", levels.kind, undefined=True)
        for name in between
        if name not in by_level
    ]


def _range(
    text: str, by_level: dict[str, set[int]], levels: ScanLevels, options: MeasureOptions
) -> Group:
    members = options.members(text)
    inside = [by_level.get(level, set()) for level in members]
    absent = [name for name, ks in zip(members, inside, strict=True) if not ks]
    missing = f"{NO_SLICE_AT} {', '.join(absent)}" if absent else ""
    if not any(inside):
        reason = missing if levels.by_slice else levels.fault
        return Group(text, frozenset(), reason, levels.kind, undefined=True)
    note = "; ".join(part for part in (levels.told, missing) if part)
    return Group(text, frozenset().union(*inside), note, levels.kind)


def _distances(present: list[int], levels: ScanLevels, options: MeasureOptions) -> list[Group]:
    """Stretches of the cord at distances from the PMJ; undefined where its label is of no use."""
    if levels.pmj is None:
        asked = options.pmj_distances_mm if levels.pmj_fault else ()
        return [
            Group(f"{mm:g}", frozenset(), levels.pmj_fault, PMJ_KIND, undefined=True)
            for mm in asked
        ]
    groups: list[Group] = []
    held = set(present)
    for distance_mm in options.pmj_distances_mm:
        found, reason = levels.pmj.within(distance_mm, options.pmj_extent_mm)
        without = [k for k in found if k not in held]
        if without and not reason:
            reason = f"{len(without)} of {len(found)} slices there hold none of the structure"
        note = reason or levels.pmj_note
        chosen = frozenset() if reason else frozenset(found)
        groups.append(Group(f"{distance_mm:g}", chosen, note, PMJ_KIND, undefined=bool(reason)))
    return groups
