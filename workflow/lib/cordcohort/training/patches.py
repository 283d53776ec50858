"""Random 3-D patches of cohort scans and label volumes: the images of a training, batch by batch.

Batch number ``k`` depends on the seed and ``k`` alone. Everything after the cut from the stored
volume are tensor operations on the chosen device.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as nnf

from cordcohort.errors import ConfigError
from cordcohort.segmentation.volumes import standardised
from cordcohort.training.augment import (
    change_intensities,
    mirrored_axes,
    random_affine,
    random_displacement,
)
from cordcohort.training.repaint import repaint

FloatArray = NDArray[np.floating[Any]]

CENTRES = ("image", "cord", "regions")
INNER_SHARE = 1 / 3
DEFAULT_PATCHES: dict[str, Any] = {
    "size": [320, 192, 64], "spacing_mm": [1.0, 1.0, 1.0], "centre": "image", "shift_mm": 0.0,
}  # fmt: skip
MARGIN_VOXELS = 2
HALF_VOXEL = 0.5
FEWEST_SLICES_OF_A_VOLUME = 4


@dataclass(frozen=True)
class Item:
    """One stored volume with its target, on axes z (up), y (front), x (right).

    Attributes
    ----------
    name, person, contrast
        What it is.
    image
        float16 ``(z, y, x)``, or uint8 tissue codes where ``codes`` is set.
    target
        float16 fraction of cord in each voxel, or of each nested region ``(c, z, y, x)``.
    spacing_mm
        Along z, y, x.
    painted
        Share of draws in which the brightness is painted anew; 1 for codes.
    """

    name: str
    person: str
    contrast: str
    image: NDArray[Any]
    target: NDArray[Any]
    spacing_mm: tuple[float, float, float]
    painted: float = 0.0

    @property
    def codes(self) -> bool:
        """Whether the volume holds tissue codes instead of an image."""
        return self.image.dtype == np.uint8


def _layers(item: Item) -> NDArray[Any]:
    """Target of an item as ``(regions, z, y, x)``."""
    return item.target if item.target.ndim > item.image.ndim else item.target[None]


def cord_centres(target: NDArray[Any]) -> FloatArray:
    """Voxel (z, y, x) of the cord's centre in each slice that holds some, float32 ``(n, 3)``.

    Examples
    --------
    >>> t = np.zeros((3, 4, 4)); t[1, 2, 1:3] = 1
    >>> cord_centres(t).tolist()
    [[1.0, 2.0, 1.5]]
    """
    values = np.asarray(target, np.float32)
    mass = values.sum((1, 2))
    known = np.flatnonzero(mass > 0)
    y, x = (np.arange(n, dtype=np.float32) for n in values.shape[1:])
    cy = (values.sum(2)[known] @ y) / mass[known]
    cx = (values.sum(1)[known] @ x) / mass[known]
    return np.stack([known.astype(np.float32), cy, cx], axis=1)


class PatchSampler:
    """Endless batches of patches; every item comes once an epoch, in random order.

    Parameters
    ----------
    items
        Stored volumes.
    options
        Overrides of ``DEFAULT_PATCHES``: ``size`` (z, y, x voxels; 3 slices make a stack for a
        network of slices, whose target is the middle one), ``spacing_mm`` (z, y, x), ``centre``
        (``image``: the middle of the scan, as published; ``cord``: a random slice's cord;
        ``regions``: as nnU-Net, every third patch around a lesion, else the cord) and
        ``shift_mm`` (the centre is moved by up to this along each axis).
    augmentation
        As checked by :func:`~cordcohort.training.augment.check_augmentation`, or None.
    seed
        Together with a step number it fixes a batch, on a given device and torch release.

    Examples
    --------
    >>> cord = np.zeros((8, 16, 16), np.float16); cord[:, 6:10, 6:10] = 1
    >>> item = Item("a", "p", "T2w", cord, cord, (1.0, 1.0, 1.0))
    >>> image, target = PatchSampler([item], {"size": [8, 8, 8]}, None, seed=1).batch(0, 2)
    >>> tuple(image.shape), float(target.sum())
    ((2, 1, 8, 8, 8), 256.0)
    """

    def __init__(
        self, items: Sequence[Item], options: Mapping[str, Any],
        augmentation: Mapping[str, Any] | None, seed: int, device: str | torch.device = "cpu",
    ) -> None:  # fmt: skip
        if not items:
            raise ConfigError("sources.cohort", 0, "at least one scan with a cord in its mask",
                              "name contrasts and masks that the data set has",
                              "recipe")  # fmt: skip
        self.items = list(items)
        self.options = check_patches(options)
        self.augmentation = augmentation
        self.seed = seed
        self.device = torch.device(device)
        self.centres = [cord_centres(_layers(item)[0]) for item in self.items]
        self.inner = [cord_centres(_layers(item)[:2][-1]) for item in self.items]

    def batch(self, step: int, size: int) -> tuple[Tensor, Tensor]:
        """Batch number ``step``: images and targets, z-scored.

        Images (size, 1, z, y, x) with targets (size, regions, z, y, x), or stacks (size, 3, y, x)
        with the target (size, regions, y, x) of the middle slice.
        """
        with torch.no_grad():
            pairs = [self._one(step * size + i) for i in range(size)]
            image = torch.stack([p[0] for p in pairs])
            target = torch.stack([p[1] for p in pairs])
        if self._is_stack:
            return image, target[:, :, image.shape[1] // 2]
        return image[:, None], target

    @property
    def _is_stack(self) -> bool:
        return bool(self.options["size"][0] < FEWEST_SLICES_OF_A_VOLUME)

    def _one(self, number: int) -> tuple[Tensor, Tensor]:
        """Draw number ``number``: image ``(z, y, x)`` and target ``(regions, z, y, x)``."""
        epoch, place = divmod(number, len(self.items))
        order = np.random.default_rng((self.seed, 1, epoch)).permutation(len(self.items))
        index = int(order[place])
        rng = np.random.default_rng((self.seed, 0, number))
        generator = torch.Generator(self.device)
        generator.manual_seed(int(rng.integers(2**62)))
        item, chosen = self.items[index], self.augmentation or {}
        centre = self._centre(rng, item, index)
        matrix = random_affine(rng, chosen)
        moved = random_displacement(rng, generator, self.options["size"], chosen)
        image, target, inside = self._cut(item, centre, matrix, moved)
        if item.codes or rng.random() < item.painted:
            image = repaint(rng, generator, image, target[0], codes=item.codes)
        image = change_intensities(rng, generator, image, chosen)
        image = standardised(image, inside)
        axes = mirrored_axes(rng, chosen)
        return image.flip(axes), target.flip([axis + 1 for axis in axes])

    def _centre(self, rng: np.random.Generator, item: Item, index: int) -> FloatArray:
        """Centre of a patch, mm from the centre of voxel 0."""
        share, shift = rng.random(), rng.uniform(-1, 1, 3) * float(self.options["shift_mm"])
        spacing = np.array(item.spacing_mm)
        centres, wanted = self.centres[index], str(self.options["centre"])
        if wanted == "regions" and rng.random() < INNER_SHARE and len(self.inner[index]):
            centres = self.inner[index]
        if wanted != "image" and len(centres):
            return centres[int(share * len(centres))] * spacing + shift
        return (np.array(item.image.shape) - 1) / 2 * spacing + shift

    def _cut(
        self, item: Item, centre: FloatArray, matrix: np.ndarray, moved: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Image, target and what lies inside the scan, on the patch's grid."""
        places = self._places(item, centre, matrix, moved)
        shape = torch.tensor(item.image.shape, device=self.device).view(3, 1, 1, 1)
        inside = ((places >= -HALF_VOXEL) & (places <= shape - HALF_VOXEL)).all(0)
        low = [max(0, math.floor(float(p.amin())) - MARGIN_VOXELS) for p in places]
        high = [min(n, math.ceil(float(p.amax())) + MARGIN_VOXELS + 1)
                for p, n in zip(places, item.image.shape, strict=True)]  # fmt: skip
        if any(b <= a for a, b in zip(low, high, strict=True)):
            empty = torch.zeros(places.shape[1:], device=self.device)
            return empty, empty.expand(len(_layers(item)), *empty.shape), inside
        part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        both = (item.image, *_layers(item))
        stored = np.stack([np.asarray(v[part], np.float32) for v in both])
        values = torch.from_numpy(stored).to(self.device)
        grid = _normalised(places, low, stored.shape[1:])
        target = _sampled(values[1:], grid, "bilinear", "zeros")
        image = _sampled(values[:1], grid, "nearest" if item.codes else "bilinear", "border")[0]
        return image, target.clamp(0, 1) * inside, inside

    def _places(
        self, item: Item, centre: FloatArray, matrix: np.ndarray, moved: Tensor | None
    ) -> Tensor:
        """Voxel positions (3, z, y, x) of the patch in the stored volume."""
        size, step = self.options["size"], self.options["spacing_mm"]
        axes = [
            (torch.arange(n, device=self.device, dtype=torch.float32) - (n - 1) / 2) * mm
            for n, mm in zip(size, step, strict=True)
        ]
        mm = torch.stack(torch.meshgrid(*axes, indexing="ij"))
        if moved is not None:
            mm = mm + moved * torch.tensor(step, device=self.device).view(3, 1, 1, 1)
        turn = torch.as_tensor(matrix, dtype=torch.float32, device=self.device)
        start = torch.as_tensor(centre, dtype=torch.float32, device=self.device).view(3, 1, 1, 1)
        spacing = torch.tensor(item.spacing_mm, device=self.device).view(3, 1, 1, 1)
        return (torch.einsum("ij,jzyx->izyx", turn, mm) + start) / spacing


