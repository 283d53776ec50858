"""Area and shape of every mask of a scan: per slice, per level and for the whole scan.

Definitions and deviations from other tools: :mod:`cordcohort.measures.geometry`. Levels and scan
are summarised over slices, each slice with weight one: mean, SD (ddof 1) and median, or the sum for
lengths, volumes and counts. Slices in which a soft mask stays below 0.5 do not enter means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.binary import binarised
from cordcohort.measures import slice_shape
from cordcohort.measures.catalogue import measures_of
from cordcohort.measures.centreline import Centreline
from cordcohort.measures.geometry import Floats, SliceGeometry, own_centreline, slice_geometry
from cordcohort.measures.groups import Group, groups_of, level_columns
from cordcohort.measures.level_sources import NO_LEVELS, ScanLevels, scan_levels
from cordcohort.measures.masks import (
    ScanMask,
    grid_of,
    read_scan_masks,
    reference_cord,
    without_masks,
)
from cordcohort.measures.measure import Measure
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.rows import (
    Row,
    failed_rows,
    statistics_of,
    summary_row,
    undefined_rows,
    valued,
)
from cordcohort.table import long_table

STRUCTURES = ("cord", "gm", "wm", "csf", "canal")
CORD = "cord"
USUAL_COMPONENTS = {"gm": 2}  # the two halves of the butterfly may be drawn apart
EMPTY = "the mask is empty"
DEFAULT = MeasureOptions()


def measure_shape(
    scan: Mapping[str, Any],
    masks: Sequence[Mapping[str, Any]],
    options: MeasureOptions = DEFAULT,
    image: str = "",
) -> pd.DataFrame:
    """Shape of every mask of a scan as a long table.

    Parameters
    ----------
    scan : mapping
        The scan key.
    masks : sequence of mappings
        ``method, structure, kind, path, status, reason`` each; maps of vertebrae or discs among
        them give the levels.
    options : MeasureOptions
    image : str
        The image that the masks must lie on; "" where there is none.

    Returns
    -------
    DataFrame
        Long table. A mask that cannot be read or is empty gives failed rows; nothing is raised for
        a fault in the data.
    """
    grid = grid_of(image, masks)
    found = read_scan_masks(masks, grid, STRUCTURES)
    levels = scan_levels(masks, grid, reference_cord(found, options.reference), options)
    lines = _centrelines(found)
    binary = {(m.method, m.structure) for m in found if m.kind == "seg"}
    rows: list[Row] = [] if found else failed_rows("shape", *without_masks(scan), "mean")
    for mask in found:
        for kind in _kinds(mask, binary):
            rows += mask_rows(mask, kind, lines, levels, options)
    return long_table(rows, scan)


def _kinds(mask: ScanMask, binary: set[tuple[str, str]]) -> list[str]:
    """A soft mask is measured as it is, and cut at 0.5 where its method has no binary mask."""
    if mask.kind == "seg":
        return ["shape"]
    alone = (mask.method, mask.structure) not in binary
    return ["shape_soft", "shape"] if alone else ["shape_soft"]


def _centrelines(found: list[ScanMask]) -> dict[str, Centreline]:
    """Centreline of each method's cord, and under "" that of the first cord at all."""
    lines: dict[str, Centreline] = {}
    for mask in found:
        usable = mask.image is not None and mask.structure == CORD and mask.image.data.any()
        if usable and mask.image is not None and mask.method not in lines:
            lines[mask.method] = own_centreline(mask.image.data, mask.image.spacing_mm)
            lines.setdefault("", lines[mask.method])
    return lines


def mask_rows(
    mask: ScanMask,
    kind: str,
    lines: Mapping[str, Centreline],
    levels: ScanLevels,
    options: MeasureOptions,
) -> list[Row]:
    """Rows of one mask; failed rows with the reason where it is empty or could not be read.

    Parameters
    ----------
    mask : ScanMask
    kind : {"shape", "shape_soft"}
        Which measures of the catalogue; for the first, a soft mask is cut at 0.5.
    lines : mapping
        Method to the centreline of its cord, "" to any; a cord mask is measured along its own.
    levels : ScanLevels
    options : MeasureOptions

    Returns
    -------
    list of dict
    """
    if mask.image is None or not mask.image.data.any():
        return failed_rows(kind, mask.base, mask.reason or EMPTY, "mean")
    data = mask.image.data
    if kind == "shape" and mask.kind == "softseg":
        data = binarised(data)
        if not data.any():
            return failed_rows(kind, mask.base, "the mask stays below 0.5", "mean")
    line = None if mask.structure == CORD else lines.get(mask.method, lines.get(""))
    geometry = slice_geometry(
        data,
        mask.image.spacing_mm,
        line,
        angle_correction=options.angle_correction,
        normalise_slices=options.normalise_slices,
    )
    notes = _scan_notes(mask, geometry, line)
    return geometry_rows(geometry, kind, mask.base, levels, options=options, notes=notes)


