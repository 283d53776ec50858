"""Options that the measures of a scan take, with their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from cordcohort.errors import ConfigError
from cordcohort.level_choice import AUTO, chosen_sources
from cordcohort.measures.levels import level_range

MIN_VOXELS = 5
MANUAL = "manual"


@dataclass(frozen=True)
class MeasureOptions:
    """How the masks of a scan are measured.

    Attributes
    ----------
    reference : str
        Method that the others are compared with.
    per_slice : bool
        Write a row for each slice, besides levels and scan.
    angle_correction : bool
        Measure shape across the cord instead of in the image's slice.
    normalise_slices : bool
        Stretch each slice of a soft mask to 1, as the Spinal Cord Toolbox does.
    min_voxels : int
        A region with fewer voxels has no mean: its rows are undefined, with the count.
    levels : {"auto", "none"} or tuple of str
        Sources of levels that may be used: all, none, or some of those in
        :mod:`cordcohort.level_choice`.
    disc_confidence : float
        Detected discs below this confidence (0 to 1) give no levels.
    level_ranges : tuple of str
        Ranges of levels, such as ``C2-C3``, that are pooled slice by slice.
    pmj_distances_mm : tuple of float
        Distances from the pontomedullary junction, along the cord, that are summarised.
    pmj_extent_mm : float
        Length of the cord that is summarised at each of them.
    thresholds : tuple of float
        Shares of cord at which soft masks are also cut, to see what the area does.
    voxel_sizes_mm : tuple of float
        Isotropic voxel sizes at which scans are also segmented and measured.
    """

    reference: str = MANUAL
    per_slice: bool = True
    angle_correction: bool = True
    normalise_slices: bool = False
    min_voxels: int = MIN_VOXELS
    levels: str | tuple[str, ...] = AUTO
    disc_confidence: float = 0.5
    level_ranges: tuple[str, ...] = ("C2-C3",)
    pmj_distances_mm: tuple[float, ...] = (50, 60, 70, 80, 90, 100, 110, 120)
    pmj_extent_mm: float = 20.0
    thresholds: tuple[float, ...] = ()
    voxel_sizes_mm: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for text in self.level_ranges:
            try:
                level_range(text)
            except ValueError as error:
                raise ConfigError(
                    "measures.level_ranges", text, "a range such as C2-C3", "mend it"
                ) from error

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> MeasureOptions:
        """Options from a mapping such as the ``measures`` section of a config; others are ignored.

        Examples
        --------
        >>> MeasureOptions.of({"min_voxels": 3, "batch_size": 20}).min_voxels
        3
        """
        known = {f.name for f in fields(cls)}
        chosen = {k: v for k, v in values.items() if k in known}
        lists = ("level_ranges", "pmj_distances_mm", "levels", "thresholds", "voxel_sizes_mm")
        for key in lists:
            if isinstance(chosen.get(key), list):
                chosen[key] = tuple(chosen[key])
        return cls(**chosen)

    @property
    def sources(self) -> tuple[str, ...]:
        """Sources of levels that may be used.

        Examples
        --------
        >>> MeasureOptions(levels="none").sources, MeasureOptions(levels=("pmj",)).sources
        ((), ('pmj',))
        """
        return chosen_sources(self.levels)
