"""Diffusion maps by region: of every method's cord and eight regions, beside the reference's.

A region is read from a map of regions (codes 1 to 8, by name, never by position), from the soft
maps of regions (four dimensions, a volume a code), or from a mask.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.errors import ImageError
from cordcohort.measures.catalogue import map_name, measures_of
from cordcohort.measures.level_sources import scan_levels
from cordcohort.measures.masks import (
    ScanMask,
    fault,
    grid_of,
    read_scan_masks,
    reference_cord,
    without_masks,
)
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.region_codes import REGION_CODES
from cordcohort.measures.region_errors import error_rows
from cordcohort.measures.region_rows import DEFAULT, KIND, Region, region_rows
from cordcohort.measures.rows import Row, failed_rows, valued
from cordcohort.nifti import Array, check_same_grid, read_image
from cordcohort.table import long_table

COMBINED = {
    "wm": tuple(code for name, code in REGION_CODES.items() if name.endswith("_wm")),
    "gm": tuple(code for name, code in REGION_CODES.items() if name.endswith("_gm")),
}
REGION_MAP = "regions"
MASK_STRUCTURES = ("cord", "gm", "wm", "lesion")
QUALITY = "fit_quality"


@dataclass(frozen=True)
class MapsQuality:
    """How far the maps of a scan can be trusted, as the record of the tensor fit has it.

    Attributes
    ----------
    values : mapping of str to float
        Measures of the kind ``fit_quality``.
    warnings : sequence of str
        What a person should know; they stand on the rows of the whole scan.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    warnings: Sequence[str] = ()


UNKNOWN = MapsQuality()


def measure_regions(
    scan: Mapping[str, Any],
    masks: Sequence[Mapping[str, Any]],
    maps: Mapping[str, str],
    options: MeasureOptions = DEFAULT,
    *,
    image: str = "",
    maps_reason: str = "",
    quality: MapsQuality = UNKNOWN,
) -> pd.DataFrame:
    """Diffusion measures by region of one scan.

    Parameters
    ----------
    scan : mapping
        The scan key.
    masks : sequence of mappings
        ``method, structure, kind, path, status, reason`` each: cord masks, maps of regions.
    maps : mapping
        ``fa, md, ad, rd`` to file; empty where no tensor could be fitted.
    options : MeasureOptions
    image : str
        The diffusion series that masks must lie on.
    maps_reason : str
        Why there are no maps.
    quality : MapsQuality
        How far the maps can be trusted.

    Returns
    -------
    DataFrame
        Long table; nothing is raised for a fault in the data. Where the reference drew regions, the
        errors of all other methods' maps are rows of their own; the quality of the fit has rows
        without a method.
    """
    grid = grid_of(image, masks)
    found = read_scan_masks(masks, grid, (REGION_MAP, *MASK_STRUCTURES))
    if not found:
        base, reason = without_masks(scan)
        return long_table(failed_rows(KIND, base, maps_reason or reason, "mean"), scan)
    try:
        volumes = _read_maps(maps, maps_reason)
    except ImageError as error:
        reason = maps_reason or fault(error)
        rows = [r for m in found for r in _failed(m, reason)]
        return long_table(rows + error_rows(rows, options.reference, list(REGION_CODES)), scan)
    levels = scan_levels(masks, grid, reference_cord(found, options.reference), options)
    drawn = {(m.method, m.structure) for m in found if m.structure != REGION_MAP}
    note = "; ".join(quality.warnings)
    rows = []
    for mask in found:
        if mask.image is None:
            rows += _failed(mask, mask.reason)
        elif mask.image.data.shape[:3] != volumes["fa"].shape:
            rows += _failed(mask, f"maps of shape {volumes['fa'].shape}: made from another image")
        else:
            skip = {structure for method, structure in drawn if method == mask.method}
            for region in _regions_of(mask, skip):
                base: Row = {"method": mask.method, "structure": region.structure}
                rows += region_rows(volumes, region, base, levels, options, note=note)
    rows += error_rows(rows, options.reference, list(REGION_CODES))
    return long_table([*rows, *_quality_rows(quality)], scan)


def _quality_rows(quality: MapsQuality) -> list[Row]:
    base: Row = {"method": "", "structure": "cord", "statistic": ""}
    return [
        base | valued(measure, float(quality.values[measure.name]))
        for measure in measures_of(QUALITY)
        if quality.values.get(measure.name) is not None
    ]


def _read_maps(paths: Mapping[str, str], reason: str) -> dict[str, Array]:
    """The maps on canonical axes, all on one grid."""
    volumes: dict[str, Array] = {}
    first = None
    for name in (map_name(m) for m in measures_of(KIND)):
        if not paths.get(name):
            raise ImageError(name, "no_map", "tensor maps", "none", reason or "fit the tensor")
        volume = read_image(paths[name])
        first = first or volume
        check_same_grid(volume, first)
        volumes[name] = volume.canonical().data
    return volumes


def _regions_of(mask: ScanMask, already: Iterable[str]) -> list[Region]:
    """Regions that a mask holds; wm and gm of a region map only where they are not drawn apart."""
    if mask.image is None:
        return []
    data = mask.image.data
    if mask.structure != REGION_MAP:
        return [Region(mask.structure, data, soft=mask.kind == "softseg")]
    if mask.is_soft:
        return [Region(name, data[..., code - 1], soft=True) for name, code in REGION_CODES.items()]
    regions = [Region(name, data == code) for name, code in REGION_CODES.items()]
    wanted = [name for name in COMBINED if name not in already]
    return regions + [Region(name, np.isin(data, COMBINED[name])) for name in wanted]


def _failed(mask: ScanMask, reason: str) -> list[Row]:
    """Failed rows with the keys that a success would have: for a region map, every region."""
    names = REGION_CODES if mask.structure == REGION_MAP else [mask.structure]
    statistic = "weighted" if mask.is_soft else "mean"
    return [
        row
        for name in names
        for row in failed_rows(KIND, {"method": mask.method, "structure": name}, reason, statistic)
    ]
