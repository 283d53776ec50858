"""Paint label maps with random contrasts: batches of (image stack, soft cord) without any image.

One scene is painted several times with other contrasts, resolutions, fields of view and noise, so
that drawing the geometry costs little. All fields are torch tensors on the painter's device.
"""

# The numbers below are ranges of chance, not thresholds: a name each would hide the drawing.
# ruff: noqa: PLR2004

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cordcohort.training import acquire
from cordcohort.training.contrast import tissue_means
from cordcohort.training.scene import N_SLICES, Scene, SceneMaker
from cordcohort.training.sources import CordStack
from cordcohort.training.surroundings import CODE

DEFAULT_PAINTING: dict[str, Any] = {
    "grid": 96, "pixel_mm": 0.5, "offset_mm": 7.0, "absent": 0.02, "outside": 0.02,
    "neighbour_mm": 2.0, "paints": 4, "cropped": 0.2, "kinds": (0.6, 0.2, 0.2),
}  # fmt: skip


class Painter:
    """Endless batches of painted slices.

    Parameters
    ----------
    stacks, weights
        Cord shapes and how often each is taken.
    options
        Overrides of ``DEFAULT_PAINTING``.
    seed
        Together with a step number it fixes a batch, on a given device and torch release.

    Examples
    --------
    >>> ball = np.zeros((3, 9, 128, 128), np.float32)
    >>> ball[:, :, 54:74, 52:76] = 1
    >>> painter = Painter([CordStack("box", ball, 2.0)], [1], {"grid": 32}, seed=1)
    >>> image, target = painter.batch(0, 8)
    >>> tuple(image.shape), tuple(target.shape)
    ((8, 3, 32, 32), (8, 1, 32, 32))
    """

    def __init__(
        self, stacks: Sequence[CordStack], weights: Sequence[float], options: Mapping[str, Any],
        seed: int, device: str | torch.device = "cpu",
    ) -> None:  # fmt: skip
        self.options = {**DEFAULT_PAINTING, **options}
        self.device = torch.device(device)
        self.seed = seed
        self.grid = acquire.Grid(int(self.options["grid"]), float(self.options["pixel_mm"]))
        self.scenes = SceneMaker(stacks, weights, self.options, self.device)

    def batch(self, step: int, size: int) -> tuple[Tensor, Tensor]:
        """Batch number ``step``: images (size, 3, n, n) z-scored, targets (size, 1, n, n)."""
        rng = np.random.default_rng((self.seed, step))
        generator = torch.Generator(self.device)
        generator.manual_seed(int(rng.integers(2**62)))
        paints = int(self.options["paints"])
        with torch.no_grad():
            scene = self.scenes.draw(rng, generator, max(1, size // paints))
            return self._paint(rng, generator, scene, size)

    def _paint(
        self, rng: np.random.Generator, generator: torch.Generator, scene: Scene, size: int
    ) -> tuple[Tensor, Tensor]:
        """Give each scene its contrasts and pass them through the scanner."""
        which = torch.arange(size, device=self.device) % scene.cord.shape[0]
        image = self._brightness(rng, generator, scene, which)
        target = scene.cord[which, N_SLICES // 2][:, None]
        kind = scene.kind[which.cpu().numpy()]
        image = self._scan(rng, generator, image, kind)
        valid = acquire.valid_view(rng, size, self.grid, self.options["cropped"], self.device)
        image = acquire.z_score(_repeat_neighbours(rng, image), valid)
        target = target * valid
        flip = torch.as_tensor(rng.random(size) < 0.5, device=self.device).view(-1, 1, 1, 1)
        return torch.where(flip, image.flip(3), image), torch.where(flip, target.flip(3), target)

    def _brightness(
        self, rng: np.random.Generator, generator: torch.Generator, scene: Scene, which: Tensor
    ) -> Tensor:
        """Noise-free brightness (b, 3, n, n) of tissues with textures and partial volume."""
        b, n = len(which), self.grid.n
        means = torch.as_tensor(tissue_means(rng, b), device=self.device)
        flat = scene.context[which].view(b, -1).long()
        outer = means.gather(1, flat).view(b, N_SLICES, n, n)
        rough = acquire.column(rng.uniform(0, 0.35, b), self.device)
        fine = acquire.smooth_noise(generator, (b, 1), n, n // 3, self.device)
        broad = acquire.smooth_noise(generator, (b, 1), n, 8, self.device)
        outer = outer * (1 + rough * (0.5 * fine + 0.7 * broad)).clamp(min=0.05)

        def mean(name: str) -> Tensor:
            return means[:, CODE[name]].view(b, 1, 1, 1)

        calm = acquire.column(rng.uniform(0, 0.08, b), self.device)
        csf = mean("csf") * (1 + 2 * calm * broad)
        void = scene.void[which]
        csf = csf + void * (mean("void") - csf)
        csf = csf + scene.root[which] * (mean("root") - csf)
        cord, grey = scene.cord[which], scene.grey[which]
        tissue = cord * mean("wm") + grey * (mean("gm") - mean("wm"))
        tissue = tissue + cord * scene.lesion[which] * (mean("lesion") - mean("wm"))
        tissue = tissue * (1 + calm * (fine + broad))
        canal = scene.canal[which]
        return outer * (1 - canal) + (canal - cord).clamp(min=0) * csf + tissue

    def _scan(
        self, rng: np.random.Generator, generator: torch.Generator, image: Tensor, kind: np.ndarray
    ) -> Tensor:
        """Bias, acquired resolution, noise, ghosts; back on the painter's grid."""
        b = image.shape[0]
        image = image.clamp(min=0) * acquire.bias_field(rng, b, self.grid, self.device)
        px, py = acquire.pixel_sizes(rng, kind, self.grid)
        matrices = []
        for pixel in (py, px):
            numbers = (pixel, rng.random(b), rng.uniform(0.7, 1.3, b))
            size, phase, sharpness = (
                torch.as_tensor(v, dtype=torch.float32, device=self.device) for v in numbers
            )
            matrices.append(acquire.sampling_matrices(size, phase, sharpness, self.grid))
        (down_y, up_y), (down_x, up_x) = matrices
        image = down_y[:, None] @ image @ down_x[:, None].transpose(2, 3)
        image = acquire.add_noise(rng, generator, image)
        image = up_y[:, None] @ image @ up_x[:, None].transpose(2, 3)
        image = acquire.add_ghosts(rng, image)
        return acquire.clip_and_gamma(rng, image)


def _repeat_neighbours(rng: np.random.Generator, image: Tensor) -> Tensor:
    """Replace a neighbour by the middle slice now and then: ends of a slab."""
    end = rng.random((image.shape[0], 2)) < 0.06
    image = image.clone()
    for side, position in ((0, 0), (1, N_SLICES - 1)):
        rows = torch.as_tensor(np.flatnonzero(end[:, side]), device=image.device)
        image[rows, position] = image[rows, N_SLICES // 2]
    return image
