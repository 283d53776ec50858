"""Segment one scan: find the cord in the whole volume, then look closely only where it is."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from cordcohort.binary import binarised
from cordcohort.nifti import Image
from cordcohort.segmentation.centreline import (
    Centreline,
    Volume,
    centreline,
    keep_on_path,
    open_volume,
    padded_size,
)
from cordcohort.segmentation.device import in_batches
from cordcohort.segmentation.path import CordPath, trace_cord
from cordcohort.segmentation.registry import Model, Stage
from cordcohort.segmentation.resample import Axis, from_crop, neighbours, to_crop
from cordcohort.segmentation.volumes import refine_blocks, sweep

FloatArray = NDArray[np.floating[Any]]
Grid = tuple[Tensor, Tensor, Tensor]
"""Of crops: rows, columns, and what lies inside the scan."""

SMALLEST_SCORE = 1.2
SHORT_MM = 30.0
SURE = 0.7
SURE_WHEN_SHORT = 0.8
BLEND_SIGMA_MM = 1.6


@dataclass(frozen=True)
class Segmentation:
    """Result of one scan, on the scan's own axes.

    Attributes
    ----------
    soft
        float32 fraction of cord in each voxel, [0, 1]; ``None`` where a method draws none.
    mask
        uint8, 1 where ``soft`` is at least 0.5.
    status
        ``ok`` or ``no_cord``.
    reason
        Empty, or why there is no cord.
    n_slices
        Axial slices that hold cord.
    warnings
        What is suspicious about the mask.
    confidence
        How sure a landmark is, 0 to 1; ``None`` of a mask.
    """

    soft: FloatArray | None
    mask: NDArray[np.uint8]
    status: str
    reason: str
    n_slices: int
    warnings: tuple[str, ...] = ()
    confidence: float | None = None


@contextmanager
def deterministic() -> Generator[None]:
    """Only deterministic kernels inside the block; without gradients."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.use_deterministic_algorithms(before)


def segment_volume(
    model: Model, image: Image, *, batch_size: int = 32, mirror: bool = False
) -> Segmentation:
    """Soft and binary cord mask of one 3-D scan of any orientation and field of view.

    Parameters
    ----------
    model
        With the stages ``localiser`` and ``cord``; a model of volumes may do without a localiser.
    image
        Verified 3-D image.
    batch_size
        Slices per network call.
    mirror
        Average with the left-right mirrored scan (twice the time).

    Returns
    -------
    Segmentation
        On the native axes of ``image``; status ``no_cord`` with a reason where none was found.
    """
    volume, problem = open_volume(image.canonical(), model.device)
    if volume is None:
        return nothing(image, problem)
    with deterministic():
        soft, problem = _find(model, volume, batch_size, mirror=mirror)
    problem = problem or implausible(soft, volume.step_mm)
    if problem:
        return nothing(image, problem)
    return on_native(image, soft)


def on_native(image: Image, soft: FloatArray) -> Segmentation:
    """Fractions ``(z, y, x)`` as soft and binary mask on the scan's own axes."""
    native = np.ascontiguousarray(image.to_native(soft.transpose(2, 1, 0)))
    mask = binarised(native).astype(np.uint8)
    return Segmentation(native, mask, "ok", "", int(binarised(soft).any((1, 2)).sum()))


def cord_line(stage: Stage, volume: Volume, batch_size: int) -> tuple[Centreline | None, str]:
    """Where a localiser sees the cord, or why it does not."""
    path, step = locate(stage, volume, batch_size)
    if path is None or path.score < SMALLEST_SCORE:
        found = 0.0 if path is None else path.score
        return None, f"no cord found (evidence {found:.2f}, needed {SMALLEST_SCORE})"
    return centreline(path, volume, step, stage), ""


def _find(model: Model, volume: Volume, batch_size: int, *, mirror: bool) -> tuple[FloatArray, str]:
    """Soft mask ``(z, y, x)``, or why there is none: path first, then what the cord network sees.

    A model of volumes without a localiser looks everywhere.
    """
    stage = model.stages["cord"]
    if "localiser" not in model.stages:
        return sweep(stage, volume, mirror=mirror), ""
    line, problem = cord_line(model.stages["localiser"], volume, batch_size)
    if line is None:
        return np.zeros((0, 0, 0), np.float32), problem
    if stage.block:
        soft = refine_blocks(stage, volume, line, mirror=mirror)
    else:
        soft = refine(stage, volume, line, batch_size=batch_size, mirror=mirror)
    return keep_on_path(soft[0], line, volume), ""


def implausible(soft: FloatArray, step_mm: float) -> str:
    """Why a mask is not believed: empty, unsure everywhere, or a short and unsure piece."""
    inside = binarised(soft)
    if not inside.any():
        return "no cord found (no voxel holds more than half cord where it was expected)"
    sure = float(soft[inside].mean())
    length = int(inside.any((1, 2)).sum()) * step_mm
    short = length < min(SHORT_MM, soft.shape[0] * step_mm / 2)
    if sure < (SURE_WHEN_SHORT if short else SURE):
        return f"no cord found (mean cord fraction {sure:.2f} over {length:.0f} mm is too unsure)"
    return ""


def nothing(image: Image, reason: str) -> Segmentation:
    """Empty result with a reason."""
    shape = image.data.shape[:3]
    return Segmentation(
        np.zeros(shape, np.float32), np.zeros(shape, np.uint8), "no_cord", reason, 0
    )


