"""Is a drawn cord mask whole and plausible? What looks wrong is told, nothing is mended.

A cord is one tube: it passes every axial slice between its ends, its area lies within narrow
bounds and changes little from slice to slice. A mask that breaks this is kept and flagged as a
warning with the reasons, so that somebody looks at its picture.

Bounds and where they come from:

* ``AREA_BOUNDS_MM2``: of 1,418 areas of C1 to T1 in three public tables (MASiVar, VUIIS-MS and
  whole-spine, in ``PAM50-normalized-metrics`` of the Spinal Cord Toolbox; children and people with
  multiple sclerosis among them) all but one, of a child, lie between 30 and 110 mm2: 26.0 is the
  least, 94.2 the largest. The first and the last slice are partly filled and do not count, nor up
  to a tenth of the slices: the conus tapers to nothing.
* ``MAX_AREA_RATIO``: in those tables 99 of 100 pairs of neighbouring levels differ by a ratio below
  1.33, and slices are closer than levels.
* ``MAX_JUMP_MM`` and a slope of one: the steepest cervical cord leans about 45 degrees.
* ``MIN_COVERED_SHARE``: a cervical or thoracic scan shows the cord in all its slices, one with the
  brain or the cauda equina in about half.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cordcohort.measures.boxes import bounding_box
from cordcohort.measures.centreline import fit_centreline
from cordcohort.nifti import Image

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

AREA_BOUNDS_MM2 = (30.0, 110.0)
MAX_OUTSIDE_SHARE = 0.1
MAX_AREA_RATIO = 1.5
MAX_JUMP_MM = 3.0
MAX_SLOPE = 1.0
MIN_COVERED_SHARE = 0.5


@dataclass(frozen=True)
class Quality:
    """What was found of one mask.

    Attributes
    ----------
    reasons : tuple of str
        What is suspicious, empty where nothing is.
    numbers : dict
        ``n_slices`` with mask, ``n_slices_image``, ``n_empty_between``, ``n_pieces``,
        ``smallest_area_mm2``, ``largest_area_mm2`` (across the cord, end slices left out),
        ``largest_area_ratio`` (of neighbouring slices, at least 1), ``largest_jump_mm`` (of the
        centre, beyond a slope of one), ``n_slices_at_border``.
    """

    reasons: tuple[str, ...] = ()
    numbers: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Slices:
    """Slices that hold the mask: number, area across the cord, centre in mm."""

    index: NDArray[np.int64]
    area_mm2: Floats
    centre_mm: Floats
    step_mm: float

    @property
    def inner(self) -> slice:
        """All but the two end slices, which are partly filled; all where there is no inner one."""
        return slice(1, -1) if len(self.index) > 2 else slice(None)  # noqa: PLR2004 - two ends


def mask_quality(mask: Image) -> Quality:
    """Tell what is suspicious about a binary cord mask.

    Parameters
    ----------
    mask : Image
        Three dimensions, any orientation, cord above zero, on the grid of its scan.

    Returns
    -------
    Quality
        No reason for a whole and plausible cord, and for an empty mask, which has a status.

    Examples
    --------
    >>> tube = np.zeros((20, 20, 6)); tube[5:15, 7:14] = 1; tube[:, :, 3] = 0
    >>> mask_quality(Image(tube, np.eye(4))).reasons
    ('1 of 6 slices between its ends is empty', '2 separate pieces')
    """
    canonical = mask.canonical()
    drawn = np.asarray(canonical.data) > 0
    if not drawn.any():
        return Quality()
    box = bounding_box(drawn)
    inside = drawn[box]
    slices = _slices(inside, int(box[2].start), canonical.spacing_mm)
    at_border = _at_border(drawn, box)
    found = [
        _gaps(slices),
        _pieces(inside),
        _areas(slices),
        _area_changes(slices),
        _jumps(slices),
        _border(at_border),
        _cover(slices, drawn.shape[2]),
    ]
    numbers = {"n_slices": float(len(slices.index)), "n_slices_image": float(drawn.shape[2])}
    for _, told in found:
        numbers |= told
    return Quality(tuple(reason for reason, _ in found if reason), numbers)


Finding = tuple[str, dict[str, float]]


def _slices(inside: Flags, first: int, spacing_mm: tuple[float, float, float]) -> _Slices:
    n_voxels = inside.sum(axis=(0, 1))
    used = np.flatnonzero(n_voxels)
    along = [inside.sum(axis=1)[:, used], inside.sum(axis=0)[:, used]]
    centre = np.stack(
        [
            np.arange(len(part)) @ part / n_voxels[used] * mm
            for part, mm in zip(along, spacing_mm, strict=False)
        ],
        axis=1,
    )
    line = fit_centreline(used, centre[:, 0], centre[:, 1], spacing_mm[2])
    slope_x, slope_y = line.slopes_at(used)
    cosine = 1.0 / np.sqrt(1.0 + slope_x**2 + slope_y**2)
    area = n_voxels[used] * spacing_mm[0] * spacing_mm[1] * cosine
    return _Slices(used + first, area, centre, spacing_mm[2])


def _gaps(slices: _Slices) -> Finding:
    length = int(slices.index[-1] - slices.index[0]) + 1
    n_empty = length - len(slices.index)
    verb = "is" if n_empty == 1 else "are"
    reason = f"{n_empty} of {length} slices between its ends {verb} empty" if n_empty else ""
    return reason, {"n_empty_between": float(n_empty)}


def _pieces(inside: Flags) -> Finding:
    n_pieces = int(ndimage.label(inside, structure=np.ones((3, 3, 3)))[1])  # type: ignore[index]
    return (f"{n_pieces} separate pieces" if n_pieces > 1 else ""), {"n_pieces": float(n_pieces)}


def _areas(slices: _Slices) -> Finding:
    area = slices.area_mm2[slices.inner]
    low, high = AREA_BOUNDS_MM2
    n_outside = int(((area < low) | (area > high)).sum())
    least, most = float(area.min()), float(area.max())
    reason = ""
    if n_outside > MAX_OUTSIDE_SHARE * len(area):
        reason = (
            f"{n_outside} of {len(area)} slices outside of {low:.0f} to {high:.0f} mm2 "
            f"(from {least:.0f} to {most:.0f})"
        )
    return reason, {"smallest_area_mm2": round(least, 2), "largest_area_mm2": round(most, 2)}


def _area_changes(slices: _Slices) -> Finding:
    index, area = slices.index[slices.inner], slices.area_mm2[slices.inner]
    neighbours = np.flatnonzero(np.diff(index) == 1)
    if not neighbours.size:
        return "", {"largest_area_ratio": 1.0}
    ratio = np.exp(np.abs(np.log(area[neighbours + 1] / area[neighbours])))
    worst = int(ratio.argmax())
    at, largest = neighbours[worst], float(ratio[worst])
    reason = ""
    if largest > MAX_AREA_RATIO:
        reason = (
            f"area jumps from {area[at]:.0f} to {area[at + 1]:.0f} mm2 "
            f"between slices {index[at]} and {index[at] + 1}"
        )
    return reason, {"largest_area_ratio": round(largest, 3)}


def _jumps(slices: _Slices) -> Finding:
    steps = np.diff(slices.index) * slices.step_mm
    if not steps.size:
        return "", {"largest_jump_mm": 0.0}
    moved = np.hypot(*np.diff(slices.centre_mm, axis=0).T)
    beyond = np.maximum(moved - MAX_SLOPE * steps, 0.0)
    worst = int(beyond.argmax())
    reason = ""
    if beyond[worst] > MAX_JUMP_MM:
        pair = f"slices {slices.index[worst]} and {slices.index[worst + 1]}"
        reason = f"centre moves by {moved[worst]:.1f} mm between {pair}"
    return reason, {"largest_jump_mm": round(float(beyond[worst]), 2)}


def _at_border(drawn: Flags, box: tuple[slice, slice, slice]) -> int:
    """Slices in which the mask reaches the edge of the image; a field one voxel wide has none."""
    touched = np.zeros(drawn.shape[2], dtype=bool)
    for axis, span in enumerate(box[:2]):
        if drawn.shape[axis] == 1:
            continue
        for edge, reached in ((0, span.start == 0), (-1, span.stop == drawn.shape[axis])):
            if reached:
                touched |= np.take(drawn, edge, axis=axis).any(axis=0)
    return int(touched.sum())


def _border(n_slices: int) -> Finding:
    plural = "" if n_slices == 1 else "s"
    reason = f"touches the image border in {n_slices} slice{plural}" if n_slices else ""
    return reason, {"n_slices_at_border": float(n_slices)}


def _cover(slices: _Slices, n_image: int) -> Finding:
    n = len(slices.index)
    return (f"covers {n} of {n_image} slices" if n < MIN_COVERED_SHARE * n_image else ""), {}


def as_record(quality: Quality) -> dict[str, Any]:
    """Keys of a segmentation record that tell the quality of its mask."""
    return {"warnings": list(quality.reasons), "quality": quality.numbers}
