"""A whole cord raises no warning; each made defect raises its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from cordcohort.nifti import Image, read_mask
from cordcohort.segmentation.quality import AREA_BOUNDS_MM2, MAX_AREA_RATIO, mask_quality

SHAPE, SPACING_MM = (60, 60, 20), (0.5, 0.5, 5.0)
AFFINE = np.diag([*SPACING_MM, 1.0])


def tube(half_widths_mm=(6.5, 3.8), centre=(30.0, 30.0)) -> np.ndarray:
    """An elliptic cord of 78 mm2 through all slices."""
    x, y = np.meshgrid(*[np.arange(n) for n in SHAPE[:2]], indexing="ij")
    rho = np.hypot(
        (x - centre[0]) * SPACING_MM[0] / half_widths_mm[0],
        (y - centre[1]) * SPACING_MM[1] / half_widths_mm[1],
    )
    return np.repeat((rho < 1)[:, :, None], SHAPE[2], axis=2)


def told(mask: np.ndarray) -> str:
    return "; ".join(mask_quality(Image(mask.astype(np.uint8), AFFINE)).reasons)


def test_a_whole_cord_of_the_phantom_raises_no_warning(draw: Callable) -> None:
    image, truth = draw((96, 96, 24), (0.8, 0.8, 3.0))
    found = mask_quality(Image(truth, image.affine))
    assert found.reasons == ()
    assert found.numbers["n_slices"] == found.numbers["n_slices_image"] == 24
    assert AREA_BOUNDS_MM2[0] < found.numbers["smallest_area_mm2"]
    assert found.numbers["largest_area_mm2"] < AREA_BOUNDS_MM2[1]
    assert 1 <= found.numbers["largest_area_ratio"] < MAX_AREA_RATIO


def test_masks_drawn_by_people_raise_no_warning(shared_data) -> None:
    """Real masks of the cord at 0.5 x 0.5 x 5 mm; raters drew whole cords."""
    masks = sorted((shared_data / "manual-masks").rglob("*_T2w_label-SC_seg.nii.gz"))
    assert len(masks) == 9
    for path in masks:
        assert mask_quality(read_mask(path, None, kind="seg")).reasons == (), path.name


def test_an_empty_mask_has_a_status_and_no_warning() -> None:
    assert mask_quality(Image(np.zeros(SHAPE, np.uint8), AFFINE)).reasons == ()


def without_slices(mask: np.ndarray) -> np.ndarray:
    mask[:, :, 7:9] = False
    return mask


def with_a_blob(mask: np.ndarray) -> np.ndarray:
    mask[2:6, 2:6, 10] = True
    return mask


def sliver(mask: np.ndarray) -> np.ndarray:
    return mask & tube((3.0, 2.5))


def swollen(mask: np.ndarray) -> np.ndarray:
    return mask | tube((8.5, 5.5))


def half_in_the_middle(mask: np.ndarray) -> np.ndarray:
    mask[:30, :, 9:11] = False
    return mask


def torn(mask: np.ndarray) -> np.ndarray:
    mask[:, :, 10:] = np.roll(mask[:, :, 10:], 17, axis=0)
    return mask


def cut_off(mask: np.ndarray) -> np.ndarray:
    return np.roll(mask, -18, axis=0) & (np.arange(SHAPE[0]) < 40)[:, None, None]


def short(mask: np.ndarray) -> np.ndarray:
    mask[:, :, 8:] = False
    return mask


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (without_slices, "2 of 20 slices between its ends are empty"),
        (with_a_blob, "2 separate pieces"),
        (sliver, "18 of 18 slices outside of 30 to 110 mm2"),
        (swollen, "18 of 18 slices outside of 30 to 110 mm2"),
        (half_in_the_middle, "area jumps from"),
        (torn, "centre moves by 8.5 mm between slices 9 and 10"),
        (cut_off, "touches the image border in 20 slices"),
        (short, "covers 8 of 20 slices"),
    ],
)
def test_each_defect_is_named(damage: Callable, reason: str) -> None:
    assert told(tube()) == ""
    assert reason in told(damage(tube()))


def test_a_tilted_cord_is_measured_across_it_and_one_conus_slice_is_no_defect() -> None:
    leaning = np.stack([tube((6.5, 5.2), (30.0, 12.0 + 2.0 * k))[:, :, 0] for k in range(18)], -1)
    thin = Image(leaning.astype(np.uint8), np.diag([0.5, 0.5, 1.2, 1.0]))
    across = mask_quality(thin).numbers["largest_area_mm2"]
    # The cord leans by 1 mm for each 1.2 mm upwards.
    assert across == pytest.approx(np.pi * 6.5 * 5.2 * 1.2 / np.hypot(1.0, 1.2), rel=0.02)
    conus = tube()
    conus[:, :, 1] &= tube((3.6, 2.6))[:, :, 1]
    assert "outside of" not in told(conus)


@pytest.mark.parametrize("axes", [(2, 0, 1), (1, 2, 0)])
def test_the_axes_of_the_file_do_not_matter(axes: tuple[int, ...]) -> None:
    mask = without_slices(tube())
    turned = Image(mask.transpose(axes).astype(np.uint8), AFFINE[:, [*axes, 3]])
    assert mask_quality(turned) == mask_quality(Image(mask.astype(np.uint8), AFFINE))
