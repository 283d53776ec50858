"""Soft ground truth of a multi-contrast cohort: alignment, coverage, edges, exclusions, grids."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.errors import ImageError
from cordcohort.images.soft_truth import EDGE_MM, SoftTruthOptions, soft_ground_truth
from cordcohort.nifti import Image, read_mask

NO_EDGES = SoftTruthOptions(edge_mm={})
RADII_MM = (6.5, 4.0)  # right-left, front-back


def affine_of(spacing, origin=(0.0, 0.0, 0.0)):
    out = np.diag([*spacing, 1.0])
    out[:3, 3] = origin
    return out


def cord(shape, affine, *, shift=None, radii=RADII_MM, z_range=None, soft=False):
    """An ellipse in world millimetres, moved by ``shift(z)`` in plane."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).reshape(3, -1)
    x, y, z = affine[:3, :3] @ index + affine[:3, 3:]
    move = np.zeros((2, z.size)) if shift is None else np.array(shift(z))
    cx, cy = 20.0 + move[0], 20.0 + 0.1 * z + move[1]
    rho = np.hypot((x - cx) / radii[0], (y - cy) / radii[1])
    mask = np.clip((1 - rho) * min(radii) + 0.5, 0, 1) if soft else (rho < 1)
    if z_range is not None:
        mask = mask * ((z >= z_range[0]) & (z <= z_range[1]))
    return Image(mask.reshape(shape).astype(np.float32), affine)


def reference_mask(**options):
    return cord((51, 51, 40), affine_of((0.8, 0.8, 0.8)), **options)


def volume_mm3(image):
    return float(image.data.sum()) * image.voxel_mm3


def test_identical_masks_on_one_grid_give_that_mask_exactly():
    mask = reference_mask()
    truth = soft_ground_truth({"T2w": mask, "T1w": mask, "UNIT1": mask}, options=NO_EDGES)
    for image in truth.soft.values():
        np.testing.assert_array_equal(image.data, mask.data)
    assert not truth.exclusions
    assert np.allclose(truth.shifts[["right_mm", "anterior_mm"]], 0)


def test_a_mask_displaced_by_a_fraction_of_a_voxel_is_blurred_by_less_than_a_voxel():
    mask = reference_mask(soft=True)
    moved = reference_mask(soft=True, shift=lambda z: (0.4 + 0 * z, 0 * z))
    truth = soft_ground_truth({"T2w": mask, "T1w": moved}, options=NO_EDGES)
    difference = np.abs(truth.soft["T2w"].data - mask.data)
    assert difference.max() < 0.1  # linear interpolation at half a voxel of a 1 mm wide edge
    assert volume_mm3(truth.soft["T2w"]) == pytest.approx(volume_mm3(mask), rel=0.003)


def test_shifts_that_change_from_slice_to_slice_are_recovered():
    def shift(z):
        return 1.5 * np.sin(z / 6.0), 0.05 * z - 1.0

    masks = {"T2w": reference_mask(soft=True), "T1w": reference_mask(soft=True, shift=shift)}
    truth = soft_ground_truth(masks, options=NO_EDGES)
    found = truth.shifts
    x, y = shift(found["slice"].to_numpy() * 0.8)
    np.testing.assert_allclose(found["right_mm"], -x, atol=0.03)
    np.testing.assert_allclose(found["anterior_mm"], -y, atol=0.03)
    assert (found["dice_after"] > found["dice_before"] - 1e-6).all()
    assert (found["dice_after"] > 0.97).all()


def test_the_truth_comes_back_to_where_the_cord_is_in_each_native_space():
    def shift(z):
        return 2.0 + 0 * z, -1.5 + 0 * z

    moved = cord((40, 40, 32), affine_of((1, 1, 1)), soft=True, shift=shift)
    truth = soft_ground_truth({"T2w": reference_mask(soft=True), "T1w": moved}, options=NO_EDGES)
    known = truth.covered["T1w"]
    assert known.sum() >= 31
    own, back = moved.data[:, :, known], truth.soft["T1w"].data[:, :, known]
    assert 2 * (own * back).sum() / (own**2 + back**2).sum() > 0.98
    assert back.sum() == pytest.approx(own.sum(), rel=0.01)


