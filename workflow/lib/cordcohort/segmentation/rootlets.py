"""Dorsal rootlets C2 to T1 and the pontomedullary junction (PMJ) of one scan.

The cord's path is found over the whole scan (:mod:`.infer`), a block follows it slice by slice
(:mod:`.rootlet_block`), and one network sees the whole neck at once: a level has its name from what
lies above and below it (:mod:`.rootlet_order`). A second network, where a model has one, draws the
filaments at the scan's own voxel size (:mod:`.rootlet_details`). Labels come back on the scan's own
grid. No component is removed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from cordcohort.nifti import Image
from cordcohort.segmentation.centreline import open_volume
from cordcohort.segmentation.infer import Segmentation, cord_line, deterministic
from cordcohort.segmentation.registry import Model, Stage
from cordcohort.segmentation.rootlet_block import (
    STEP_MM,
    Block,
    CordAxis,
    back_to_scan,
    cut_block,
)
from cordcohort.segmentation.rootlet_details import likely
from cordcohort.segmentation.rootlet_order import in_order
from cordcohort.spinal_names import ROOTLET_CODES, VENTRAL, rootlet_name

Floats = NDArray[np.floating[Any]]

ROOTLETS, PMJ = "rootlets", "pmj"
DETAILS = "details"
OK, NO_CORD, NOT_FOUND = "ok", "no_cord", "no_pmj"
SMOOTH_MM = 8.0
LEAST_PEAK = 0.05
SURE_PEAK = 0.5
"""A PMJ of at least this confidence helps to name the levels."""
MOST_MM = 1.2
"""Larger voxels hold no filaments: the network of fine blocks has not seen them."""
THICK_SHARE = 0.4
"""There a rootlet is where the network of levels sees this share (best on tuning phantoms)."""
LEAST_SHARE = 0.05
"""Where the network of levels sees less than this share of rootlets there are none."""
PEAK_REACH = 4
SLAB = 32
"""Slices that are brought back at once: of a large scan all together would fill the memory."""


def segment_rootlets(
    model: Model, image: Image, batch_size: int, mirror: bool
) -> dict[str, Segmentation]:
    """Rootlet labels and PMJ of one scan.

    Parameters
    ----------
    model : Model
        With the stages ``localiser``, ``rootlets`` and, for fine filaments, ``details``.
    image : Image
        Verified 3-D image of any orientation.
    batch_size : int
        Slices per call of the localiser.
    mirror : bool
        Average with the left-right mirrored block.

    Returns
    -------
    dict
        ``rootlets`` (uint8, 2 is C2 ... 9 is T1; levels out of order are named in ``warnings``) and
        ``pmj`` (one voxel, with its confidence, 0 to 1). A cord without rootlets is an empty map.
    """
    canonical = image.canonical()
    volume, problem = open_volume(canonical, model.device)
    if volume is None:
        return _nothing(image, problem)
    with deterministic():
        line, problem = cord_line(model.stages["localiser"], volume, batch_size)
        if line is None:
            return _nothing(image, problem)
        sound = (line.index >= line.first) & (line.index <= line.last)
        axis = _smooth_axis(line.index[sound], line.centres[sound], volume.step_mm)
        block = cut_block(volume.slices, canonical.spacing_mm, axis)
        drawn = _drawn(model.stages[ROOTLETS], block, mirror=mirror)
        place, sure = _peak(block, drawn[-1])
        pmj = (place[2] - block.bottom_mm) / STEP_MM[0] if sure >= SURE_PEAK else None
        shares = _ordered(drawn[:-1], pmj)
        fine = _fine(model, volume.slices, block, mirror=mirror)
        shape = tuple(int(n) for n in volume.slices.shape)
        threshold = float(model.card.get("threshold", 0.5))
        if fine is None and DETAILS in model.stages:
            threshold = THICK_SHARE
        labels = _labels(block, shares, fine, shape, threshold=threshold,
                         codes=drawn_codes(model.card))  # fmt: skip
    return {
        ROOTLETS: _rootlets(image, labels),
        PMJ: _junction(image, canonical, place, sure),
    }


def _smooth_axis(index: NDArray[Any], centres: Floats, step_mm: float) -> CordAxis:
    """The path with the wobble of single slices smoothed away; ends go on point-symmetrically."""
    sigma = min(SMOOTH_MM / step_mm, max(len(index) - 1, 0) / 4)
    width = min(int(3 * sigma), len(index) - 1)
    out: list[Floats] = []
    for values in np.asarray(centres, float).T:
        before = 2 * values[0] - values[width:0:-1]
        after = 2 * values[-1] - values[-2 : -width - 2 : -1] if width else values[:0]
        padded = np.concatenate([before, values, after])
        smooth = ndimage.gaussian_filter1d(padded, sigma, mode="nearest") if sigma else padded
        out.append(smooth[width : width + len(values)])
    return CordAxis(index * step_mm, out[0], out[1])


def _drawn(stage: Stage, block: Block, *, mirror: bool) -> torch.Tensor:
    """Share of each voxel that each level fills, and heat of the PMJ, (levels + 1, *BLOCK)."""
    shown = block.shown[None]
    out = torch.sigmoid(stage.network(shown).float() + stage.logit_offset)[0]
    if mirror:
        other = torch.sigmoid(stage.network(shown.flip(4)).float() + stage.logit_offset)[0]
        out = (out + other.flip(3)) / 2
    return out * block.shown[1]


def _ordered(shares: torch.Tensor, pmj_slice: float | None) -> torch.Tensor:
    """Share of any rootlet, then of each class, dorsal and ventral levels in order each."""
    n = len(ROOTLET_CODES)
    groups = [in_order(shares[k : k + n], STEP_MM[0], pmj_slice) for k in range(0, len(shares), n)]
    return torch.cat([shares.sum(0, keepdim=True), *groups])


def drawn_codes(card: Mapping[str, Any]) -> tuple[int, ...]:
    """Codes of the outputs of a model, from its card: of levels, or of rootlets as a whole.

    Examples
    --------
    >>> drawn_codes({"labels": {"200": "rootlet"}}), drawn_codes({})[:2]
    ((200,), (2, 3))
    """
    return tuple(int(code) for code in card.get("labels", ())) or ROOTLET_CODES


def _fine(
    model: Model, data: torch.Tensor, block: Block, *, mirror: bool
) -> torch.Tensor | None:  # fmt: skip
    """Probability of any rootlet in each voxel, where a model has a network for such voxels."""
    if DETAILS not in model.stages or max(block.spacing_mm) > MOST_MM:
        return None
    return likely(model.stages[DETAILS], data, block.spacing_mm, block.axis, mirror=mirror)


def _labels(
    block: Block, shares: torch.Tensor, fine: torch.Tensor | None, shape: Sequence[int],
    *, threshold: float, codes: Sequence[int],
) -> NDArray[np.uint8]:  # fmt: skip
    """Label map (z, y, x) of a scan: where any rootlet is likely, the likeliest level.

    Parameters
    ----------
    shares : Tensor, shape (1 + levels, *BLOCK)
        Of any rootlet, and of each level.
    fine : Tensor, shape (z, y, x), optional
        Probability of a dorsal rootlet in each voxel of the scan, from a network of fine blocks;
        without it, and for other rootlets, the share of any rootlet decides.
    codes : sequence of int
        Of the classes.
    """
    out = np.zeros(tuple(shape), np.uint8)
    table = np.array(codes, np.uint8)
    for first in range(0, shape[0], SLAB):
        part = range(first, min(first + SLAB, shape[0]))
        back = back_to_scan(block, shares, (shape[0], shape[1], shape[2]), part)
        if back is None:
            continue
        level = table[back[1:].argmax(0).cpu().numpy()]
        there = (back[0] >= threshold).cpu().numpy()
        if fine is not None:
            near = (back[0] >= LEAST_SHARE) & (fine[part.start : part.stop] >= threshold)
            there = np.where(level < VENTRAL, near.cpu().numpy(), there)
        out[part.start : part.stop] = np.where(there, level, 0)
    return out


def _peak(block: Block, heat: torch.Tensor) -> tuple[Floats, float]:
    """Place (x, y, z) in mm from voxel 0 and height of the highest peak of the PMJ's heat."""
    values = heat.cpu().numpy().astype(float)
    top = np.unravel_index(int(values.argmax()), values.shape)
    box = tuple(slice(max(0, int(t) - PEAK_REACH), int(t) + PEAK_REACH + 1) for t in top)
    near = values[box]
    weight = np.where(near >= near.max() / 2, near, 0.0)
    total = float(weight.sum())
    if total <= 0:
        return np.zeros(3), 0.0
    grid = np.meshgrid(
        *(np.arange(b.start, b.start + n) for b, n in zip(box, near.shape, strict=True)),
        indexing="ij",
    )
    centre = np.array([float((weight * g).sum()) / total for g in grid])
    return block.place_mm(centre), float(near.max())


