"""Straightened blocks of a scan that follow the drawn cord, for the lesion network, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import make_smoothing_spline
from torch import Tensor
from torch.nn import functional as nnf

from cordcohort.binary import binarised
from cordcohort.segmentation.centreline import Volume
from cordcohort.segmentation.registry import Stage
from cordcohort.segmentation.rootlet_block import (
    Block,
    CordAxis,
    back_to_scan,
    places_along,
    sampled,
)
from cordcohort.segmentation.volumes import first_voxels

Floats = NDArray[np.floating[Any]]

BLOCK = (96, 24, 32)
"""Voxels (z, y, x): up, front, right."""
STEP_MM = (0.8, 0.6, 0.6)
CORE_SHARE = 0.9
CUT = 10.0
LEAST_SPREAD = 1e-4
LEAST_SHARE = 1e-6
TINY = 1e-30
DARKER_SHARE = 0.2
LEAST_VOXELS = 12
LEAST_SLICES = 20
ROUNDS = 5
NEAR = (5, 5, 5)
"""Voxels (z, y, x) of a box whose mean is taken twice: a bell of about 3 mm."""
ALONG = (51, 1, 1)
AVERAGES = 2.0
"""Averages spread less than single voxels; twice them, all channels spread about as much."""
SHADING_MM = 100.0
"""Length of a wave along the cord of which half counts as the coil's shading."""
CENTRE_SIGMA_MM = 3.0
SLAB = 64
"""Slices that are brought back at once: of a large scan all together would fill the memory."""


def as_seen(image: Tensor, share: Tensor) -> Tensor:
    """What the network sees of the cord of a block (5, z, y, x).

    0. Intensity of each slice over the darker fifth of its own cord, standardised over the block:
       flowing fluid and a scanner's slices make whole slices brighter, a lesion seldom fills one.
    1. The cord itself.
    2. Intensity standardised over the block, for a lesion that does fill its slices.
    3. The first, averaged over about 3 mm, minus its mean over 40 mm along the cord at the same
       place of the section: bright grey matter runs along and goes, a faint lesion stays.
    4. The same average minus that of the mirrored place: a lesion on one side has no match.

    Outside the cord all are 0: fluid and bone tell nothing about lesions, and would fill the
    norms of the layers. Intensity is measured from the median in units of half the distance of the
    quartiles, which a large lesion or an open canal moves less than mean and SD.

    Examples
    --------
    >>> image = torch.tensor([[[1.0, 2.0, 3.0, 4.0, 99.0, 7.0]]])
    >>> as_seen(image, torch.tensor([[[1.0, 1.0, 1.0, 1.0, 1.0, 0.0]]]))[2].flatten().tolist()
    [-2.0, -1.0, 0.0, 1.0, 10.0, 0.0]
    """
    core = share > CORE_SHARE
    by_slice = _standardised(_by_slice(image, core), core)
    near = _mean_near(_mean_near(by_slice, share, NEAR), share, NEAR)
    along = AVERAGES * (near - _mean_near(near, share, ALONG))
    aside = AVERAGES * (near - near.flip(2))
    whole = _standardised(image, core)
    return torch.stack([by_slice, torch.ones_like(share), whole, along, aside]) * share


def _mean_near(image: Tensor, share: Tensor, size: tuple[int, int, int]) -> Tensor:
    """Mean of the cord in a box round each voxel; 0 where it holds none."""
    both = torch.stack([image * share, share])[None]
    for axis, length in enumerate(size):  # one axis after the other: 15 additions, not 125
        kernel, border = [1, 1, 1], [0] * 6
        kernel[axis] = length
        border[4 - 2 * axis] = border[5 - 2 * axis] = length // 2  # the last axis comes first
        both = nnf.avg_pool3d(nnf.pad(both, border), kernel, stride=1)
    return both[0, 0] / both[0, 1].clamp(min=LEAST_SHARE)


def _by_slice(image: Tensor, core: Tensor) -> Tensor:
    """Each slice over the darker fifth of its cord; little cord: over the others'."""
    inside = torch.where(core, image, torch.nan).flatten(1)
    reference = inside.nanquantile(DARKER_SHARE, 1)
    enough = core.flatten(1).sum(1) >= LEAST_VOXELS
    if not enough.any():
        return image
    # Of intensities around 0 (standardised, say) a ratio tells nothing: no slice is measured then.
    held = enough & (reference > _half_distance(image[core]))
    if 2 * int(held.sum()) <= int(enough.sum()):
        return image
    reference = torch.where(held, reference, reference[held].median())
    return image / reference.view(-1, 1, 1)


def _standardised(image: Tensor, core: Tensor) -> Tensor:
    values = image[core]
    if values.numel() < 2:  # noqa: PLR2004 - one voxel has no spread
        return torch.zeros_like(image)
    middle = values.quantile(0.5)
    half = torch.maximum(_half_distance(values), LEAST_SHARE * middle.abs()).clamp(min=TINY)
    return ((image - middle) / half).clamp(-CUT, CUT)


def _half_distance(values: Tensor) -> Tensor:
    """Half the distance of the quartiles."""
    low, high = values.quantile(values.new_tensor([0.25, 0.75]))
    return (high - low) / 2


