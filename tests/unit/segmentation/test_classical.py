"""The built-in classical baseline: discs in noise, phantom scans, real scans, and no cord."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.nifti import Image, read_image, read_mask
from cordcohort.phantom.acquisition import Pose, acquire
from cordcohort.phantom.imaging import Noise, structural_image
from cordcohort.phantom.person import draw_person
from cordcohort.phantom.signals import CONTRASTS, tissue_signals
from cordcohort.phantom.slices import true_shares
from cordcohort.segmentation.classical import candidates, segment_classical
from cordcohort.segmentation.disc_response import best_path, disc_response, search_grid
from cordcohort.segmentation.midline import mirror_symmetry, misplacement
from cordcohort.segmentation.polar import directions, fill, find_outline
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)
from scipy import ndimage

FIELD_MM = (60.0, 70.0, 60.0)


def dice(a, b):
    return 2.0 * float((a * b).sum()) / float(a.sum() + b.sum())


def drawn(sign, *, spacing=(1.0, 1.0, 1.0), radii=(6.5, 4.3), noise=0.05, offset=(0.0, 0.0)):
    """A curved cord in a sac in a neck; the cord is brighter (-1) or darker (1) than its fluid."""
    shape = tuple(int(n / s) for n, s in zip(FIELD_MM, spacing, strict=True))
    grid = np.meshgrid(
        *[np.arange(n) * s for n, s in zip(shape, spacing, strict=True)], indexing="ij"
    )
    x, y, z = grid
    cx = FIELD_MM[0] / 2 + offset[0] + 2 * np.sin(z / 15)
    cy = FIELD_MM[1] / 2 + offset[1] + 0.1 * z

    def share(a, b):
        rho = np.hypot((x - cx) / a, (y - cy) / b)
        return np.clip((1 - rho) * np.sqrt(a * b) / spacing[0] + 0.5, 0, 1)

    cord, sac = share(*radii), share(radii[0] + 3, radii[1] + 3)
    fluid, matter = (0.2, 0.8) if sign < 0 else (1.0, 0.5)
    values = 0.5 * (1 - sac) + fluid * (sac - cord) + matter * cord
    values = values + np.random.default_rng(0).normal(size=shape) * noise
    centre = np.stack([cx[0, 0], cy[0, 0]], axis=1)
    image = Image(values.astype(np.float32), np.diag([*spacing, 1.0]))
    return image, (cord > 0.5).astype(np.uint8), centre


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(
    "spacing", [(0.5, 0.5, 5.0), (0.8, 0.8, 0.8), (1.0, 1.0, 1.0), (3.0, 0.8, 0.8)]
)
@pytest.mark.parametrize("radii", [(6.5, 4.3), (4.5, 4.0)])
def test_drawn_cords_of_both_polarities_are_found(sign, spacing, radii):
    image, truth, _ = drawn(sign, spacing=spacing, radii=radii)
    found = segment_classical(image)
    assert found.status == "ok"
    assert found.mask.dtype == np.uint8
    assert dice(found.mask, truth) > (0.85 if spacing[0] > 2 else 0.93)


def test_a_cord_that_is_not_in_the_middle_is_found_as_well():
    image, truth, _ = drawn(1, offset=(12.0, -14.0))
    assert dice(segment_classical(image).mask, truth) > 0.93


@pytest.mark.parametrize("axes", ["LPI", "PSR", "IRA"])
def test_turned_headers_give_the_mask_of_their_plain_copy(axes):
    image, _, _ = drawn(-1, spacing=(1.0, 1.0, 2.0))
    turned = _reoriented(image, axes)
    mask = segment_classical(turned).mask
    assert mask.shape == turned.data.shape
    plain = Image(mask, turned.affine).canonical().data
    np.testing.assert_array_equal(plain, segment_classical(image).mask)


def _reoriented(image, axes):
    turn = ornt_transform(io_orientation(image.affine), axcodes2ornt(axes))
    affine = image.affine @ inv_ornt_aff(turn, image.data.shape)
    return Image(apply_orientation(image.data, turn), affine)


def test_intensity_unit_and_bias_field_do_not_matter():
    image, truth, _ = drawn(1)
    x = np.linspace(0.6, 1.4, image.data.shape[1])[None, :, None]
    scaled = Image((image.data * x * 3000.0).astype(np.float32), image.affine)
    assert dice(segment_classical(scaled).mask, truth) > 0.93


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_phantom_scans_of_every_contrast_are_segmented(contrast):
    shape, spacing = {
        "T1w": ((64, 96, 70), (1.0, 1.0, 1.0)),
        "T2w": ((64, 110, 90), (0.8, 0.8, 0.8)),
    }.get(contrast, ((96, 96, 14), (0.8, 0.8, 5.0)))
    person = draw_person(np.random.default_rng(3))
    grid = acquire(person, shape, spacing, centre_level=5.0, pose=Pose((3, 2, -2), (1, 2, 3)))
    image = structural_image(
        person, grid, tissue_signals(contrast, "GE", 3, "a"),
        contrast=contrast, noise=Noise(), rng=np.random.default_rng(3),
    )  # fmt: skip
    truth = (true_shares(person, grid)[..., :8].sum(axis=-1) > 0.5).astype(np.uint8)
    found = segment_classical(Image(image, grid.affine))
    assert found.status == "ok"
    assert dice(found.mask, truth) > 0.93


@pytest.mark.parametrize("smooth", [0.0, 1.0, 2.0, 3.0])
def test_noise_has_no_cord(smooth):
    noise = np.random.default_rng(0).normal(size=(60, 80, 60)).astype(np.float32)
    found = segment_classical(Image(ndimage.gaussian_filter(noise, smooth), np.eye(4)))
    assert found.status == "no_cord"
    assert "evidence" in found.reason
    assert not found.mask.any()
    assert found.mask.shape == noise.shape


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def bottle():
    x, y = np.meshgrid(np.arange(100) - 50, np.arange(100) - 50, indexing="ij")
    disc = np.repeat((np.hypot(x, y) < 40)[:, :, None], 40, axis=2).astype(np.float32)
    return disc + np.random.default_rng(0).normal(size=disc.shape).astype(np.float32) * 0.05


@pytest.mark.parametrize(
    ("data", "spacing", "reason"),
    [
        (np.zeros((40, 40, 8), np.float32), 1.0, "one value"),
        (noise(20, 20, 20), 10.0, "pixels of"),
        (noise(9, 40, 20), 1.0, "field of view"),
        (noise(20, 20, 1), 1.0, ""),
        (bottle(), 1.0, "evidence"),
    ],
)  # fmt: skip
def test_images_that_cannot_show_a_cord_have_none_and_say_why(data, spacing, reason):
    found = segment_classical(Image(data, np.diag([spacing, spacing, spacing, 1.0])))
    assert found.status == "no_cord"
    assert reason in found.reason
    assert not found.mask.any()


def test_a_cord_that_ends_within_the_field_of_view_is_cut_there():
    image, truth, _ = drawn(1, noise=0.03)
    values = image.data.copy()
    rng = np.random.default_rng(1)
    values[:, :, :25] = 0.5 + rng.normal(size=values[:, :, :25].shape) * 0.03
    mask = segment_classical(Image(values.astype(np.float32), image.affine)).mask
    present = np.flatnonzero(mask.any(axis=(0, 1)))
    assert abs(present[0] - 25) <= 10
    assert present[-1] == 59
    assert dice(mask[:, :, 32:], truth[:, :, 32:]) > 0.93


@pytest.mark.parametrize(
    ("image", "mask", "least"),
    [
        ("sct-testing/sub-t1demo/anat/sub-t1demo_T1w",
         "sct-testing/derivatives/labels/sub-t1demo/anat/sub-t1demo_T1w_label-SC_seg", 0.90),
        ("sct-tutorial/sub-05/anat/sub-05_acq-MTon_MTS",
         "sct-tutorial/derivatives/labels/sub-05/anat/sub-05_acq-MTon_MTS_label-SC_seg", 0.93),
    ],
)  # fmt: skip
def test_real_scans_are_segmented(shared_data, image, mask, least):
    scan = read_image(shared_data / f"{image}.nii.gz")
    manual = read_mask(shared_data / f"{mask}.nii.gz", scan)
    found = segment_classical(scan).mask
    drawn_slices = manual.data.any(axis=(0, 1))
    assert dice(found[..., drawn_slices], manual.data[..., drawn_slices]) > least


# -- parts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_outline_of_an_ellipse_has_its_area_and_centre(sign):
    image, _, centre = drawn(sign, spacing=(0.8, 0.8, 0.8), radii=(6.5, 4.3), noise=0.02)
    outline = find_outline(image.data, image.spacing_mm, centre + 1.0, sign)
    assert np.median(outline.area_mm2) == pytest.approx(np.pi * 6.5 * 4.3, rel=0.05)
    assert np.abs(outline.centre_mm - centre).max() < 0.8
    assert np.median(outline.coherence) > 0.97
    assert (outline.contrast > 0).all()
    right, front = outline.radius_mm[:, 0], outline.radius_mm[:, len(directions()) // 4]
    assert np.median(right) == pytest.approx(6.5, abs=0.4)
    assert np.median(front) == pytest.approx(4.3, abs=0.4)


def test_an_outline_in_noise_is_less_coherent_than_one_of_a_cord():
    image, _, centre = drawn(1)
    right = find_outline(image.data, image.spacing_mm, centre, 1)
    empty = find_outline(noise(*image.data.shape), image.spacing_mm, centre, 1)
    assert np.median(empty.coherence) < np.median(right.coherence) - 0.1


def test_filling_a_circle_gives_the_voxels_within_its_radius():
    image, _, centre = drawn(1)
    outline = find_outline(image.data, image.spacing_mm, centre, 1)
    circle = type(outline)(centre, np.full_like(outline.radius_mm, 5.0), centre[:, 0], centre[:, 0])
    x, y = np.meshgrid(np.arange(60), np.arange(70), indexing="ij")
    expected = np.hypot(x - centre[7, 0], y - centre[7, 1]) < 5.0
    np.testing.assert_array_equal(
        fill(circle, image.data.shape, image.spacing_mm)[:, :, 7], expected
    )
    assert circle.area_mm2[0] == pytest.approx(np.pi * 25.0)


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_response_is_largest_at_the_centre_and_opposite_for_the_other_polarity(sign):
    image, _, centre = drawn(sign, noise=0.0)
    grid = search_grid(image.data, image.spacing_mm)
    response = disc_response(grid)[0 if sign < 0 else 1]
    k = response.shape[2] // 2
    x, y = np.unravel_index(int(response[:, :, k].argmax()), response.shape[:2])
    at = centre[round(k * grid.step[2])]
    assert np.hypot(x - at[0], y - at[1]) < 1.5
    assert response.max() > 0.9


def test_the_path_prefers_a_smooth_course_to_single_strong_responses():
    response = np.zeros((30, 30, 12))
    response[10, 10, :] = 0.8
    response[25, 25, 5] = 1.5
    path, score = best_path(response, 2.5)
    assert (path == 10).all()
    np.testing.assert_allclose(score, 0.8)


def test_a_path_that_leans_is_followed():
    response = np.zeros((40, 20, 15))
    response[5 + 2 * np.arange(15), 9, np.arange(15)] = 1.0
    assert best_path(response, 2.5)[0][:, 0].tolist() == list(range(5, 35, 2))


def test_symmetry_is_highest_on_the_plane_of_mirror_images():
    rng = np.random.default_rng(0)
    half = ndimage.gaussian_filter(rng.normal(size=(40, 60, 20)), 2.0)
    values = np.concatenate([half, half[::-1]], axis=0)
    values = (values - values.min()).astype(np.float32)
    symmetry = mirror_symmetry(values, (1.0, 1.0, 2.5))
    assert symmetry.shape == values.shape
    assert abs(int(symmetry.mean(axis=(1, 2)).argmax()) - 39.5) <= 1.5


def test_air_and_skin_are_misplaced_and_the_depth_is_not():
    values = bottle()[:, :, :6]
    values[45:60, 60:75] = 0.0
    cost = misplacement(values, (1.0, 1.0, 2.5))
    assert cost[50, 67, 3] > 0.5  # air inside
    assert cost[50, 12, 3] > 0.35  # at the skin
    assert cost[50, 45, 3] < 0.05
    assert cost.max() <= 1.5


def test_both_readings_are_reported_with_their_evidence():
    image, _, _ = drawn(1)
    bright, dark = candidates(image)
    assert (bright.polarity, dark.polarity) == ("bright", "dark")
    assert dark.evidence > bright.evidence


def test_a_cord_40_mm_off_the_middle_of_the_field_of_view_gets_the_same_mask():
    image, _, _ = drawn(1)
    wider = np.pad(image.data, ((80, 0), (0, 0), (0, 0)), constant_values=0.5)
    found = segment_classical(Image(wider, image.affine)).mask
    assert not found[:80].any()
    assert dice(found[80:], segment_classical(image).mask) > 0.98
