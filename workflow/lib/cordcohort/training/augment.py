"""Random changes of 3-D training patches, as published, by tensor operations on any device.

Order and probabilities are those of the published training: affine and elastic deformation, lower
resolution, gamma, bias field, noise, smoothing, flip, z-score. Where the published code does not do
what its name says, this does the latter:

* Rotation and scale reach all three axes (published: the first two, through scalar arguments).
* A translation of 0.1 voxel changes nothing and is left to the random place of a patch.
* Noise has an SD of up to 0.1 of the image's SD. The published one is 0.1 in the scanner's units,
  nothing beside intensities in the hundreds.
* Coefficients of the bias field have either sign, or it would always brighten the same corner.
* Flipping turns left and right (published: all axes at once, which puts the head below the feet).
* The published scale of the intensity is left out: the z-score that follows undoes it exactly.
* Lower resolution takes the mean over a larger voxel instead of every n-th voxel.

References
----------
Bedard, Karthik et al. Towards contrast-agnostic soft segmentation of the spinal cord. Medical Image
Analysis 2025;101:103473.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as nnf

from cordcohort.errors import ConfigError

Rng = np.random.Generator

PUBLISHED: dict[str, dict[str, Any]] = {
    "affine": {"probability": 0.9, "degrees": 20.0, "scale": 0.2},
    "elastic": {"probability": 0.5, "sigma": (3.5, 5.5), "magnitude": (25.0, 35.0)},
    "low_resolution": {"probability": 0.25, "zoom": (0.5, 1.0)},
    "gamma": {"probability": 0.5, "range": (0.5, 3.0)},
    "bias": {"probability": 0.3, "largest": 0.5},
    "noise": {"probability": 0.1, "largest_sd": 0.1},
    "smooth": {"probability": 0.3, "largest_sigma": 2.0},
    "flip": {"probability": 0.3},
}
OPTIONAL: dict[str, dict[str, Any]] = {
    "contrast": {"probability": 0.15, "range": (0.75, 1.25)},
    "mirror": {"probability": 0.5, "axes": (0, 1, 2)},
}
"""Changes of nnU-Net that a recipe must ask for.

Its factor of brightness is none of them: the z-score that follows undoes it exactly, as it undoes
all of the contrast's factor but the clipping.
"""
BIAS_DEGREE = 3
KERNEL_REACH = 3.0  # sigmas
FEW_SLICES = 4  # a stack of slices is not blurred or made coarser across
LEAST_RANGE = 1e-6


def check_augmentation(
    given: Mapping[str, Any], where: str = "recipe"
) -> dict[str, dict[str, Any]]:
    """Fill in the published values; ``false`` for a change leaves it out.

    What is in ``OPTIONAL`` happens only where it is given (``{}`` for its own values).

    Raises
    ------
    ConfigError
        Unknown change or key.

    Examples
    --------
    >>> found = check_augmentation({"flip": False, "gamma": {"probability": 0.1}})
    >>> "flip" in found, found["gamma"]["range"]
    (False, (0.5, 3.0))
    """
    found = {name: dict(values) for name, values in PUBLISHED.items()}
    known = PUBLISHED | OPTIONAL
    for name, values in given.items():
        if name not in known:
            raise ConfigError(f"augmentation.{name}", values, "one of " + ", ".join(known),
                              "remove or correct the key", where)  # fmt: skip
        if values is False:
            found.pop(name, None)
            continue
        chosen = found.setdefault(name, dict(known[name]))
        for key, value in dict(values).items():
            if key not in known[name]:
                raise ConfigError(f"augmentation.{name}.{key}", value,
                                  "one of " + ", ".join(known[name]),
                                  "remove or correct the key", where)  # fmt: skip
            chosen[key] = value
    return found


def _happens(rng: Rng, options: Mapping[str, Any], name: str) -> bool:
    """Whether a change is made; the number is drawn in any case, so that changes stay apart."""
    drawn = rng.random()
    return name in options and drawn < float(options[name]["probability"])


def random_affine(rng: Rng, options: Mapping[str, Any]) -> np.ndarray:
    """Matrix (3, 3), z y x, from patch to scan: rotation about, and scale along, each axis."""
    degrees, scales = rng.uniform(-1, 1, 3), rng.uniform(-1, 1, 3)
    if not _happens(rng, options, "affine"):
        return np.eye(3)
    chosen = options["affine"]
    out = np.diag(1 + scales * float(chosen["scale"]))
    for axis, share in enumerate(degrees):
        angle = math.radians(share * float(chosen["degrees"]))
        turn = np.eye(3)
        a, b = (i for i in range(3) if i != axis)
        turn[a, a] = turn[b, b] = math.cos(angle)
        turn[a, b], turn[b, a] = -math.sin(angle), math.sin(angle)
        out = turn @ out
    return out


def random_displacement(
    rng: Rng, generator: torch.Generator, shape: Sequence[int], options: Mapping[str, Any]
) -> Tensor | None:
    """Displacement (3, z, y, x) in patch voxels, or None.

    As published: uniform noise in [-1, 1] smoothed by ``sigma`` voxels, times ``magnitude``; its SD
    is about 0.3 voxels.
    """
    share = rng.random(2)
    if not _happens(rng, options, "elastic"):
        return None
    chosen = options["elastic"]
    sigma, magnitude = (
        low + s * (high - low)
        for s, (low, high) in zip(share, (chosen["sigma"], chosen["magnitude"]), strict=True)
    )
    noise = torch.rand((3, *shape), generator=generator, device=generator.device) * 2 - 1
    return smoothed(noise, (sigma, sigma, sigma)) * magnitude


def smoothed(volumes: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Gaussian smoothing of ``(c, z, y, x)``, sigma in voxels along z, y, x; borders go on.

    Examples
    --------
    >>> smoothed(torch.ones(1, 4, 4, 4), (1.0, 0.0, 2.0)).unique().round(decimals=5).tolist()
    [1.0]
    """
    out = volumes[:, None]
    for axis, sigma in enumerate(sigmas):
        if sigma <= 0:
            continue
        reach = max(1, math.ceil(KERNEL_REACH * sigma))
        at = torch.arange(-reach, reach + 1, device=volumes.device, dtype=volumes.dtype)
        kernel = torch.exp(-0.5 * (at / sigma) ** 2)
        shape, padding = [1, 1, 1, 1, 1], [0] * 6
        shape[2 + axis] = len(at)
        padding[4 - 2 * axis] = padding[5 - 2 * axis] = reach
        padded = nnf.pad(out, padding, mode="replicate")
        out = nnf.conv3d(padded, (kernel / kernel.sum()).view(shape))
    return out[:, 0]


