"""From the localiser's path to slices and crop centres, and back to one object per slice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from cordcohort.binary import binarised
from cordcohort.nifti import Image
from cordcohort.segmentation.path import CordPath
from cordcohort.segmentation.registry import Stage
from cordcohort.segmentation.resample import Axis

FloatArray = NDArray[np.floating[Any]]

SOFT_FLOOR = 0.01
FARTHEST_FROM_PATH_MM = 8.0
GRID_MULTIPLE = 16
COMPONENT_FLOOR = 0.1
SMALLEST_AREA_MM2 = 3.0
BEYOND_MM = 25.0
SLOPE_MM = 20.0
STEEPEST_END = 0.5
LEAST_KEPT_AREA = 0.4
LARGEST_PIXEL_MM = 3.0
CLIP_PERCENT = 99.9
BLANK_SD = 0.01  # of the volume's SD


@dataclass(frozen=True)
class Volume:
    """A canonical scan as axial slices ``(z, y, x)`` with its in-plane axes."""

    slices: Tensor
    y: Axis
    x: Axis
    step_mm: float
    least_sd: float


@dataclass(frozen=True)
class Centreline:
    """Where to look: slices, the centre ``(n, 2)`` (y, x) in mm from pixel 0, and the sure part.

    From ``first`` to ``last`` the localiser saw the cord; slices beyond count only where the fine
    network goes on finding it without a break.
    """

    index: NDArray[Any]
    centres: FloatArray
    first: int
    last: int


def open_volume(canonical: Image, device: torch.device) -> tuple[Volume | None, str]:
    """A scan as axial slices, its brightest voxels clipped, or why it cannot show a cord."""
    sx, sy, sz = canonical.spacing_mm
    data = np.ascontiguousarray(np.asarray(canonical.data, np.float32).transpose(2, 1, 0))
    problem = _unusable(data, (sx, sy, sz))
    if problem:
        return None, problem
    np.minimum(data, np.percentile(data, CLIP_PERCENT), out=data)
    axes = Axis(data.shape[1], sy), Axis(data.shape[2], sx)
    slices = torch.from_numpy(data).to(device)
    return Volume(slices, *axes, sz, BLANK_SD * float(data.std())), ""


def _unusable(data: FloatArray, spacing_mm: tuple[float, float, float]) -> str:
    """Why a scan cannot show a cord, or an empty text."""
    if min(spacing_mm[:2]) > LARGEST_PIXEL_MM:
        return (
            f"pixels of {min(spacing_mm[:2]):.1f} mm are too large (at most {LARGEST_PIXEL_MM} mm)"
        )
    if float(data.max()) - float(data.min()) <= 0:
        return "the image is constant"
    return ""


def padded_size(axis: Axis, stage: Stage) -> int:
    """Pixels that cover an axis, rounded up to what the network needs; at least its patch.

    Instance norm sees the padding: a small scan must be padded as the small views of the training.
    """
    wanted = math.ceil(axis.n * axis.pixel_mm / stage.spacing_mm / GRID_MULTIPLE) * GRID_MULTIPLE
    return max(wanted, stage.patch)


def centreline(path: CordPath, volume: Volume, step: int, stage: Stage) -> Centreline:
    """Scan slices along the path and some beyond its ends, with the cord's centre in mm."""
    n_z = volume.slices.shape[0]
    beyond = max(step, math.ceil(BEYOND_MM / volume.step_mm))
    index = np.arange(max(0, path.slices[0] - beyond), min(n_z, path.slices[-1] + beyond + 1))
    centres = np.empty((len(index), 2), np.float32)
    for i, axis in enumerate((volume.y, volume.x)):
        offset = path.centres[:, i] - (padded_size(axis, stage) - 1) / 2
        mm = offset * stage.spacing_mm + (axis.n - 1) / 2 * axis.pixel_mm
        centres[:, i] = _extended(index, path.slices, mm, volume.step_mm)
    return Centreline(index, centres, int(path.slices[0]), int(path.slices[-1]))


def _extended(
    index: NDArray[Any], known: NDArray[Any], values: FloatArray, step_mm: float
) -> FloatArray:
    """Values at slices: linear between known ones, going on with the end's slope beyond them."""
    out = np.interp(index, known, values)
    reach = SLOPE_MM / step_mm
    for end, sign in ((0, -1), (-1, 1)):
        other = int(np.argmin(np.abs(known - (known[end] - sign * reach))))
        run = float(known[end] - known[other])
        slope = (values[end] - values[other]) / run if run else 0.0
        limit = STEEPEST_END * step_mm
        beyond = (index - known[end]) * sign > 0
        out[beyond] += (index[beyond] - known[end]) * np.clip(slope, -limit, limit)
    return out


def keep_on_path(soft: FloatArray, line: Centreline, volume: Volume) -> FloatArray:
    """Keep, slice by slice, the one object that lies on the path; clear everything else."""
    out = np.zeros_like(soft)
    for k, (cy, cx) in zip(line.index.tolist(), line.centres.tolist(), strict=True):
        floor = soft[k] > COMPONENT_FLOOR
        labels = cc3d.connected_components(floor.astype(np.uint8), connectivity=8)
        if labels.max() == 0:
            continue
        centre = (cy / volume.y.pixel_mm, cx / volume.x.pixel_mm)
        chosen = _nearest_object(soft[k], labels, centre, volume)
        if chosen == 0:
            continue
        near = ndimage.binary_dilation(labels == chosen, iterations=2)
        out[k] = np.where(near & ((labels == chosen) | (labels == 0)), soft[k], 0)
    _cut_ends(out, line, volume.y.pixel_mm * volume.x.pixel_mm)
    out[out < SOFT_FLOOR] = 0
    return out


def _cut_ends(soft: FloatArray, line: Centreline, pixel_mm2: float) -> None:
    """Clear, in place, slices with hardly any cord and all that follow them outwards."""
    area = (soft * (binarised(soft))).sum((1, 2)) * pixel_mm2
    soft[area < SMALLEST_AREA_MM2] = 0
    for order in (range(line.last, line.index[-1]), range(line.first, line.index[0], -1)):
        for k in order:
            out = k + (1 if order.step > 0 else -1)
            if area[out] < max(LEAST_KEPT_AREA * area[k], SMALLEST_AREA_MM2):
                soft[out :: order.step] = 0
                break


def _nearest_object(
    soft: FloatArray, labels: NDArray[Any], centre: tuple[float, float], volume: Volume
) -> int:
    """Label of the object with most cord for its distance to the path; 0 if all are far off."""
    ids = np.arange(1, int(labels.max()) + 1)
    mass = ndimage.sum_labels(soft, labels, ids)
    places = np.array(ndimage.center_of_mass(soft, labels, ids))
    away = np.hypot(
        (places[:, 0] - centre[0]) * volume.y.pixel_mm,
        (places[:, 1] - centre[1]) * volume.x.pixel_mm,
    )
    worth = mass * np.exp(-((away / FARTHEST_FROM_PATH_MM) ** 2))
    best = int(np.argmax(worth))
    return int(ids[best]) if away[best] <= 2 * FARTHEST_FROM_PATH_MM else 0
