"""Built-in baseline without learning: intensity and shape of the cord, slice by slice.

1. The scan is smoothed and searched on a grid of about 1 mm: response to an ellipse in a ring,
   mirror symmetry of the surroundings, depth and absence of air. The best smooth path through all
   slices is the cord, for a cord brighter and for one darker than the fluid around it.
2. Around each path the outline is found in polar coordinates.
3. The better of the two is kept. Slices at the ends whose outline is not coherent, or too small
   or large, are cut, and a scan whose evidence is weak has no cord.

It needs no model, no graphics card and about a second, and it is a baseline to compare with: it
takes no account of lesions, compression or implants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cordcohort.nifti import Array, Image
from cordcohort.segmentation.disc_response import best_path, disc_response, search_grid
from cordcohort.segmentation.midline import mirror_symmetry, misplacement
from cordcohort.segmentation.polar import Outline, fill, find_outline
from cordcohort.segmentation.quality import AREA_BOUNDS_MM2

Floats = NDArray[np.float64]

METHOD = "classical"
SYMMETRY_WEIGHT = 0.5
POLARITIES = (("bright", -1), ("dark", 1))
MAX_PIXEL_MM = 4.0
"""Sides of axial pixels above this cannot show an outline of 8 by 13 mm."""
MIN_FIELD_MM = 16.0
"""A field of view smaller than a cord in its ring shows nothing to find."""
MIN_EVIDENCE = 0.8
MIN_COHERENCE = 0.8
MIN_LENGTH_MM = 10.0
SUPPORT_SHARE = 0.5
SUPPORT_PERCENTILE = 90.0
"""A slice needs this share of the evidence that the best slices of the scan have."""
EVIDENCE_ALONG_MM = 5.0
AREA_RANGE_MM2 = (22.0, 150.0)
THICK_SLICE_MM = 8.0
"""Centres of slices this thick or thicker are not smoothed along the cord."""
CENTRE_ALONG_MM = 4.0


class Outcome(NamedTuple):
    """Outcome of a segmentation method on one scan.

    Attributes
    ----------
    mask : array of uint8, shape of the scan
        On the native grid; all zero unless the status is ``ok``.
    status : {"ok", "no_cord"}
    reason : str
        Why no cord was found; empty for ``ok``.
    """

    mask: NDArray[np.uint8]
    status: str
    reason: str


@dataclass(frozen=True)
class Candidate:
    """One reading of the scan: a cord brighter, or darker, than what is around it."""

    outline: Outline
    keep: slice
    evidence: float
    polarity: str


def segment_classical(image: Image) -> Outcome:
    """Segment the cord without a learned model.

    Parameters
    ----------
    image : Image
        A scan with three dimensions, any orientation and contrast.

    Returns
    -------
    Outcome
        Mask on the native grid, status, and reason.

    Examples
    --------
    >>> empty = Image(np.zeros((32, 32, 8), np.float32), np.diag([1.0, 1.0, 4.0, 1.0]))
    >>> segment_classical(empty).reason
    'the image has one value only'
    """
    scan = image.canonical()
    reason = _unreadable(scan)
    if reason:
        return _nothing(image, reason)
    best = max(candidates(scan), key=_evidence_of)
    length_mm = (best.keep.stop - best.keep.start) * scan.spacing_mm[2]
    if best.evidence < MIN_EVIDENCE:
        return _nothing(
            image, f"evidence of a cord {best.evidence:.2f}, at least {MIN_EVIDENCE:.2f} needed"
        )
    if length_mm < MIN_LENGTH_MM:
        return _nothing(image, f"only {length_mm:.0f} mm with the outline of a cord")
    area_mm2 = float(np.median(best.outline.area_mm2[best.keep]))
    if not AREA_BOUNDS_MM2[0] <= area_mm2 <= AREA_BOUNDS_MM2[1]:
        low, high = AREA_BOUNDS_MM2
        return _nothing(
            image, f"an outline of {area_mm2:.0f} mm2, a cord has {low:.0f} to {high:.0f}"
        )
    mask = fill(best.outline, scan.data.shape, scan.spacing_mm)
    mask[:, :, : best.keep.start] = 0
    mask[:, :, best.keep.stop :] = 0
    return Outcome(np.ascontiguousarray(image.to_native(mask)), "ok", "")


def candidates(scan: Image) -> list[Candidate]:
    """The two readings of a canonical scan, with their evidence.

    Parameters
    ----------
    scan : Image
        On canonical axes, with more than one value.

    Returns
    -------
    list of Candidate
        A bright cord, then a dark one. Evidence is the mean score of the path (response, symmetry,
        misplacement) times the median coherence of the outline, over the slices kept: 0.4 to 0.75
        in noise, smooth as it may be; 0.9 to 1.4 in usual scans of a cord.
    """
    grid = search_grid(scan.data, scan.spacing_mm)
    response = disc_response(grid)
    context = SYMMETRY_WEIGHT * mirror_symmetry(grid.values, grid.spacing_mm)
    context -= misplacement(grid.values, grid.spacing_mm)
    found: list[Candidate] = []
    for index, (polarity, sign) in enumerate(POLARITIES):
        path, score = best_path(response[index] + context, grid.spacing_mm[2])
        centre, score = _on_slices(path, score, grid.step, scan)
        outline = find_outline(scan.data, scan.spacing_mm, centre, sign)
        keep = _kept(outline, score, scan.spacing_mm[2])
        evidence = 0.0
        if keep.stop > keep.start:
            evidence = float(score[keep].mean() * np.median(outline.coherence[keep]))
        found.append(Candidate(outline, keep, evidence, polarity))
    return found


def _evidence_of(candidate: Candidate) -> float:
    return candidate.evidence


def _unreadable(scan: Image) -> str:
    """Why a scan cannot show a cord at all, or an empty string."""
    sides = scan.spacing_mm[:2]
    if max(sides) > MAX_PIXEL_MM:
        return f"axial pixels of {sides[0]:.1f} x {sides[1]:.1f} mm, at most {MAX_PIXEL_MM:.0f} mm"
    field = min(n * s for n, s in zip(scan.data.shape, sides, strict=False))
    if field < MIN_FIELD_MM:
        return f"field of view of {field:.0f} mm in plane, at least {MIN_FIELD_MM:.0f} mm needed"
    if float(np.ptp(scan.data)) <= 0.0:
        return "the image has one value only"
    return ""


def _nothing(image: Image, reason: str) -> Outcome:
    return Outcome(np.zeros(image.data.shape[:3], dtype=np.uint8), "no_cord", reason)


def _on_slices(
    path: Array, score: Floats, step: tuple[float, float, float], scan: Image
) -> tuple[Floats, Floats]:
    """The path in mm and its score for each slice of the scan."""
    place = np.arange(scan.data.shape[2]) / step[2]
    nodes = np.arange(len(path))
    spacing = scan.spacing_mm
    centre = np.stack(
        [np.interp(place, nodes, path[:, a] * step[a] * spacing[a]) for a in range(2)], axis=1
    )
    if spacing[2] < THICK_SLICE_MM:
        sigma = CENTRE_ALONG_MM / spacing[2]
        centre = ndimage.gaussian_filter1d(centre, sigma, axis=0, mode="nearest")
    return centre, np.interp(place, nodes, score)


def _kept(outline: Outline, score: Floats, slice_mm: float) -> slice:
    """The slices with a coherent outline of plausible area, without those that lead nowhere."""
    sigma = EVIDENCE_ALONG_MM / slice_mm
    if sigma < 0.5:  # noqa: PLR2004 - thick slices speak for themselves
        sigma = 0.0
    coherence, area, support = (
        ndimage.gaussian_filter1d(values, sigma, mode="nearest") if sigma else values
        for values in (outline.coherence, outline.area_mm2, outline.coherence * score)
    )
    good = (coherence > MIN_COHERENCE) & (area > AREA_RANGE_MM2[0]) & (area < AREA_RANGE_MM2[1])
    good &= support > SUPPORT_SHARE * np.percentile(support, SUPPORT_PERCENTILE)
    return _main_run(good)


def _main_run(good: NDArray[np.bool_]) -> slice:
    """The longest run, joined over gaps to neighbours that are as long as the gap.

    A compressed cord has a short stretch without a good outline between two long good ones; beyond
    the cord's end a chance run is shorter than what is missing before it.

    Examples
    --------
    >>> _main_run(np.array([1, 1, 1, 0, 1, 1, 0, 0, 0, 1], dtype=bool))
    slice(0, 6, None)
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], good.astype(np.int8), [0]])))
    if not edges.size:
        return slice(0, 0)
    starts, stops = edges[::2], edges[1::2]
    low = high = int((stops - starts).argmax())
    while low > 0 and stops[low - 1] - starts[low - 1] >= starts[low] - stops[low - 1]:
        low -= 1
    last = len(starts) - 1
    while high < last and stops[high + 1] - starts[high + 1] >= starts[high + 1] - stops[high]:
        high += 1
    return slice(int(starts[low]), int(stops[high]))
