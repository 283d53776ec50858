"""Batches by number, from one source or mixed from two, and what a training is supplied with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

MIXTURE_SEED = 7
VALIDATION_SEED_SHIFT = 1_000_003
Batch = tuple[Tensor, Tensor]
DrawOne = Callable[[np.random.Generator, torch.Generator], Batch]


class Batches(Protocol):
    """Whatever gives batch number ``step``: the painter, patches of scans, a mixture."""

    def batch(self, step: int, size: int) -> Batch:
        """Images and targets."""
        ...


class Mixture:
    """Each sample of a batch is painted with a given probability, else taken from the scans."""

    def __init__(self, scans: Batches, painted: Batches, painted_share: float, seed: int) -> None:
        self.parts = (scans, painted)
        self.share = painted_share
        self.seed = seed

    def batch(self, step: int, size: int) -> Batch:
        """Scans first, then painted samples; their numbers come from the seed and the step."""
        rng = np.random.default_rng((self.seed, MIXTURE_SEED, step))
        n_painted = int(rng.binomial(size, self.share))
        counts = (size - n_painted, n_painted)
        found = [part.batch(step, n) for part, n in zip(self.parts, counts, strict=True) if n]
        image, target = (torch.cat([pair[i] for pair in found]) for i in (0, 1))
        return image, target


def stacked(one: DrawOne, seed: int, step: int, size: int) -> Batch:
    """Batch number ``step`` of a painter that draws its samples one by one.

    Parameters
    ----------
    one
        Draws an image and a target from a generator of numpy and one of torch.
    seed
        Together with the step it fixes the batch.

    Examples
    --------
    >>> def draw(rng, generator):
    ...     return torch.rand(2, generator=generator), torch.ones(1)
    >>> [tuple(t.shape) for t in stacked(draw, 1, 0, 3)]
    [(3, 2), (3, 1)]
    """
    chance = generators(seed, step)
    return numbered(lambda _: one(*chance), step, size)


def numbered(one: Callable[[int], Batch], step: int, size: int) -> Batch:
    """Batch number ``step`` of samples that are counted from 0 on.

    Examples
    --------
    >>> image, _ = numbered(lambda number: (torch.tensor(number), torch.tensor(0)), 2, 3)
    >>> image.tolist()
    [6, 7, 8]
    """
    with torch.no_grad():
        drawn = [one(step * size + i) for i in range(size)]
    return torch.stack([d[0] for d in drawn]), torch.stack([d[1] for d in drawn])


def generators(
    *key: int, device: str | torch.device = "cpu"
) -> tuple[np.random.Generator, torch.Generator]:
    """Generators of numpy and torch that a key of numbers fixes.

    Examples
    --------
    >>> generators(3, 1)[0].random() == generators(3, 1)[0].random()
    True
    """
    rng = np.random.default_rng(key)
    generator = torch.Generator(device)
    generator.manual_seed(int(rng.integers(2**62)))
    return rng, generator


def in_turn(seed: int, number: int, n: int) -> int:
    """Place of draw ``number`` among ``n`` scans: every scan once before any comes again.

    Examples
    --------
    >>> sorted(in_turn(5, number, 4) for number in range(4, 8))
    [0, 1, 2, 3]
    """
    epoch, place = divmod(number, n)
    return int(np.random.default_rng((seed, 1, epoch)).permutation(n)[place])


@dataclass(frozen=True)
class Supply:
    """Batches to train on, fixed batches to validate on, and scans an epoch (0: all painted).

    ``unseen`` is false where the recipe holds nobody back: then training shapes or scans validate.
    """

    train: Batches
    checks: list[Batch]
    epoch_samples: int
    unseen: bool = True


def joined(scans: Supply | None, painted: Supply | None, share: float, seed: int) -> Supply | None:
    """One supply of scans and painted samples, of which ``share`` are painted; either may lack.

    Examples
    --------
    >>> joined(None, None, 0.5, 1) is None
    True
    """
    if scans is None or painted is None:
        return scans or painted
    mixed = Mixture(scans.train, painted.train, share, seed)
    unseen = scans.unseen and painted.unseen
    return Supply(mixed, scans.checks + painted.checks, scans.epoch_samples, unseen)


def fixed(batches: Batches, size: int, samples: int) -> list[Batch]:
    """The first batches, about so many samples in all and at least one batch: to validate on."""
    return [batches.batch(i, size) for i in range(max(1, samples // size))]
