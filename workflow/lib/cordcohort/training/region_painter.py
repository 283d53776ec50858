"""Paint label maps of the eight cord regions as B0 images or FA maps of diffusion series.

One geometry is painted several times. Left and right are exchanged with the regions' codes, so that
a mirrored anatomy keeps its sides. This painter makes training images only; what is reported is
measured on the phantom's imaging model or on real scans.
"""

# The numbers below are ranges of chance, not thresholds: a name each would hide the drawing.
# ruff: noqa: PLR2004

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as nnf

from cordcohort.errors import ConfigError
from cordcohort.phantom.tissues import REGIONS
from cordcohort.segmentation.region_networks import MIRRORED
from cordcohort.training import acquire
from cordcohort.training.contrast import FAMILIES, tissue_means
from cordcohort.training.region_sources import (
    AROUND_PIXELS,
    MAP_PIXELS,
    PIXEL_MM,
    WHOLE,
    RegionStack,
)
from cordcohort.training.surroundings import CODE, draw_context

B0, FA = "b0", "fa"
INPUTS = (B0, FA)
DEFAULT_PAINTING: dict[str, Any] = {
    "grid": 64, "pixel_mm": 0.5, "offset_mm": 2.5, "neighbour_mm": 1.0, "paints": 2,
    "cropped": 0.2, "input": B0, "levels": [1, 9], "absent": 0.02,
}  # fmt: skip
N_REGIONS = len(REGIONS)
THROUGH_SLICE = np.array([-0.33, 0.0, 0.33])
B0_SHARES = tuple({"b0": 0.75, "dwi": 0.1, "random": 0.15}.get(name, 0.0) for name in FAMILIES)
CONTEXT_SLICES = 3
GREY = [int(r) - 1 for r in REGIONS if r.name.endswith("GM")]


@dataclass
class Scene:
    """Geometry of ``g`` slices on an ``n x n`` grid.

    Attributes
    ----------
    regions, canal
        Fractions ``(g, 8, n, n)`` and ``(g, 1, n, n)``, averaged through the slice.
    codes
        ``(g, 1, n, n)`` painter's tissue codes outside the canal.
    x, y
        ``(g, 1, n, n)`` mm from the cord's axis.
    """

    regions: Tensor
    canal: Tensor
    codes: Tensor
    x: Tensor
    y: Tensor


def exchanged(target: Tensor) -> Tensor:
    """Classes ``(b, 9, y, x)`` with the regions of left and right exchanged.

    Examples
    --------
    >>> exchanged(torch.eye(9).view(9, 9, 1, 1))[1].argmax().item()
    5
    """
    return target[:, [0, *MIRRORED]]


