"""Eight cord regions of one scan: a crop round the cord's path, slice by slice, back on its grid.

The path comes from the localiser that the model's card borrows, so that any field of view works
without a manual centre. A model that sees the FA map looks where a tensor was fitted: such a map is
0 outside a mask round the cord.

Codes 1 to 8 are those of :data:`cordcohort.measures.regions.REGION_CODES`. Slices are turned to
canonical axes first, so that left is the person's left whatever order the file stores.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cordcohort.binary import binarised
from cordcohort.nifti import Image
from cordcohort.segmentation.centreline import Centreline, Volume, keep_on_path, open_volume
from cordcohort.segmentation.device import in_batches
from cordcohort.segmentation.infer import (
    Segmentation,
    cord_line,
    deterministic,
    implausible,
    normalise,
)
from cordcohort.segmentation.region_networks import MIRRORED, N_REGIONS
from cordcohort.segmentation.registry import SOFTMAX, Model, Stage
from cordcohort.segmentation.resample import from_crop, to_crop

REGIONS, LOCALISER = "regions", "localiser"
OK, NO_CORD = "ok", "no_cord"
CENTRE_PASSES = 2
"""Crops are cut twice: round the localiser's path, then round the cord that they showed."""
LEAST_CORD_PIXELS = 8.0
Place = tuple[Tensor, Tensor, Tensor]


def segment_regions(
    model: Model, image: Image, batch_size: int, _mirror: bool = True
) -> dict[str, Segmentation]:
    """Eight regions of one scan.

    Parameters
    ----------
    model : Model
        With the stage ``regions``, and ``localiser`` unless it sees FA maps.
    image : Image
        Verified 3-D image of any orientation and field of view: mean b=0, or FA.
    batch_size : int
        Slices per network call.
    _mirror : bool
        Not asked: slices are always averaged with their mirror image, sides exchanged, so that
        both sides are drawn by one rule; a crop costs next to nothing.

    Returns
    -------
    dict
        ``regions``: ``mask`` holds codes 1 to 8 where at least half of a voxel is cord, ``soft``
        the share of each region, float32 ``(X, Y, Z, 8)`` in the order of the codes. Status
        ``no_cord`` with a reason where no cord was found.
    """
    volume, problem = open_volume(image.canonical(), model.device)
    if volume is None:
        return _nothing(image, problem)
    with deterministic():
        line, problem = cord_path(model, volume, batch_size)
        if line is None:
            return _nothing(image, problem)
        for _ in range(CENTRE_PASSES - 1):
            line = _recentred(model.stages[REGIONS], volume, line, batch_size)
        shares = _drawn(model.stages[REGIONS], volume, line, batch_size)
    cord = keep_on_path(shares.sum(0), line, volume)
    problem = implausible(cord, volume.step_mm)
    if problem:
        return _nothing(image, problem)
    shares *= cord > 0
    codes = np.where(binarised(cord), shares.argmax(0) + 1, 0).astype(np.uint8)
    soft = np.ascontiguousarray(image.to_native(shares.transpose(3, 2, 1, 0)))
    mask = np.ascontiguousarray(image.to_native(codes.transpose(2, 1, 0)))
    return {REGIONS: Segmentation(soft, mask, OK, "", int(codes.any((1, 2)).sum()))}


def cord_path(model: Model, volume: Volume, batch_size: int) -> tuple[Centreline | None, str]:
    """Where to look: by the localiser, or the middle of what is not 0 in each slice."""
    if LOCALISER in model.stages:
        return cord_line(model.stages[LOCALISER], volume, batch_size)
    shown = (volume.slices > 0).float()
    index = shown.sum((1, 2)).nonzero()[:, 0]
    if not len(index):
        return None, "no cord found (the map is 0 everywhere)"
    centres = np.stack([
        _middle_mm(shown[index], 2, volume.y.pixel_mm),
        _middle_mm(shown[index], 1, volume.x.pixel_mm),
    ], 1)  # fmt: skip
    slices = index.cpu().numpy()
    return Centreline(slices, centres, int(slices[0]), int(slices[-1])), ""


