"""Paint straightened blocks of a cord with lesions: what the lesion network sees, no image read.

A block follows the cord slice by slice (:mod:`cordcohort.segmentation.lesion_block`). Shapes of
cord, grey matter and canal come from label maps; they are stretched, squeezed and bent at random,
get lesions and what only looks like one, a random brightness, and pass through a random scanner.
"""

# The numbers below are ranges of chance, not thresholds: a name each would hide the drawing.
# ruff: noqa: PLR2004

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as nnf

from cordcohort.errors import ConfigError
from cordcohort.segmentation.lesion_block import BLOCK, STEP_MM, as_seen, evened
from cordcohort.training.augment import bias_field, coarser, smoothed
from cordcohort.training.contrast import brighten_grey, tissue_means
from cordcohort.training.lesions import (
    Shape,
    check_lesions,
    draw_fluid,
    draw_lesions,
    lesion_contrast,
    smooth_block,
)
from cordcohort.training.mixture import stacked
from cordcohort.training.sources import STACK_PIXEL_MM, STACK_PIXELS, CordStack
from cordcohort.training.surroundings import CODE

T2_SHARES = (0.04, 0.75, 0.12, 0.0, 0.04, 0.0, 0.05)
EDGE = 12.0
LEAST_AREA_MM2 = 5.0
LEAST_WHITE = 0.05


