"""Paint straightened blocks along the cord of phantom people: dorsal rootlets C2 to T1 and the PMJ.

A block follows the cord slice by slice from above the pontomedullary junction (PMJ) downwards; no
image is read. Tissues get random brightness and pass through a random scanner, and the people are
stretched, turned and tilted at random, so that a network learns the order of things along the cord.
"""

# The numbers below are ranges of chance, not thresholds: a name each would hide the drawing.
# ruff: noqa: PLR2004

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as nnf

from cordcohort.phantom.anatomy import codes_at
from cordcohort.phantom.frame import build_frame
from cordcohort.phantom.parts import rootlets_at
from cordcohort.phantom.person import Person, draw_person
from cordcohort.phantom.tissues import N_TISSUES
from cordcohort.phantom.truth import pmj_mm
from cordcohort.segmentation.rootlet_block import BLOCK, STEP_MM
from cordcohort.spinal_names import BINARY, DORSAL, ROOTLET_CLASSES
from cordcohort.training.augment import (
    bias_field,
    coarser,
    smoothed,
)
from cordcohort.training.contrast import tissue_means
from cordcohort.training.mixture import fixed, stacked
from cordcohort.training.phantom_sources import tissue_names
from cordcohort.training.recipe import Recipe
from cordcohort.training.surroundings import CODE

Floats = NDArray[np.float64]

ROOTLETS = "rootlets"
HELD_OUT_PERSONS = 6
FINE_MM = 0.5
HALF_X_MM, HALF_Y_MM = 16.0, 17.0
ABOVE_PMJ_MM, BELOW_MM = 45.0, 200.0
PMJ_SIGMA_MM = 2.0
NEAR_VOXELS = 5
T2_SHARES = (0.25, 0.6, 0.06, 0.03, 0.02, 0.0, 0.04)
"""Weights of the painter's families: rootlets are drawn on T2w, other contrasts are a fifth."""


@dataclass(frozen=True)
class PersonBlock:
    """One person along the cord's axis, axes z (up), y (front), x (right), voxels of 0.5 mm.

    Attributes
    ----------
    codes : array of uint8
        Tissues of the phantom.
    any_rootlet : array
        1 inside a rootlet, or the share of the voxel that rootlets fill.
    level : array of uint8
        Level of the nearest rootlet, 0 far from all.
    pmj : array, shape (3,)
        Its voxel (z, y, x).
    """

    codes: NDArray[np.uint8]
    any_rootlet: NDArray[Any]
    level: NDArray[np.uint8]
    pmj: Floats


def person_block(person: Person) -> PersonBlock:
    """Straighten a person slice by slice: planes stay axial and are centred on the cord's axis.

    Examples
    --------
    >>> block = person_block(draw_person(np.random.default_rng(0)))
    >>> sorted(set(block.level.ravel().tolist())), block.codes.shape[1:]
    ([0, 2, 3, 4, 5, 6, 7, 8, 9], (68, 64))
    """
    frame = build_frame(person)
    junction = pmj_mm(person)
    top = junction[2] + ABOVE_PMJ_MM
    z = np.arange(top - BELOW_MM - ABOVE_PMJ_MM, top, FINE_MM)
    y = np.arange(-HALF_Y_MM, HALF_Y_MM, FINE_MM)
    x = np.arange(-HALF_X_MM, HALF_X_MM, FINE_MM)
    points = np.empty((3, len(z), len(y), len(x)), np.float32)
    points[0] = frame.at("x", z)[:, None, None] + x
    points[1] = frame.at("y", z)[:, None, None] + y[:, None]
    points[2] = z[:, None, None]
    flat = points.reshape(3, -1)
    codes = codes_at(person, flat).reshape(points.shape[1:])
    rootlets = rootlets_at(person, flat).reshape(points.shape[1:])
    level = nearest_level(rootlets, (3, NEAR_VOXELS, NEAR_VOXELS))
    place = ((junction[2] - z[0]) / FINE_MM,
             (junction[1] - float(frame.at("y", junction[2])) + HALF_Y_MM) / FINE_MM,
             HALF_X_MM / FINE_MM)  # fmt: skip
    return PersonBlock(codes, (rootlets > 0).astype(np.uint8), level, np.array(place))


