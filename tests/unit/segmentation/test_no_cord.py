"""Scans that show no cord: every method says so by name, and draws nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from cordcohort.nifti import Image
from cordcohort.phantom.anatomy import label_volume
from cordcohort.phantom.person import draw_person
from cordcohort.phantom.tissues import N_TISSUES, Tissue
from cordcohort.segmentation.draw import segment_image
from cordcohort.segmentation.registry import Model, load_model
from scipy import ndimage

METHODS = ("cord-v1", "classical")
UNIT = 500.0  # of brightness: what scanners write


@pytest.fixture(scope="module")
def models(model: Model) -> dict[str, Model]:
    """The shipped network and the baseline."""
    return {"cord-v1": model, "classical": load_model("classical")}


def places_mm(shape: tuple[int, ...], spacing: tuple[float, ...]) -> list[np.ndarray]:
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)]
    return np.meshgrid(*axes, indexing="ij")


def scan(values: np.ndarray, spacing: tuple[float, float, float], noise: float = 0.03) -> Image:
    noisy = values + np.random.default_rng(0).normal(0, noise, values.shape)
    return Image((UNIT * noisy.clip(0)).astype(np.float32), np.diag([*spacing, 1.0]))


def thigh() -> Image:
    """Muscle in fat, a femur with bright marrow in its dark bone, and two vessels."""
    shape, spacing = (110, 110, 16), (1.5, 1.5, 5.0)
    x, y, _ = places_mm(shape, spacing)
    values = np.full(shape, 0.02)
    values[np.hypot(x / 70, y / 62) < 1] = 0.9
    values[np.hypot(x / 62, y / 54) < 1] = 0.35
    values[np.hypot(x - 5, y - 8) < 15] = 0.04
    values[np.hypot(x - 5, y - 8) < 9] = 0.85
    values[np.hypot(x + 25, y + 20) < 3] = 1.0
    values[np.hypot(x + 22, y - 25) < 2.5] = 1.0
    texture = np.random.default_rng(1).normal(0, 1, shape)
    return scan(values + ndimage.gaussian_filter(texture, (4, 4, 1)), spacing)


def head() -> Image:
    """Skin, skull, fluid, brain and its ventricles, above the foramen magnum."""
    shape, spacing = (90, 110, 40), (2.0, 2.0, 4.0)
    x, y, z = places_mm(shape, spacing)
    values = np.full(shape, 0.02)
    radius = np.sqrt((x / 78) ** 2 + (y / 95) ** 2 + (z / 95) ** 2)
    for reach, value in ((1.0, 0.8), (0.95, 0.05), (0.88, 1.0), (0.83, 0.5), (0.66, 0.4)):
        values[radius < reach] = value
    for side in (-1, 1):
        ventricle = ((x - side * 12) / 7) ** 2 + (y / 30) ** 2 + ((z - 5) / 15) ** 2
        values[ventricle < 1] = 1.0
    return scan(values, spacing)


def neck_without_cord() -> Image:
    """The phantom's neck with one grey for all soft tissue: muscle, fluid and cord are alike."""
    shape, spacing = (96, 96, 12), (1.0, 1.0, 4.0)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (-47.5, -47.5, -62.0)
    codes = label_volume(draw_person(np.random.default_rng(8)), shape, affine)
    values = np.full(N_TISSUES, 0.25)
    values[[Tissue.AIR, Tissue.AIRWAY]] = 0.02
    values[Tissue.CORTICAL_BONE], values[Tissue.FAT] = 0.05, 0.8
    return scan(values[codes], spacing)


def noise() -> Image:
    drawn = np.random.default_rng(1).rayleigh(100, (64, 64, 8)).astype(np.float32)
    return Image(drawn, np.diag([1.5, 1.5, 4.0, 1.0]))


def empty() -> Image:
    return Image(np.zeros((64, 64, 8), np.float32), np.diag([1.5, 1.5, 4.0, 1.0]))


def coarse() -> Image:
    drawn = np.random.default_rng(1).rayleigh(100, (16, 16, 8)).astype(np.float32)
    return Image(drawn, np.diag([10.0, 10.0, 10.0, 1.0]))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shown", [thigh, head, neck_without_cord, noise, empty, coarse])
def test_a_scan_without_a_cord_is_named_and_nothing_is_drawn(
    models: dict[str, Model], method: str, shown: Callable[[], Image]
) -> None:
    image = shown()
    found = segment_image(models[method], image)["cord"]
    assert (found.status, found.n_slices) == ("no_cord", 0)
    assert found.reason
    assert found.mask.shape == image.data.shape
    assert not found.mask.any()
    assert found.soft is None or not found.soft.any()


@pytest.mark.parametrize("shift", [(40.0, 0.0), (0.0, 40.0)])
def test_a_cord_40_mm_off_the_middle_gets_the_same_mask(
    model: Model, draw: Callable, shift: tuple[float, float]
) -> None:
    centred, _ = draw((120, 120, 10))
    moved, _ = draw((120, 120, 10), shift=shift)
    one, other = (segment_image(model, i)["cord"].mask for i in (centred, moved))
    dx, dy = (int(s) for s in shift)
    same = one[dx:, dy:]
    back = other[: other.shape[0] - dx, : other.shape[1] - dy]
    overlap = 2 * (same & back).sum() / (same.sum() + back.sum())
    assert one.any()
    assert overlap >= 0.98
