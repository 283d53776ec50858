"""Diffusion: tensors with the intended values, seen through a fit by dipy; gradients; motion."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.phantom.acquisition import Acquisition, Pose, acquire
from cordcohort.phantom.cohort import without_damage
from cordcohort.phantom.diffusion import directions, fibre_directions, simulate
from cordcohort.phantom.person import Person
from cordcohort.phantom.signals import tissue_signals
from cordcohort.phantom.tensors import Protocol, eigenvalues, region_table, tensor_truth
from cordcohort.phantom.tissues import REGIONS
from dipy.core.gradients import gradient_table
from dipy.reconst.dti import TensorModel
from hypothesis import given
from hypothesis import strategies as st
from skimage.registration import phase_cross_correlation

PROTOCOL = Protocol(n_b0=3, n_directions=15)


def _series(person: Person, grid: Acquisition, protocol: Protocol, snr: float):
    truth = tensor_truth(person, grid, protocol, 7)
    table = tissue_signals("dwi", "GE", 0, "scan")
    rng = np.random.default_rng(1)
    return truth, simulate(person, grid, truth, table, protocol=protocol, snr=snr, rng=rng)


@given(st.floats(0.0, 0.95), st.floats(1e-4, 3e-3))
def test_eigenvalues_give_back_anisotropy_and_mean(fa: float, md: float):
    along, across = eigenvalues(np.array(fa), np.array(md))
    values = np.array([along, across, across])
    mean = values.mean()
    spread = np.sqrt(1.5 * ((values - mean) ** 2).sum() / (values**2).sum())
    assert mean == pytest.approx(md, rel=1e-9)
    assert spread == pytest.approx(fa, abs=1e-9)
    assert across >= 0.0


def test_directions_are_unit_vectors_that_determine_a_tensor():
    vectors = directions(12)
    x, y, z = vectors.T
    design = np.stack([x * x, y * y, z * z, x * y, x * z, y * z], axis=1)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(12))
    assert np.linalg.matrix_rank(design) == 6
    assert np.linalg.cond(design) < 20


def test_a_fit_of_the_simulated_series_gives_the_intended_tensor(
    healthy: Person, axial: Acquisition
):
    truth, series = _series(healthy, axial, PROTOCOL, snr=2000.0)
    table = gradient_table(series.bvals, bvecs=series.directions, b0_threshold=10)
    pure = truth.fraction[..., :8].max(axis=-1) > 0.999
    fit = TensorModel(table, fit_method="WLS").fit(series.data, mask=pure)
    for k in range(len(REGIONS)):
        held = truth.fraction[..., k] > 0.999
        assert held.sum() > 5
        assert np.abs(fit.fa[held] - truth.fa[..., k][held]).max() < 0.02
        assert fit.md[held] == pytest.approx(truth.md[..., k][held], rel=0.02)


def test_fibres_run_along_the_cord_and_the_sides_lean_apart(healthy: Person, axial: Acquisition):
    left, right = fibre_directions(healthy, axial)
    person = left @ axial.rotation, right @ axial.rotation
    assert np.all(person[0][:, 2] > 0.9)
    assert np.all(person[0][:, 0] < person[1][:, 0])


def test_fa_spreads_within_each_region_by_at_least_what_the_design_asks(healthy: Person):
    grid = acquire(healthy, (30, 30, 16), (0.9, 0.9, 5.0), centre_level=5.0, pose=Pose())
    rows = region_table(tensor_truth(healthy, grid, Protocol(), 3))
    spread = [float(row["fa_sd"]) for row in rows]
    assert np.mean(spread) >= 0.05
    white = [float(r["fa"]) for r in rows if str(r["structure"]).endswith("wm")]
    grey = [float(r["fa"]) for r in rows if str(r["structure"]).endswith("gm")]
    assert min(white) > max(grey)


def test_a_person_has_the_same_tensors_in_every_scan(healthy: Person, axial: Acquisition):
    first, again, other = (tensor_truth(healthy, axial, PROTOCOL, seed) for seed in (7, 7, 8))
    assert np.array_equal(first.fa, again.fa)
    assert not np.array_equal(first.fa, other.fa)


def test_damage_lowers_fa(damaged: Person, axial: Acquisition):
    rows = [
        region_table(tensor_truth(person, axial, PROTOCOL, 7))
        for person in (damaged, without_damage(damaged))
    ]
    assert all(float(a["fa"]) < float(b["fa"]) for a, b in zip(*rows, strict=True))


def test_known_motion_moves_the_image_by_its_shift(healthy: Person, axial: Acquisition):
    moving = Protocol(n_b0=2, n_directions=6, motion_mm=1.5)
    _, series = _series(healthy, axial, moving, snr=1e4)
    still = _series(healthy, axial, Protocol(n_b0=2, n_directions=6), snr=1e4)[1]
    assert not series.shifts_mm[0].any()
    volume = int(np.flatnonzero(series.bvals == 0)[1])
    for k in (2, 5):
        images = [one.data[8:-8, 8:-8, k, volume] for one in (still, series)]
        back, *_ = phase_cross_correlation(*images, upsample_factor=20)
        assert series.shifts_mm[volume, k] == pytest.approx(-back * 0.7, abs=0.15)


def test_a_field_of_view_without_cord_gives_a_series_without_regions(healthy: Person):
    grid = acquire(
        healthy, (8, 8, 2), (2, 2, 5), centre_level=5.0, pose=Pose(), off_centre_mm=(300.0, 0.0)
    )
    truth, series = _series(healthy, grid, PROTOCOL, snr=20.0)
    assert np.isfinite(series.data).all()
    assert [row["volume_voxels"] for row in region_table(truth)] == [0.0] * 8