class LesionPainter:
    """Endless batches of painted blocks.

    Parameters
    ----------
    stacks, weights
        Cord shapes and how often each is taken.
    lesions
        Overrides of the ranges of :mod:`cordcohort.training.lesions`.
    seed
        Together with a step number it fixes a batch.

    Examples
    --------
    >>> disc = np.zeros((3, 40, 128, 128), np.float32)
    >>> disc[:, :, 55:73, 52:76] = 1
    >>> painter = LesionPainter([CordStack("disc", disc, 3.0)], [1], {}, seed=1)
    >>> [tuple(t.shape) for t in painter.batch(0, 1)]
    [(1, 5, 96, 24, 32), (1, 1, 96, 24, 32)]
    """

    def __init__(
        self, stacks: Sequence[CordStack], weights: Sequence[float], lesions: Mapping[str, Any],
        seed: int,
    ) -> None:  # fmt: skip
        # A slab below the cord's end has nothing to damage.
        held = [i for i, s in enumerate(stacks) if s.cord_area_mm2.max() > LEAST_AREA_MM2]
        if not held:
            raise ConfigError("sources", [s.name for s in stacks], "a shape that holds cord",
                              "name another atlas, masks or phantom source")  # fmt: skip
        self.stacks = [stacks[i] for i in held]
        self.maps = [torch.from_numpy(s.maps.astype(np.float32)) for s in self.stacks]
        chosen = np.asarray([weights[i] for i in held], float)
        self.weights = chosen / chosen.sum()
        self.lesions = check_lesions(lesions)
        self.seed = seed

    def batch(self, step: int, size: int) -> tuple[Tensor, Tensor]:
        """Batch ``step``: blocks (size, 5, z, y, x), share of lesion (size, 1, z, y, x)."""
        return stacked(self._one, self.seed, step, size)

    def _one(self, rng: np.random.Generator, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        number = int(rng.choice(len(self.stacks), p=self.weights))
        shape = draw_shape(rng, generator, self.stacks[number], self.maps[number])
        damage = draw_lesions(rng, generator, self.lesions, shape)
        image, share = _scanned(rng, generator, self.lesions, shape, damage)
        target = (damage[0] * shape.cord)[None]
        shown = as_seen(evened(image, share), share)
        if rng.random() < 0.5:
            return shown.flip(3), target.flip(3)
        return shown, target


def draw_shape(
    rng: np.random.Generator, generator: torch.Generator, stack: CordStack, maps: Tensor
) -> Shape:
    """Stretch, squeeze, turn and bend one stretch of a stack."""
    n_z, n_y, n_x = BLOCK
    area, step = stack.cord_area_mm2, stack.step_mm
    z = (torch.arange(n_z, dtype=torch.float32) - (n_z - 1) / 2) * STEP_MM[0]
    held = np.flatnonzero(area > LEAST_AREA_MM2)
    middle = float(rng.uniform(held[0], held[-1]))
    mean_area = float(area[held[np.abs(held - middle).argmin()]])
    small = rng.random() < 0.25
    goal = rng.uniform(20, 60) if small else float(np.clip(rng.normal(75, 16), 35, 120))
    size, aspect = float(np.sqrt(goal / mean_area)), float(np.exp(rng.normal(0, 0.08)))
    depth = (z / (step * float(np.exp(rng.normal(0, 0.15)))) + middle).view(-1, 1, 1)
    squeeze = torch.ones(n_z)
    for _ in range(int(rng.choice(3, p=(0.5, 0.35, 0.15)))):
        place, reach = rng.uniform(-45, 45), rng.uniform(3, 9)
        dent = torch.exp(-0.5 * ((z - place) / reach) ** 2)
        squeeze = squeeze * (1 - float(rng.uniform(0.1, 0.5)) * dent)
    y = ((torch.arange(n_y) - (n_y - 1) / 2) * STEP_MM[1]).view(1, -1, 1)
    x = ((torch.arange(n_x) - (n_x - 1) / 2) * STEP_MM[2]).view(1, 1, -1)
    wobble = _along(rng, n_z, 8, float(rng.uniform(0, 0.5)), 2)
    warp = smooth_block(generator, (2, 6, 3, 4)) * float(rng.uniform(0, 0.7))
    at_y, at_x = y + wobble[0].view(-1, 1, 1) + warp[0], x + wobble[1].view(-1, 1, 1) + warp[1]
    turn = float(rng.normal(0, 0.14))
    cos, sin = float(np.cos(turn)), float(np.sin(turn))
    at_x, at_y = cos * at_x + sin * at_y, cos * at_y - sin * at_x
    kx, ky = at_x / (size * aspect), at_y / (size / aspect * squeeze.view(-1, 1, 1))
    cord, grey = _sampled(maps[:2], depth, ky, kx)
    wide = size * float(rng.uniform(0.8, 1.3))
    aside = rng.normal(0, 0.6, 2)
    places = at_y / wide + float(aside[0]), at_x / wide + float(aside[1])
    canal = _sampled(maps[2:], depth, *places)[0]
    half = float(np.sqrt(goal / np.pi))
    return Shape(cord, torch.minimum(grey, cord), torch.maximum(canal, cord), at_x, at_y,
                 z.view(-1, 1, 1), (half * aspect, half / aspect))  # fmt: skip


def _along(rng: np.random.Generator, n: int, knots: int, sd: float, count: int) -> Tensor:
    """Smooth random curves along the cord, (count, n)."""
    at = np.linspace(0, n - 1, knots)
    rows = [np.interp(np.arange(n), at, rng.normal(0, 1, knots)) * sd for _ in range(count)]
    return torch.as_tensor(np.stack(rows), dtype=torch.float32)


def _sampled(maps: Tensor, depth: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Trilinear values (c, z, y, x) of a stack at slices and mm in plane."""
    n = maps.shape[1]
    low = int(np.clip(np.floor(float(depth.min())), 0, n - 1))
    high = int(np.clip(np.ceil(float(depth.max())) + 1, low + 1, n))
    span = max(high - low - 1, 1)
    edge = STACK_PIXELS * STACK_PIXEL_MM / 2 * (1 - 1 / STACK_PIXELS)
    at_z = ((depth - low) / span * 2 - 1).clamp(-1, 1).expand_as(x)
    grid = torch.stack([x / edge, y / edge, at_z], -1)[None]
    part = maps[None, :, low:high]
    return nnf.grid_sample(part, grid, padding_mode="zeros", align_corners=True)[0]


def _scanned(
    rng: np.random.Generator, generator: torch.Generator, options: Mapping[str, Any], shape: Shape,
    damage: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Image and drawn share of the cord, both as a random scanner and a cord model give them."""
    table = tissue_means(rng, 1, T2_SHARES)
    brighten_grey(rng, table, float(options["bright_grey"]))
    white, grey, csf = (float(table[0, CODE[name]]) for name in ("wm", "gm", "csf"))
    white = max(white, LEAST_WHITE)
    noise = white * float(np.exp(rng.uniform(np.log(0.01), np.log(0.10))))
    texture = float(rng.uniform(0, 0.07))
    step, back = lesion_contrast(rng, options, float(np.hypot(noise, white * texture)), white)
    cord, (lesion, core) = shape.cord, damage
    tissue = cord * white + shape.grey * (grey - white)
    tissue = tissue + cord * draw_fluid(rng, options, shape) * (csf - white)
    tissue = tissue + cord * (lesion * step + core * (back - step))
    outer = float(rng.uniform(0, 1.2)) * csf * (1 + 0.3 * smooth_block(generator, (1, 12, 5, 6))[0])
    image = tissue + (shape.canal - cord) * csf + (1 - shape.canal) * outer
    image = image.clamp(min=0) * _shading(rng, options, shape)
    grain = torch.randn((1, *BLOCK), generator=generator)
    grain = smoothed(grain, [float(rng.uniform(0.5, 1.4))] * 3)[0]
    image = image * (1 + texture * grain / grain.std())
    zoom = _zoom(rng)
    share = _drawn_cord(rng, generator, cord)
    hiss = list(torch.randn((2, *BLOCK), generator=generator))
    if (zoom < 1).any():
        image, share, *hiss = (coarser(one, zoom) for one in (image, share, *hiss))
    # Larger voxels average the noise of a block's; a scanner's noise is that of its own voxels.
    real, imaginary = (one * (noise / one.std()) for one in hiss)
    image = torch.hypot(image + real, imaginary)
    if rng.random() < 0.3:
        image = image ** float(np.exp(rng.normal(0, 0.25)))
    return image, share


def _shading(rng: np.random.Generator, options: Mapping[str, Any], shape: Shape) -> Tensor:
    """Coil, flow from slice to slice and metal: a factor."""
    factor = bias_field(BLOCK, rng.normal(0, float(rng.uniform(0, 0.10)), 20), torch.device("cpu"))
    away = shape.z / (BLOCK[0] * STEP_MM[0] / 2)
    line, curve = (float(v) for v in rng.normal(0, 0.12, 2))
    factor = factor * torch.exp(line * away + curve * (away**2 - 0.5))
    waves = _along(rng, BLOCK[0], int(rng.integers(12, 48)), float(rng.uniform(0, 0.08)), 1)[0]
    factor = factor * (1 + waves.view(-1, 1, 1))
    if rng.random() < options["implant"]:
        radius = rng.uniform((8, 6, 8), (16, 14, 16))
        side = float(rng.choice((-1.0, 1.0)))
        away = radius[1] + float(rng.uniform(0.5, 10))
        d = torch.sqrt(
            ((shape.z - float(rng.uniform(-40, 40))) / float(radius[0])) ** 2
            + ((shape.y - side * away) / float(radius[1])) ** 2
            + ((shape.x - float(rng.normal(0, 4))) / float(radius[2])) ** 2
        )
        factor = factor * torch.sigmoid((d - 1) / float(rng.uniform(0.08, 0.3)))
    return factor


def _zoom(rng: np.random.Generator) -> np.ndarray:
    """Block voxel over acquired voxel (z, y, x), at most 1: isotropic, axial or sagittal scan."""
    kind = rng.random()
    if kind < 0.6:
        voxel = np.full(3, rng.uniform(0.6, 1.2))
    elif kind < 0.85:
        plane = rng.uniform(0.4, 0.9)
        voxel = np.array([rng.uniform(1.5, 5.0), plane, plane])
    else:
        voxel = np.array([rng.uniform(0.5, 1.0), rng.uniform(0.5, 1.0), rng.uniform(1.0, 3.5)])
    return np.minimum(1.0, np.array(STEP_MM) / voxel)


def _drawn_cord(rng: np.random.Generator, generator: torch.Generator, cord: Tensor) -> Tensor:
    """The cord as a model draws it: its border a little off, smooth, now and then a bite out."""
    soft = smoothed(cord[None], [float(rng.uniform(0.5, 1.5)), 0.6, 0.6])[0]
    edge = smooth_block(generator, (1, 16, 6, 8))[0] * float(rng.uniform(0, 0.15))
    level = 0.5 + float(rng.normal(0, 0.08))
    return torch.sigmoid(EDGE * (soft + edge - level))
