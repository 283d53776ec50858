"""Cord shapes to paint: straightened stacks of label maps (cord, grey matter, canal).

A stack is cut around the cord's centre slice by slice, so that shapes from a template and from
cohort masks can be painted by the same code. No image is ever read here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cordcohort.errors import ConfigError
from cordcohort.nifti import read_image

STACK_PIXELS = 128
STACK_PIXEL_MM = 0.5
TEMPLATE_STEP_MM = 1.0
EDGE_SIGMA_PIXELS = 0.6
CENTRE_SIGMA_MM = 8.0
FloatArray = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class CordStack:
    """Straightened label maps of one person or template.

    Attributes
    ----------
    name
        Source and person.
    maps
        ``(3, z, y, x)``: cord, grey matter, canal (cord and CSF) as fractions in [0, 1];
        128 x 128 pixels of 0.5 mm, centred on the cord.
    step_mm
        Distance of the slices in mm.
    surroundings
        Painter's tissue codes ``(z, y, x)`` around the cord at 0.5 mm and at 2 mm, or None.
    """

    name: str
    maps: FloatArray
    step_mm: float
    surroundings: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None

    @property
    def cord_area_mm2(self) -> FloatArray:
        """Cord area of each slice, mm2."""
        return self.maps[0].sum((1, 2)) * STACK_PIXEL_MM**2

    @property
    def canal_area_mm2(self) -> FloatArray:
        """Canal area of each slice, mm2."""
        return self.maps[2].sum((1, 2)) * STACK_PIXEL_MM**2


def slice_centres(cord: FloatArray, step_mm: float) -> FloatArray:
    """Smoothed cord centre (z, 2) in voxels; slices without cord take the nearest cord slice."""
    area = cord.sum((1, 2))
    known = np.flatnonzero(area > 0)
    y, x = (np.arange(n, dtype=np.float32) for n in cord.shape[1:])
    cy = (cord.sum(2)[known] @ y) / area[known]
    cx = (cord.sum(1)[known] @ x) / area[known]
    where = np.arange(len(cord))
    centres = np.stack([np.interp(where, known, cy), np.interp(where, known, cx)], 1)
    # Smoothing keeps the natural wobble of the shape small against the pixel, without steps.
    return ndimage.gaussian_filter1d(centres, CENTRE_SIGMA_MM / step_mm, axis=0, mode="nearest")


def straighten(maps: FloatArray, pixel_mm: tuple[float, float], step_mm: float) -> FloatArray:
    """Resample ``(c, z, y, x)`` to the stack grid, each slice centred on the cord (channel 0).

    Examples
    --------
    >>> m = np.zeros((1, 2, 40, 40), np.float32); m[:, :, 10:14, 20:24] = 1
    >>> out = straighten(m, (0.5, 0.5), 5.0)
    >>> out.shape, float(out[0, 0, 62:66, 62:66].min())
    ((1, 2, 128, 128), 1.0)
    """
    return centred_slices(maps, slice_centres(maps[0], step_mm), pixel_mm)


def centred_slices(
    maps: FloatArray, centres: FloatArray, pixel_mm: tuple[float, float], order: int = 1
) -> FloatArray:
    """Cut ``(c, z, y, x)`` to the stack grid around the given centres ``(z, 2)`` in voxels."""
    offsets = (np.arange(STACK_PIXELS) - (STACK_PIXELS - 1) / 2) * STACK_PIXEL_MM
    out = np.zeros((*maps.shape[:2], STACK_PIXELS, STACK_PIXELS), np.float32)
    for z, (cy, cx) in enumerate(centres):
        grid = np.meshgrid(cy + offsets / pixel_mm[0], cx + offsets / pixel_mm[1], indexing="ij")
        for c in range(len(maps)):
            ndimage.map_coordinates(
                maps[c, z], grid, order=order, output=out[c, z], mode="constant"
            )
    return out


def _canonical_zyx(path: Path) -> tuple[FloatArray, tuple[float, float, float]]:
    """Array (z, y, x) in canonical orientation and its spacing (z, y, x) in mm."""
    image = read_image(path).canonical()
    sx, sy, sz = (float(s) for s in image.spacing_mm[:3])
    return np.ascontiguousarray(np.asarray(image.data, np.float32).T), (sz, sy, sx)


def atlas_stacks(folder: Path) -> list[CordStack]:
    """Stack of a template folder with ``*_cord``, ``*_gm``, ``*_csf`` label maps.

    Raises
    ------
    ConfigError
        One of the three maps is missing.
    """
    arrays: list[FloatArray] = []
    spacing = (1.0, 1.0, 1.0)
    for part in ("cord", "gm", "csf"):
        found = sorted(folder.rglob(f"*_{part}.nii*"))
        if not found:
            raise ConfigError(
                "sources.atlas",
                str(folder),
                f"a file *_{part}.nii.gz in it",
                "name an atlas folder",
            )
        array, spacing = _canonical_zyx(found[0])
        arrays.append(array)
    every = max(1, round(TEMPLATE_STEP_MM / spacing[0]))
    maps = np.stack(arrays)[:, ::every]
    blurred = ndimage.gaussian_filter(maps, (0, 0, EDGE_SIGMA_PIXELS, EDGE_SIGMA_PIXELS))
    blurred[1] = np.minimum(maps[1], blurred[0])
    blurred[2] = np.maximum(np.clip(blurred[0] + blurred[2], 0, 1), blurred[0])
    stack = straighten(blurred, spacing[1:], spacing[0] * every)
    return [CordStack(folder.name, stack, spacing[0] * every)]


def mask_stacks(folder: Path, template: CordStack | None) -> list[CordStack]:
    """One stack a person from ``*_label-SC_seg`` with ``*_label-CSF_seg`` masks of a BIDS tree.

    Grey matter is taken from the template, stretched to each slice's cord (nothing if None).
    """
    stacks: list[CordStack] = []
    for csf_path in sorted(folder.rglob("*_label-CSF_seg.nii*")):
        cord_path = Path(str(csf_path).replace("label-CSF", "label-SC"))
        if not cord_path.exists():
            continue
        cord, spacing = _canonical_zyx(cord_path)
        csf, _ = _canonical_zyx(csf_path)
        drawn = np.flatnonzero((cord.sum((1, 2)) > 0) & (csf.sum((1, 2)) > 0))
        slab = slice(drawn[0], drawn[-1] + 1)
        pair = np.stack([cord[slab], np.clip(cord[slab] + csf[slab], 0, 1)])
        sigma = EDGE_SIGMA_PIXELS * STACK_PIXEL_MM
        pair = ndimage.gaussian_filter(
            pair, (0, 0, sigma / spacing[1] + 0.2, sigma / spacing[2] + 0.2)
        )
        both = straighten(pair, spacing[1:], spacing[0])
        grey = _stretched_grey(both[0], template)
        maps = np.stack([both[0], grey, np.maximum(both[0], both[1])])
        stacks.append(CordStack(csf_path.name.split("_")[0], maps, spacing[0]))
    return stacks


def _moments(mask: FloatArray) -> tuple[float, float]:
    """Standard deviation of a slice's mass along y and x, pixels."""
    total = float(mask.sum()) or 1.0
    axis = np.arange(len(mask)) - (len(mask) - 1) / 2
    py, px = mask.sum(1) / total, mask.sum(0) / total
    sy = float(np.sqrt((py * axis**2).sum() - (py * axis).sum() ** 2))
    sx = float(np.sqrt((px * axis**2).sum() - (px * axis).sum() ** 2))
    return max(sy, 1.0), max(sx, 1.0)


def _stretched_grey(cord: FloatArray, template: CordStack | None) -> FloatArray:
    """Template grey matter of increasing height, scaled to the spread of each cord slice."""
    if template is None:
        return np.zeros_like(cord)
    out = np.zeros_like(cord)
    n = template.maps.shape[1]
    heights = np.linspace(0.72, 0.93, len(cord)) * n
    centre = (STACK_PIXELS - 1) / 2
    for z, height in enumerate(heights.astype(int)):
        ty, tx = _moments(template.maps[0, height])
        cy, cx = _moments(cord[z])
        scale = (ty / cy, tx / cx)
        rows, columns = (centre + (np.arange(STACK_PIXELS) - centre) * s for s in scale)
        grid = np.meshgrid(rows, columns, indexing="ij")
        out[z] = ndimage.map_coordinates(template.maps[1, height], grid, order=1)
    return np.minimum(out, cord)
