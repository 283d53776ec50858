"""Diffusion maps by region: mean, SD, median and voxel count in the cord and its eight regions.

A region is read from a map of regions (codes 1 to 8, by name, never by position) or from a mask.
Its voxels count where the tensor was fitted. Soft masks give a weighted mean, ``sum(wx) / sum(w)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cordcohort.errors import ImageError
from cordcohort.measures.catalogue import map_name, measures_of
from cordcohort.measures.groups import Group, groups_of, level_columns
from cordcohort.measures.level_sources import NO_LEVELS, ScanLevels, scan_levels
from cordcohort.measures.masks import (
    ScanMask,
    fault,
    grid_of,
    read_scan_masks,
    reference_cord,
    without_masks,
)
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.rows import (
    NAN,
    Row,
    failed_rows,
    statistics_of,
    summary_row,
    undefined_rows,
)
from cordcohort.nifti import Array, check_same_grid, read_image
from cordcohort.table import long_table

KIND = "diffusion"
REGION_CODES = {
    "left_lateral_wm": 1,
    "left_dorsal_wm": 2,
    "left_ventral_wm": 3,
    "left_gm": 4,
    "right_lateral_wm": 5,
    "right_dorsal_wm": 6,
    "right_ventral_wm": 7,
    "right_gm": 8,
}
COMBINED = {
    "wm": tuple(code for name, code in REGION_CODES.items() if name.endswith("_wm")),
    "gm": tuple(code for name, code in REGION_CODES.items() if name.endswith("_gm")),
}
REGION_MAP = "regions"
MASK_STRUCTURES = ("cord", "gm", "wm", "lesion")
NO_VOXELS = "no voxel of this region"
NO_TENSOR = "no voxel of this region has a tensor"
DEFAULT = MeasureOptions()


@dataclass(frozen=True)
class Region:
    """Voxels of one region on canonical axes.

    Attributes
    ----------
    structure : str
    weight : array, shape (X, Y, Z)
        0 outside; 1, or a fraction, inside.
    soft : bool
        Whether fractions count.
    """

    structure: str
    weight: Array
    soft: bool = False


@dataclass(frozen=True)
class _Samples:
    """Values of all maps in the voxels of a region that have a tensor."""

    values: dict[str, NDArray[np.float64]]
    weight: NDArray[np.float64]
    slices: NDArray[np.int64]
    n_without_tensor: int


def measure_regions(
    scan: Mapping[str, Any],
    masks: Sequence[Mapping[str, Any]],
    maps: Mapping[str, str],
    options: MeasureOptions = DEFAULT,
    *,
    image: str = "",
    maps_reason: str = "",
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

    Returns
    -------
    DataFrame
        Long table; nothing is raised for a fault in the data.
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
        return long_table([r for m in found for r in _failed(m, reason)], scan)
    levels = scan_levels(masks, grid, reference_cord(found, options.reference), options)
    drawn = {(m.method, m.structure) for m in found if m.structure != REGION_MAP}
    rows: list[Row] = []
    for mask in found:
        if mask.image is None:
            rows += _failed(mask, mask.reason)
        elif mask.image.data.shape != volumes["fa"].shape:
            rows += _failed(mask, f"maps of shape {volumes['fa'].shape}: made from another image")
        else:
            skip = {structure for method, structure in drawn if method == mask.method}
            for region in _regions_of(mask, skip):
                base: Row = {"method": mask.method, "structure": region.structure}
                rows += region_rows(volumes, region, base, levels, options)
    return long_table(rows, scan)


def region_rows(
    maps: Mapping[str, Array],
    region: Region,
    base: Row,
    levels: ScanLevels = NO_LEVELS,
    options: MeasureOptions = DEFAULT,
) -> list[Row]:
    """Rows of one region: scan, levels, and the mean of each slice.

    Parameters
    ----------
    maps : mapping of str to array, shape (X, Y, Z)
        ``fa, md, ad, rd`` on canonical axes; 0 where no tensor was fitted.
    region : Region
    base : mapping
        ``method`` and ``structure``.
    levels : ScanLevels
    options : MeasureOptions
    """
    samples = _samples(maps, region)
    if not region.weight.any():
        return undefined_rows(KIND, base, NO_VOXELS)
    if samples.slices.size == 0:
        return undefined_rows(KIND, base, NO_TENSOR)
    present = list(np.unique(samples.slices))
    rows: list[Row] = []
    for group in groups_of(present, levels, options):
        if group.undefined:
            statistic = "weighted" if region.soft else "mean"
            rows += undefined_rows(KIND, base | group.columns, group.reason, 0, statistic)
            continue
        rows += _group_rows(samples, group, base | group.columns, region.soft, options)
    if options.per_slice and not region.soft:
        for k in present:
            columns = level_columns(levels.by_slice.get(int(k), ""), levels.kind)
            here = base | columns | {"slice": int(k)}
            rows += _slice_rows(samples, int(k), here, options)
    return rows


def weighted_mean(values: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """Mean weighted by partial volumes; NaN where no weight is left.

    Examples
    --------
    >>> weighted_mean(np.array([1.0, 4.0]), np.array([1.0, 0.5]))
    2.0
    """
    total = float(weight.sum())
    return float((values * weight).sum() / total) if total > 0 else NAN


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
    regions = [Region(name, data == code) for name, code in REGION_CODES.items()]
    wanted = [name for name in COMBINED if name not in already]
    return regions + [Region(name, np.isin(data, COMBINED[name])) for name in wanted]


def _samples(maps: Mapping[str, Array], region: Region) -> _Samples:
    inside = np.asarray(region.weight) > 0
    where = np.nonzero(inside & (maps["md"] > 0))
    return _Samples(
        values={name: volume[where].astype(np.float64) for name, volume in maps.items()},
        weight=np.asarray(region.weight)[where].astype(np.float64),
        slices=where[2],
        n_without_tensor=int(np.count_nonzero(inside)) - where[0].size,
    )


def _group_rows(
    samples: _Samples, group: Group, base: Row, soft: bool, options: MeasureOptions
) -> list[Row]:
    chosen = np.isin(samples.slices, list(group.slices))
    n = int(chosen.sum())
    if n < options.min_voxels:
        return undefined_rows(KIND, base, _few(n, options), n, "weighted" if soft else "mean")
    notes = [group.reason]
    if samples.n_without_tensor and not group.level:
        notes.append(f"{samples.n_without_tensor} voxels without tensor left out")
    note = "; ".join(text for text in notes if text)
    rows: list[Row] = []
    for measure in measures_of(KIND):
        values = samples.values[map_name(measure)][chosen]
        if soft:
            found = {"weighted": weighted_mean(values, samples.weight[chosen])}
        else:
            found = statistics_of(values)
        for name, value in found.items():
            rows.append(base | summary_row(measure, name, value, note) | {"n_voxels": n})
    return rows


def _slice_rows(samples: _Samples, k: int, base: Row, options: MeasureOptions) -> list[Row]:
    chosen = samples.slices == k
    n = int(chosen.sum())
    if n < options.min_voxels:
        return undefined_rows(KIND, base, _few(n, options), n)
    return [
        base
        | summary_row(m, "mean", float(samples.values[map_name(m)][chosen].mean()), "")
        | {"n_voxels": n}
        for m in measures_of(KIND)
    ]


def _few(n: int, options: MeasureOptions) -> str:
    return f"{n} voxels, fewer than {options.min_voxels}"


def _failed(mask: ScanMask, reason: str) -> list[Row]:
    """Failed rows with the keys that a success would have: for a region map, every region."""
    names = REGION_CODES if mask.structure == REGION_MAP else [mask.structure]
    statistic = "weighted" if mask.kind == "softseg" else "mean"
    return [
        row
        for name in names
        for row in failed_rows(KIND, {"method": mask.method, "structure": name}, reason, statistic)
    ]