def normalise(crop: Tensor, inside: Tensor, least_sd: float) -> tuple[Tensor, Tensor]:
    """Zero mean and unit SD over what lies inside the scan, 0 outside; ``(b, 3, n, m)``.

    Also tells which crops show anything: one whose SD is below ``least_sd`` is blank, and its
    noise must not be blown up to look like anatomy.
    """
    weight = inside[:, None].to(crop.dtype).expand_as(crop)
    count = weight.sum((1, 2, 3), keepdim=True).clamp(min=1)
    mean = (crop * weight).sum((1, 2, 3), keepdim=True) / count
    centred = (crop - mean) * weight
    sd = torch.sqrt((centred**2).sum((1, 2, 3), keepdim=True) / count)
    return centred / sd.clamp(min=least_sd), sd[:, 0] > least_sd


def locate(stage: Stage, volume: Volume, batch_size: int) -> tuple[CordPath | None, int]:
    """Cord path on the coarse grid, and how many scan slices lie between coarse slices."""
    step = max(1, round(stage.neighbour_mm / volume.step_mm))
    n_z = volume.slices.shape[0]
    index = torch.arange(_first(n_z, step), n_z, step, device=volume.slices.device)
    size_y, size_x = (padded_size(a, stage) for a in (volume.y, volume.x))
    rows, in_y = to_crop(volume.y, _middle(volume.y, index), size_y, stage.spacing_mm)
    columns, in_x = to_crop(volume.x, _middle(volume.x, index), size_x, stage.spacing_mm)
    inside = in_y[:, :, None] & in_x[:, None, :]
    grid = (rows, columns, inside)
    heat = _run(stage, volume, index, grid, step=step, batch_size=batch_size, mirror=False)
    heat = heat[:, 0] * inside
    path = trace_cord(heat.cpu().numpy(), stage.spacing_mm, step * volume.step_mm)
    if path is not None:
        path = CordPath(index.cpu().numpy()[path.slices], path.centres, path.score, path.heat)
    return path, step


def _first(n_slices: int, step: int) -> int:
    """First slice of every ``step``-th, so that both ends are left out by the same amount."""
    return ((n_slices - 1) % step) // 2


def _middle(axis: Axis, index: Tensor) -> Tensor:
    """Middle of an axis in mm, once per slice."""
    middle = (axis.n - 1) / 2 * axis.pixel_mm
    return torch.full(index.shape, middle, dtype=torch.float32, device=index.device)


def _run(
    stage: Stage, volume: Volume, index: Tensor, grid: Grid,
    *, step: int, batch_size: int, mirror: bool,
) -> Tensor:  # fmt: skip
    """Fractions ``(b, c, n, m)`` of each output on the crops of the given slices."""
    return torch.cat(
        in_batches(
            lambda part: _one_call(
                stage, volume, index[part], _part_of(grid, part), step=step, mirror=mirror
            ),
            len(index),
            batch_size,
        )
    )


def _part_of(grid: Grid, part: slice) -> Grid:
    rows, columns, inside = grid
    return rows[part], columns[part], inside[part]


def _one_call(
    stage: Stage, volume: Volume, index: Tensor, grid: Grid, *, step: int, mirror: bool
) -> Tensor:
    """Fractions ``(b, c, n, m)`` of each output on the crops of slices that go through together."""
    stack = volume.slices[neighbours(index, step, volume.slices.shape[0])]
    return _predict(stage, stack, grid, volume.least_sd, mirror=mirror)


def _predict(
    stage: Stage, stack: Tensor, grid: Grid, least_sd: float,
    *, mirror: bool,
) -> Tensor:  # fmt: skip
    """One network call (two with mirroring); blank crops hold nothing."""
    rows, columns, inside = grid
    crop = rows[:, None] @ stack @ columns[:, None].transpose(2, 3)
    crop, seen = normalise(crop, inside, least_sd)
    out = stage.probability(stage.network(crop).float())
    if mirror:
        out = (out + stage.probability(stage.network(crop.flip(3)).float()).flip(3)) / 2
    return out * seen[:, None]


def refine(
    stage: Stage, volume: Volume, line: Centreline, *, batch_size: int, mirror: bool
) -> FloatArray:
    """Soft masks ``(c, z, y, x)``, one for each output, from crops around the path."""
    step = max(1, round(stage.neighbour_mm / volume.step_mm))
    n, h = stage.patch, stage.spacing_mm
    device = volume.slices.device

    def drawn(part: slice) -> FloatArray:
        index = torch.from_numpy(line.index[part]).to(device)
        y, x = (torch.from_numpy(line.centres[part, i].copy()).to(device) for i in (0, 1))
        rows, in_y = to_crop(volume.y, y, n, h)
        columns, in_x = to_crop(volume.x, x, n, h)
        inside = in_y[:, :, None] & in_x[:, None, :]
        grid = (rows, columns, inside)
        fine = _one_call(stage, volume, index, grid, step=step, mirror=mirror)
        back_y, back_x = from_crop(volume.y, y, n, h), from_crop(volume.x, x, n, h)
        whole = back_y[:, None] @ (fine * inside[:, None]) @ back_x[:, None].transpose(2, 3)
        return whole.cpu().numpy()

    found = np.concatenate(in_batches(drawn, len(line.index), batch_size))
    soft = np.zeros((found.shape[1], *volume.slices.shape), np.float32)
    soft[:, line.index] = found.swapaxes(0, 1)
    return np.stack([_blend(one, volume.step_mm) for one in soft])


def _blend(soft: FloatArray, step_mm: float) -> FloatArray:
    """Light smoothing along the cord where slices are thin."""
    sigma = BLEND_SIGMA_MM / step_mm
    if sigma < 0.5:  # noqa: PLR2004 - a kernel below half a slice changes nothing
        return soft
    used = np.flatnonzero(soft.any((1, 2)))
    if used.size:
        slab = slice(used[0], used[-1] + 1)
        soft[slab] = ndimage.gaussian_filter1d(soft[slab], sigma, axis=0, mode="nearest")
    return soft
