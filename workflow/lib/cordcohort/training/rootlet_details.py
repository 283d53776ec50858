"""Paint small blocks at a scan's own voxel size: where dorsal rootlets are, whatever their level.

A level is known from what lies above and below it, a filament of 1 mm from the voxels around it: so
two networks, of which this one's blocks are fine and short. Each voxel is the mean over points
inside it, as in a scan; the target is what lies at its centre, as in a label map.
"""

# The numbers below are ranges of chance, not thresholds: a name each would hide the drawing.
# ruff: noqa: PLR2004

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as nnf

from cordcohort.phantom.anatomy import codes_at
from cordcohort.phantom.frame import build_frame
from cordcohort.phantom.parts import rootlet_levels, rootlets_at
from cordcohort.phantom.person import Person, draw_person
from cordcohort.segmentation.rootlet_details import standardised_block
from cordcohort.training.mixture import stacked
from cordcohort.training.recipe import Recipe
from cordcohort.training.rootlet_painter import HELD_OUT_PERSONS, brightness, scanned

DETAILS = "rootlet_details"
FINE_MM = (0.3, 0.35, 0.35)
HALF_MM = (13.0, 16.0)
BEYOND_MM = 25.0
ROOTLET = 64
"""Added to the tissue of a point that lies in a dorsal rootlet."""
MEAN_MM, SD_MM, LEAST_MM, MOST_MM = 0.8, 0.1, 0.55, 1.15
SHARES = (0.1, 0.75, 0.06, 0.02, 0.02, 0.0, 0.05)
"""Weights of the painter's families: filaments are drawn on T2w, which most of the blocks are."""
POINTS = 2
"""Points per voxel along each axis."""


def fine_codes(person: Person) -> NDArray[np.uint8]:
    """Tissues of a person along the cord's axis (z up, y front, x right), 64 more in a rootlet.

    Examples
    --------
    >>> codes = fine_codes(draw_person(np.random.default_rng(0)))
    >>> codes.shape[1:], bool((codes >= ROOTLET).any())
    ((75, 92), True)
    """
    frame, levels = build_frame(person), rootlet_levels(person)
    z = np.arange(levels[-1].exit_mm - BEYOND_MM, levels[0].highest_mm + BEYOND_MM, FINE_MM[0])
    y, x = (np.arange(-h, h, mm) for h, mm in zip(HALF_MM, FINE_MM[1:], strict=True))
    points = np.empty((3, len(z), len(y), len(x)), np.float32)
    points[0] = frame.at("x", z)[:, None, None] + x
    points[1] = frame.at("y", z)[:, None, None] + y[:, None]
    points[2] = z[:, None, None]
    flat = points.reshape(3, -1)
    codes = codes_at(person, flat) + ROOTLET * (rootlets_at(person, flat) > 0)
    return codes.astype(np.uint8).reshape(points.shape[1:])