def change_intensities(
    rng: Rng, generator: torch.Generator, image: Tensor, options: Mapping[str, Any]
) -> Tensor:
    """Resolution, gamma, bias, noise and smoothing of an image ``(z, y, x)``."""
    blurred = np.array([n > FEW_SLICES for n in image.shape])
    zoom = 1 - blurred * (1 - _between(rng, options, "low_resolution", "zoom", 1.0))
    if _happens(rng, options, "low_resolution"):
        image = coarser(image, zoom)
    gamma = _between(rng, options, "gamma", "range", 1.0)
    if _happens(rng, options, "gamma"):
        low, span = image.amin(), (image.amax() - image.amin()).clamp(min=LEAST_RANGE)
        image = ((image - low) / span) ** float(gamma) * span + low
    if "contrast" in options and _happens(rng, options, "contrast"):
        image = stretched(image, _between(rng, options, "contrast", "range", 1.0))
    coefficients = rng.uniform(-1, 1, len(_bias_powers()))
    if _happens(rng, options, "bias"):
        image = image * bias_field(
            image.shape, coefficients * options["bias"]["largest"], image.device
        )
    share = rng.random()
    if _happens(rng, options, "noise"):
        sd = share * float(options["noise"]["largest_sd"]) * image.std()
        image = image + sd * torch.randn(image.shape, generator=generator, device=image.device)
    shares = rng.uniform(0, 1, 3) * blurred
    if _happens(rng, options, "smooth"):
        sigmas = [float(s) * float(options["smooth"]["largest_sigma"]) for s in shares]
        image = smoothed(image[None], sigmas)[0]
    return image


def stretched(image: Tensor, factor: float) -> Tensor:
    """Distance from the mean times a factor, kept within the image's own range.

    Examples
    --------
    >>> stretched(torch.tensor([[[0.0, 4.0, 8.0]]]), 1.5).tolist()
    [[[0.0, 4.0, 8.0]]]
    >>> stretched(torch.tensor([[[0.0, 4.0, 8.0]]]), 0.5).tolist()
    [[[2.0, 4.0, 6.0]]]
    """
    mean = image.mean()
    return ((image - mean) * factor + mean).clamp(image.amin(), image.amax())


def _between(rng: Rng, options: Mapping[str, Any], name: str, key: str, default: float) -> float:
    share = rng.random()
    low, high = options[name][key] if name in options else (default, default)
    return float(low + share * (high - low))


def coarser(image: Tensor, zoom: Sequence[float] | np.ndarray) -> Tensor:
    """Image ``(z, y, x)`` seen with fewer, larger voxels: means over them, linear in between."""
    size = [max(1, round(n * float(z))) for n, z in zip(image.shape, zoom, strict=True)]
    small = nnf.adaptive_avg_pool3d(image[None, None], (size[0], size[1], size[2]))
    return nnf.interpolate(small, size=image.shape, mode="trilinear", align_corners=False)[0, 0]


def _bias_powers() -> list[tuple[int, int, int]]:
    """Degrees (z, y, x) of the polynomials of the bias field."""
    n = BIAS_DEGREE + 1
    powers = [(i, j, k) for i in range(n) for j in range(n) for k in range(n)]
    return [p for p in powers if sum(p) <= BIAS_DEGREE]


def bias_field(shape: Sequence[int], coefficients: np.ndarray, device: torch.device) -> Tensor:
    """Exponential of a sum of Legendre polynomials of total degree up to 3, ``(z, y, x)``.

    Examples
    --------
    >>> field = bias_field((2, 3, 4), np.zeros(20), torch.device("cpu"))
    >>> field.unique().tolist()
    [1.0]
    """
    n = BIAS_DEGREE + 1
    cube = np.zeros((n, n, n))
    for power, value in zip(_bias_powers(), coefficients, strict=True):
        cube[power] = value
    z, y, x = (np.linspace(-1, 1, side) if side > 1 else np.zeros(1) for side in shape)
    field = np.polynomial.legendre.leggrid3d(z, y, x, cube)
    return torch.as_tensor(np.exp(field), dtype=torch.float32, device=device)


def mirrored_axes(rng: Rng, options: Mapping[str, Any]) -> list[int]:
    """Axes (z, y, x as 0, 1, 2) that are turned over: by ``flip`` the last, by ``mirror`` each."""
    axes = [2] if _happens(rng, options, "flip") else []
    wanted = options.get("mirror")
    if wanted is None:
        return axes
    drawn = rng.random(3)
    return [int(a) for a in wanted["axes"] if drawn[int(a)] < float(wanted["probability"])]
