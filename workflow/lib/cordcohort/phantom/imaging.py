"""The imaging model: from a person and a grid to the image that a scanner would give.

It draws the phantom's studies only. Training images are painted elsewhere, with random contrasts,
so that no network is measured on images drawn by its own painter.

Signals are averaged over each voxel (partial volume, finely near the cord), then shaped by a
surface-coil bias, signal loss near implants, tissue texture, and Rician noise.

References
----------
Gudbjartsson H, Patz S. The Rician distribution of noisy MRI data. Magnetic Resonance
in Medicine 1995;34:910-914.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cordcohort.phantom.acquisition import Acquisition
from cordcohort.phantom.anatomy import label_volume, lesion_volume, mean_values
from cordcohort.phantom.frame import build_frame
from cordcohort.phantom.grid import Shape, voxel_step
from cordcohort.phantom.parts import central_canal_volume
from cordcohort.phantom.person import Person
from cordcohort.phantom.tissues import Tissue

Array = NDArray[Any]

NEAR_CORD_MM = 15.0
"""Half width of the box round the cord in which voxels are averaged from many points."""
FINE_STEP_MM = 0.5
COARSE_STEP_MM = 1.6
MAX_FACTOR = 4
TEXTURE_SHARE = 0.05
TEXTURE_SMOOTH_VOXELS = 0.8
COIL_SHARE = 0.35
COIL_REACH_MM = 60.0
BIAS_SD = 0.12
IMPLANT_RADIUS_MM = (14.0, 11.0, 9.0)
IMPLANT_IN_FRONT_MM = 20.0
IMPLANT_EDGE = 0.15
FLOW_SD = 0.05
LESION_SIGN = {"T1w": -0.4, "T2w": 1.0, "T2starw": 0.9, "MTon": 0.8, "MToff": -0.3, "dwi": 0.6}


@dataclass(frozen=True)
class Noise:
    """What is unclean about an image.

    Attributes
    ----------
    snr : float
        White matter signal over the noise's standard deviation.
    lesion_cnr : float
        Lesion minus white matter over the noise's standard deviation, on T2w.
    bias : float
        Strength of the coil's shading; 1 usual, 0 none.
    texture : float
        Strength of the tissues' own texture; 1 usual, 0 none.
    """

    snr: float = 20.0
    lesion_cnr: float = 3.0
    bias: float = 1.0
    texture: float = 1.0


def near_cord(person: Person, grid: Acquisition) -> tuple[slice, slice, slice]:
    """Box of voxels round the cord over the whole height of a grid; the whole grid in height.

    Returns
    -------
    tuple of slice
        Empty in the first or second axis where the field of view misses the cord.
    """
    frame = build_frame(person)
    bounds: list[tuple[float, float]] = []
    to_voxel = np.linalg.inv(grid.to_person)
    ends = (grid.to_person @ np.array([[0, 0, 0, 1], [0, 0, grid.shape[2] - 1, 1]]).T)[2]
    z = np.linspace(ends.min(), ends.max(), 32)
    axis = np.stack([frame.at("x", z), frame.at("y", z), z, np.ones_like(z)])
    place = (to_voxel @ axis)[:2]
    for k in range(2):
        reach = NEAR_CORD_MM / grid.spacing_mm[k]
        bounds.append((place[k].min() - reach, place[k].max() + reach + 1))
    box = [
        slice(int(np.clip(low, 0, n)), int(np.clip(np.ceil(high), 0, n)))
        for (low, high), n in zip(bounds, grid.shape[:2], strict=True)
    ]
    return box[0], box[1], slice(0, grid.shape[2])


def box_affine(affine: Array, box: tuple[slice, slice, slice]) -> Array:
    """Affine of a box of voxels."""
    return affine @ voxel_step((1, 1, 1), [float(part.start) for part in box])


def box_shape(box: tuple[slice, slice, slice]) -> Shape:
    """Voxels of a box along the three axes."""
    return box[0].stop - box[0].start, box[1].stop - box[1].start, box[2].stop - box[2].start


def factors(
    spacing_mm: tuple[float, float, float], step_mm: float, fewest: int = 2
) -> tuple[int, int, int]:
    """Points per voxel along each axis: at most `step_mm` apart, `fewest` to `MAX_FACTOR`."""
    x, y, z = (int(np.clip(np.ceil(s / step_mm), fewest, MAX_FACTOR)) for s in spacing_mm)
    return x, y, z


def mean_over_voxels(person: Person, grid: Acquisition, values: Array) -> Array:
    """Mean of tissue quantities over each voxel: finely near the cord, coarsely elsewhere.

    Parameters
    ----------
    person : Person
        Who is scanned.
    grid : Acquisition
        The scan's grid.
    values : array, shape (N_TISSUES, K)
        K quantities of each tissue.

    Returns
    -------
    array of float32, shape (*grid.shape, K)
        Means.
    """
    coarse = factors(grid.spacing_mm, COARSE_STEP_MM, fewest=1)
    if max(coarse) > 1:
        out = mean_values(person, grid.shape, grid.to_person, values, supersample=coarse)
    else:
        out = values.astype(np.float32)[label_volume(person, grid.shape, grid.to_person)]
    box = near_cord(person, grid)
    shape = box_shape(box)
    if min(shape) > 0:
        out[box] = mean_values(
            person,
            shape,
            box_affine(grid.to_person, box),
            values,
            supersample=factors(grid.spacing_mm, FINE_STEP_MM),
        )
    return out


def lesion_fraction(person: Person, grid: Acquisition) -> Array:
    """Share of each voxel that lesions fill, float32, canonical axes."""
    return _fraction(person, grid, lesion_volume if person.lesions else None)


def _fraction(
    person: Person, grid: Acquisition, volume: Callable[[Person, Shape, Array], Array] | None
) -> Array:
    """Share of each voxel that a part near the cord fills; 0 everywhere without it."""
    out = np.zeros(grid.shape, dtype=np.float32)
    box = near_cord(person, grid)
    shape = box_shape(box)
    if volume is None or min(shape) == 0:
        return out
    fx, fy, fz = factors(grid.spacing_mm, FINE_STEP_MM)
    offset = [(1.0 / f - 1.0) / 2.0 for f in (fx, fy, fz)]
    affine = box_affine(grid.to_person, box) @ voxel_step((fx, fy, fz), offset)
    fine = volume(person, (shape[0] * fx, shape[1] * fy, shape[2] * fz), affine) > 0
    out[box] = fine.reshape(shape[0], fx, shape[1], fy, shape[2], fz).mean(axis=(1, 3, 5))
    return out


def structural_image(
    person: Person,
    grid: Acquisition,
    signals: Array,
    *,
    contrast: str,
    noise: Noise,
    rng: np.random.Generator,
) -> Array:
    """One magnitude image.

    Parameters
    ----------
    person : Person
        Who is scanned.
    grid : Acquisition
        The scan's grid.
    signals : array, shape (N_TISSUES,)
        From `signals.tissue_signals`.
    contrast : str
        Decides how a lesion looks.
    noise : Noise
        Signal-to-noise and shading.
    rng : numpy.random.Generator
        Noise and shading of this scan.

    Returns
    -------
    array of float32, shape `grid.shape`
        Not negative, canonical axes.
    """
    clean = mean_over_voxels(person, grid, signals[:, None])[..., 0]
    sigma = float(signals[Tissue.LEFT_LATERAL_WM]) / noise.snr
    lesion = lesion_fraction(person, grid)
    clean += lesion * np.float32(LESION_SIGN[contrast] * noise.lesion_cnr * sigma)
    if person.central_canal is not None:
        fluid = signals[Tissue.CSF] - signals[Tissue.LEFT_GM]
        clean += _fraction(person, grid, central_canal_volume) * np.float32(fluid)
    if contrast == "T2w":
        clean *= _flow(grid.shape[2], rng)
    clean *= implant_survival(person, grid)
    clean *= coil_shading(grid, noise.bias, rng)
    clean *= _texture(grid.shape, noise.texture, rng)
    return rician(np.maximum(clean, 0.0), sigma, rng)


def rician(clean: Array, sigma: float, rng: np.random.Generator) -> Array:
    """Magnitude of a complex signal with Gaussian noise of standard deviation `sigma`, float32."""
    real = clean + sigma * rng.standard_normal(clean.shape, dtype=np.float32)
    imaginary = sigma * rng.standard_normal(clean.shape, dtype=np.float32)
    return np.hypot(real, imaginary).astype(np.float32)


def coil_shading(grid: Acquisition, strength: float, rng: np.random.Generator) -> Array:
    """Smooth factor near 1, brighter at the back where the spine coil lies; float32."""
    index = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in grid.shape), indexing="ij")
    middle = [(n - 1) / 2.0 for n in grid.shape]
    x, y, z = (
        (i - m) * s / COIL_REACH_MM for i, m, s in zip(index, middle, grid.spacing_mm, strict=True)
    )
    a, b, c, d = (float(v) * BIAS_SD for v in rng.standard_normal(4))
    exponent = -COIL_SHARE * y + a * x + b * z + c * x * y + d * (z * z - y * y)
    return np.exp(np.float32(strength) * exponent).astype(np.float32)


def implant_survival(person: Person, grid: Acquisition) -> Array:
    """Share of the signal that is left near metal: 0 inside the void, 1 far away; float32."""
    left = np.ones(grid.shape, dtype=np.float32)
    if not person.implant_levels:
        return left
    frame = build_frame(person)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    world = index @ grid.to_person[:3, :3].T + grid.to_person[:3, 3]
    for level in person.implant_levels:
        z = float(frame.z_of_level(level))
        centre = np.array([frame.at("x", z), frame.at("y", z) + IMPLANT_IN_FRONT_MM, z])
        radius = np.sqrt((((world - centre) / IMPLANT_RADIUS_MM) ** 2).sum(axis=-1))
        left *= (1.0 / (1.0 + np.exp((1.0 - radius) / IMPLANT_EDGE))).astype(np.float32)
    return left


def _flow(n_slices: int, rng: np.random.Generator) -> Array:
    """Slow change of signal along the slices, as pulsating CSF makes it."""
    waves = gaussian_filter(rng.standard_normal(n_slices), 3.0, mode="nearest")
    spread = float(waves.std()) or 1.0
    return (1.0 + FLOW_SD * waves / spread).astype(np.float32)[None, None, :]


def _texture(shape: Shape, strength: float, rng: np.random.Generator) -> Array:
    field = rng.standard_normal(shape, dtype=np.float32)
    field = gaussian_filter(field, TEXTURE_SMOOTH_VOXELS)
    spread = float(field.std()) or 1.0
    return 1.0 + np.float32(strength * TEXTURE_SHARE / spread) * field
