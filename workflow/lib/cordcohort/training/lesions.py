"""Paint damage into a cord: lesions of random size, shape and place, and what only looks like one.

Lesions are rough ellipsoids, often long along the cord, cut by three slices with their partial
volume. Look-alikes are never part of the target: a visible central canal, the ventral fissure,
bright or dark grey matter, fluid at the cord's edge, and an implant that eats signal nearby.
"""

# The numbers below are ranges of chance, not thresholds: a name each would hide the drawing.
# ruff: noqa: PLR0917

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cordcohort.errors import ConfigError
from cordcohort.training.acquire import Grid, column, smooth_field

DEFAULT_LESIONS: dict[str, Any] = {
    "counts": (0.35, 0.35, 0.2, 0.1), "diameter_mm": (2.0, 14.0), "elongation": (0.8, 5.0),
    "contrast_to_noise": (1.5, 15.0), "least_contrast": (0.1, 0.5), "dark": 0.12, "core": 0.1,
    "in_grey": 0.05, "canal": 0.3, "fissure": 0.2, "bright_grey": 0.5, "implant": 0.12,
}  # fmt: skip
"""``counts``: shares of scenes with 0, 1, 2, ... lesions; the other single numbers are shares."""
FAR = 1e4
KNOTS = 20
LARGEST_STEP = 0.9
IMPLANT_EDGE = (0.08, 0.3)


@dataclass(frozen=True)
class Damage:
    """What lies inside the cord of ``g`` scenes besides white and grey matter: fractions.

    Attributes
    ----------
    lesion
        All lesions together.
    core
        Part of the lesions that is dark in bright ones (haemorrhage), bright in dark ones.
    fluid
        Fluid inside the cord that is no lesion: central canal, fissure.
    """

    lesion: Tensor
    core: Tensor
    fluid: Tensor

    def over_slices(self, shape: tuple[int, ...]) -> Damage:
        """Mean over the planes of each slice; ``shape`` is (g, slices, planes, n, n)."""
        parts = (t.view(shape).mean(2) for t in (self.lesion, self.core, self.fluid))
        return Damage(*parts)


def check_lesions(given: Mapping[str, Any], where: str = "recipe") -> dict[str, Any]:
    """Fill in the defaults.

    Raises
    ------
    ConfigError
        Unknown key.

    Examples
    --------
    >>> check_lesions({"dark": 0.0})["counts"]
    (0.35, 0.35, 0.2, 0.1)
    """
    for key in given:
        if key not in DEFAULT_LESIONS:
            raise ConfigError(f"painting.lesions.{key}", given[key],
                              "one of " + ", ".join(DEFAULT_LESIONS),
                              "remove or correct the key", where)  # fmt: skip
    return {**DEFAULT_LESIONS, **given}


def draw_damage(
    rng: np.random.Generator, generator: torch.Generator, plan: Mapping[str, Any],
    options: Mapping[str, Any], places: tuple[Tensor, Tensor, Tensor], grey: Tensor,
) -> Damage:  # fmt: skip
    """Lesions and look-alikes of ``g`` scenes at all planes.

    Parameters
    ----------
    plan
        Scalar choices of the scenes; ``cord_radius`` (g, 2) is the cord's half size x, y in mm.
    options
        As checked by :func:`check_lesions`.
    places
        ``x``, ``y`` (g, planes, n, n) and ``z`` (g, planes), mm from the cord's centre.
    grey
        Fraction of grey matter (g, planes, n, n): some lesions keep to it.

    Returns
    -------
    Damage
        Fields (g, planes, n, n); they may reach beyond the cord, which cuts them when painted.
    """
    x, y, z = places
    g, half = len(plan["kind"]), np.asarray(plan["cord_radius"], float)
    counts = np.asarray(options["counts"], float)
    number = rng.choice(len(counts), g, p=counts / counts.sum())
    # The same in all planes: a lesion's side is rough, not torn between slices.
    warp = [smooth_field(generator, (g, 1, *x.shape[2:]), KNOTS, x.device) for _ in range(2)]
    lesion, core = torch.zeros_like(x), torch.zeros_like(x)
    for k in range(len(counts) - 1):
        one, inner = _lesion(rng, plan, options, half, (x, y, z), warp)
        shown = _columns(number > k, x)
        lesion = torch.maximum(lesion, one * shown)
        core = torch.maximum(core, inner * shown * _columns(rng.random(g) < options["core"], x))
    kept = _columns(rng.random(g) < options["in_grey"], x)
    lesion = lesion * (1 - kept + kept * grey)
    return Damage(lesion, torch.minimum(core, lesion), _fluid(rng, options, half, (x, y)))


def _columns(values: np.ndarray, like: Tensor) -> Tensor:
    return column(np.asarray(values, np.float32), like.device)


def _log_uniform(rng: np.random.Generator, ends: Sequence[float], n: int) -> np.ndarray:
    """Numbers between two positive ends, as many in each octave."""
    low, high = (float(np.log(v)) for v in ends)
    return np.exp(rng.uniform(low, high, n))


