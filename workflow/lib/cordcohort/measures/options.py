"""Options that the measures of a scan take, with their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from cordcohort.errors import ConfigError
from cordcohort.level_choice import AUTO, chosen_sources
from cordcohort.measures.levels import VERTEBRAE, level_range
from cordcohort.spinal_names import SPINAL_LEVELS

MIN_VOXELS = 5
MANUAL = "manual"
SPINAL = "spinal"


@dataclass(frozen=True)
class RootletOptions:
    """How spinal levels are made from rootlets.

    Attributes
    ----------
    radius_mm : float
        Rootlets within this distance of the cord meet it.
    radius_voxels : int
        The same in voxels, whatever their size (published: 3); 0 takes ``radius_mm``.
    rule : {"gaps", "contiguous"}
        Level map: slices without rootlets stay empty (published), or go to the nearer level.
    levels : str
        Range of levels that are expected; one that is missing is a row without value.
    pmj_confidence : float
        A detected PMJ below this confidence (0 to 1) is not used.
    staple : bool
        Make a consensus of the raters (method ``staple``) of scans that several drew.
    """

    radius_mm: float = 2.5
    radius_voxels: int = 0
    rule: str = "gaps"
    levels: str = "C2-C8"
    pmj_confidence: float = 0.5
    staple: bool = True

    def __post_init__(self) -> None:
        try:
            level_range(self.levels, SPINAL_LEVELS)
        except ValueError as error:
            raise ConfigError(
                "measures.rootlets.levels", self.levels, "a range such as C2-C8", "mend it"
            ) from error


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
    level_kind : {"vertebral", "spinal"}
        Levels by which slices are summarised: of the vertebrae, or of the rootlets.
    rootlets : RootletOptions
        How spinal levels are made.
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
    level_kind: str = "vertebral"
    rootlets: RootletOptions = field(default_factory=RootletOptions)

    def __post_init__(self) -> None:
        for text in self.level_ranges:
            try:
                self.members(text)
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
        if isinstance(chosen.get("rootlets"), Mapping):
            chosen["rootlets"] = RootletOptions(**chosen["rootlets"])
        return cls(**chosen)

    def members(self, text: str) -> list[str]:
        """Levels of a range, from above to below, of the kind that slices are summarised by.

        Examples
        --------
        >>> MeasureOptions().members("C6-T1"), MeasureOptions(level_kind="spinal").members("C8-T1")
        (['C6', 'C7', 'T1'], ['C8', 'T1'])
        """
        return level_range(text, SPINAL_LEVELS if self.level_kind == SPINAL else VERTEBRAE)

    @property
    def sources(self) -> tuple[str, ...]:
        """Sources of levels that may be used.

        Examples
        --------
        >>> MeasureOptions(levels="none").sources, MeasureOptions(levels=("pmj",)).sources
        ((), ('pmj',))
        """
        return chosen_sources(self.levels)