def check_patches(given: Mapping[str, Any], where: str = "recipe") -> dict[str, Any]:
    """Fill in the defaults and check.

    Raises
    ------
    ConfigError
        Unknown key, or a size or spacing that is not three positive numbers.

    Examples
    --------
    >>> check_patches({"spacing_mm": 1})["spacing_mm"]
    [1.0, 1.0, 1.0]
    """
    for key in given:
        if key not in DEFAULT_PATCHES:
            raise ConfigError(f"patches.{key}", given[key], "one of " + ", ".join(DEFAULT_PATCHES),
                              "remove or correct the key", where)  # fmt: skip
    found = {**DEFAULT_PATCHES, **given}
    if isinstance(found["spacing_mm"], (int, float)):
        found["spacing_mm"] = [found["spacing_mm"]] * 3
    found["spacing_mm"] = [float(v) for v in found["spacing_mm"]]
    found["size"] = [int(v) for v in found["size"]]
    for key in ("size", "spacing_mm"):
        if len(found[key]) != 3 or min(found[key]) <= 0:  # noqa: PLR2004 - z, y, x
            raise ConfigError(f"patches.{key}", found[key], "three positive numbers (z, y, x)",
                              "correct the recipe", where)  # fmt: skip
    if found["centre"] not in CENTRES:
        raise ConfigError("patches.centre", found["centre"], "one of " + ", ".join(CENTRES),
                          "correct the recipe", where)  # fmt: skip
    return found


def _normalised(places: Tensor, low: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Positions as ``grid_sample`` wants them: (1, z, y, x, 3), x first, -1 to 1."""
    scaled = [(places[i] - low[i]) * (2.0 / max(shape[i] - 1, 1)) - 1.0 for i in (2, 1, 0)]
    return torch.stack(scaled, -1)[None]


def _sampled(values: Tensor, grid: Tensor, mode: str, padding: str) -> Tensor:
    """Values (c, z, y, x) at a grid."""
    return nnf.grid_sample(values[None], grid, mode=mode, padding_mode=padding, align_corners=True)[
        0
    ]