def _lesion(
    rng: np.random.Generator, plan: Mapping[str, Any], options: Mapping[str, Any],
    half: np.ndarray, places: tuple[Tensor, Tensor, Tensor], warp: list[Tensor],
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """One lesion a scene, and its core."""
    x, y, z = places
    g = len(half)
    width = _log_uniform(rng, options["diameter_mm"], g) / 2
    rx, ry = width, width * rng.uniform(0.5, 1.1, g)
    rz = width * _log_uniform(rng, options["elongation"], g)
    # Anywhere in the cord, wide lesions nearer to the middle; the middle slice cuts most of them.
    out, turn = np.sqrt(rng.random(g)) * 0.95, rng.uniform(0, 2 * np.pi, g)
    room = np.maximum(half - 0.5 * np.stack([rx, ry], 1), 0.3 * half)
    x0, y0 = out * np.cos(turn) * room[:, 0], out * np.sin(turn) * room[:, 1]
    z0 = rng.uniform(-1, 1, g) * (rz + 0.6 * np.asarray(plan["slice_mm"]))
    rough = rng.uniform(0, 0.5, g) * np.minimum(width, 3) * 0.5
    u = (x - _columns(x0, x) + _columns(rough, x) * warp[0]) / _columns(rx, x)
    v = (y - _columns(y0, x) + _columns(rough, x) * warp[1]) / _columns(ry, x)
    w = (z[:, :, None, None] - _columns(z0, x)) / _columns(rz, x)
    distance = (u * u + v * v + w * w).sqrt()
    # Edge in mm, from sharp to smeared; half of it lies at the ellipsoid's surface.
    slope = _columns(width / rng.uniform(0.12, 0.6, g), x)
    inner = 1 - distance / _columns(rng.uniform(0.3, 0.7, g), x)
    return torch.sigmoid(slope * (1 - distance) * 2), torch.sigmoid(slope * inner)


def _fluid(
    rng: np.random.Generator, options: Mapping[str, Any], half: np.ndarray,
    places: tuple[Tensor, Tensor],
) -> Tensor:  # fmt: skip
    """Central canal in the commissure and ventral fissure, the same in all planes."""
    x, y = places
    g = len(half)
    radius = rng.uniform(0.25, 0.95, g)
    tall = radius * rng.uniform(0.6, 1.4, g)
    u = (x - _columns(rng.normal(0, 0.25, g), x)) / _columns(radius, x)
    v = (y - _columns(rng.normal(0.2, 0.6, g), x)) / _columns(tall, x)
    shown = np.where(rng.random(g) < options["canal"], rng.uniform(0.3, 1.0, g), 0.0)
    canal = torch.sigmoid(4 * (1 - u * u - v * v)) * _columns(shown, x)
    # The fissure is open to the front (positive y), as deep as a third of the cord.
    depth = half[:, 1] * rng.uniform(0.2, 0.45, g)
    u = x / _columns(rng.uniform(0.15, 0.45, g), x)
    v = (y - _columns(half[:, 1], x)) / _columns(depth, x)
    shown = np.where(rng.random(g) < options["fissure"], rng.uniform(0.3, 1.0, g), 0.0)
    fissure = torch.sigmoid(4 * (1 - u * u - v * v)) * _columns(shown, x)
    return torch.maximum(canal, fissure)


def lesion_steps(
    rng: np.random.Generator, options: Mapping[str, Any], noise: np.ndarray, white: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Brightness of lesion and core minus white matter, of each painted scan.

    Parameters
    ----------
    noise
        Standard deviation of the noise.
    white
        Brightness of white matter.

    Returns
    -------
    tuple of array
        A lesion is bright, or in a share of scans dark; its core lies on the other side of white
        matter.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> step, core = lesion_steps(rng, DEFAULT_LESIONS, np.full(50, 0.1), np.full(50, 0.5))
    >>> bool((abs(step) >= 0.05).all() and (np.sign(step) == -np.sign(core)).all())
    True
    """
    b = len(noise)
    size = _log_uniform(rng, options["contrast_to_noise"], b) * noise
    least = _log_uniform(rng, options["least_contrast"], b) * white
    size = np.clip(size, least, LARGEST_STEP * np.maximum(white, 0.2))
    sign = np.where(rng.random(b) < options["dark"], -1.0, 1.0)
    size = np.where(sign < 0, np.minimum(size, 0.85 * white), size)
    return sign * size, -sign * np.minimum(rng.uniform(0.3, 1.2, b) * size, 0.8 * white)


def implant_survival(
    rng: np.random.Generator, share: float, b: int, grid: Grid, device: torch.device
) -> Tensor:
    """Share of the signal that metal leaves (b, 1, n, n): a void beside the cord, a bright rim.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> left = implant_survival(rng, 0.0, 2, Grid(8, 0.5), torch.device("cpu"))
    >>> left.unique().tolist()
    [1.0]
    """
    axis = (torch.arange(grid.n, device=device) - (grid.n - 1) / 2) * grid.pixel_mm
    turn = rng.choice([-1.0, 1.0], b) * rng.normal(np.pi / 2, 0.5, b)
    radius = rng.uniform(6, 16, b)
    away = radius + rng.uniform(1.0, 14.0, b)
    shown = np.where(rng.random(b) < share, 1.0, FAR)
    x = axis.view(1, 1, 1, -1) - column(away * np.cos(turn), device)
    y = axis.view(1, 1, -1, 1) - column(away * np.sin(turn), device)
    flat = rng.uniform(0.7, 1.3, b)
    d = torch.sqrt((x / column(radius * flat, device)) ** 2 + (y / column(radius, device)) ** 2)
    d = d * column(shown, device)
    edge = column(rng.uniform(*IMPLANT_EDGE, b), device)
    left = torch.sigmoid((d - 1) / edge)
    rim = torch.exp(-0.5 * ((d - 1.15) / 0.08) ** 2)
    return left * (1 + column(rng.uniform(0, 0.6, b), device) * rim)
