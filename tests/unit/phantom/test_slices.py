"""True values per slice on tilted, scaled, repositioned grids."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.measures.geometry import slice_geometry
from cordcohort.measures.slice_shape import csa_mm2, diameter_ap_mm
from cordcohort.phantom import slices, truth
from cordcohort.phantom.acquisition import Acquisition, Pose, acquire
from cordcohort.phantom.frame import build_frame
from cordcohort.phantom.person import Person


@pytest.mark.parametrize("tilt", [False, True])
def test_shares_sum_to_the_true_area_of_each_slice(healthy: Person, tilt: bool):
    # Points 0.35 x 0.35 x 1 mm apart: about 100 boundary sub-voxels a slice err by 0.12 mm2 each,
    # as a random walk 1.2 mm2 over 4 layers, so 0.8 % of 75 mm2; twice that is allowed.
    grid = acquire(
        healthy,
        (60, 60, 8),
        (0.7, 0.7, 4.0),
        centre_level=5.0,
        pose=Pose((3.0, -2.0, 4.0), (5.0, -3.0, 2.0)),
        scale=0.98,
        tilt=tilt,
    )
    rows = slices.slice_truth(healthy, grid, slices.true_shares(healthy, grid))
    counted = np.array([row["axial_csa_mm2"] for row in rows])
    assert len(rows) == 8
    assert counted == pytest.approx(slices.axial_area_mm2(healthy, grid), rel=0.016)


def test_image_area_and_true_area_differ_by_the_scale_error(healthy: Person, axial: Acquisition):
    rows = slices.slice_truth(healthy, axial, slices.true_shares(healthy, axial))
    for row in rows:
        assert row["csa_true_mm2"] / row["csa_mm2"] == pytest.approx(1.02**2)
        assert row["csa_true_mm2"] == pytest.approx(float(truth.csa_mm2(healthy, row["z_mm"])))
        assert 0.0 < row["grey_csa_mm2"] < 0.35 * row["axial_csa_mm2"]


def test_measuring_the_true_shares_gives_the_true_shape(healthy: Person):
    # Two independent ways to the same number: curves integrated here, voxels measured there.
    grid = acquire(
        healthy, (48, 48, 40), (0.6, 0.6, 1.5), centre_level=5.0, pose=Pose((4.0, 3.0, 2.0))
    )
    shares = slices.true_shares(healthy, grid)
    measured = slice_geometry(shares[..., :8].sum(axis=-1), grid.spacing_mm)
    rows = slices.slice_truth(healthy, grid, shares)
    inner = slice(4, -4)  # the measured centreline is least certain at its ends
    area = np.array([row["csa_mm2"] for row in rows])
    assert csa_mm2(measured)[inner] == pytest.approx(area[inner], rel=0.015)
    assert csa_mm2(measured).mean() == pytest.approx(area.mean(), rel=0.003)
    front_back = np.array([row["diameter_ap_mm"] for row in rows])
    assert diameter_ap_mm(measured)[inner] == pytest.approx(front_back[inner], abs=0.25)


def test_heights_fall_where_the_axis_crosses_the_slices(healthy: Person, axial: Acquisition):
    z = slices.slice_heights(healthy, axial)
    x, y = truth.centreline(healthy, z)
    index = np.linalg.inv(axial.to_person) @ np.stack([x, y, z, np.ones_like(z)])
    assert index[2] == pytest.approx(np.arange(8), abs=0.02)


def test_vertebra_labels_change_at_the_discs(healthy: Person, axial: Acquisition):
    cord = slices.true_shares(healthy, axial)[..., :8].sum(axis=-1) >= 0.5
    labels = slices.vertebra_labels(healthy, axial, cord)
    assert np.array_equal(labels > 0, cord)
    per_slice = [int(labels[:, :, k].max()) for k in range(8)]
    expected = truth.vertebral_level(healthy, slices.slice_heights(healthy, axial))
    assert per_slice == expected.tolist()


def test_disc_and_pmj_points_lie_at_their_true_places(healthy: Person):
    grid = acquire(healthy, (64, 96, 160), (1, 1, 1), centre_level=2.5, pose=Pose())
    discs = slices.disc_labels(healthy, grid)
    assert (discs > 0).sum() == len(np.unique(discs)) - 1
    for code in (3, 4, 5, 6):
        place = grid.to_person @ [*np.argwhere(discs == code)[0], 1.0]
        wanted = truth.disc_positions_mm(healthy)[code]
        assert np.abs(place[:3] - wanted).max() <= 0.51
    assert slices.pmj_label(healthy, grid).sum() == 1


def test_points_out_of_view_leave_no_label(healthy: Person, axial: Acquisition):
    assert not slices.pmj_label(healthy, axial).any()


def test_slices_beyond_the_spine_have_no_height(healthy: Person):
    highest = float(build_frame(healthy).columns["z"][-1])
    affine = np.eye(4)
    affine[2, 3] = highest + 10.0
    grid = Acquisition((4, 4, 3), (1.0, 1.0, 1.0), affine, affine, 1.0, np.eye(3))
    assert np.isnan(slices.slice_heights(healthy, grid)).all()
    assert not slices.has_cord(healthy, grid)
