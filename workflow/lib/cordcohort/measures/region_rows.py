"""Rows of one region: its maps summarised over the scan, its levels and its slices.

Voxels count where the tensor was fitted. Binary regions give mean, SD and median, and the mean of
what is left of them after one voxel at their border in the slice is taken off (``trimmed``), where
voxels may hold other tissue in part. Soft ones give ``weighted``, ``sum(wx) / sum(w)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cordcohort.measures.catalogue import map_name, measures_of
from cordcohort.measures.groups import Group, groups_of, level_columns
from cordcohort.measures.level_sources import NO_LEVELS, ScanLevels
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.rows import NAN, Row, statistics_of, summary_row, undefined_rows
from cordcohort.nifti import Array

KIND = "diffusion"
MEAN, WEIGHTED, TRIMMED = "mean", "weighted", "trimmed"
NO_VOXELS = "no voxel of this region"
NO_TENSOR = "no voxel of this region has a tensor"
IN_SLICE = ndimage.generate_binary_structure(2, 1)[:, :, None]
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

    @property
    def statistic(self) -> str:
        """Name of its mean."""
        return WEIGHTED if self.soft else MEAN


@dataclass(frozen=True)
class _Samples:
    """Values of all maps in the voxels of a region that have a tensor."""

    values: dict[str, NDArray[np.float64]]
    weight: NDArray[np.float64]
    slices: NDArray[np.int64]
    inner: NDArray[np.bool_]
    n_without_tensor: int


def region_rows(
    maps: Mapping[str, Array],
    region: Region,
    base: Row,
    levels: ScanLevels = NO_LEVELS,
    options: MeasureOptions = DEFAULT,
    *,
    note: str = "",
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
    note : str
        What is suspicious about the maps; it stands on the rows of the whole scan.
    """
    samples = _samples(maps, region)
    if not region.weight.any():
        return undefined_rows(KIND, base, NO_VOXELS, 0, region.statistic)
    if samples.slices.size == 0:
        return undefined_rows(KIND, base, NO_TENSOR, 0, region.statistic)
    present = list(np.unique(samples.slices))
    rows: list[Row] = []
    for group in groups_of(present, levels, options):
        here = base | group.columns
        if group.undefined:
            rows += undefined_rows(KIND, here, group.reason, 0, region.statistic)
            continue
        told = _notes(samples, group, note)
        rows += _group_rows(samples, group, here | {"reason": told}, region, options)
    if options.per_slice:
        for k in present:
            columns = level_columns(levels.by_slice.get(int(k), ""), levels.kind)
            here = base | columns | {"slice": int(k)}
            rows += _summary(samples, samples.slices == k, here, region.statistic, options)
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


def _samples(maps: Mapping[str, Array], region: Region) -> _Samples:
    inside = np.asarray(region.weight) > 0
    where = np.nonzero(inside & (maps["md"] > 0))
    inner = np.zeros(0, dtype=bool) if region.soft else _trimmed(inside)[where]
    return _Samples(
        values={name: volume[where].astype(np.float64) for name, volume in maps.items()},
        weight=np.asarray(region.weight)[where].astype(np.float64),
        slices=where[2],
        inner=inner,
        n_without_tensor=int(np.count_nonzero(inside)) - where[0].size,
    )


def _trimmed(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels whose four neighbours in the slice belong to the region too."""
    box = ndimage.find_objects(inside.astype(np.uint8))
    if not box:
        return inside
    out = np.zeros_like(inside)
    out[box[0]] = ndimage.binary_erosion(inside[box[0]], IN_SLICE)
    return out


def _notes(samples: _Samples, group: Group, note: str) -> str:
    notes = [group.reason]
    if not group.level:
        notes.append(note)
        if samples.n_without_tensor:
            notes.append(f"{samples.n_without_tensor} voxels without tensor left out")
    return "; ".join(text for text in notes if text)


def _group_rows(
    samples: _Samples,
    group: Group,
    base: Row,
    region: Region,
    options: MeasureOptions,
) -> list[Row]:
    chosen = np.isin(samples.slices, list(group.slices))
    rows = _summary(samples, chosen, base, region.statistic, options)
    if region.soft or rows[0]["flag"] == "undefined":
        return rows
    for measure in measures_of(KIND):
        found = statistics_of(samples.values[map_name(measure)][chosen])
        for name in ("sd", "median"):
            row = summary_row(measure, name, found[name], base["reason"])
            rows.append(base | row | {"n_voxels": int(chosen.sum())})
    return rows + _summary(samples, chosen & samples.inner, base, TRIMMED, options)


def _summary(
    samples: _Samples,
    chosen: NDArray[np.bool_],
    base: Row,
    statistic: str,
    options: MeasureOptions,
) -> list[Row]:
    """Mean of every map in some of the voxels, undefined where these are too few."""
    n = int(chosen.sum())
    if n < options.min_voxels:
        few = f"{n} voxels, fewer than {options.min_voxels}"
        return undefined_rows(KIND, base, few, n, statistic)
    note = base.get("reason", "")
    weight = samples.weight[chosen] if statistic == WEIGHTED else np.ones(n)
    return [
        base
        | summary_row(
            m, statistic, weighted_mean(samples.values[map_name(m)][chosen], weight), note
        )
        | {"n_voxels": n}
        for m in measures_of(KIND)
    ]
