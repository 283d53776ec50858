"""Lesions of a scan as rows of the long table: one object a lesion, and the scan as a whole.

To add a biomarker, write a function here that takes a :class:`~cordcohort.measures.lesion.Lesion`
and gives a number, and declare it in :mod:`cordcohort.measures.catalogue`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.measures.catalogue import CATALOGUE, measures_of
from cordcohort.measures.detection import DEFAULT_RULE
from cordcohort.measures.lesion import Lesion, LesionScan, measure_lesions
from cordcohort.measures.lesion_places import level_rows, region_rows
from cordcohort.measures.level_sources import ScanLevels, scan_levels
from cordcohort.measures.masks import ScanMask, grid_of, read_scan_masks, reference_cord
from cordcohort.measures.measure import Measure
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.regions import REGION_MAP
from cordcohort.measures.rows import NAN, Row, failed_rows, valued
from cordcohort.model_uses import LESION_PARTS
from cordcohort.table import long_table

KIND = "lesion"
CORD = "cord"
DAMAGE_RATIO = "lesion_damage_ratio"
SAGITTAL = "sagittal_slice"
BY_SLICE = ("bridge_dorsal_mm", "bridge_ventral_mm", "bridge_total_mm")
NO_CORD_MASK = "no cord mask: measured without tilt, damage and bridges"
EMPTY_CORD_MASK = "the cord mask is empty: measured without tilt, damage and bridges"
ONE_VOXEL = "one voxel: its size is that of the voxel"
PARASAGITTAL = "the lesion misses the midsagittal plane: half the cord on either side"
DEFAULT = MeasureOptions()
_SUMMARIES = {"sum": np.sum, "max": np.max, "min": np.min}
SCAN_KIND = "lesion_scan"


def measure_lesion(
    scan: Mapping[str, Any],
    masks: Sequence[Mapping[str, Any]],
    options: MeasureOptions = DEFAULT,
    image: str = "",
) -> pd.DataFrame:
    """Biomarkers of every lesion mask of a scan as a long table.

    Parameters
    ----------
    scan : mapping
        The scan key.
    masks : sequence of mappings
        ``method, structure, kind, path, status, reason`` each. A lesion is measured in the cord of
        its own method, else in the reference's, else in the first one. Oedema and haemorrhage are
        lesion together, and each is measured alone, too.
    options : MeasureOptions
    image : str
        The image that the masks must lie on; "" where there is none.

    Returns
    -------
    DataFrame
        Long table, ``object`` being the lesion's number (largest first) and "" for the scan;
        nothing is raised for a fault in the data. Empty where nobody drew lesions.
    """
    grid = grid_of(image, masks)
    found = read_scan_masks(masks, grid, (KIND, *LESION_PARTS, CORD, REGION_MAP))
    drawn = [m for m in found if m.structure in (KIND, *LESION_PARTS) and m.kind == "seg"]
    if not drawn:
        return long_table([], scan)
    levels = scan_levels(masks, grid, reference_cord(found, options.reference), options)
    rows: list[Row] = []
    for mask in drawn:
        rows += _mask_rows(mask, found, levels, options)
    return long_table(rows, scan)


def _mask_rows(
    mask: ScanMask, found: Sequence[ScanMask], levels: ScanLevels, options: MeasureOptions
) -> list[Row]:
    """Rows of one lesion mask: its lesions, the scan, and the places where they lie."""
    if mask.image is None:
        return _failed(mask)
    cord = chosen_mask(found, mask.method, CORD, options.reference)
    inside = cord.image.data if cord is not None and cord.image is not None else None
    measured = measure_lesions(mask.image.data, inside, mask.image.spacing_mm)
    note = NO_CORD_MASK
    if inside is not None:
        note = "" if inside.any() else EMPTY_CORD_MASK
    rows = lesion_rows(measured, mask.base, note, mask.image.voxel_mm3)
    rows += sagittal_rows(measured, mask.base) if options.per_slice else []
    section = None if inside is None or note else np.count_nonzero(inside, axis=(0, 1))
    rows += level_rows(measured.labels, section, levels, mask.base)
    regions = chosen_mask(found, mask.method, REGION_MAP, options.reference)
    if regions is None or mask.structure != KIND:  # a row has room for one structure
        return rows
    return rows + region_rows(measured.labels, regions, measured.box, mask.base)


def chosen_mask(
    found: Sequence[ScanMask], method: str, structure: str, reference: str
) -> ScanMask | None:
    """The mask of a structure that goes with a method's lesions: its own, the reference's, any."""
    usable = [m for m in found if m.structure == structure and m.image is not None]
    usable = [m for m in usable if m.kind == ("seg" if structure == CORD else "dseg")]
    order = {method: 0, reference: 1}
    return min(usable, key=lambda m: order.get(m.method, len(order)), default=None)


def _failed(mask: ScanMask) -> list[Row]:
    """One row for each main measure, with the statistic that a success would have."""
    rows = [
        row
        for kind in (KIND, SCAN_KIND)
        for row in failed_rows(kind, mask.base, mask.reason, main_only=True)
    ]
    return [row | {"statistic": CATALOGUE[row["measure"]].reduce} for row in rows]


def lesion_rows(
    measured: LesionScan, base: Row, note: str = "", voxel_mm3: float = 1.0
) -> list[Row]:
    """Rows of one lesion mask: each lesion, the scan's summary, counts.

    Parameters
    ----------
    measured : LesionScan
    base : mapping
        ``method`` and ``structure``.
    note : str
        A warning for every row.
    voxel_mm3 : float
        Volume of a voxel, for the rule of size.
    """
    rows: list[Row] = []
    for lesion in measured.lesions:
        keys = {"object": str(lesion.number), "statistic": "", "n_voxels": lesion.n_voxels}
        parasagittal = lesion.bridges is not None and lesion.bridges.parasagittal
        for measure in measures_of(KIND):
            beside = parasagittal and measure.name.startswith("bridge_")
            reason = PARASAGITTAL if beside else note or (ONE_VOXEL * (lesion.n_voxels == 1))
            rows.append(base | _row(measure, _value(measure, lesion), reason) | keys)
    return rows + _summary_rows(measured, base, note) + _scan_rows(measured, base, note, voxel_mm3)


def sagittal_rows(measured: LesionScan, base: Row) -> list[Row]:
    """Tissue bridges of every lesion in each sagittal slice that holds it.

    ``level_kind`` is ``sagittal_slice`` and ``level`` the slice's number from 0 at the left of the
    person; statistics are the smallest over the slice's height.
    """
    first = int(measured.box[0].start or 0)
    rows: list[Row] = []
    for lesion in measured.lesions:
        for one in lesion.bridges.by_slice if lesion.bridges else ():
            keys = {"object": str(lesion.number), "statistic": "min", "level_kind": SAGITTAL,
                    "level": str(first + one.x)}  # fmt: skip
            values = (one.dorsal_mm, one.ventral_mm, one.total_mm)
            rows += [base | _row(CATALOGUE[name], value, "") | keys
                     for name, value in zip(BY_SLICE, values, strict=True)]  # fmt: skip
    return rows


def _summary_rows(measured: LesionScan, base: Row, note: str) -> list[Row]:
    """Sum, largest or smallest over lesions; a section's damage by all lesions together."""
    note = "; ".join(text for text in (note, _cut_short(measured)) if text)
    n_voxels = sum(lesion.n_voxels for lesion in measured.lesions)
    rows: list[Row] = []
    for measure in measures_of(KIND):
        if measure.reduce not in _SUMMARIES:
            continue
        values = [_value(measure, lesion) for lesion in measured.lesions]
        if measure.name == DAMAGE_RATIO:
            value = measured.max_axial_damage_ratio
        elif values:
            value = float(_SUMMARIES[measure.reduce](values))
        else:
            value = 0.0 if measure.reduce == "sum" else NAN
        reason = note if values else "no lesion"
        row = _row(measure, value, reason if np.isnan(value) or values else "")
        rows.append(base | row | {"statistic": measure.reduce, "n_voxels": n_voxels})
    return rows