def nearest_level(rootlets: NDArray[np.uint8], size: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Level of each voxel or, beside rootlets, of one within a box of so many voxels."""
    near = ndimage.grey_dilation(rootlets, size=size)
    return np.where(rootlets > 0, rootlets, near).astype(np.uint8)


def draw_blocks(persons: int, seed: int) -> list[PersonBlock]:
    """Blocks of some people, of whom a third has a compression."""
    rng = np.random.default_rng(seed)
    return [
        person_block(draw_person(rng, compression=i % 3 == 2, lesion=i % 6 == 1))
        for i in range(persons)
    ]


class RootletPainter:
    """Endless batches of painted blocks.

    Parameters
    ----------
    people
        ``{persons, seed}``.
    seed
        Together with a step number it fixes a batch.
    classes
        Which rootlets are told apart; phantom people have dorsal ones.

    Examples
    --------
    >>> painter = RootletPainter({"persons": 1, "seed": 1}, seed=1)
    >>> [tuple(t.shape) for t in painter.batch(0, 1)]
    [(1, 2, 128, 40, 40), (1, 9, 128, 40, 40)]
    """

    def __init__(self, people: Mapping[str, Any], seed: int, classes: str = DORSAL) -> None:
        self.blocks = draw_blocks(int(people["persons"]), int(people["seed"]))
        self.seed, self.classes = seed, classes

    def batch(self, step: int, size: int) -> tuple[Tensor, Tensor]:
        """Batch ``step``: blocks (size, 2, z, y, x), targets (size, levels and PMJ, z, y, x)."""
        return stacked(self._one, self.seed, step, size)

    def _one(self, rng: np.random.Generator, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        block = self.blocks[int(rng.integers(len(self.blocks)))]
        places = block_places(rng, block)
        shape = torch.tensor(block.codes.shape).view(3, 1, 1, 1)
        valid = ((places >= 0) & (places <= shape - 1)).all(0).float() * field_of_view(
            rng, block, places
        )
        bright = torch.from_numpy(brightness(rng))[torch.from_numpy(block.codes).long()]
        grid = as_grid(places, block.codes.shape)
        image = nnf.grid_sample(
            bright[None, None], grid, mode="bilinear", padding_mode="border", align_corners=True
        )[0, 0]
        image = scanned(rng, generator, image, block_zoom)
        inside = valid > 0
        mean, sd = image[inside].mean(), image[inside].std().clamp(min=1e-4)
        shown = torch.stack([(image - mean) / sd * valid, valid])
        return shown, block_target(block, places, grid, valid, self.classes)


def rootlet_batches(
    recipe: Recipe, held_out_seed_shift: int, classes: str = DORSAL
) -> tuple[RootletPainter, list[tuple[Tensor, Tensor]]]:
    """Painter of phantom people, and fixed batches of people that it never shows."""
    people = recipe.sources["phantom"]
    others = {"persons": HELD_OUT_PERSONS, "seed": int(people["seed"]) + held_out_seed_shift}
    held_out = RootletPainter(others, recipe.seed + held_out_seed_shift, classes)
    size, samples = int(recipe.schedule["batch_size"]), int(recipe.validation["samples"])
    return RootletPainter(people, recipe.seed, classes), fixed(held_out, size, samples)


def block_places(rng: np.random.Generator, block: PersonBlock) -> Tensor:
    """Voxel positions (3, z, y, x) of a block's voxels in a person's, float32."""
    n_z, n_y, n_x = BLOCK
    size = float(np.exp(rng.normal(0, 0.07)))
    stretch = size * np.exp(np.interp(np.arange(n_z), np.linspace(0, n_z - 1, 10),
                                      rng.normal(0, 0.05, 10)))  # fmt: skip
    top = block.pmj[0] * FINE_MM + (rng.uniform(3, 44) if rng.random() < 0.65
                                    else -rng.uniform(0, 70))  # fmt: skip
    down = np.concatenate([np.cumsum(stretch[::-1])[::-1][1:], [0.0]]) * STEP_MM[0]
    z = torch.as_tensor(top - down, dtype=torch.float32).view(-1, 1, 1)
    y, x = (
        torch.arange(n) * mm - (n - 1) / 2 * mm
        for n, mm in zip((n_y, n_x), STEP_MM[1:], strict=True)
    )
    knots = np.linspace(0, n_z - 1, 10)
    wobble = [
        torch.as_tensor(
            np.interp(np.arange(n_z), knots, rng.normal(0, 0.8, 10)) + rng.normal(0, 0.6),
            dtype=torch.float32,
        ).view(-1, 1, 1)
        for _ in range(2)
    ]
    turn, scale = rng.normal(0, np.radians(4.0)), np.exp(rng.normal(0, 0.07, 2))
    cos, sin = float(np.cos(turn)), float(np.sin(turn))
    at_y = float(scale[0]) * (cos * y.view(1, -1, 1) + sin * x.view(1, 1, -1)) + wobble[0]
    at_x = float(scale[1]) * (cos * x.view(1, 1, -1) - sin * y.view(1, -1, 1)) + wobble[1]
    at_z = z + float(rng.normal(0, 0.10)) * at_y + float(rng.normal(0, 0.05)) * at_x
    mm = torch.stack([at_z, (at_y + HALF_Y_MM).expand_as(at_z), (at_x + HALF_X_MM).expand_as(at_z)])
    return mm / FINE_MM


def field_of_view(rng: np.random.Generator, block: PersonBlock, places: Tensor) -> Tensor:
    """1 inside the field of view: rows are cut above and below in some scans."""
    n_z = BLOCK[0]
    top = int(rng.uniform(0, 27)) if rng.random() < 0.4 else 0
    bottom = int(rng.uniform(0, 55)) if rng.random() < 0.4 else 0
    row = torch.arange(n_z).view(-1, 1, 1)
    tilt = float(rng.normal(0, 0.08)) * (torch.arange(BLOCK[1]) - BLOCK[1] / 2).view(1, -1, 1)
    seen = ((row + tilt >= bottom) & (row + tilt < n_z - top)).float()
    return seen.expand(BLOCK)


def brightness(
    rng: np.random.Generator, shares: tuple[float, ...] = T2_SHARES
) -> NDArray[np.float32]:
    """Mean brightness of each tissue of the phantom, of families with these weights."""
    means = tissue_means(rng, 1, shares)[0]
    table = np.array([means[CODE[name]] for name in tissue_names()[:N_TISSUES]])
    return np.maximum(table * np.exp(rng.normal(0, 0.08, table.shape)), 0).astype(np.float32)


def scanned(
    rng: np.random.Generator, generator: torch.Generator, image: Tensor,
    zoom: Callable[[np.random.Generator], Floats],
) -> Tensor:  # fmt: skip
    """Bias, texture, voxel size, noise and gamma of a random scanner.

    Parameters
    ----------
    image : Tensor, shape (z, y, x)
    zoom : callable
        Draws how many voxels a scan has for one of the image, at most 1, along each axis.
    """
    if rng.random() < 0.8:
        image = image * bias_field(image.shape, rng.uniform(-0.5, 0.5, 20), image.device)
    texture = torch.randn(tuple(n // 2 for n in image.shape), generator=generator)
    texture = nnf.interpolate(texture[None, None], size=image.shape, mode="nearest")[0, 0]
    image = image * (1 + float(rng.uniform(0, 0.12)) * texture)
    image = coarser(image, zoom(rng))
    if rng.random() < 0.3:
        image = smoothed(image[None], (0.0, *[float(rng.uniform(0.2, 0.9))] * 2))[0]
    low, high = float(image.amin()), float(image.amax())
    image = (image - low) / max(high - low, 1e-4)
    noise = torch.randn(image.shape, generator=generator)
    image = image + float(rng.uniform(0, 1) ** 2 * 0.09) * noise
    if rng.random() < 0.4:
        image = image.clamp(min=0) ** float(np.exp(rng.normal(0, 0.3)))
    return image


def block_zoom(rng: np.random.Generator) -> Floats:
    """Voxels of a scan for one of the block's: isotropic ones of 0.6 to 1.7 mm, or others."""
    kind = rng.random()
    voxel = np.full(3, rng.uniform(0.6, 1.1) if kind < 0.6 else rng.uniform(1.0, 1.7))
    if kind > 0.85:
        voxel = np.array([rng.uniform(0.7, 2.2), rng.uniform(0.5, 1.1), rng.uniform(0.5, 2.0)])
    return np.minimum(1.0, np.array(STEP_MM) / voxel)


def block_target(
    block: PersonBlock, places: Tensor, grid: Tensor, valid: Tensor, classes: str = DORSAL
) -> Tensor:  # fmt: skip
    """Share of each voxel that each class's rootlets fill, and heat around the PMJ.

    Parameters
    ----------
    places : Tensor, shape (3, z, y, x)
        Voxel positions in ``block``, also as ``grid`` (:func:`as_grid`).
    valid : Tensor, shape (z, y, x)
        1 inside the scan.
    classes : str
        Key of :data:`cordcohort.spinal_names.ROOTLET_CLASSES`.
    """
    share = nnf.grid_sample(
        torch.from_numpy(block.any_rootlet).float()[None, None], grid, mode="bilinear",
        padding_mode="zeros", align_corners=True,
    )[0, 0]  # fmt: skip
    level = nnf.grid_sample(
        torch.from_numpy(block.level).float()[None, None], grid, mode="nearest",
        padding_mode="zeros", align_corners=True,
    )[0, 0]  # fmt: skip
    share = share * valid
    codes = ROOTLET_CLASSES[classes]
    out = torch.empty((len(codes) + 1, *BLOCK))
    for channel, code in enumerate(codes):
        out[channel] = share if classes == BINARY else share * (level == code)
    away = (places - torch.as_tensor(block.pmj, dtype=torch.float32).view(3, 1, 1, 1)) * FINE_MM
    out[-1] = torch.exp(-0.5 * (away**2).sum(0) / PMJ_SIGMA_MM**2) * valid
    return out


def as_grid(places: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Positions as ``grid_sample`` wants them: (1, z, y, x, 3), x first, -1 to 1."""
    scaled = [places[i] * (2.0 / (shape[i] - 1)) - 1.0 for i in (2, 1, 0)]
    return torch.stack(scaled, -1)[None]
