"""Cord stacks with their whole neck from the package's own phantom: shapes and surroundings."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cordcohort.phantom.anatomy import label_volume
from cordcohort.phantom.person import Person, draw_person
from cordcohort.phantom.tissues import CANAL, CORD, GREY_MATTER, Tissue
from cordcohort.training.sources import (
    EDGE_SIGMA_PIXELS,
    STACK_PIXEL_MM,
    STACK_PIXELS,
    CordStack,
    centred_slices,
    slice_centres,
)
from cordcohort.training.surroundings import CODE

STEP_MM = 3.0
FAR_PIXEL_MM = 2.0
MARGIN_MM = 16.0
IMPLANT_TURN = 3  # one person in four, never the one with a compression first
# Slabs (bottom, top) in mm from the disc C2/C3: neck with brainstem (twice), neck, chest, back.
SLABS_MM = ((-130.0, 45.0), (-130.0, 45.0), (-130.0, 30.0), (-330.0, -150.0), (-560.0, -380.0))

_NAMES: dict[str, tuple[str, ...]] = {
    "air": ("AIR",), "csf": ("CSF", "DURA"), "fat": ("EPIDURAL_FAT", "FAT", "SUBCUTANEOUS_FAT"),
    "root": ("NERVE_ROOT",), "cortical": ("CORTICAL_BONE", "SKULL", "IMPLANT"),
    "marrow": ("MARROW", "POSTERIOR_ARCH", "FACET"), "disc": ("DISC_NUCLEUS", "DISC_ANNULUS"),
    "ligament": ("LIGAMENT", "CARTILAGE"), "muscle": ("MUSCLE_DEEP", "MUSCLE_LATERAL"),
    "muscle_2": ("MUSCLE_DORSAL", "MUSCLE_VENTRAL", "TONGUE"), "skin": ("SKIN",),
    "airway": ("AIRWAY", "LUNG"), "gullet": ("OESOPHAGUS",), "vessel": ("ARTERY",),
    "vessel_2": ("VEIN",), "other": ("GLAND", "LYMPH_NODE", "CYST"), "other_2": ("ORGAN",),
    "wm": ("BRAINSTEM",), "gm": ("CEREBELLUM",),
}  # fmt: skip


def tissue_names() -> list[str]:
    """Painter's tissue name of each phantom tissue, cord included.

    Examples
    --------
    >>> names = tissue_names()
    >>> names[Tissue.LEFT_GM], names[Tissue.MARROW]
    ('gm', 'marrow')
    """
    names = ["wm"] * len(Tissue)
    for tissue in GREY_MATTER:
        names[tissue] = "gm"
    for name, tissues in _NAMES.items():
        for one in tissues:
            names[Tissue[one]] = name
    return names


def tissue_codes() -> NDArray[np.uint8]:
    """Painter's tissue code of each phantom tissue; the cord counts as CSF, it is painted later."""
    table = np.full(len(Tissue), CODE["csf"], np.uint8)
    for name, tissues in _NAMES.items():
        for tissue in tissues:
            table[Tissue[tissue]] = CODE[name]
    return table


def phantom_stacks(persons: int, seed: int) -> list[CordStack]:
    """Draw people; a third has compressions, a third lesions, a quarter implants.

    Parameters
    ----------
    persons
        Number of people, each in one slab of the spine.
    seed
        Of their shapes.

    Examples
    --------
    >>> stack = phantom_stacks(1, seed=1)[0]
    >>> stack.maps.shape[0], bool(stack.cord_area_mm2.max() > 30)
    (3, True)
    """
    rng = np.random.default_rng(seed)
    stacks: list[CordStack] = []
    for i in range(persons):
        someone = draw_person(
            rng, compression=i % 3 == 0, lesion=i % 3 == 1, implant=i % 4 == IMPLANT_TURN,
            distractors=i % 5,
        )  # fmt: skip
        stacks.append(_stack(someone, SLABS_MM[i % len(SLABS_MM)], f"phantom-{seed}-{i:02d}"))
    return stacks


def _stack(someone: Person, slab_mm: tuple[float, float], name: str) -> CordStack:
    """Straightened maps and surroundings of one slab."""
    n_z = round((slab_mm[1] - slab_mm[0]) / STEP_MM)
    centres = slab_centres(someone, slab_mm[0], n_z)
    margin = (
        round((np.ptp(centres, axis=0).max() / 2 + MARGIN_MM) / STACK_PIXEL_MM) + STACK_PIXELS // 2
    )
    size = 2 * margin
    middle = (centres.max(0) + centres.min(0)) / 2
    affine = np.diag([STACK_PIXEL_MM, STACK_PIXEL_MM, STEP_MM, 1.0])
    corner = middle[::-1] - (size - 1) / 2 * STACK_PIXEL_MM
    affine[:3, 3] = (corner[0], corner[1], slab_mm[0])
    codes = label_volume(someone, (size, size, n_z), affine).T
    masks = [np.isin(codes, list(part)).astype(np.float32) for part in (CORD, GREY_MATTER, CANAL)]
    sigma = (0, EDGE_SIGMA_PIXELS, EDGE_SIGMA_PIXELS)
    maps = np.stack([ndimage.gaussian_filter(m, sigma) for m in masks])
    places = (centres - corner[::-1]) / STACK_PIXEL_MM
    straight = centred_slices(maps, places, (STACK_PIXEL_MM, STACK_PIXEL_MM))
    table = tissue_codes()
    near = centred_slices(
        codes[None].astype(np.float32), places, (STACK_PIXEL_MM, STACK_PIXEL_MM), order=0
    )[0]
    far = _far(someone, middle, slab_mm[0], n_z, centres)
    surroundings = (table[near.astype(np.uint8)], table[far])
    straight[1] = np.minimum(straight[1], straight[0])
    straight[2] = np.maximum(straight[2], straight[0])
    return CordStack(name, straight, STEP_MM, surroundings)


def slab_centres(someone: Person, bottom_mm: float, n_z: int) -> NDArray[np.floating[Any]]:
    """Canal centre (y, x) in world mm of each slice; beyond its ends the last known."""
    shape, pixel = (100, 100, n_z), 1.5
    affine = np.diag([pixel, pixel, STEP_MM, 1.0])
    affine[:3, 3] = (-pixel * 49.5, -pixel * 49.5, bottom_mm)
    codes = label_volume(someone, shape, affine).T
    canal = np.isin(codes, list(CANAL)).astype(np.float32)
    return slice_centres(canal, STEP_MM) * pixel - pixel * 49.5


def _far(
    someone: Person, middle: NDArray[np.floating[Any]], bottom_mm: float, n_z: int,
    centres: NDArray[np.floating[Any]],
) -> NDArray[np.uint8]:  # fmt: skip
    """Coarse codes of the whole neck or trunk, each slice centred on the cord."""
    size = STACK_PIXELS + 16
    affine = np.diag([FAR_PIXEL_MM, FAR_PIXEL_MM, STEP_MM, 1.0])
    corner = middle[::-1] - (size - 1) / 2 * FAR_PIXEL_MM
    affine[:3, 3] = (corner[0], corner[1], bottom_mm)
    codes = label_volume(someone, (size, size, n_z), affine).T
    places = (centres - corner[::-1]) / FAR_PIXEL_MM
    grid_mm = (STACK_PIXEL_MM, STACK_PIXEL_MM)  # one stack pixel is one far pixel here
    return centred_slices(codes[None].astype(np.float32), places, grid_mm, order=0)[0].astype(
        np.uint8
    )