def _scan_notes(mask: ScanMask, geometry: SliceGeometry, line: Centreline | None) -> list[str]:
    """What a reader of the scan's summary must know; what its levels lack stands with these."""
    notes = [text for text in (*mask.notes, mask.warning) if text]
    if mask.structure != CORD and line is None:
        notes.append("no cord mask: tilt taken from the structure itself")
    if len(geometry.index) == 1 and line is None:
        notes.append("one slice: tilt unknown")
    return notes


def geometry_rows(
    geometry: SliceGeometry,
    kind: str,
    base: Row,
    levels: ScanLevels = NO_LEVELS,
    *,
    options: MeasureOptions = DEFAULT,
    notes: Sequence[str] = (),
) -> list[Row]:
    """Rows of one mask: slices, levels, ranges of levels, scan.

    Parameters
    ----------
    geometry : SliceGeometry
    kind : {"shape", "shape_soft"}
        Which measures of the catalogue.
    base : mapping
        ``method`` and ``structure``.
    levels : ScanLevels
    options : MeasureOptions
    notes : sequence of str
        Warnings for the summary of the whole scan.

    Returns
    -------
    list of dict
    """
    reasons = _slice_reasons(geometry, base["structure"])
    columns = {m: getattr(slice_shape, m.function)(geometry) for m in measures_of(kind)}
    rows: list[Row] = []
    if options.per_slice:
        for measure, values in columns.items():
            rows += _slice_rows(
                measure, values, geometry, base=base, levels=levels, reasons=reasons
            )
    for group in groups_of(geometry.index, levels, options):
        if group.undefined:
            rows += undefined_rows(kind, base | group.columns, group.reason)
            continue
        member = np.isin(geometry.index, list(group.slices))
        note = "; ".join([*(() if group.level else notes), *_summary(reasons, member, group)])
        for measure, values in columns.items():
            rows += _group_rows(
                measure, values, geometry, member, base=base | group.columns, note=note
            )
    return rows


def _slice_reasons(geometry: SliceGeometry, structure: str) -> list[str]:
    """What is odd about each slice, "" where nothing is."""
    usual = USUAL_COMPONENTS.get(structure, 1)
    reasons: list[str] = []
    for n, border, outline in zip(
        geometry.n_components, geometry.at_border, geometry.has_outline, strict=True
    ):
        texts = [f"{n} components"] if n > usual else []
        texts += ["touches the image border"] if border else []
        texts += [] if outline else ["stays below 0.5"]
        reasons.append("; ".join(texts))
    return reasons


def _slice_rows(
    measure: Measure,
    values: Floats,
    geometry: SliceGeometry,
    *,
    base: Row,
    levels: ScanLevels,
    reasons: list[str],
) -> list[Row]:
    return [
        base
        | level_columns(levels.by_slice.get(int(k), ""), levels.kind)
        | valued(measure, float(value), "", reason)
        | {"slice": int(k), "statistic": "", "n_voxels": int(n)}
        for k, value, n, reason in zip(
            geometry.index, values, geometry.n_voxels, reasons, strict=True
        )
    ]


def _group_rows(
    measure: Measure,
    values: Floats,
    geometry: SliceGeometry,
    member: Any,
    *,
    base: Row,
    note: str,
) -> list[Row]:
    n_voxels = int(geometry.n_voxels[member].sum())
    if measure.reduce == "sum":
        found = {"sum": float(values[member].sum())}
    else:
        found = statistics_of(values[member & geometry.has_outline])
    return [
        base | summary_row(measure, name, value, note) | {"n_voxels": n_voxels}
        for name, value in found.items()
    ]


def _summary(reasons: list[str], member: Any, group: Group) -> list[str]:
    """How many slices of a group are odd, and how."""
    inside = [reason for reason, chosen in zip(reasons, member, strict=True) if chosen]
    texts = [group.reason] if group.reason else []
    for reason in sorted({r for r in inside if r}):
        texts.append(f"{inside.count(reason)} of {len(inside)} slices: {reason}")
    return texts