def draw_in_cord(stage: Stage, volume: Volume, cord: Floats) -> Floats:
    """Share of each voxel of a scan (z, y, x) that lesions fill, as the network sees it.

    Always the mean with the left-right mirrored blocks: noise differs, and it costs little here.

    Parameters
    ----------
    stage
        With a network of blocks.
    volume
        The scan.
    cord
        Fractions of cord (z, y, x) on the scan's grid, with a cord in at least one slice.
    """
    spacing = (volume.x.pixel_mm, volume.y.pixel_mm, volume.step_mm)
    axis = _axis(cord, volume)
    length = float(axis.z_mm[-1] - axis.z_mm[0])
    n_z = max(stage.block[0], int(np.ceil(length / STEP_MM[0])) + 1)
    bottom = float(axis.z_mm[0]) - ((n_z - 1) * STEP_MM[0] - length) / 2
    size = (n_z, stage.block[1], stage.block[2])
    places, inside = places_along(
        volume.slices, spacing, axis, bottom_mm=bottom, size=size, step_mm=STEP_MM
    )
    soft = torch.from_numpy(np.ascontiguousarray(cord)).to(volume.slices)
    image, share = (sampled(one[None], places)[0] for one in (volume.slices, soft))
    share = share * inside
    drawn = _drawn(stage, evened(image, share), share)
    block = Block(torch.stack([image, share]), bottom, axis, spacing, STEP_MM)
    shape = tuple(int(n) for n in volume.slices.shape)
    out = np.zeros(shape, np.float32)
    for first in range(0, shape[0], SLAB):
        part = range(first, min(first + SLAB, shape[0]))
        back = back_to_scan(block, drawn[None], (shape[0], shape[1], shape[2]), part)
        if back is not None:
            out[part.start : part.stop] = back[0].cpu().numpy()
    return out


def evened(image: Tensor, share: Tensor) -> Tensor:
    """Intensity (z, y, x) without the coil's slow change along the cord.

    The median of the cord in each slice is followed by a smoothing spline, from which lesions and
    bright slices are weighed away; the image is divided by it. How fast the spline may change is
    the same in mm however long the scan is: waves of :data:`SHADING_MM` are halved, much longer
    ones taken out, and what is much shorter, as most lesions are, stays. A lesion as long as two
    fifths of the scan loses a third of its contrast. What has too few slices of cord, or no signal
    in some, stays as it is.

    Examples
    --------
    >>> shaded = torch.linspace(-0.3, 0.3, 60).exp().view(-1, 1, 1).expand(60, 4, 4)
    >>> flat = evened(shaded, torch.ones(60, 4, 4))
    >>> bool((flat - flat.mean()).abs().max() < 1e-3)
    True
    """
    core = share > CORE_SHARE
    medians = torch.where(core, image, torch.nan).flatten(1).nanmedian(1).values.cpu().numpy()
    held = core.flatten(1).sum(1).cpu().numpy() >= LEAST_VOXELS
    rows = np.flatnonzero(held)
    if len(rows) < LEAST_SLICES or medians[rows].min() <= 0:
        return image
    height = np.log(medians[rows].astype(float))
    weight, shading = np.ones(len(rows)), height
    # Of the sum of squares plus `stiff` times the integral of the squared second derivative, the
    # minimum halves a wave of length L where stiff = (L / 2 pi)^4 / distance of the samples.
    stiff = (SHADING_MM / (2 * np.pi)) ** 4 / STEP_MM[0]
    for _ in range(ROUNDS):
        spline = make_smoothing_spline(rows * STEP_MM[0], height, weight, stiff)
        shading = spline(rows * STEP_MM[0])
        rest = np.abs(height - shading)
        weight = 1 / (1 + (rest / (2 * max(float(np.median(rest)), LEAST_SPREAD))) ** 2)
    # Beyond the cord's ends the curve would run away.
    values = np.interp(np.arange(len(medians)), rows, shading)
    factor = torch.as_tensor(np.exp(values - shading.mean()), dtype=image.dtype)
    return image / factor.to(image.device).view(-1, 1, 1)


def _axis(cord: Floats, volume: Volume) -> CordAxis:
    """Centre of the drawn cord, slice by slice, a little smoothed."""
    held = np.flatnonzero(binarised(cord).any((1, 2)))
    part = cord[held].astype(float)
    mass = part.sum((1, 2))
    y = part.sum(2) @ np.arange(part.shape[1]) / mass * volume.y.pixel_mm
    x = part.sum(1) @ np.arange(part.shape[2]) / mass * volume.x.pixel_mm
    sigma = CENTRE_SIGMA_MM / volume.step_mm
    smooth = [ndimage.gaussian_filter1d(v, sigma, mode="nearest") for v in (y, x)]
    return CordAxis(held * volume.step_mm, *smooth)


def _drawn(stage: Stage, image: Tensor, share: Tensor) -> Tensor:
    """Lesion fractions along the whole cord: overlapping blocks, the middle of each counts most."""
    depth = stage.block[0]
    bell = torch.hann_window(depth + 2, periodic=False, device=image.device)[1:-1].view(-1, 1, 1)
    total, weight = torch.zeros_like(image), torch.zeros_like(image)
    for start in first_voxels(image.shape[0], depth):
        part = slice(start, start + depth)
        shown = as_seen(image[part], share[part])[None]
        both = torch.cat([shown, shown.flip(4)])
        one, mirrored = stage.network(both).float()[:, 0]
        raw = (one + mirrored.flip(2)) / 2
        total[part] += bell * raw
        weight[part] += bell
    return stage.probability(total / weight)
