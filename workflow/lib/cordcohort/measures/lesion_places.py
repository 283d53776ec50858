"""Where lesions lie: shares of vertebral levels and of regions of the cord, as rows.

A share of the lesion adds up to 100 % over the places that hold it; slices without a level, and
voxels outside the map of regions, belong to no place. The load is how much of a place is lesion.

References
----------
``sct_analyze_lesion`` (Spinal Cord Toolbox) with an atlas: share of each lesion per level and
region, share of each region that lesions occupy; here with the voxels of a map instead of the
partial volumes of an atlas.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cordcohort.measures.boxes import Box
from cordcohort.measures.bridges import Labels
from cordcohort.measures.catalogue import measures_of
from cordcohort.measures.groups import level_columns
from cordcohort.measures.level_sources import ScanLevels
from cordcohort.measures.masks import ScanMask
from cordcohort.measures.regions import COMBINED, REGION_CODES
from cordcohort.measures.rows import NAN, Row, valued

KIND = "lesion_place"
PERCENT = 100.0
NO_SHARE = "no lesion"


@dataclass(frozen=True)
class Place:
    """Voxels of lesion in a place, of lesion at all, and of the place; the last is 0 if unknown."""

    n_lesion_here: int
    n_lesion: int
    n_here: int


def share_percent(place: Place) -> float:
    """Share of the lesion that lies here; NaN without a lesion.

    >>> share_percent(Place(3, 12, 40)), load_percent(Place(3, 12, 40))
    (25.0, 7.5)
    """
    return PERCENT * place.n_lesion_here / place.n_lesion if place.n_lesion else NAN


def load_percent(place: Place) -> float:
    """Share of the place that is lesion; NaN where nothing is known of the place's size."""
    return PERCENT * place.n_lesion_here / place.n_here if place.n_here else NAN


def level_rows(labels: Labels, section: Labels | None, levels: ScanLevels, base: Row) -> list[Row]:
    """Shares of the levels that the scan shows.

    Parameters
    ----------
    labels : array of int, shape (X, Y, Z)
        Number of the lesion in each voxel, 0 elsewhere.
    section : array of int, shape (Z,), or None
        Voxels of cord in each slice.
    levels : ScanLevels
    base : mapping
        ``method`` and ``structure``.
    """
    counts = _counts_by_slice(labels)
    section = np.zeros(labels.shape[2]) if section is None else section
    names = dict.fromkeys(levels.by_slice[k] for k in sorted(levels.by_slice))
    rows: list[Row] = []
    for name in names:
        slices = [k for k, level in levels.by_slice.items() if level == name]
        here = counts[:, slices].sum(axis=1)
        columns = base | level_columns(name, levels.kind)
        rows += _rows(here, counts.sum(axis=1), int(section[slices].sum()), columns, levels.note)
    return rows


def region_rows(labels: Labels, regions: ScanMask, box: Box, base: Row) -> list[Row]:
    """Shares of the eight regions of the cord, and of its grey and white matter.

    Parameters
    ----------
    labels : array of int, shape (X, Y, Z)
    regions : ScanMask
        Map of regions (:data:`cordcohort.measures.regions.REGION_CODES`).
    box : tuple of slice
        Where ``labels`` lie in the map.
    base : mapping
        ``method`` of the lesion; ``structure`` becomes the region.
    """
    if regions.image is None:
        return []
    note = "" if regions.method == base["method"] else f"regions of {regions.method}"
    codes = np.asarray(regions.image.data[box]).astype(np.int64)
    n_lesions, n_codes = int(labels.max(initial=0)) + 1, int(codes.max(initial=0)) + 1
    pairs = np.ravel_multi_index((labels.ravel(), codes.ravel()), (n_lesions, n_codes))
    table = np.bincount(pairs, minlength=n_lesions * n_codes).reshape(n_lesions, n_codes)
    total = table[1:].sum(axis=1)
    rows: list[Row] = []
    for name, members in _members():
        inside = [code for code in members if code < n_codes]
        here = table[:, inside].sum(axis=1)
        columns = base | {"structure": name}
        n_here = int(np.isin(regions.image.data, inside).sum())
        rows += _rows(np.append(0, here[1:]), np.append(0, total), n_here, columns, note)
    return rows


def _members() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from ((name, (code,)) for name, code in REGION_CODES.items())
    yield from COMBINED.items()


def _counts_by_slice(labels: Labels) -> NDArray[np.int64]:
    """Voxels of each lesion in each slice; row 0 stays empty."""
    number, _, k = labels[labels > 0], *np.nonzero(labels)[1:]
    counts = np.zeros((int(labels.max(initial=0)) + 1, labels.shape[2]), dtype=np.int64)
    np.add.at(counts, (number, k), 1)
    return counts


def _rows(
    here: NDArray[np.int64], total: NDArray[np.int64], n_here: int, base: Row, note: str
) -> list[Row]:
    """Share and load of all lesions, then the share of each one that is here."""
    whole = Place(int(here.sum()), int(total.sum()), n_here)
    rows = [_row(name, whole, base, note) for name in ("share_percent", "load_percent")]
    for number in np.flatnonzero(here):
        alone = Place(int(here[number]), int(total[number]), n_here)
        rows.append(_row("share_percent", alone, base, note) | {"object": str(number)})
    return rows


def _row(function: str, place: Place, base: Row, note: str) -> Row:
    measure = next(m for m in measures_of(KIND) if m.function == function)
    value = globals()[function](place)
    flag = "undefined" if np.isnan(value) else ""
    reason = note
    if flag:
        reason = NO_SHARE if function == "share_percent" else "size of the place unknown"
    row = valued(measure, value, flag, reason)
    return base | row | {"statistic": "", "n_voxels": place.n_lesion_here}
