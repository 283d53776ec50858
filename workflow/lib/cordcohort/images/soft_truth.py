"""One soft ground truth of the cord from the masks of several contrasts of one person.

Every contrast's cord mask is brought onto a reference contrast by a translation in each axial
slice, the masks are averaged where they cover, and the average is brought back to every native
grid. A voxel that the contrasts see differently gets a value between 0 and 1.

1. A mask is padded by one slice at both ends (its end slice repeated), so that linear interpolation
   does not mix it with nothing.
2. The centre of mass of each slice is moved onto that of the reference.
3. Mask and coverage (ones over the slices that the mask covers) go to the reference grid, linearly.
4. The outermost slices of both are cleared, because they come from a repeated or partly covered
   slice: by default 8 mm for MT contrasts, 6.4 mm for dwi and T2starw, none for others.
5. ``soft = sum(masks) / sum(coverages)``, the reference included; 0 where nothing covers. Each of n
   scans of one contrast counts 1/n in both sums.
6. The average goes back to each native grid, linearly, times that contrast's coverage, in [0, 1].

Decisions where the published script is silent or defective:

* The script passes a literal word for the contrast's name to step 4, so that 10 slices go from
  every contrast; here the length belongs to the contrast (``SoftTruthOptions.edge_mm``).
* Slices are cleared at a contrast's true ends, also where these lie beyond the reference.
* A slice where one of the two masks is missing takes its neighbours' shift.
* Native slices that nothing covers on the reference grid are zero and say nothing;
  ``SoftTruth.covered`` tells them. A training takes the slab from the first to the last slice with
  cord of such a mask (``slices: labelled``), so that what lies beyond is no background to it; a gap
  between these two is.

References
----------
Bedard, Karthik et al. Towards contrast-agnostic soft segmentation of the spinal cord. Medical Image
Analysis 2025;101:103473.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cordcohort.binary import binarised
from cordcohort.errors import ImageError
from cordcohort.images.alignment import Box, SliceShifts, fit_shifts, occupied_slices, voxel_map
from cordcohort.images.carry import (
    MovingMask,
    common_box,
    mean_of_contrasts,
    own_coverage,
    slices_of_edge,
    to_native,
    to_reference,
)
from cordcohort.images.registration_quality import (
    RegistrationQuality,
    refusal,
    registration_quality,
    shift_table,
)
from cordcohort.images.rigid import rigid_transform
from cordcohort.nifti import Array, Image

Floats = NDArray[np.float64]

EDGE_MM: Mapping[str, float] = MappingProxyType({"MTon": 8, "MToff": 8, "dwi": 6.4, "T2starw": 6.4})
"""Length cleared at each end, by contrast: 10 and 8 slices of 0.8 mm of the published reference."""


@dataclass(frozen=True)
class SoftTruthOptions:
    """How the soft ground truth is made.

    Attributes
    ----------
    edge_mm : mapping of str to float
        Length to clear at both ends, by contrast; 0 for contrasts not named. The reference is never
        cleared.
    contrast_of : mapping of str to str
        Contrast of each mask that has another name; masks of one contrast share one weight.
    rigid : bool
        Register each contrast to the reference as a rigid body first, for centres whose contrasts
        are not co-registered.
    min_slices : int
        Fewest slices, drawn and of the reference, with both masks.
    min_dice : float
        Lowest median overlap over slices (soft Dice) after alignment.
    """

    edge_mm: Mapping[str, float] = field(default_factory=lambda: dict(EDGE_MM))
    contrast_of: Mapping[str, str] = field(default_factory=dict)
    rigid: bool = False
    min_slices: int = 3
    min_dice: float = 0.7

    def edge_slices(self, name: str, fixed: Image) -> int:
        """Slices of the reference to clear at both ends of a mask."""
        return slices_of_edge(self.edge_mm.get(self.contrast(name), 0.0), fixed.spacing_mm[2])

    def contrast(self, name: str) -> str:
        """Contrast of a mask."""
        return self.contrast_of.get(name, name)


class Exclusion(NamedTuple):
    """A contrast that was left out of the average, and why."""

    contrast: str
    reason: str


@dataclass(frozen=True)
class SoftTruth:
    """The soft ground truth of one person.

    Attributes
    ----------
    soft : dict of str to Image
        Soft mask of every contrast that was used, float32, on its native grid.
    binary : dict of str to Image
        The same from the threshold on, uint8.
    covered : dict of str to array of bool
        Whether each axial slice (canonical, from below) of the native grid is known.
    shifts : DataFrame
        ``contrast, slice, right_mm, anterior_mm, dice_before, dice_after``, one row for each
        reference slice with both masks; contrasts that failed are in it too.
    carried : dict of str to Image
        Mask of every contrast but the reference, float32, aligned on the grid of the reference;
        those that failed are in it too, so that one can look at them.
    quality : dict of str to RegistrationQuality
        How well each of these lies on the reference.
    rigid : dict of str to array, shape (4, 4)
        World of the reference to world of the contrast, where rigid registration was asked for.
    exclusions : list of Exclusion
        Contrasts left out of the average.
    reference : str
        Name of the reference contrast.
    """

    soft: dict[str, Image]
    binary: dict[str, Image]
    covered: dict[str, NDArray[np.bool_]]
    shifts: pd.DataFrame
    carried: dict[str, Image]
    quality: dict[str, RegistrationQuality]
    rigid: dict[str, Floats]
    exclusions: list[Exclusion]
    reference: str


def soft_ground_truth(
    masks: Mapping[str, Image],
    reference: str = "T2w",
    options: SoftTruthOptions | None = None,
    images: Mapping[str, Image] | None = None,
) -> SoftTruth:
    """Average the cord masks of several contrasts and bring the average to every native grid.

    Parameters
    ----------
    masks : mapping of contrast to Image
        Cord masks (0 to 1, binary or soft) on their native grids, of any orientation.
    reference : str
        The contrast on whose grid the average is made.
    options : SoftTruthOptions, optional
    images : mapping of contrast to Image, optional
        The scans; used by rigid registration only, where both the contrast's and the reference's
        are given.

    Returns
    -------
    SoftTruth
        Pure: nothing is written, and the masks are not changed.

    Raises
    ------
    ImageError
        If the reference has no mask, or an empty one: nothing can be aligned then.
    """
    options = options or SoftTruthOptions()
    fixed = _reference_mask(masks, reference)
    moving, exclusions = _prepare(masks, reference, fixed, options, images or {})
    box = common_box(fixed, moving)
    parts = [(options.contrast(reference), *own_coverage(fixed, box))]
    shifts = {one.contrast: _align(fixed, one, box) for one in moving}
    quality = {contrast: registration_quality(found) for contrast, found in shifts.items()}
    carried: dict[str, Image] = {}
    used: list[MovingMask] = []
    for one in moving:
        n_edges = options.edge_slices(one.contrast, fixed)
        mask, coverage = to_reference(one, box, shifts[one.contrast], n_edges)
        carried[one.contrast] = _in_whole(masks[reference], fixed, mask, box)
        reason = _failure(one, quality[one.contrast], coverage, options)
        if reason:
            exclusions.append(Exclusion(one.contrast, reason))
            continue
        parts.append((options.contrast(one.contrast), mask, coverage))
        used.append(one)
    soft, count = mean_of_contrasts(parts)
    results = {reference: _on_reference(fixed, soft, count, box)}
    for one in used:
        results[one.contrast] = to_native(one, soft, count, box, shifts[one.contrast])
    soft_masks = {
        contrast: replace(masks[contrast], data=masks[contrast].to_native(values))
        for contrast, (values, _) in results.items()
    }
    return SoftTruth(
        soft=soft_masks,
        binary={
            contrast: replace(image, data=binarised(image.data).astype(np.uint8))
            for contrast, image in soft_masks.items()
        },
        covered={contrast: known for contrast, (_, known) in results.items()},
        shifts=shift_table(shifts),
        carried=carried,
        quality=quality,
        rigid={one.contrast: one.world for one in moving} if options.rigid else {},
        exclusions=sorted(exclusions),
        reference=reference,
    )


def _reference_mask(masks: Mapping[str, Image], reference: str) -> Image:
    if reference not in masks:
        raise ImageError(
            "cord masks", "no_reference", f"a cord mask of the reference contrast {reference}",
            f"masks of {', '.join(sorted(masks)) or 'no contrast'}",
            "give its mask or choose another reference contrast",
        )  # fmt: skip
    fixed = masks[reference].canonical()
    if occupied_slices(fixed.data) is None:
        raise ImageError(
            fixed.path, "empty_mask", f"a cord mask of the reference contrast {reference}",
            "an empty mask", "draw it or choose another reference contrast",
        )  # fmt: skip
    return fixed


def _prepare(
    masks: Mapping[str, Image],
    reference: str,
    fixed: Image,
    options: SoftTruthOptions,
    images: Mapping[str, Image],
) -> tuple[list[MovingMask], list[Exclusion]]:
    """Contrasts with a mask, by name, so that sums do not depend on the order of the call."""
    moving: list[MovingMask] = []
    empty: list[Exclusion] = []
    for contrast in sorted(set(masks) - {reference}):
        mask = masks[contrast].canonical()
        ends = occupied_slices(mask.data)
        if ends is None:
            empty.append(Exclusion(contrast, "the mask is empty"))
            continue
        world = np.eye(4)
        if options.rigid:
            scans = [images[c].canonical() if c in images else None for c in (reference, contrast)]
            world = rigid_transform(fixed, mask, *scans)
        matrix = voxel_map(fixed.affine, mask.affine, world)
        moving.append(MovingMask(contrast, mask, ends, matrix, world))
    return moving, empty


def _align(fixed: Image, one: MovingMask, box: Box) -> SliceShifts:
    mask, _, matrix = one.padded()
    spacing = fixed.spacing_mm
    reference = np.asarray(fixed.data[box], dtype=np.float32)
    return fit_shifts(reference, mask, matrix, box, (spacing[0], spacing[1]))


def _failure(
    one: MovingMask, quality: RegistrationQuality, coverage: Array, options: SoftTruthOptions
) -> str:
    """Why an alignment cannot be used, or an empty string."""
    n_drawn = one.ends[1] - one.ends[0] + 1
    reason = refusal(
        quality, n_drawn, min_slices=options.min_slices, min_dice=options.min_dice,
        rigid=options.rigid,
    )  # fmt: skip
    if not reason and not coverage.any():
        edge_mm = options.edge_mm[options.contrast(one.contrast)]
        reason = f"nothing is left after clearing {edge_mm:g} mm at both ends"
    return reason


def _in_whole(native: Image, fixed: Image, part: Array, box: Box) -> Image:
    """Values in a box of the reference's canonical grid as an image on its own axes."""
    whole: NDArray[np.float32] = np.zeros(fixed.data.shape, dtype=np.float32)
    whole[box] = part
    return replace(native, data=native.to_native(whole))


def _on_reference(
    fixed: Image, soft: Array, count: Array, box: Box
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    out: NDArray[np.float32] = np.zeros(fixed.data.shape, dtype=np.float32)
    out[box] = np.clip(soft, 0.0, 1.0)
    return out, np.atleast_1d((count > 0).any(axis=(0, 1)))
