"""Scanner effects on painted slices: resolution, noise, bias, ghosts, cropped views."""

# The numbers below are ranges of chance, not thresholds: a name each would hide the drawing.
# ruff: noqa: PLR2004

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as nnf

Z_SCORE_FLOOR = 1e-4


@dataclass(frozen=True)
class Grid:
    """Output grid: pixels per side and pixel size in mm."""

    n: int
    pixel_mm: float


def pixel_sizes(
    rng: np.random.Generator, kind: np.ndarray, grid: Grid
) -> tuple[np.ndarray, np.ndarray]:
    """Acquired pixel size (x, y) in mm of each scan, by kind (axial, isotropic, sagittal)."""
    b = len(kind)
    axial = np.where(rng.random(b) < 0.75, rng.uniform(0.3, 0.9, b), rng.uniform(0.9, 1.8, b))
    iso = rng.uniform(0.7, 1.25, b)
    px = np.where(kind == 0, axial, np.where(kind == 1, iso, rng.uniform(1.0, 4.5, b)))
    py = np.where(
        kind == 0,
        axial * np.exp(rng.normal(0, 0.05, b)),
        np.where(kind == 1, iso, rng.uniform(0.4, 1.2, b)),
    )
    return np.maximum(px, grid.pixel_mm), np.maximum(py, grid.pixel_mm)


def sampling_matrices(
    pixel: Tensor, phase: Tensor, sharpness: Tensor, grid: Grid
) -> tuple[Tensor, Tensor]:
    """Matrices (b, n, n) to the acquired grid (Gaussian point spread) and back (linear).

    A slice is acquired by ``down @ slice`` and brought back by ``up @ acquired``.
    """
    n, h = grid.n, grid.pixel_mm
    fine = (torch.arange(n, device=pixel.device) + 0.5) * h
    index = torch.arange(n, device=pixel.device)
    centre = (index[None] + phase[:, None]) * pixel[:, None]
    sigma = (0.42 * pixel * sharpness)[:, None, None].clamp(min=0.3 * h)
    down = torch.exp(-0.5 * ((centre[:, :, None] - fine[None, None]) / sigma) ** 2) + 1e-12
    down = down / down.sum(2, keepdim=True)
    reach = (fine[None, :, None] - centre[:, None, :]) / pixel[:, None, None]
    inside = (centre > 0) & (centre < n * h)
    up = (1 - reach.abs()).clamp(min=0) * inside[:, None, :]
    up = up + 1e-6 * torch.exp(-reach.abs().clamp(max=30)) * inside[:, None, :]
    return down, up / up.sum(2, keepdim=True)


def column(values: np.ndarray, device: torch.device) -> Tensor:
    """(b,) numbers as (b, 1, 1, 1)."""
    return torch.as_tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1, 1)


def bias_field(rng: np.random.Generator, b: int, grid: Grid, device: torch.device) -> Tensor:
    """Multiplicative field exp(polynomial of degree 3), (b, 1, n, n)."""
    axis = torch.linspace(-1, 1, grid.n, device=device)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    terms = torch.stack([x, y, x * y, x * x, y * y, x**3, y**3])
    strength = np.where(rng.random((b, 1)) < 0.7, rng.uniform(0, 0.6, (b, 1)), 0.0)
    weights = torch.as_tensor(
        rng.normal(0, 1, (b, 7)) * strength, dtype=torch.float32, device=device
    )
    return torch.exp(torch.einsum("bk,kyx->byx", weights, terms).clamp(-1.5, 1.5))[:, None]


def add_noise(rng: np.random.Generator, generator: torch.Generator, image: Tensor) -> Tensor:
    """Rician noise of 0 to 15 % of the image's range."""
    b = image.shape[0]
    level = np.where(rng.random(b) < 0.85, rng.uniform(0, 1, b) ** 2 * 0.15, 0.0)
    sigma = column(level, image.device)
    real = image + sigma * torch.randn(image.shape, generator=generator, device=image.device)
    imaginary = sigma * torch.randn(image.shape, generator=generator, device=image.device)
    return torch.sqrt(real**2 + imaginary**2)


