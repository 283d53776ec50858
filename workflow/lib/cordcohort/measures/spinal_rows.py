"""Spinal levels of a scan, and agreement of rootlets with a reference, as rows of the long table.

The rootlets of every method are placed along one and the same cord mask, that of the reference
method or the first there is, so that methods differ by their rootlets alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.measures import spinal_place, spinal_scores
from cordcohort.measures.catalogue import CATALOGUE, measures_of
from cordcohort.measures.level_labels import RATER
from cordcohort.measures.levels import level_range
from cordcohort.measures.masks import (
    OK,
    ScanMask,
    grid_of,
    read_scan_masks,
    without_masks,
)
from cordcohort.measures.options import SPINAL, MeasureOptions
from cordcohort.measures.rows import NAN, Row, failed_rows, valued
from cordcohort.measures.spinal import Extent, Radius, level_extents
from cordcohort.measures.spinal_place import LevelPlace, level_places
from cordcohort.measures.spinal_scene import (
    ROOTLETS,
    Scene,
    levels_held,
    make_scene,
    rootlet_masks,
)
from cordcohort.measures.staple import consensus
from cordcohort.nifti import Array, Image
from cordcohort.spinal_names import SPINAL_LEVELS, spinal_name
from cordcohort.table import long_table

KIND, SCORES = "spinal", "spinal_score"
STAPLE = "staple"
FEWEST_RATERS = 2
FROM_PMJ = ("pmj_distance_mm", "pmj_distance_start_mm", "pmj_distance_end_mm")
WITHOUT_LEVELS = (
    "these rootlets have no levels: a label map (label-rootlets_dseg) with 2 for C2 ... is needed"
)
DEFAULT = MeasureOptions()


def measure_spinal(
    scan: Mapping[str, Any],
    masks: Sequence[Mapping[str, Any]],
    options: MeasureOptions = DEFAULT,
    image: str = "",
) -> pd.DataFrame:
    """Spinal levels of every method's rootlets, and their agreement with the reference.

    Parameters
    ----------
    scan : mapping
        The scan key.
    masks : sequence of mappings
        ``method, structure, kind, path, status, reason`` each.
    options : MeasureOptions
        ``reference`` (a method, or ``staple``) and ``rootlets``.
    image : str
        The image that the masks must lie on; "" where there is none.

    Returns
    -------
    DataFrame
        Long table, one row a level and measure; a level that is missing, or whose place cannot be
        told, has rows without value and the reason. Empty where nobody drew rootlets.
    """
    grid = grid_of(image, masks) or _grid_of_labels(masks)
    found = rootlet_masks(masks, grid)
    if not found:
        return long_table(_nobody(scan, masks), scan)
    scene = make_scene(masks, grid, options)
    rows: list[Row] = []
    for structure in dict.fromkeys(m.structure for m in found):
        own = [m for m in found if m.structure == structure]
        rows += _rows_of([*own, *_staple(own, options)], scene, options)
    return long_table(rows, scan)


def _rows_of(found: Sequence[ScanMask], scene: Scene, options: MeasureOptions) -> list[Row]:
    """Places of the levels of every method, and agreement with the reference."""
    placed = {m.method: _placed(m, scene, options) for m in found}
    reference = next((m for m in found if m.method == options.reference), None)
    rows: list[Row] = []
    for mask in found:
        rows += _place_rows(mask, placed[mask.method], scene, options)
        if reference is not None and mask.method != reference.method:
            pair = (placed[mask.method], placed[reference.method])
            rows += _score_rows(mask, reference, pair, scene)
    return rows


def _nobody(scan: Mapping[str, Any], masks: Sequence[Mapping[str, Any]]) -> list[Row]:
    """A scan with soft rootlets only says so; one without any says nothing of them."""
    soft = [m for m in masks if m["structure"] == ROOTLETS]
    if not soft:
        return []
    base, _ = without_masks(scan)
    told = "soft rootlets have no levels: a label map (label-rootlets_dseg) is needed"
    return failed_rows(KIND, {**base, "method": soft[0]["method"], "structure": ROOTLETS}, told)


def _grid_of_labels(masks: Sequence[Mapping[str, Any]]) -> Image | None:
    """Without image and cord, the label map's own grid."""
    labels = [m for m in masks if m["structure"] == ROOTLETS and m.get("status", OK) == OK]
    found = read_scan_masks(labels[:1], None, (ROOTLETS,))
    return found[0].image if found else None


def _staple(found: Sequence[ScanMask], options: MeasureOptions) -> list[ScanMask]:
    """Consensus of the raters, where several drew this scan and none was given."""
    raters = [m for m in found if m.method.startswith(RATER) and m.image is not None]
    given = any(m.method == STAPLE for m in found)
    if not options.rootlets.staple or given or len(raters) < FEWEST_RATERS:
        return []
    maps = [np.asarray(m.image.data) for m in raters if m.image is not None]
    first = raters[0]
    assert first.image is not None  # noqa: S101 - it was asked for above
    image = replace(first.image, data=consensus(maps))
    return [replace(first, method=STAPLE, image=image, warning="", notes=())]


@dataclass(frozen=True)
class Placed:
    """Extents and places of one method's levels."""

    extents: dict[int, Extent]
    places: dict[int, LevelPlace]


