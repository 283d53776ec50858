"""Area and shape against closed forms: tilt, turn, partial volume, degenerate masks."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.measures import slice_shape
from cordcohort.measures.catalogue import measures_of
from cordcohort.measures.geometry import own_centreline, slice_geometry
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.measures.shapes import tube

SPACING = (0.5, 0.5, 2.0)
ELLIPSE_MM2 = np.pi * 6 * 4
TILTS = [(0.0, 0.0), (0.3, 0.0), (0.0, -0.4), (0.35, 0.35), (-0.2, 0.5)]


def measure(mask, spacing=SPACING, **options):
    geometry = slice_geometry(mask, spacing, **options)
    return {m.name: getattr(slice_shape, m.function)(geometry) for m in measures_of("shape")}


@pytest.mark.parametrize("slope", TILTS)
def test_area_across_the_cord_does_not_depend_on_its_tilt(slope):
    mask = tube(slope=slope, soft=True, shape=(96, 96, 12))
    found = measure(mask)
    assert found["csa_mm2"] == pytest.approx(ELLIPSE_MM2, rel=2e-3)
    tilted = ELLIPSE_MM2 * np.sqrt(1 + slope[0] ** 2 + slope[1] ** 2)
    assert found["csa_uncorrected_mm2"] == pytest.approx(tilted, rel=2e-3)


def test_product_of_two_cosines_would_be_too_small_on_an_oblique_tilt():
    slope = (np.tan(np.radians(20)), np.tan(np.radians(20)))
    found = measure(tube(slope=slope, soft=True, shape=(96, 96, 12)))
    product = found["csa_uncorrected_mm2"].mean() * np.cos(np.radians(20)) ** 2
    assert found["csa_mm2"].mean() == pytest.approx(ELLIPSE_MM2, rel=1e-3)
    assert product / ELLIPSE_MM2 == pytest.approx(0.993, abs=1e-3)


@pytest.mark.parametrize("slope", TILTS)
def test_diameters_do_not_depend_on_tilt(slope):
    found = measure(tube(slope=slope, soft=True, shape=(96, 96, 12)))
    assert found["diameter_rl_mm"] == pytest.approx(12, rel=0.01)
    assert found["diameter_ap_ellipse_mm"] == pytest.approx(8, rel=0.01)
    assert found["eccentricity"] == pytest.approx(np.sqrt(1 - (4 / 6) ** 2), rel=0.02)


@pytest.mark.parametrize("slope", TILTS)
def test_tilt_and_length_are_those_of_the_axis(slope):
    found = measure(tube(slope=slope, soft=True, shape=(96, 96, 12)))
    assert found["angle_ap_deg"] == pytest.approx(np.degrees(np.arctan(slope[0])), abs=0.1)
    assert found["angle_rl_deg"] == pytest.approx(np.degrees(np.arctan(slope[1])), abs=0.1)
    expected = 12 * 2.0 * np.sqrt(1 + slope[0] ** 2 + slope[1] ** 2)
    assert found["length_mm"].sum() == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("turn", [-30.0, -10.0, 0.0, 15.0, 40.0])
def test_orientation_is_the_turn_and_diameters_follow_it(turn):
    found = measure(tube(turn_deg=turn, soft=True))
    assert found["orientation_deg"] == pytest.approx(turn, abs=0.3)
    assert found["diameter_rl_mm"] == pytest.approx(12, rel=0.01)
    assert found["diameter_ap_ellipse_mm"] == pytest.approx(8, rel=0.01)


@pytest.mark.parametrize("turn", [0.0, 25.0])
def test_front_back_diameter_is_the_mean_chord_of_the_middle_three_mm(turn):
    right = np.linspace(-1.5, 1.5, 10001)
    chord = np.mean(2 * 4 * np.sqrt(1 - (right / 6) ** 2))
    found = measure(tube(turn_deg=turn, soft=True))
    assert found["diameter_ap_mm"] == pytest.approx(chord, rel=2e-3)


def test_longer_axis_front_to_back_is_named_by_direction_not_by_length():
    found = measure(tube(semi_axes_mm=(4.0, 6.0), soft=True))
    assert found["diameter_rl_mm"] == pytest.approx(8, rel=0.01)
    assert found["diameter_ap_ellipse_mm"] == pytest.approx(12, rel=0.01)


def test_area_converges_with_voxel_size():
    errors = []
    for pixel in (1.0, 0.5, 0.25):
        n = int(30 / pixel)
        mask = tube(shape=(n, n, 4), spacing=(pixel, pixel, 2.0), centre_shift_mm=(0.1, 0.07))
        area = measure(mask, (pixel, pixel, 2.0))["csa_uncorrected_mm2"].mean()
        errors.append(abs(area - ELLIPSE_MM2) / ELLIPSE_MM2)
    assert errors[0] < 0.04
    assert errors[2] < 0.003


def test_partial_volumes_give_the_area_where_a_cut_at_half_does_not():
    spacing = (1.0, 1.0, 2.0)
    soft = tube(shape=(30, 30, 4), spacing=spacing, semi_axes_mm=(3.3, 3.3), soft=True)
    exact = np.pi * 3.3**2
    as_soft = measure(soft, spacing)["csa_mm2"].mean()
    as_cut = measure(soft > 0.5, spacing)["csa_mm2"].mean()
    assert as_soft == pytest.approx(exact, rel=3e-3)
    assert abs(as_soft - exact) < abs(as_cut - exact)


def test_a_soft_mask_is_stretched_only_on_request():
    faint = 0.8 * tube(soft=True)
    assert measure(faint)["csa_mm2"] == pytest.approx(0.8 * ELLIPSE_MM2, rel=2e-3)
    stretched = measure(faint, normalise_slices=True)["csa_mm2"]
    assert stretched == pytest.approx(ELLIPSE_MM2, rel=2e-3)


def test_correction_can_be_switched_off():
    found = measure(tube(slope=(0.3, 0.0)), angle_correction=False)
    assert found["csa_mm2"] == pytest.approx(found["csa_uncorrected_mm2"])
    assert found["length_mm"] == pytest.approx(2.0)
    assert found["angle_ap_deg"] == pytest.approx(np.degrees(np.arctan(0.3)), abs=0.5)


def test_a_part_of_the_cord_uses_the_cords_tilt():
    cord = tube(slope=(0.4, 0.0), soft=True, shape=(80, 60, 12))
    off_centre = cord.copy()
    off_centre[:40] = 0  # half of it leans, and its own centre wanders
    line = own_centreline(cord, SPACING)
    geometry = slice_geometry(off_centre, SPACING, line)
    assert geometry.slope_x == pytest.approx(0.4, abs=2e-3)


def test_a_rectangle_has_exact_area_and_solidity():
    mask = np.zeros((20, 20, 3), np.uint8)
    mask[5:15, 6:12] = 1
    found = measure(mask, (1.0, 1.0, 3.0))
    assert found["csa_mm2"].tolist() == [60.0, 60.0, 60.0]
    assert found["solidity"] == pytest.approx(1.0)
    assert found["diameter_ap_mm"] == pytest.approx(6.0)
    assert found["volume_mm3"].tolist() == [180.0, 180.0, 180.0]


def test_a_dent_lowers_solidity():
    mask = np.zeros((24, 24, 2), np.uint8)
    mask[4:20, 4:20] = 1
    mask[10:14, 12:20] = 0
    expected = (16 * 16 - 4 * 8) / (16 * 16)
    assert measure(mask, (1.0, 1.0, 1.0))["solidity"] == pytest.approx(expected, abs=0.01)


def test_a_hole_counts_as_outside():
    mask = np.zeros((24, 24, 2), np.uint8)
    mask[4:20, 4:20] = 1
    mask[9:15, 9:15] = 0
    found = measure(mask, (1.0, 1.0, 1.0))
    assert found["csa_mm2"].tolist() == [220.0, 220.0]
    assert found["solidity"] == pytest.approx(220 / 256, abs=0.01)


def test_components_of_a_slice_are_counted_and_corners_connect():
    mask = np.zeros((12, 12, 4), np.uint8)
    mask[2:5, 2:5] = 1
    mask[8:10, 8:10, 1] = 1
    mask[5:7, 5:7, 2] = 1  # touches by a corner
    mask[8, 2, 3] = mask[2, 8, 3] = 1
    assert slice_geometry(mask, SPACING).n_components.tolist() == [1, 2, 1, 3]


def test_a_mask_at_the_image_border_is_told():
    mask = np.zeros((10, 10, 3), np.uint8)
    mask[4:7, 4:7] = 1
    mask[0:3, 4:7, 1] = 1
    geometry = slice_geometry(mask, SPACING)
    assert geometry.at_border.tolist() == [False, True, False]
    assert np.isfinite(geometry.outline_mm2).all()


def test_one_voxel_is_measured():
    mask = np.zeros((5, 5, 5), np.uint8)
    mask[2, 2, 2] = 1
    found = measure(mask, (1.0, 1.0, 4.0))
    assert found["csa_mm2"].tolist() == [1.0]
    assert found["angle_ap_deg"].tolist() == [0.0]
    assert found["n_slices"].tolist() == [1.0]


def test_an_empty_mask_is_refused():
    with pytest.raises(ValueError, match="empty"):
        slice_geometry(np.zeros((4, 4, 4)), SPACING)


def test_slices_between_drawn_ones_may_be_missing():
    mask = tube(slope=(0.3, 0.1), soft=True, shape=(80, 60, 12))
    mask[..., [3, 4, 8]] = 0
    geometry = slice_geometry(mask, SPACING)
    assert geometry.index.tolist() == [0, 1, 2, 5, 6, 7, 9, 10, 11]
    assert slice_shape.csa_mm2(geometry) == pytest.approx(ELLIPSE_MM2, rel=5e-3)


def test_a_soft_slice_below_half_has_area_but_no_shape():
    mask = tube(soft=True)
    mask[..., 0] *= 0.4
    geometry = slice_geometry(mask, SPACING)
    assert geometry.has_outline.tolist() == [False] + [True] * 11
    assert slice_shape.csa_mm2(geometry)[0] == pytest.approx(0.4 * ELLIPSE_MM2, rel=5e-3)
    assert np.isnan(slice_shape.diameter_ap_mm(geometry)[0])
    assert np.isnan(slice_shape.orientation_deg(geometry)[0])


def test_anisotropic_pixels_give_the_same_shape():
    mask = tube(shape=(60, 30, 6), spacing=(0.5, 1.0, 2.0), soft=True, turn_deg=20.0)
    found = measure(mask, (0.5, 1.0, 2.0))
    assert found["csa_mm2"] == pytest.approx(ELLIPSE_MM2, rel=3e-3)
    assert found["orientation_deg"] == pytest.approx(20.0, abs=0.5)
    assert found["diameter_rl_mm"] == pytest.approx(12, rel=0.015)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(-5, 5), st.integers(-5, 5))
def test_measures_do_not_depend_on_where_the_mask_lies(seed, dx, dy):
    rng = np.random.default_rng(seed)
    blob = (rng.random((8, 8, 4)) > 0.4).astype(np.uint8)
    blob[3:5, 3:5] = 1
    a = np.zeros((24, 24, 4), np.uint8)
    b = a.copy()
    a[8:16, 8:16] = blob
    b[8 + dx : 16 + dx, 8 + dy : 16 + dy] = blob
    first, second = measure(a), measure(b)
    for name, values in first.items():
        np.testing.assert_allclose(second[name], values, atol=1e-6, err_msg=name)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_mirroring_changes_only_the_signs_of_angles(seed):
    rng = np.random.default_rng(seed)
    mask = np.zeros((16, 16, 5), np.uint8)
    mask[4:12, 4:12] = rng.random((8, 8, 5)) > 0.3
    mask[7:9, 7:9] = 1
    here, there = measure(mask), measure(mask[::-1])
    for name in ("csa_mm2", "diameter_rl_mm", "diameter_ap_mm", "solidity", "angle_rl_deg"):
        np.testing.assert_allclose(there[name], here[name], atol=1e-6, err_msg=name)
    np.testing.assert_allclose(there["angle_ap_deg"], -here["angle_ap_deg"], atol=1e-6)