def _rootlets(image: Image, codes: NDArray[np.uint8]) -> Segmentation:
    native = np.ascontiguousarray(image.to_native(codes.transpose(2, 1, 0)))
    n_slices = int(codes.any((1, 2)).sum())
    return Segmentation(None, native, OK, "", n_slices, warnings=tuple(order_faults(codes)))


def order_faults(codes: NDArray[Any]) -> list[str]:
    """Levels whose middle does not lie below that of the level above them.

    Parameters
    ----------
    codes : array of int, shape (z, y, x)
        Slices from below to above.

    Examples
    --------
    >>> codes = np.zeros((6, 1, 1), int)
    >>> codes[:, 0, 0] = [5, 5, 3, 3, 4, 4]
    >>> order_faults(codes)
    ['levels out of order: C4 is not below C3']
    """
    middles = {
        int(c): float(np.flatnonzero((codes == c).any((1, 2)))[[0, -1]].mean())
        for c in np.unique(codes) if c
    }  # fmt: skip
    found = sorted(middles)
    return [
        f"levels out of order: {rootlet_name(b)} is not below {rootlet_name(a)}"
        for a, b in pairwise(found)
        if a // VENTRAL == b // VENTRAL and middles[b] >= middles[a]
    ]


def _junction(image: Image, canonical: Image, place_mm: Floats, sure: float) -> Segmentation:
    """One voxel at the PMJ, with its confidence; none where there is no peak or it lies outside."""
    out = np.zeros(np.shape(canonical.data), np.uint8)
    voxel = np.rint(place_mm / np.asarray(canonical.spacing_mm)).astype(int)
    inside = bool(np.all((voxel >= 0) & (voxel < out.shape)))
    if sure < LEAST_PEAK or not inside:
        reason = f"no PMJ found (confidence {sure:.2f})"
        return Segmentation(None, image.to_native(out), NOT_FOUND, reason, 0, confidence=sure)
    out[tuple(voxel)] = 1
    native = np.ascontiguousarray(image.to_native(out))
    return Segmentation(None, native, OK, "", 1, confidence=round(sure, 4))


def _nothing(image: Image, reason: str) -> dict[str, Segmentation]:
    empty = np.zeros(image.data.shape[:3], np.uint8)
    none = Segmentation(None, empty, NO_CORD, reason, 0)
    return {ROOTLETS: none, PMJ: replace(none, confidence=0.0)}
