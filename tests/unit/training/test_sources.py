"""Label maps become straight stacks of the same cord, whatever their grid."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from cordcohort.training.phantom_sources import phantom_stacks
from cordcohort.training.sources import atlas_stacks, mask_stacks, straighten


def leaning(
    shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> dict[str, np.ndarray]:
    """Cord 12 x 8 mm that leans by 4 mm, its grey matter and its canal, as (x, y, z) masks."""
    x, y, z = np.meshgrid(
        *[np.arange(n) * s for n, s in zip(shape, spacing, strict=True)], indexing="ij"
    )
    across = x - shape[0] * spacing[0] / 2 - 4 * z / (shape[2] * spacing[2])
    along = y - shape[1] * spacing[1] / 2

    def oval(width: float, height: float) -> np.ndarray:
        return (across / width * 2) ** 2 + (along / height * 2) ** 2 < 1

    cord = oval(12, 8)
    return {"cord": cord, "gm": oval(4, 3), "csf": oval(18, 14) & ~cord}


def write(folder: Path, name: str, data: np.ndarray, spacing: tuple[float, float, float]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    affine = np.diag([-spacing[0], spacing[1], spacing[2], 1.0])
    nib.save(nib.Nifti1Image(data[::-1].astype(np.uint8), affine), folder / name)


def test_an_atlas_becomes_a_straight_stack_with_the_same_areas(tmp_path: Path) -> None:
    spacing = (0.5, 0.5, 0.5)
    for name, data in leaning((90, 80, 24), spacing).items():
        write(tmp_path / "T", f"T_{name}.nii.gz", data, spacing)
    (stack,) = atlas_stacks(tmp_path / "T")
    assert stack.step_mm == 1.0
    area = stack.cord_area_mm2[3:-3]
    assert area == pytest.approx(np.full(area.shape, np.pi * 6 * 4), rel=0.03)
    cord = stack.maps[0]
    mean_x = (cord.sum(1) @ np.arange(128)) / cord.sum((1, 2))
    assert np.abs(mean_x[3:-3] - 63.5).max() < 1
    assert (stack.maps[2] >= stack.maps[0] - 1e-5).all()


def test_cohort_masks_become_one_stack_a_person(tmp_path: Path) -> None:
    spacing = (0.5, 0.5, 5.0)
    for person in ("sub-a", "sub-b"):
        maps = leaning((90, 80, 6), spacing)
        write(tmp_path / person, f"{person}_T2w_label-SC_seg.nii.gz", maps["cord"], spacing)
        write(tmp_path / person, f"{person}_T2w_label-CSF_seg.nii.gz", maps["csf"], spacing)
    stacks = mask_stacks(tmp_path, None)
    assert [s.name for s in stacks] == ["sub-a", "sub-b"]
    assert float(np.median(stacks[0].cord_area_mm2)) == pytest.approx(np.pi * 24, rel=0.03)
    assert float(stacks[0].maps[1].max()) == 0


def test_slices_without_cord_take_the_place_of_the_nearest_cord() -> None:
    maps = np.zeros((2, 4, 60, 60), np.float32)
    maps[0, 1, 20:30, 30:40] = 1
    maps[1, :, 20:30, 30:40] = 1
    out = straighten(maps, (0.5, 0.5), 5.0)
    assert out[1, 3, 60:68, 60:68].min() == 1


def test_the_same_seed_draws_the_same_people_with_their_necks() -> None:
    one, two = phantom_stacks(1, seed=4)[0], phantom_stacks(1, seed=4)[0]
    assert np.array_equal(one.maps, two.maps)
    assert one.surroundings is not None
    near, far = one.surroundings
    assert near.shape == far.shape == one.maps.shape[1:]
    assert len(np.unique(far)) > 5