def test_values_between_zero_and_one_exist_where_the_contrasts_differ():
    masks = {
        "T2w": reference_mask(),
        "T1w": reference_mask(radii=(6.0, 3.5)),
        "UNIT1": reference_mask(radii=(7.0, 4.5)),
    }
    truth = soft_ground_truth(masks, options=NO_EDGES)
    values = truth.soft["T2w"].data
    assert ((values > 0.05) & (values < 0.95)).sum() > 100
    assert values.min() >= 0
    assert values.max() <= 1
    mean = np.mean([volume_mm3(m) for m in masks.values()])
    assert volume_mm3(truth.soft["T2w"]) == pytest.approx(mean, rel=1e-5)
    np.testing.assert_array_equal(truth.binary["T2w"].data, values >= 0.5)


def test_each_voxel_is_averaged_over_the_contrasts_that_cover_it():
    small = reference_mask(radii=(5.0, 3.0), z_range=(10.0, 20.0))
    masks = {"T2w": reference_mask(), "T1w": small}
    values = soft_ground_truth(masks, options=NO_EDGES).soft["T2w"].data
    z = np.arange(40) * 0.8
    # The middle of the ring between the two outlines; its edges feel the sub-voxel alignment.
    ring = reference_mask(radii=(6.2, 3.8)).data > reference_mask(radii=(6.0, 3.6)).data
    inside = (z >= 10) & (z <= 20)
    np.testing.assert_allclose(values[:, :, inside][ring[:, :, inside]], 0.5, atol=0.05)
    beyond = (z < 9) | (z > 21)
    assert (values[:, :, beyond][ring[:, :, beyond]] == 1.0).all()


def test_two_runs_of_a_contrast_weigh_as_much_as_one():
    large = reference_mask(radii=(8.0, 5.5))
    ring = reference_mask(radii=(7.5, 5.0)).data > reference_mask(radii=(7.0, 4.5)).data
    masks = {"T2w": reference_mask(), "T1w run-1": large, "T1w run-2": large, "UNIT1": large}
    names = {"T1w run-1": "T1w", "T1w run-2": "T1w"}
    alone = SoftTruthOptions(edge_mm={})
    weighed = SoftTruthOptions(edge_mm={}, contrast_of=names)
    found = {
        name: soft_ground_truth(masks, options=choice).soft["T2w"].data[ring > 0]
        for name, choice in (("alone", alone), ("weighed", weighed))
    }
    # Few voxels of the ring feel the sub-voxel alignment of the two outlines.
    assert np.median(found["alone"]) == pytest.approx(3 / 4, abs=1e-6)
    assert np.median(found["weighed"]) == pytest.approx(2 / 3, abs=1e-6)  # T1w and UNIT1 of three


def test_a_second_scan_of_the_reference_contrast_shares_its_weight():
    large = reference_mask(radii=(8.0, 5.5))
    ring = reference_mask(radii=(7.5, 5.0)).data > reference_mask(radii=(7.0, 4.5)).data
    masks = {"T2w run-1": reference_mask(), "T2w run-2": large, "T1w": large}
    names = {"T2w run-1": "T2w", "T2w run-2": "T2w"}
    options = SoftTruthOptions(edge_mm={}, contrast_of=names)
    soft = soft_ground_truth(masks, "T2w run-1", options).soft["T2w run-1"].data
    assert np.median(soft[ring > 0]) == pytest.approx(3 / 4, abs=1e-6)  # of (0 + 1) / 2 and 1


@pytest.mark.parametrize(
    ("contrast", "cleared"), [("MTon", 10), ("MToff", 10), ("dwi", 8), ("T2starw", 8), ("T1w", 0)]
)
def test_outermost_slices_are_cleared_by_contrast_and_not_for_all_alike(contrast, cleared):
    """The padded slab reaches slices 7 to 32: from one slice before its mask to one behind it."""
    slab = reference_mask(radii=(5.0, 3.0), z_range=(8 * 0.8 - 0.01, 31 * 0.8 + 0.01))
    values = soft_ground_truth({"T2w": reference_mask(), contrast: slab}).soft["T2w"].data
    averaged = [k for k in range(40) if ((values[..., k] > 0.2) & (values[..., k] < 0.8)).any()]
    assert averaged == list(range(7 + cleared, 33 - cleared))