class DetailPainter:
    """Endless batches of painted blocks.

    Parameters
    ----------
    people
        ``{persons, seed}``; a third has a compression.
    size
        Voxels (z, y, x) of a block.
    seed
        Together with a step number it fixes a batch.

    Examples
    --------
    >>> painter = DetailPainter({"persons": 1, "seed": 1}, (16, 8, 16), seed=1)
    >>> [tuple(t.shape) for t in painter.batch(0, 2)]
    [(2, 1, 16, 8, 16), (2, 1, 16, 8, 16)]
    """

    def __init__(self, people: Mapping[str, Any], size: Sequence[int], seed: int) -> None:
        rng = np.random.default_rng(int(people["seed"]))
        self.codes = [
            torch.from_numpy(fine_codes(draw_person(rng, compression=i % 3 == 2)))
            for i in range(int(people["persons"]))
        ]
        self.size, self.seed = tuple(int(n) for n in size), seed

    def batch(self, step: int, size: int) -> tuple[Tensor, Tensor]:
        """Batch ``step``: images and, at each voxel's centre, whether a rootlet is there."""
        return stacked(self._one, self.seed, step, size)

    def _one(self, rng: np.random.Generator, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        codes = self.codes[int(rng.integers(len(self.codes)))]
        to_codes, start = _pose(rng, codes.shape, self.size)
        flip = rng.random() < 0.5
        centres = _looked_up(codes, self.size, to_codes, start, 1)
        points = _looked_up(codes, self.size, to_codes, start, POINTS)
        values = torch.from_numpy(brightness(rng, SHARES))
        image = nnf.avg_pool3d(values[(points % ROOTLET).long()][None], POINTS)[0]
        image = standardised_block(scanned(rng, generator, image, _zoom))
        target = (centres >= ROOTLET).float()
        if flip:
            image, target = image.flip(2), target.flip(2)
        return image[None], target[None]


def detail_batches(
    recipe: Recipe, held_out_seed_shift: int
) -> tuple[DetailPainter, list[tuple[Tensor, Tensor]]]:
    """Painter of a recipe of the task ``rootlet_details``, and batches of people it never shows."""
    people, size = recipe.sources["phantom"], recipe.patches["size"]
    others = {"persons": HELD_OUT_PERSONS, "seed": int(people["seed"]) + held_out_seed_shift}
    each = int(recipe.schedule["batch_size"])
    held_out = DetailPainter(others, size, recipe.seed + held_out_seed_shift)
    count = max(1, int(recipe.validation["samples"]) // each)
    checks = [held_out.batch(i, each) for i in range(count)]
    return DetailPainter(people, size, recipe.seed), checks


def _pose(
    rng: np.random.Generator, shape: Sequence[int], size: Sequence[int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Matrix from a block's voxels, from its middle, to a person's; and the middle there."""
    spacing = np.clip(rng.normal(MEAN_MM, SD_MM) * np.exp(rng.normal(0, 0.06, 3)),
                      LEAST_MM, MOST_MM)  # fmt: skip
    person = np.exp(rng.normal(0, 0.05)) * np.exp(rng.normal(0, 0.04, 3))
    turn = np.eye(3)
    for a, b, sd in ((0, 1, 0.20), (0, 2, 0.08), (1, 2, 0.08)):
        angle = rng.normal(0, sd)
        one = np.eye(3)
        one[a, a] = one[b, b] = np.cos(angle)
        one[a, b], one[b, a] = -np.sin(angle), np.sin(angle)
        turn = one @ turn
    matrix = np.diag(1 / np.array(FINE_MM)) @ turn @ np.diag(spacing * person)
    reach = size[0] / 2 * spacing[0] / FINE_MM[0]
    middle = np.array([
        rng.uniform(min(reach, shape[0] / 2), max(shape[0] - reach, shape[0] / 2)),
        shape[1] / 2 + rng.normal(0, 1.2) / FINE_MM[1],
        shape[2] / 2 + rng.normal(0, 1.2) / FINE_MM[2],
    ])  # fmt: skip
    return matrix.astype(np.float32), middle.astype(np.float32)


def _looked_up(
    codes: Tensor, size: Sequence[int], matrix: NDArray[np.float32],
    middle: NDArray[np.float32], points: int,
) -> Tensor:  # fmt: skip
    """Codes at ``points`` points per voxel and axis; beyond a person the border goes on."""
    along = [
        (torch.arange(n * points, dtype=torch.float32) + 0.5) / points - n / 2 for n in size
    ]  # fmt: skip
    views = [a.view([-1 if i == k else 1 for i in range(3)]) for k, a in enumerate(along)]
    index = torch.zeros((), dtype=torch.int64)
    for k, n in enumerate(codes.shape):
        place = sum(float(matrix[k, j]) * views[j] for j in range(3)) + float(middle[k])
        index = index * n + torch.as_tensor(place).round_().clamp_(0, n - 1).long()
    return codes.view(-1)[index]


def _zoom(rng: np.random.Generator) -> NDArray[np.float64]:
    """Most scans are as fine as their voxels; others were brought to them from larger ones."""
    kind = rng.random()
    if kind < 0.75:
        return np.ones(3)
    if kind < 0.9:
        return np.full(3, rng.uniform(0.55, 1.0))
    return rng.uniform(0.45, 1.0, 3)