def _scan_rows(measured: LesionScan, base: Row, note: str, voxel_mm3: float) -> list[Row]:
    """Counts of the scan; what was left out of them is said beside."""
    left_out = f"{measured.n_outside} wholly outside the cord" * bool(measured.n_outside)
    told = "; ".join(text for text in (note, left_out, _cut_short(measured)) if text)
    n_voxels = sum(lesion.n_voxels for lesion in measured.lesions)
    rows: list[Row] = []
    for measure in measures_of(SCAN_KIND):
        function = globals()[measure.function]
        sized = function is lesion_3mm3_n
        value = float(function(measured, voxel_mm3) if sized else function(measured))
        rows.append(base | _row(measure, value, told) | {"statistic": "", "n_voxels": n_voxels})
    return rows


def _cut_short(measured: LesionScan) -> str:
    """What a gap of the cord mask took from the lesions."""
    n = measured.n_slices_without_cord
    return f"no cord mask in {n} slices of the lesion: left out there" if n else ""


def _row(measure: Measure, value: float, reason: str) -> Row:
    return valued(measure, value, "undefined" if np.isnan(value) else "", reason)


def _value(measure: Measure, lesion: Lesion) -> float:
    return float(globals()[measure.function](lesion))  # the catalogue names functions below


def volume_mm3(lesion: Lesion) -> float:
    """Volume within the cord, in mm3."""
    return lesion.volume_mm3