def test_the_published_defect_is_one_option_away():
    every = dict.fromkeys([*EDGE_MM], 8.0)
    slab = reference_mask(radii=(5.0, 3.0), z_range=(8 * 0.8 - 0.01, 31 * 0.8 + 0.01))
    masks = {"T2w": reference_mask(), "dwi": slab}
    options = SoftTruthOptions(edge_mm=every)
    values = soft_ground_truth(masks, options=options).soft["T2w"].data
    assert sum(((v > 0.2) & (v < 0.8)).any() for v in np.moveaxis(values, 2, 0)) == 6


def test_a_contrast_that_reaches_beyond_the_reference_loses_no_slice_of_the_reference():
    long = cord((51, 51, 80), affine_of((0.8, 0.8, 0.8), (0, 0, -16.0)), radii=(5.0, 3.0))
    values = soft_ground_truth({"T2w": reference_mask(), "dwi": long}).soft["T2w"].data
    assert all(((v > 0.2) & (v < 0.8)).any() for v in np.moveaxis(values, 2, 0))


def test_thick_slices_keep_their_number_and_slices_without_truth_are_named():
    thick = cord((60, 60, 7), affine_of((0.5, 0.5, 5.0), (5.0, 5.0, -2.0)))
    truth = soft_ground_truth({"T2w": reference_mask(), "T2starw": thick})
    soft = truth.soft["T2starw"]
    assert soft.data.shape == (60, 60, 7)
    np.testing.assert_array_equal(truth.covered["T2starw"], [False] + 6 * [True])
    assert not soft.data[:, :, 0].any()
    area = soft.data.sum(axis=(0, 1))[1:] * 0.25
    np.testing.assert_allclose(area, np.pi * 6.5 * 4.0, rtol=0.04)


def test_native_slices_without_an_own_mask_stay_empty():
    short = reference_mask(z_range=(8.0, 16.0))
    truth = soft_ground_truth({"T2w": reference_mask(), "T1w": short}, options=NO_EDGES)
    drawn = short.data.any(axis=(0, 1))
    np.testing.assert_array_equal(truth.soft["T1w"].data.any(axis=(0, 1)), drawn)


FLIPPED = np.array([[0, 0, 0.8, 0], [-0.8, 0, 0, 40.0], [0, 0.8, 0, 0], [0, 0, 0, 1.0]])
LEFT_HANDED = affine_of((-0.8, 0.8, 0.8), (40.0, 0.0, 0.0))


@pytest.mark.parametrize("affine", [FLIPPED, LEFT_HANDED])
def test_permuted_and_left_handed_grids_give_the_truth_of_their_plain_copies(affine):
    shape = (51, 40, 51) if affine is FLIPPED else (51, 51, 40)
    turned = cord(shape, affine, radii=(6.0, 3.6))
    plain = turned.canonical()
    expected = soft_ground_truth({"T2w": reference_mask(), "T1w": plain}).soft
    found = soft_ground_truth({"T2w": reference_mask(), "T1w": turned}).soft
    assert found["T1w"].data.shape == shape
    np.testing.assert_array_equal(found["T1w"].affine, affine)
    np.testing.assert_allclose(found["T1w"].canonical().data, expected["T1w"].data, atol=1e-5)
    np.testing.assert_allclose(found["T2w"].data, expected["T2w"].data, atol=1e-5)


def test_an_oblique_contrast_is_aligned_through_its_affine():
    tilt = np.deg2rad(8.0)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]
    oblique = cord((60, 60, 40), turn @ affine_of((0.8, 0.8, 0.8), (0, 0, -3.0)), soft=True)
    truth = soft_ground_truth({"T2w": reference_mask(soft=True), "T1w": oblique}, options=NO_EDGES)
    assert truth.shifts["dice_after"].median() > 0.97
    assert np.abs(truth.shifts[["right_mm", "anterior_mm"]]).to_numpy().max() < 0.1