class RegionPainter:
    """Endless batches of painted slices with the share of each class in every pixel.

    Parameters
    ----------
    stacks, weights
        Region maps and how often each is taken.
    options
        Overrides of ``DEFAULT_PAINTING``: ``levels`` are the first and last vertebral level that
        are shown (slices of unknown level always), ``input`` is ``b0`` or ``fa``.
    seed
        Together with a step number it fixes a batch, on a given device and torch release.

    Raises
    ------
    ConfigError
        An unknown option or input, or no slice of the wanted levels.
    """

    def __init__(
        self, stacks: Sequence[RegionStack], weights: Sequence[float], options: Mapping[str, Any],
        seed: int, device: str | torch.device = "cpu",
    ) -> None:  # fmt: skip
        self.options = checked_painting(options)
        self.device = torch.device(device)
        self.seed = seed
        self.grid = acquire.Grid(int(self.options["grid"]), float(self.options["pixel_mm"]))
        low, high = self.options["levels"]
        wanted = [
            np.flatnonzero((s.level == 0) | ((s.level >= low) & (s.level <= high))) for s in stacks
        ]
        kept = [i for i, rows in enumerate(wanted) if len(rows)]
        if not kept:
            raise ConfigError("painting.levels", [low, high], "levels that a source shows",
                              "correct the recipe", "recipe")  # fmt: skip
        self.stacks = [stacks[i] for i in kept]
        self.rows = [wanted[i] for i in kept]
        share = np.array([weights[i] for i in kept], float)
        self.share = share / share.sum()
        n = self.grid.n
        self.axis = (torch.arange(n, device=self.device) - (n - 1) / 2) * self.grid.pixel_mm

    def batch(self, step: int, size: int) -> tuple[Tensor, Tensor]:
        """Batch ``step``: images (size, 1, n, n) z-scored, class shares (size, 9, n, n)."""
        rng = np.random.default_rng((self.seed, step))
        generator = torch.Generator(self.device)
        generator.manual_seed(int(rng.integers(2**62)))
        with torch.no_grad():
            scene = self._scene(rng, generator, max(1, size // int(self.options["paints"])))
            which = torch.arange(size, device=self.device) % len(scene.regions)
            image = self._brightness(rng, generator, scene, which)
            target = scene.regions[which]
            image, valid = self._scan(rng, generator, image, scene, which)
            target = torch.cat([1 - target.sum(1, keepdim=True), target], 1).clamp(0, 1)
            outside = torch.zeros_like(target)
            outside[:, 0] = 1
            target = torch.where(valid > 0, target, outside)
            flip = torch.as_tensor(rng.random(size) < 0.5, device=self.device).view(-1, 1, 1, 1)
            image = torch.where(flip, image.flip(3), image)
            return image, torch.where(flip, exchanged(target).flip(3), target)

    def _scene(self, rng: np.random.Generator, generator: torch.Generator, g: int) -> Scene:
        """Geometry of ``g`` slices."""
        plan = _plan(rng, g, self)
        x, y = self._coordinates(rng, generator, plan)
        maps, codes = self._gathered(plan)
        k = len(THROUGH_SLICE)
        shift = plan["tilt"][:, None] * (THROUGH_SLICE * plan["thick_mm"][:, None])[..., None]
        moved = torch.as_tensor(shift.reshape(-1, 2), dtype=torch.float32, device=self.device)
        sub_x = x.repeat_interleave(k, 0) - moved[:, :1, None, None]
        sub_y = y.repeat_interleave(k, 0) - moved[:, 1:, None, None]
        cord = _sampled(maps[:, :N_REGIONS], sub_x, sub_y, MAP_PIXELS)
        scale = self._column(plan["canal_scale"]).repeat_interleave(k, 0)
        canal = _sampled(maps[:, N_REGIONS:], sub_x / scale, sub_y / scale, MAP_PIXELS)
        present = self._column(plan["present"])
        cord = cord.view(g, k, *cord.shape[1:]).mean(1) * present
        canal = canal.view(g, k, *canal.shape[1:]).mean(1)
        canal = torch.maximum(canal, cord.sum(1, keepdim=True)).clamp(max=1)
        around = self._around(rng, generator, plan, codes, (x, y, canal))
        return Scene(cord, canal, around, x, y)

    def _coordinates(
        self, rng: np.random.Generator, generator: torch.Generator, plan: dict[str, Any]
    ) -> tuple[Tensor, Tensor]:
        """Place of each pixel in the stack, mm: offset, turn, scale, distortion, compression."""
        g, n = len(plan["stack"]), self.grid.n
        x = self.axis[None, None, None, :] - self._column(plan["offset"][:, 0])
        y = self.axis[None, None, :, None] - self._column(plan["offset"][:, 1])
        x, y = x.expand(-1, -1, n, -1), y.expand(-1, -1, -1, n)
        own = acquire.smooth_noise(generator, (g, 2), n, 6, self.device)
        own = own * self._column(plan["warp_mm"])
        phase = acquire.smooth_noise(generator, (g, 1), n, 4, self.device)
        phase = phase * self._column(plan["distortion_mm"])
        along_y = self._column(plan["phase_y"])
        x = x + own[:, :1] + phase * (1 - along_y)
        y = y + own[:, 1:] + phase * along_y
        cos, sin = (self._column(f(plan["angle"])) for f in (np.cos, np.sin))
        x, y = cos * x + sin * y, cos * y - sin * x
        x, y = x / self._column(plan["scale"][:, 0]), y / self._column(plan["scale"][:, 1])
        bump = torch.exp(-0.5 * ((x - self._column(plan["press_at"])) / 3.5) ** 2)
        return x, torch.where(y > 0, y * (1 + self._column(plan["press"]) * bump), y)

    def _gathered(self, plan: dict[str, Any]) -> tuple[Tensor, list[Tensor | None]]:
        """Maps of the planes through each slice ``(g * 3, 9, y, x)``, and codes of its middle."""
        planes: list[NDArray[np.uint8]] = []
        codes: list[Tensor | None] = []
        for i, number in enumerate(plan["stack"]):
            stack = self.stacks[number]
            at = plan["row"][i] + THROUGH_SLICE * plan["thick_mm"][i] / stack.step_mm
            rows = np.clip(np.rint(at), 0, stack.maps.shape[1] - 1).astype(int)
            planes += [stack.maps[:, r] for r in rows]
            middle = None if stack.codes is None else stack.codes[rows[len(rows) // 2]]
            codes.append(None if middle is None else torch.from_numpy(middle).to(self.device))
        maps = torch.from_numpy(np.stack(planes)).to(self.device)
        return maps.float() / WHOLE, codes

    def _around(
        self, rng: np.random.Generator, generator: torch.Generator, plan: dict[str, Any],
        own: Sequence[Tensor | None], place: tuple[Tensor, Tensor, Tensor],
    ) -> Tensor:  # fmt: skip
        """Tissue codes outside the canal: the stack's own, or random ones."""
        x, y, canal = (t.expand(-1, CONTEXT_SLICES, -1, -1) for t in place)
        wide = nnf.max_pool2d(canal, 3, stride=1, padding=1)
        drawn = draw_context(rng, generator, plan, x, y, wide)[:, 1:2].clone()
        for i, codes in enumerate(own):
            if codes is not None and plan["own"][i]:
                near = _sampled(codes[None, None].float(), x[i : i + 1, :1], y[i : i + 1, :1],
                                AROUND_PIXELS, "nearest")  # fmt: skip
                drawn[i] = near[0].round().to(drawn.dtype)
        return drawn

    def _column(self, values: Any) -> Tensor:
        return acquire.column(np.asarray(values), self.device)

    def _brightness(
        self, rng: np.random.Generator, generator: torch.Generator, scene: Scene, which: Tensor
    ) -> Tensor:
        """Noise-free image ``(b, 1, n, n)``: B0 brightness, or FA."""
        draw = _b0_values if self.options["input"] == B0 else _fa_values
        b, n = len(which), self.grid.n
        means, region = (
            torch.as_tensor(v, dtype=torch.float32, device=self.device) for v in draw(rng, b)
        )
        outer = means.gather(1, scene.codes[which].view(b, -1).long()).view(b, 1, n, n)
        fine = acquire.smooth_noise(generator, (b, 1), n, n // 3, self.device)
        broad = acquire.smooth_noise(generator, (b, 1), n, 7, self.device)
        rough = self._column(rng.uniform(0, 0.35, b))
        outer = outer * (1 + rough * (0.6 * fine + 0.6 * broad)).clamp(min=0.05)
        csf = means[:, CODE["csf"]].view(b, 1, 1, 1)
        flow = self._column(np.where(rng.random(b) < 0.6, rng.uniform(0, 0.35, b), 0.0))
        csf = csf * (1 + flow * broad).clamp(min=0.1)
        cord, canal = scene.regions[which], scene.canal[which]
        calm = self._column(rng.uniform(0, 0.08, b))
        tissue = (cord * region[:, :, None, None]).sum(1, keepdim=True) * (1 + calm * fine)
        tissue = tissue * (1 + self._lesions(rng, scene, which))
        total = cord.sum(1, keepdim=True)
        return outer * (1 - canal) + (canal - total).clamp(min=0) * csf + tissue

    def _lesions(self, rng: np.random.Generator, scene: Scene, which: Tensor) -> Tensor:
        """Change of brightness by a blob in the cord of a fifth of the scans."""
        b = len(which)
        x, y = scene.x[which], scene.y[which]
        cx, cy = self._column(rng.normal(0, 2.5, b)), self._column(rng.normal(0, 1.5, b))
        rx, ry = self._column(rng.uniform(0.8, 3.5, b)), self._column(rng.uniform(0.8, 2.5, b))
        change = np.where(rng.random(b) < 0.2, rng.uniform(-0.2, 0.35, b), 0.0)
        distance = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2
        return self._column(change) * torch.sigmoid(4 * (1 - distance))

    def _scan(
        self, rng: np.random.Generator, generator: torch.Generator, image: Tensor, scene: Scene,
        which: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Bias, acquired pixels, noise, ghost, field of view; z-scored; and what was seen."""
        b, of_fa = len(image), self.options["input"] == FA
        if not of_fa:
            image = image * acquire.bias_field(rng, b, self.grid, self.device)
        down, up = self._pixels(rng, b)
        image = down[0][:, None] @ image.clamp(min=0) @ down[1][:, None].transpose(2, 3)
        if of_fa:
            sigma = self._column(rng.uniform(0.01, 0.1, b))
            noise = torch.randn(image.shape, generator=generator, device=self.device)
            image = (image + sigma * noise).abs().clamp(max=1)
        else:
            image = _noisy(rng, generator, image)
        image = up[0][:, None] @ image @ up[1][:, None].transpose(2, 3)
        valid = acquire.valid_view(rng, b, self.grid, self.options["cropped"], self.device)
        if of_fa:
            image = image * _fitted(rng, generator, scene.regions[which])
        else:
            image = acquire.clip_and_gamma(rng, acquire.add_ghosts(rng, image))
        return acquire.z_score(image, valid), valid

    def _pixels(
        self, rng: np.random.Generator, b: int
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Matrices to the acquired pixels (rows, columns) and back."""
        size = rng.uniform(0.7, 1.25, b)
        pairs: list[tuple[Tensor, Tensor]] = []
        for ratio in (np.exp(rng.normal(0, 0.03, b)), np.ones(b)):
            sharp = rng.uniform(0.7, 1.4, b)
            numbers = (size * ratio, rng.random(b), sharp)
            pixel, phase, sharpness = (
                torch.as_tensor(v, dtype=torch.float32, device=self.device) for v in numbers
            )
            pairs.append(acquire.sampling_matrices(pixel, phase, sharpness, self.grid))
        (down_y, up_y), (down_x, up_x) = pairs
        return (down_y, down_x), (up_y, up_x)


def checked_painting(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a region painter with the defaults filled in.

    Raises
    ------
    ConfigError
        An unknown option or input.
    """
    for key in options:
        if key not in DEFAULT_PAINTING:
            known = "one of " + ", ".join(DEFAULT_PAINTING)
            raise ConfigError(f"painting.{key}", options[key], known, "correct it", "recipe")
    found = {**DEFAULT_PAINTING, **options}
    if found["input"] not in INPUTS:
        raise ConfigError("painting.input", found["input"], "one of " + ", ".join(INPUTS),
                          "correct it", "recipe")  # fmt: skip
    return found


def _plan(rng: np.random.Generator, g: int, painter: RegionPainter) -> dict[str, Any]:
    """All scalar choices of ``g`` slices; the keys that `draw_context` reads among them."""
    stack = rng.choice(len(painter.stacks), g, p=painter.share)
    row = np.array([rng.choice(painter.rows[s]) for s in stack]) + rng.uniform(-0.5, 0.5, g)
    size, aspect = np.exp(rng.normal(0, 0.09, g)), np.exp(rng.normal(0, 0.06, g))
    squeezed = np.where(rng.random(g) < 0.15, rng.uniform(0.65, 0.95, g), 1.0)
    thick = rng.uniform(3.0, 6.0, g)
    pressed = rng.random(g) < 0.25
    return {
        "stack": stack, "row": row, "thick_mm": thick, "slice_mm": thick,
        "scale": np.stack([size * aspect, size / aspect * squeezed], 1),
        "canal_scale": rng.uniform(0.82, 1.15, g),
        "tilt": rng.normal(0, 0.13, (g, 2)),
        "angle": rng.normal(0, 0.10, g),
        "offset": rng.uniform(-1, 1, (g, 2)) * float(painter.options["offset_mm"]),
        "warp_mm": rng.uniform(0, 0.45, g),
        "distortion_mm": np.where(rng.random(g) < 0.5, rng.uniform(0, 1.2, g), 0.0),
        "phase_y": (rng.random(g) < 0.75).astype(float),
        "press": np.where(pressed, rng.uniform(0.1, 0.7, g), 0.0),
        "press_at": rng.normal(0, 1.5, g),
        "present": (rng.random(g) >= float(painter.options["absent"])).astype(float),
        "own": rng.random(g) < 0.7,
        "kind": np.zeros(g, int), "spine": np.ones(g),
        "radius": rng.uniform(7.5, 11.0, g), "canal_shift": rng.normal(0, 0.9, (g, 2)),
    }  # fmt: skip


def _sampled(maps: Tensor, x: Tensor, y: Tensor, n: int, mode: str = "bilinear") -> Tensor:
    """Values of maps ``(b, c, n, n)`` at mm from their middle."""
    half = (n - 1) / 2 * PIXEL_MM
    grid = torch.cat([x, y], 1).permute(0, 2, 3, 1) / half
    return nnf.grid_sample(maps, grid, mode=mode, padding_mode="zeros", align_corners=True)


def _b0_values(rng: np.random.Generator, b: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Brightness (b, tissues) and of the regions (b, 8); white matter is 1."""
    means = tissue_means(rng, b, B0_SHARES)
    means = means / np.maximum(means[:, [CODE["wm"]]], 0.05)
    kind = rng.random(b)
    bright, equal = rng.uniform(1.25, 3.2, b), rng.uniform(0.85, 1.25, b)
    means[:, CODE["csf"]] = np.where(
        kind < 0.68, bright, np.where(kind < 0.85, equal, rng.uniform(0.3, 0.85, b))
    )
    grey = np.where(rng.random(b) < 0.9, rng.uniform(1.0, 1.3, b), rng.uniform(0.85, 1.0, b))
    region = np.ones((b, N_REGIONS)) * (1 + rng.normal(0, 0.015, (b, N_REGIONS)))
    region[:, GREY] *= grey[:, None]
    return means, region


def _fa_values(rng: np.random.Generator, b: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """FA (b, tissues) and of the regions (b, 8)."""
    means = rng.uniform(0.05, 0.45, (b, len(CODE)))
    means[:, CODE["csf"]] = rng.uniform(0.04, 0.25, b)
    white = rng.uniform(0.45, 0.8, (b, 1)) + rng.normal(0, 0.06, (b, N_REGIONS))
    white[:, GREY] = white[:, GREY] * rng.uniform(0.45, 0.9, (b, 1))
    return means, np.clip(white, 0.1, 0.95)


def _noisy(rng: np.random.Generator, generator: torch.Generator, image: Tensor) -> Tensor:
    """Rician noise of a mean of one to six volumes, each of a signal-to-noise ratio of 8 to 40."""
    b = len(image)
    ratio = np.exp(rng.uniform(np.log(8), np.log(40), b)) * np.sqrt(rng.integers(1, 7, b))
    sigma = acquire.column(1 / ratio, image.device)
    real, imaginary = (
        torch.randn(image.shape, generator=generator, device=image.device) for _ in range(2)
    )
    return torch.sqrt((image + sigma * real) ** 2 + (sigma * imaginary) ** 2)


def _fitted(rng: np.random.Generator, generator: torch.Generator, regions: Tensor) -> Tensor:
    """1 where a tensor was fitted: a rough cord mask grown by up to 3 mm, now and then everywhere.

    The edge wavers, as that of a mask which a model drew: the cord must not follow from the mask.
    """
    b, n = len(regions), regions.shape[-1]
    cord = (regions.sum(1, keepdim=True) > 0.5).float()
    near = nnf.avg_pool2d(cord, 13, stride=1, padding=6)
    rough = acquire.smooth_noise(generator, (b, 1), n, 12, cord.device)
    level = acquire.column(rng.uniform(0.03, 0.4, b), cord.device)
    everywhere = acquire.column(rng.random(b) < 0.15, cord.device) > 0
    return ((near > (level + 0.08 * rough).clamp(0.01, 0.5)) | everywhere).float()
