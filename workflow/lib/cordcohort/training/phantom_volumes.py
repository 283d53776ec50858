"""Label volumes of the package's own people, for networks of volumes: tissue codes, no image."""

from __future__ import annotations

import numpy as np

from cordcohort.phantom.anatomy import label_volume
from cordcohort.phantom.person import Person, draw_person
from cordcohort.phantom.tissues import CORD, GREY_MATTER
from cordcohort.training.patches import Item
from cordcohort.training.phantom_sources import (
    IMPLANT_TURN,
    SLABS_MM,
    STEP_MM,
    slab_centres,
    tissue_codes,
)
from cordcohort.training.surroundings import CODE

FINER = 2
SIDE_MM = 72.0
HEIGHT_MM = 128.0


def phantom_items(persons: int, seed: int, step_mm: float) -> list[Item]:
    """Draw people as for the painter of slices; each gives one slab of tissue codes.

    Parameters
    ----------
    persons
        How many.
    seed
        Of their shapes.
    step_mm
        Voxel of the volumes; the cord's fractions come from voxels of half that size.

    Examples
    --------
    >>> item = phantom_items(1, seed=1, step_mm=4.0)[0]
    >>> item.image.shape, item.codes, bool((item.target > 0).any())
    ((32, 18, 18), True, True)
    """
    rng = np.random.default_rng(seed)
    items: list[Item] = []
    for i in range(persons):
        someone = draw_person(
            rng, compression=i % 3 == 0, lesion=i % 3 == 1, implant=i % 4 == IMPLANT_TURN,
            distractors=i % 5,
        )  # fmt: skip
        items.append(
            _item(someone, SLABS_MM[i % len(SLABS_MM)], f"phantom-{seed}-{i:02d}", step_mm)
        )
    return items


def _item(someone: Person, slab_mm: tuple[float, float], name: str, step_mm: float) -> Item:
    """Codes and cord fractions around the axis of the spine."""
    side, height = round(SIDE_MM / step_mm), round(HEIGHT_MM / step_mm)
    fine = step_mm / FINER
    affine = np.diag([fine, fine, fine, 1.0])
    bottom = sum(slab_mm) / 2 - HEIGHT_MM / 2
    canal = slab_centres(someone, bottom, round(HEIGHT_MM / STEP_MM))
    y, x = (float(v) for v in (canal.min(axis=0) + canal.max(axis=0)) / 2)
    places = ((side, x), (side, y), (height, bottom + HEIGHT_MM / 2))
    for axis, (n, centre) in enumerate(places):
        affine[axis, 3] = centre - (n * FINER - 1) / 2 * fine
    labels = label_volume(someone, (side * FINER, side * FINER, height * FINER), affine).T
    cord = np.isin(labels, list(CORD)).astype(np.float32)
    blocks = cord.reshape(height, FINER, side, FINER, side, FINER)
    codes = tissue_codes()[labels]
    codes[cord > 0] = CODE["wm"]
    codes[np.isin(labels, list(GREY_MATTER))] = CODE["gm"]
    return Item(
        name, name, "painted", np.ascontiguousarray(codes[::FINER, ::FINER, ::FINER]),
        blocks.mean((1, 3, 5)).astype(np.float16), (step_mm, step_mm, step_mm), 1.0,
    )  # fmt: skip