def _middle_mm(mass: Tensor, summed: int, pixel_mm: float) -> NDArray[np.float32]:
    """Centre of mass of slices ``(b, y, x)`` along the axis that is not summed, mm."""
    profile = mass.sum(summed)
    place = torch.arange(profile.shape[1], device=mass.device, dtype=torch.float32) * pixel_mm
    return ((profile @ place) / profile.sum(1)).cpu().numpy()


def _recentred(stage: Stage, volume: Volume, line: Centreline, batch_size: int) -> Centreline:
    """The same slices, each centred on the cord that its crop shows, where it shows enough."""

    def moved(part: slice) -> NDArray[np.float32]:
        crop, _ = _crops(stage, volume, line, part)
        cord = _shares(stage, crop).sum(1)
        found = (cord.sum((1, 2)) >= LEAST_CORD_PIXELS).cpu().numpy()
        half = (stage.patch - 1) / 2 * stage.spacing_mm
        seen = cord.clamp(min=1e-9)
        away = [_middle_mm(seen, summed, stage.spacing_mm) - half for summed in (2, 1)]
        return np.where(found[:, None], np.stack(away, 1), 0.0).astype(np.float32)

    moves = np.concatenate(in_batches(moved, len(line.index), batch_size))
    return Centreline(line.index, line.centres + moves, line.first, line.last)


def _crops(stage: Stage, volume: Volume, line: Centreline, part: slice) -> tuple[Tensor, Place]:
    """Crops ``(b, 1, n, n)`` of a part of the line, and where they lie and show."""
    n, h, device = stage.patch, stage.spacing_mm, volume.slices.device
    index = torch.from_numpy(np.asarray(line.index[part])).to(device)
    y, x = (torch.from_numpy(line.centres[part, i].astype(np.float32)).to(device) for i in (0, 1))
    rows, in_y = to_crop(volume.y, y, n, h)
    columns, in_x = to_crop(volume.x, x, n, h)
    inside = in_y[:, :, None] & in_x[:, None, :]
    crop = rows @ volume.slices[index] @ columns.transpose(1, 2)
    crop, seen = normalise(crop[:, None], inside, volume.least_sd)
    return crop, (y, x, inside & seen)


def _shares(stage: Stage, crop: Tensor) -> Tensor:
    """Share of each region ``(b, 8, n, n)`` in the pixels of crops."""
    raw = stage.network(crop).float()
    if stage.activation == SOFTMAX:
        return torch.softmax(raw, 1)[:, 1:]
    above = raw - raw.new_tensor(stage.thresholds).view(1, -1, 1, 1)
    best = above.argmax(1, keepdim=True)
    return torch.zeros_like(raw).scatter_(1, best, 1.0) * (above.amax(1, keepdim=True) > 0)


def _drawn(stage: Stage, volume: Volume, line: Centreline, batch_size: int) -> NDArray[np.float32]:
    """Share of each region ``(8, z, y, x)`` in the scan's voxels."""
    out = np.zeros((N_REGIONS, *volume.slices.shape), np.float32)
    n, h = stage.patch, stage.spacing_mm
    other = [code - 1 for code in MIRRORED]

    def draw(part: slice) -> None:
        crop, (y, x, inside) = _crops(stage, volume, line, part)
        shares = _shares(stage, crop)
        shares = (shares + _shares(stage, crop.flip(3)).flip(3)[:, other]) / 2
        back_y, back_x = from_crop(volume.y, y, n, h), from_crop(volume.x, x, n, h)
        whole = back_y[:, None] @ (shares * inside[:, None]) @ back_x[:, None].transpose(2, 3)
        out[:, line.index[part]] = whole.transpose(0, 1).cpu().numpy()

    in_batches(draw, len(line.index), batch_size)
    return out


def _nothing(image: Image, reason: str) -> dict[str, Segmentation]:
    shape = image.data.shape[:3]
    empty = Segmentation(
        np.zeros((*shape, N_REGIONS), np.float32), np.zeros(shape, np.uint8), NO_CORD, reason, 0
    )
    return {REGIONS: empty}
