"""A T2-like phantom neck and the shipped model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from cordcohort.nifti import Image
from cordcohort.phantom.anatomy import label_volume
from cordcohort.phantom.person import draw_person
from cordcohort.phantom.tissues import CORD, N_TISSUES, Tissue
from cordcohort.segmentation.registry import Model, load_model

BRIGHT = {
    Tissue.CSF: 1.0, Tissue.MARROW: 0.45, Tissue.CORTICAL_BONE: 0.05, Tissue.AIR: 0.02,
    Tissue.AIRWAY: 0.02, Tissue.FAT: 0.8, Tissue.SUBCUTANEOUS_FAT: 0.85, Tissue.EPIDURAL_FAT: 0.7,
    Tissue.LEFT_GM: 0.47, Tissue.RIGHT_GM: 0.47, Tissue.DISC_NUCLEUS: 0.6,
}  # fmt: skip


@pytest.fixture(scope="session")
def model() -> Model:
    """The cord model of this checkout."""
    return load_model("cord-v1")


@pytest.fixture(scope="session")
def draw() -> Callable[..., tuple[Image, np.ndarray]]:
    """Draw a scan and its true cord; ``shift`` moves the field of view in mm."""

    def scan(
        shape: tuple[int, int, int] = (96, 96, 12),
        spacing: tuple[float, float, float] = (1.0, 1.0, 4.0),
        shift: tuple[float, float] = (0.0, 0.0),
        noise: float = 0.02,
    ) -> tuple[Image, np.ndarray]:
        someone = draw_person(np.random.default_rng(8))
        affine = np.diag([*spacing, 1.0])
        affine[:3, 3] = [-(n - 1) / 2 * s for n, s in zip(shape, spacing, strict=True)]
        affine[:2, 3] += shift
        affine[2, 3] -= 40
        codes = label_volume(someone, shape, affine)
        values = np.full(N_TISSUES, 0.25, np.float32)
        values[[int(t) for t in CORD]] = 0.42
        for tissue, value in BRIGHT.items():
            values[tissue] = value
        rng = np.random.default_rng(0)
        data = 500 * (values[codes] + rng.normal(0, noise, shape)).clip(0).astype(np.float32)
        return Image(data, affine), np.isin(codes, [int(t) for t in CORD])

    return scan
