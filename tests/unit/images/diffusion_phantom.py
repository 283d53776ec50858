"""A phantom's diffusion series with its truth, as the tests of preprocessing need it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from cordcohort.images.gradients import Gradients
from cordcohort.nifti import Image
from cordcohort.phantom.acquisition import Pose, acquire, stored
from cordcohort.phantom.diffusion import Series, fibre_directions, simulate
from cordcohort.phantom.person import draw_person
from cordcohort.phantom.signals import tissue_signals
from cordcohort.phantom.tensors import Protocol, tensor_truth

SPACING_MM = (0.9, 0.9, 5.0)


@dataclass(frozen=True)
class Phantom:
    """A simulated series on canonical axes with what is true of it."""

    series: Series
    affine: Any
    cord: Any
    fa: Any
    centres: Any
    fibres: tuple[Any, Any]

    def stored(self, axes: str) -> tuple[Image, Gradients]:
        """The series and its gradient table as a scanner with these storage axes writes them."""
        data, affine = stored(self.series.data, self.affine, axes)
        turn = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        vectors = self.series.directions @ turn
        if np.linalg.det(turn) > 0:
            vectors = vectors * [-1, 1, 1]
        return Image(np.ascontiguousarray(data), affine), Gradients(self.series.bvals, vectors)


def phantom(
    seed: int = 11,
    *,
    motion_mm: float = 0.0,
    snr: float = 30.0,
    n_directions: int = 30,
    shape: tuple[int, int, int] = (44, 44, 8),
    tilt: bool = False,
) -> Phantom:
    """Draw one healthy person's series; the same seed is the same person and noise."""
    person = draw_person(np.random.default_rng(seed))
    pose = Pose((3.0, -2.0, 4.0), (5.0, -3.0, 2.0))
    grid = acquire(person, shape, SPACING_MM, centre_level=5.0, pose=pose, tilt=tilt)
    protocol = Protocol(n_b0=4, n_directions=n_directions, motion_mm=motion_mm)
    truth = tensor_truth(person, grid, protocol, 7)
    series = simulate(
        person, grid, truth, tissue_signals("dwi", "GE", 0, "s"),
        protocol=protocol, snr=snr, rng=np.random.default_rng(seed),
    )  # fmt: skip
    share = truth.fraction[..., :8].sum(axis=-1)
    total = share.sum(axis=(0, 1))
    x, y = np.arange(shape[0]), np.arange(shape[1])
    centres = np.stack([x @ share.sum(axis=1) / total, y @ share.sum(axis=0) / total], axis=1)
    fa = (truth.fa * truth.fraction[..., :8]).sum(axis=-1) / np.maximum(share, 1e-6)
    fibres = fibre_directions(person, grid)
    return Phantom(series, grid.affine, share > 0.99, fa, centres, fibres)