def length_mm(lesion: Lesion) -> float:
    """Length along the cord of all slices that hold the lesion, in mm."""
    return lesion.length_mm


def width_mm(lesion: Lesion) -> float:
    """Largest front-back extent across the cord, in mm."""
    return lesion.width_mm


def max_equivalent_diameter_mm(lesion: Lesion) -> float:
    """Diameter, in mm, of the disc with the largest section's area."""
    return lesion.max_equivalent_diameter_mm


def max_axial_damage_ratio(lesion: Lesion) -> float:
    """Largest share of a section that is this lesion, 0 to 1; NaN without a cord mask."""
    return lesion.max_axial_damage_ratio


def dorsal_mm(lesion: Lesion) -> float:
    """Smallest spared tissue behind the lesion, in mm; NaN without a cord mask."""
    return lesion.bridges.dorsal_mm if lesion.bridges else NAN


def ventral_mm(lesion: Lesion) -> float:
    """Smallest spared tissue before the lesion, in mm; NaN without a cord mask."""
    return lesion.bridges.ventral_mm if lesion.bridges else NAN


def total_mm(lesion: Lesion) -> float:
    """Dorsal and ventral bridge together, in mm; NaN without a cord mask."""
    return lesion.bridges.total_mm if lesion.bridges else NAN


def dorsal_percent(lesion: Lesion) -> float:
    """Share of the dorsal bridge in percent; NaN without a cord mask."""
    return lesion.bridges.dorsal_percent if lesion.bridges else NAN


def ventral_percent(lesion: Lesion) -> float:
    """Share of the ventral bridge in percent; NaN without a cord mask."""
    return lesion.bridges.ventral_percent if lesion.bridges else NAN


def midsagittal_length_mm(lesion: Lesion) -> float:
    """Length of the lesion in the midsagittal plane, in mm; NaN without a cord mask."""
    return lesion.bridges.length_mm if lesion.bridges else NAN


def midsagittal_width_mm(lesion: Lesion) -> float:
    """Width of the lesion in the midsagittal plane, in mm; NaN without a cord mask."""
    return lesion.bridges.width_mm if lesion.bridges else NAN


def lesion_count(measured: LesionScan) -> float:
    """Number of lesions within the cord."""
    return float(len(measured.lesions))


def lesion_removed_mm3(measured: LesionScan) -> float:
    """Volume of the mask outside the cord, in mm3."""
    return measured.removed_mm3


def lesion_outside_n(measured: LesionScan) -> float:
    """Number of lesions wholly outside the cord."""
    return float(measured.n_outside)


def lesion_3mm3_n(measured: LesionScan, voxel_mm3: float) -> float:
    """Number of lesions within the cord that detection would count: more than 3 mm3."""
    least = DEFAULT_RULE.min_voxels(voxel_mm3)
    return float(sum(lesion.n_voxels >= least for lesion in measured.lesions))
