"""Damage of a cord on a straightened block: lesions, and what only looks like one.

Lesions are rough ellipsoids, often long along the cord. Look-alikes are never part of the target: a
visible central canal and the ventral fissure here; bright grey matter, metal, shading and fluid at
the cord's edge where the block is scanned (:mod:`.lesion_painter`).
"""

# The numbers below are ranges of chance, not thresholds: a name each would hide the drawing.
# ruff: noqa: PLR2004

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as nnf

from cordcohort.errors import ConfigError
from cordcohort.segmentation.lesion_block import BLOCK, STEP_MM

DEFAULT_LESIONS: dict[str, Any] = {
    "counts": (0.2, 0.25, 0.25, 0.15, 0.1, 0.05), "diameter_mm": (1.8, 10.0),
    "elongation": (0.8, 4.2), "contrast_to_noise": (0.8, 8.0), "least_contrast": (0.03, 0.15),
    "dark": 0.06, "core": 0.1, "in_grey": 0.05, "canal": 0.45, "fissure": 0.2, "bright_grey": 0.7,
    "implant": 0.12,
}  # fmt: skip
"""``counts``: shares of blocks with 0, 1, 2, ... lesions; the other single numbers are shares."""


@dataclass(frozen=True)
class Shape:
    """A cord without damage on a block's grid, and where its voxels lie.

    Attributes
    ----------
    cord, grey, canal : Tensor, shape (z, y, x)
        Fractions; the canal holds the cord.
    x, y : Tensor, shape (z, y, x)
        mm from the cord's centre, to the right and to the front.
    z : Tensor, shape (z, 1, 1)
        mm from the block's middle, upwards.
    half_mm : tuple of float
        The cord's mean half size, x and y.
    """

    cord: Tensor
    grey: Tensor
    canal: Tensor
    x: Tensor
    y: Tensor
    z: Tensor
    half_mm: tuple[float, float]


def check_lesions(given: Mapping[str, Any], where: str = "recipe") -> dict[str, Any]:
    """Fill in the defaults.

    Raises
    ------
    ConfigError
        Unknown key.

    Examples
    --------
    >>> check_lesions({"dark": 0.0})["counts"]
    (0.2, 0.25, 0.25, 0.15, 0.1, 0.05)
    """
    for key in given:
        if key not in DEFAULT_LESIONS:
            raise ConfigError(f"painting.lesions.{key}", given[key],
                              "one of " + ", ".join(DEFAULT_LESIONS),
                              "remove or correct the key", where)  # fmt: skip
    return {**DEFAULT_LESIONS, **given}


def smooth_block(generator: torch.Generator, coarse: tuple[int, int, int, int]) -> Tensor:
    """Smooth random fields over a block, (c, z, y, x)."""
    values = torch.randn(coarse, generator=generator)[None]
    return nnf.interpolate(values, size=BLOCK, mode="trilinear", align_corners=True)[0]


def draw_lesions(
    rng: np.random.Generator, generator: torch.Generator, options: Mapping[str, Any], shape: Shape
) -> tuple[Tensor, Tensor]:
    """Lesions of random number, size, form and place, and their cores: fractions (z, y, x)."""
    lesion, core = torch.zeros(BLOCK), torch.zeros(BLOCK)
    counts = np.asarray(options["counts"], float)
    for _ in range(int(rng.choice(len(counts), p=counts / counts.sum()))):
        rx = float(rng.uniform(*options["diameter_mm"])) / 2
        ry = rx * float(rng.uniform(0.5, 1.1))
        rz = rx * float(rng.uniform(*options["elongation"]))
        out, turn = float(np.sqrt(rng.random())) * 0.95, float(rng.uniform(0, 2 * np.pi))
        half = shape.half_mm
        x0 = out * np.cos(turn) * max(half[0] - 0.5 * rx, 0.3 * half[0])
        y0 = out * np.sin(turn) * max(half[1] - 0.5 * ry, 0.3 * half[1])
        z0 = float(rng.uniform(-1, 1)) * (BLOCK[0] * STEP_MM[0] / 2 + 0.5 * rz)
        u, v, w = (shape.x - x0) / rx, (shape.y - y0) / ry, (shape.z - z0) / rz
        squared = u * u + v * v + w * w
        rough = float(rng.uniform(0, 0.35))
        if rough > 0.05:
            squared = squared - rough * smooth_block(generator, (1, 24, 8, 10))[0] * (squared < 4)
        distance = squared.clamp(min=1e-6).sqrt()
        slope = rx / float(rng.uniform(0.15, 0.6))
        one = torch.sigmoid(2 * slope * (1 - distance))
        if rng.random() < options["in_grey"]:
            one = one * shape.grey
        lesion = torch.maximum(lesion, one)
        if rng.random() < options["core"]:
            reach = float(rng.uniform(0.3, 0.7))
            core = torch.maximum(core, torch.sigmoid(2 * slope * (reach - distance)))
    return lesion, torch.minimum(core, lesion)


def draw_fluid(rng: np.random.Generator, options: Mapping[str, Any], shape: Shape) -> Tensor:
    """Central canal over some length of the cord, and the ventral fissure: fractions."""
    fluid = torch.zeros(BLOCK)
    if rng.random() < options["canal"]:
        radius = float(rng.uniform(0.2, 0.85))
        tall = radius * float(rng.uniform(0.6, 1.4))
        u = (shape.x - float(rng.normal(0, 0.2))) / radius
        v = (shape.y - float(rng.normal(0.1, 0.5))) / tall
        low, high = np.sort(rng.uniform(-2.5, 2.5, 2)) * BLOCK[0] * STEP_MM[0] / 2
        tube = torch.sigmoid((shape.z - low) * 2) * torch.sigmoid((high - shape.z) * 2)
        fluid = torch.sigmoid(4 * (1 - u * u - v * v)) * tube * float(rng.uniform(0.5, 1.0))
    if rng.random() < options["fissure"]:
        half = shape.half_mm[1]
        u = shape.x / float(rng.uniform(0.15, 0.45))
        v = (shape.y - half) / (half * float(rng.uniform(0.2, 0.45)))
        fissure = torch.sigmoid(4 * (1 - u * u - v * v)) * float(rng.uniform(0.3, 1.0))
        fluid = torch.maximum(fluid, fissure)
    return fluid


def lesion_contrast(
    rng: np.random.Generator, options: Mapping[str, Any], noise: float, white: float
) -> tuple[float, float]:
    """Brightness of a lesion and of its core minus that of white matter."""
    low, high = (float(np.log(v)) for v in options["contrast_to_noise"])
    size = float(np.exp(rng.uniform(low, high))) * noise
    least = white * float(rng.uniform(*options["least_contrast"]))
    size = float(np.clip(size, least, 0.9 * max(white, 0.2)))
    if rng.random() < options["dark"]:
        size = -min(size, 0.85 * white)
    return size, -float(np.sign(size)) * min(float(rng.uniform(0.3, 1.2)) * abs(size), 0.8 * white)
