"""Options that the measures of a scan take, with their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from cordcohort.errors import ConfigError
from cordcohort.measures.levels import level_range

MIN_VOXELS = 5
MANUAL = "manual"
AUTO = "auto"


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
    levels : {"auto", "none"}
        Whether labelled vertebrae or discs are used.
    level_ranges : tuple of str
        Ranges of levels, such as ``C2-C3``, that are pooled slice by slice.
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
    levels: str = AUTO
    level_ranges: tuple[str, ...] = ("C2-C3",)
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
        for key in ("level_ranges", "thresholds", "voxel_sizes_mm"):
            if key in chosen:
                chosen[key] = tuple(chosen[key])
        return cls(**chosen)