def add_ghosts(rng: np.random.Generator, image: Tensor) -> Tensor:
    """Shifted faint copies along one axis (motion, wrap-around) in a tenth of the scans."""
    b, n = image.shape[0], image.shape[-1]
    strength = column(np.where(rng.random(b) < 0.12, rng.uniform(0.03, 0.25, b), 0.0), image.device)
    shift = int(rng.integers(n // 8, n // 2))
    ghost = torch.roll(image, (shift, -shift // 3), dims=(-2, -1))
    return image + strength * (ghost - ghost.mean((-2, -1), keepdim=True))


def valid_view(
    rng: np.random.Generator, b: int, grid: Grid, share: float, device: torch.device
) -> Tensor:
    """1 inside the view, 0 outside: a border strip is missing in ``share`` of the scans."""
    n = grid.n
    low = np.zeros((b, 2))
    high = np.full((b, 2), float(n))
    for axis in (0, 1):
        cut = rng.random(b) < share
        width = rng.uniform(0, 0.42, b) * n
        side = rng.random(b)
        low[:, axis] = np.where(cut & (side < 0.65), width, 0)
        high[:, axis] = np.where(cut & (side > 0.35), n - width, n)
    index = torch.arange(n, device=device)
    low_t, high_t = (torch.as_tensor(v, device=device) for v in (low, high))
    rows = (index >= low_t[:, :1]) & (index < high_t[:, :1])
    columns = (index >= low_t[:, 1:]) & (index < high_t[:, 1:])
    return (rows[:, None, :, None] & columns[:, None, None, :]).float()


def clip_and_gamma(rng: np.random.Generator, image: Tensor) -> Tensor:
    """Scale to [0, 1], clip bright values in some scans, gamma, sometimes reversed."""
    b = image.shape[0]
    top = image.amax((1, 2, 3), keepdim=True)
    image = image / top.clamp(min=Z_SCORE_FLOOR)
    ceiling = column(np.where(rng.random(b) < 0.15, rng.uniform(0.55, 0.95, b), 1.0), image.device)
    image = torch.minimum(image, ceiling).clamp(min=0)
    gamma = np.where(rng.random(b) < 0.4, np.exp(rng.normal(0, 0.35, b)), 1.0)
    return image ** column(gamma, image.device)


def z_score(image: Tensor, valid: Tensor | None = None) -> Tensor:
    """Zero mean, unit SD over the valid pixels of each item; 0 outside.

    Examples
    --------
    >>> z_score(torch.tensor([[[[0.0, 2.0]]]])).flatten().tolist()
    [-1.0, 1.0]
    """
    weight = torch.ones_like(image) if valid is None else valid.expand_as(image)
    count = weight.sum((1, 2, 3), keepdim=True).clamp(min=1)
    mean = (image * weight).sum((1, 2, 3), keepdim=True) / count
    centred = (image - mean) * weight
    sd = torch.sqrt((centred**2).sum((1, 2, 3), keepdim=True) / count)
    return centred / sd.clamp(min=Z_SCORE_FLOOR)


def smooth_noise(
    generator: torch.Generator, shape: tuple[int, int], n: int, knots: int, device: torch.device
) -> Tensor:
    """Smooth texture (b, c, n, n) by upsampling a coarse random grid bilinearly."""
    coarse = torch.randn((*shape, knots, knots), generator=generator, device=device)
    return nnf.interpolate(coarse, size=(n, n), mode="bilinear", align_corners=True)


def smooth_field(
    generator: torch.Generator, shape: tuple[int, ...], knots: int, device: torch.device
) -> Tensor:
    """Smooth Gaussian field of SD about 1 by bicubic upsampling of a coarse random grid."""
    coarse = torch.randn((*shape[:2], knots, knots), generator=generator, device=device)
    return nnf.interpolate(coarse, size=shape[2:], mode="bicubic", align_corners=True)