def _placed(mask: ScanMask, scene: Scene, options: MeasureOptions) -> Placed:
    if mask.image is None or scene.cord is None:
        return Placed({}, {})
    chosen = options.rootlets
    extents = level_extents(
        np.asarray(mask.image.data), np.asarray(scene.cord.data), scene.cord.spacing_mm,
        Radius(chosen.radius_mm, chosen.radius_voxels),
    )  # fmt: skip
    return Placed(extents, level_places(extents, scene.along))


def _place_rows(mask: ScanMask, placed: Placed, scene: Scene, options: MeasureOptions) -> list[Row]:
    """Rows of every expected or found level."""
    if mask.image is None:
        return failed_rows(KIND, mask.base, mask.reason)
    if scene.fault:
        return failed_rows(KIND, mask.base, scene.fault)
    if not np.any(mask.image.data):
        return failed_rows(KIND, mask.base, "no rootlet was found")
    if not levels_held(mask.image.data):
        return failed_rows(KIND, mask.base, WITHOUT_LEVELS)
    expected = level_range(options.rootlets.levels, SPINAL_LEVELS)
    names = dict.fromkeys([*expected, *(spinal_name(c) for c in placed.extents)])
    rows: list[Row] = []
    for name in sorted(names, key=SPINAL_LEVELS.index):
        code = SPINAL_LEVELS.index(name) + 1
        rows += _level_rows(mask, name, placed.extents.get(code), placed.places.get(code), scene)
    return rows


def _level_rows(
    mask: ScanMask, name: str, extent: Extent | None, place: LevelPlace | None, scene: Scene
) -> list[Row]:
    base = mask.base | {"level_kind": SPINAL, "level": name, "statistic": ""}
    reason = "" if extent is None else extent.fault
    if extent is None:
        reason = f"no rootlets of {name}"
    elif place is None and not reason:
        reason = "the cord mask holds one slice: it has no direction"
    notes = [mask.warning, scene.note, "" if extent is None else extent.note]
    rows: list[Row] = []
    for measure in measures_of(KIND):
        value = NAN if place is None else float(getattr(spinal_place, measure.function)(place))
        why = reason
        if not why and np.isnan(value):
            why = scene.pmj_fault if measure.name in FROM_PMJ else _NO_VALUE[measure.name]
        told = why or "; ".join(n for n in notes if n)
        row = valued(measure, value, "undefined" if np.isnan(value) else "", told)
        rows.append(base | row | {"n_voxels": 0 if extent is None else extent.n_voxels})
    return rows


_BEYOND = "the level reaches beyond the cord mask or above the PMJ"
_NO_VALUE = {
    "level_height_mm": _BEYOND,
    "level_extent_mm": _BEYOND,
    "level_contiguous_mm": "a neighbouring level has no place",
} | dict.fromkeys(FROM_PMJ, _BEYOND)


def _score_rows(
    mask: ScanMask, reference: ScanMask, placed: tuple[Placed, Placed], scene: Scene
) -> list[Row]:
    """Agreement of the rootlets of one method with the reference, level by level."""
    head = mask.base | {"reference": reference.method}
    if mask.image is None or reference.image is None:
        told = mask.reason if mask.image is None else f"reference: {reference.reason}"
        return failed_rows(SCORES, head, told)
    drawn, true = np.asarray(mask.image.data), np.asarray(reference.image.data)
    rows = [_all_levels(head, drawn, true, mask.warning)]
    if any(one.any() and not levels_held(one) for one in (drawn, true)):
        return rows  # who told no levels is not wrong about them
    for code in sorted({*levels_held(drawn), *levels_held(true)}):
        one = spinal_scores.compare(drawn == code, true == code, _midpoints(code, placed))
        base = head | {"level_kind": SPINAL, "level": spinal_name(code), "statistic": ""}
        told = "" if one.reference else f"the reference has no {spinal_name(code)}"
        values = {m.name: getattr(spinal_scores, m.function)(one) for m in measures_of(SCORES)}
        for name, value in {"dice": spinal_scores.dice(one), **values}.items():
            flag = "undefined" if np.isnan(value) else ""
            why = told or _undefined_score(name, code, placed, scene) if flag else mask.warning
            row = valued(CATALOGUE[name], float(value), flag, why)
            rows.append(base | row | {"n_voxels": one.reference})
    return rows


def _all_levels(head: Mapping[str, Any], drawn: Array, true: Array, warning: str) -> Row:
    """Dice of all rootlets together, as if neither map told their levels."""
    pair = spinal_scores.compare(drawn > 0, true > 0)
    value = spinal_scores.dice(pair)
    lost = np.isnan(value)
    why = "the reference has no rootlets" if lost else warning
    row = valued(CATALOGUE["dice"], float(value), "undefined" if lost else "", why)
    base = {**head, "level_kind": "", "level": "", "statistic": ""}
    return base | row | {"n_voxels": pair.reference}


def _midpoints(code: int, placed: tuple[Placed, Placed]) -> tuple[float, float]:
    both = [p.places.get(code) for p in placed]
    mask, reference = (NAN if one is None else one.midpoint_mm for one in both)
    return mask, reference


def _undefined_score(name: str, code: int, placed: tuple[Placed, Placed], scene: Scene) -> str:
    """Why a score has no value though the reference has the level."""
    if name != "midpoint_error_mm":
        return "no slice holds both"
    for one in placed:
        extent = one.extents.get(code)
        if extent is None:
            return scene.fault or f"no rootlets of {spinal_name(code)}"
        if extent.fault:
            return extent.fault
    return scene.pmj_fault or _BEYOND