def test_a_failed_contrast_leaves_the_average_and_is_listed_with_its_reason():
    good = {"T2w": reference_mask(), "T1w": reference_mask(radii=(6.0, 3.6))}
    bad = {
        "dwi": cord((51, 51, 40), affine_of((0.8, 0.8, 0.8)), radii=(18.0, 1.0)),
        "MTon": reference_mask(shift=lambda z: (-14.0 + 0 * z, 0 * z)),
        "MToff": Image(np.zeros((51, 51, 40), np.float32), affine_of((0.8, 0.8, 0.8))),
        "T2starw": reference_mask(z_range=(8.0, 9.0)),
    }
    alone, together = soft_ground_truth(good), soft_ground_truth(good | bad)
    for contrast in good:
        np.testing.assert_array_equal(together.soft[contrast].data, alone.soft[contrast].data)
    assert set(together.soft) == set(good)
    reasons = dict(together.exclusions)
    assert set(reasons) == set(bad)
    assert "overlap after alignment" in reasons["dwi"]
    assert "do not overlap" in reasons["MTon"]
    assert "empty" in reasons["MToff"]
    assert "only 2 slices" in reasons["T2starw"]


def test_a_contrast_whose_slices_are_all_cleared_is_listed():
    slab = reference_mask(z_range=(8.0, 14.0))
    truth = soft_ground_truth({"T2w": reference_mask(), "MTon": slab})
    assert "nothing is left after clearing 8 mm" in truth.exclusions[0].reason


def test_masks_of_other_heights_do_not_meet_and_are_listed():
    above = cord((51, 51, 20), affine_of((0.8, 0.8, 0.8), (0, 0, 60.0)))
    truth = soft_ground_truth({"T2w": reference_mask(), "T1w": above})
    assert "only 0 slices" in truth.exclusions[0].reason
    np.testing.assert_array_equal(truth.soft["T2w"].data, reference_mask().data)


@pytest.mark.parametrize("masks", [{}, {"T1w": reference_mask()}])
def test_a_missing_reference_is_named(masks):
    with pytest.raises(ImageError, match="reference contrast T2w"):
        soft_ground_truth(masks)


def test_an_empty_reference_is_named():
    empty = Image(np.zeros((5, 5, 5), np.float32), np.eye(4))
    with pytest.raises(ImageError, match="empty_mask"):
        soft_ground_truth({"T2w": empty, "T1w": reference_mask()})


def test_another_reference_contrast_can_be_chosen_and_is_not_cleared():
    masks = {"dwi": reference_mask(), "T2w": reference_mask(radii=(6.0, 3.6))}
    truth = soft_ground_truth(masks, reference="dwi")
    assert truth.reference == "dwi"
    assert truth.covered["dwi"].all()


def test_the_order_of_the_contrasts_does_not_matter():
    masks = {
        "T2w": reference_mask(),
        "UNIT1": reference_mask(shift=lambda z: (0.3 * z / 10, 0 * z)),
        "T1w": reference_mask(radii=(6.0, 3.6)),
    }
    one = soft_ground_truth(masks)
    other = soft_ground_truth(dict(reversed(list(masks.items()))))
    for contrast in masks:
        np.testing.assert_array_equal(one.soft[contrast].data, other.soft[contrast].data)


def test_real_manual_masks_of_three_contrasts_give_one_truth(shared_data):
    folder = shared_data / "manual-masks/derivatives/labels/sub-cardiff03/anat"
    masks = {
        contrast: read_mask(folder / f"sub-cardiff03_{contrast}_label-SC_seg.nii.gz")
        for contrast in ("T1w", "T2w", "T2starw")
    }
    options = SoftTruthOptions(edge_mm={"T2starw": 5.0})  # one slice of this reference
    truth = soft_ground_truth(masks, options=options)
    assert not truth.exclusions
    for contrast, mask in masks.items():
        soft = truth.soft[contrast]
        np.testing.assert_array_equal(soft.affine, mask.affine)
        known = truth.covered[contrast] & mask.canonical().data.any(axis=(0, 1))
        own = mask.canonical().data[..., known].astype(float)
        back = soft.canonical().data[..., known]
        assert 2 * (own * back).sum() / (own + back).sum() > 0.93
        assert back.sum() == pytest.approx(own.sum(), rel=0.05)
