"""True diffusion tensors of the phantom's cord: one per region, with spread inside each region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cordcohort.phantom.acquisition import Acquisition
from cordcohort.phantom.frame import build_frame
from cordcohort.phantom.imaging import mean_over_voxels
from cordcohort.phantom.person import Person
from cordcohort.phantom.signals import stream
from cordcohort.phantom.tissues import N_TISSUES, REGIONS, Tissue

Array = NDArray[Any]

REGION_FA: Final = {"LATERAL_WM": 0.70, "DORSAL_WM": 0.73, "VENTRAL_WM": 0.62, "GM": 0.42}
REGION_MD: Final = {
    "LATERAL_WM": 0.92e-3,
    "DORSAL_WM": 0.96e-3,
    "VENTRAL_WM": 0.98e-3,
    "GM": 0.88e-3,
}
"""Mean diffusivity in mm2/s of a healthy adult."""
REGION_SD_FA = 0.025
"""How far a person's own region lies from the mean person's."""
REGION_SD_MD_SHARE = 0.04
FA_RANGE = (0.05, 0.92)
MD_SD_SHARE = 0.06
DAMAGE_FA_SHARE = 0.4
DAMAGE_MD_SHARE = 0.3
DAMAGE_SPREAD_MM = 8.0
LESION_FA_SHARE = 0.5
N_WAVES = 24
WAVE_MM = (5.0, 16.0)
MUSCLES: Final = tuple(t for t in Tissue if t.name.startswith("MUSCLE"))
GROUPS: Final = (*((region,) for region in REGIONS), (Tissue.CSF, Tissue.CYST), MUSCLES)
"""Tissues that diffuse alike; the last group, not listed, is everything else."""


@dataclass(frozen=True)
class TensorTruth:
    """True tensor of each cord region in every voxel.

    Attributes
    ----------
    fraction : array, shape (X, Y, Z, 11)
        Share of the eight regions, free water, muscle and everything else.
    fa, md : array, shape (X, Y, Z, 8)
        Fractional anisotropy and mean diffusivity (mm2/s) of each region.
    """

    fraction: Array
    fa: Array
    md: Array


@dataclass(frozen=True)
class Protocol:
    """Diffusion protocol.

    Attributes
    ----------
    n_b0, n_directions : int
        Volumes without and with weighting.
    b_value : float
        In s/mm2.
    fa_sd : float
        Standard deviation of FA within a region.
    motion_mm : float
        Standard deviation of the cord's in-plane shift per slice and volume.
    """

    n_b0: int = 4
    n_directions: int = 12
    b_value: float = 800.0
    fa_sd: float = 0.06
    motion_mm: float = 0.0


def eigenvalues(fa: Array, md: Array) -> tuple[Array, Array]:
    """Eigenvalues, along and across the fibres, of a tensor with rotational symmetry.

    Parameters
    ----------
    fa : array
        Fractional anisotropy, 0 to below 1.
    md : array
        Mean diffusivity in mm2/s.

    Returns
    -------
    tuple of arrays
        Axial and radial diffusivity in mm2/s.

    Examples
    --------
    >>> along, across = eigenvalues(np.array(0.0), np.array(1.0e-3))
    >>> float(along), float(across)
    (0.001, 0.001)
    """
    share = fa / np.sqrt(3.0 - 2.0 * fa**2)
    return md * (1.0 + 2.0 * share), md * (1.0 - share)


def damage_profile(person: Person, z_mm: Array) -> Array:
    """Damage to the white matter along the cord, 0 to 1: worst at compressions, wider than they."""
    frame = build_frame(person)
    damage = np.zeros_like(z_mm, dtype=float)
    for one in person.compressions:
        distance = (z_mm - float(frame.z_of_level(one.level))) / (DAMAGE_SPREAD_MM + one.length_mm)
        damage = np.maximum(damage, one.depth * np.exp(-0.5 * distance**2))
    for lesion in person.lesions:
        distance = (z_mm - lesion.z_mm) / (DAMAGE_SPREAD_MM + lesion.radius_z_mm)
        size = min(lesion.radius_x_mm * lesion.radius_y_mm / 12.0, 1.0)
        damage = np.maximum(damage, LESION_FA_SHARE * size * np.exp(-0.5 * distance**2))
    return damage


def tensor_truth(
    person: Person, grid: Acquisition, protocol: Protocol, person_seed: int
) -> TensorTruth:
    """True tensors of a person on a grid.

    Parameters
    ----------
    person : Person
        Who is scanned.
    grid : Acquisition
        The scan's grid.
    protocol : Protocol
        Holds the spread of FA within a region.
    person_seed : int
        The same person has the same tensors in every session and scanner.

    Returns
    -------
    TensorTruth
        Fractions and tensor values.
    """
    member = np.zeros((N_TISSUES, len(GROUPS) + 1), dtype=np.float32)
    for column, group in enumerate(GROUPS):
        member[list(group), column] = 1.0
    member[:, -1] = 1.0 - member[:, :-1].sum(axis=1)
    fraction = mean_over_voxels(person, grid, member)
    fa = np.zeros((*grid.shape, len(REGIONS)), dtype=np.float32)
    md = np.zeros_like(fa)
    cord = np.flatnonzero(fraction[..., : len(REGIONS)].sum(axis=-1).ravel() > 0.0)
    if cord.size:
        index = np.stack(np.unravel_index(cord, grid.shape), axis=-1)
        world = index @ grid.to_person[:3, :3].T + grid.to_person[:3, 3]
        for k, region in enumerate(REGIONS):
            values = _region_values(person, region, world, protocol, person_seed)
            fa.reshape(-1, len(REGIONS))[cord, k], md.reshape(-1, len(REGIONS))[cord, k] = values
    return TensorTruth(fraction, fa, md)


def _region_values(
    person: Person, region: Tissue, world: Array, protocol: Protocol, seed: int
) -> tuple[Array, Array]:
    """FA and MD of one region at points of the person."""
    rng = stream(seed, "tensor", region.name)
    kind = region.name.split("_", 1)[1]
    own_fa, own_md = np.clip(rng.standard_normal(2), -2.0, 2.0)
    damage = damage_profile(person, world[:, 2])
    fa = (REGION_FA[kind] + REGION_SD_FA * own_fa) * (1.0 - DAMAGE_FA_SHARE * damage)
    fa = fa + protocol.fa_sd * _field(world, rng)
    md = REGION_MD[kind] * (1.0 + REGION_SD_MD_SHARE * own_md + DAMAGE_MD_SHARE * damage)
    md = md * (1.0 + MD_SD_SHARE * _field(world, rng))
    return np.clip(fa, *FA_RANGE), md


def _field(world: Array, rng: np.random.Generator) -> Array:
    """Smooth random field of unit variance: waves of random direction, length and phase."""
    direction = rng.standard_normal((N_WAVES, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    number = 2.0 * np.pi / rng.uniform(*WAVE_MM, (N_WAVES, 1))
    phase = rng.uniform(0.0, 2.0 * np.pi, N_WAVES)
    return np.cos(world @ (direction * number).T + phase).sum(axis=1) * np.sqrt(2.0 / N_WAVES)


def region_table(truth: TensorTruth) -> list[dict[str, float | str]]:
    """True mean and spread of the tensor's measures in each region, weighted by its share.

    Returns
    -------
    list of dict
        structure, fa, fa_sd, md_mm2_per_s, ad_mm2_per_s, rd_mm2_per_s, volume_voxels.
    """
    along, across = eigenvalues(truth.fa, truth.md)
    rows: list[dict[str, float | str]] = []
    for k, region in enumerate(REGIONS):
        weight = truth.fraction[..., k].astype(float)
        total = float(weight.sum())
        row: dict[str, float | str] = {"structure": region.name.lower(), "volume_voxels": total}
        if total > 0.0:
            mean = float((weight * truth.fa[..., k]).sum() / total)
            spread = float((weight * (truth.fa[..., k] - mean) ** 2).sum() / total)
            row |= {"fa": mean, "fa_sd": float(np.sqrt(spread))}
            for name, values in (("md", truth.md), ("ad", along), ("rd", across)):
                row[f"{name}_mm2_per_s"] = float((weight * values[..., k]).sum() / total)
        rows.append(row)
    return rows
