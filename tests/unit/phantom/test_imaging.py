"""The imaging model: contrasts, partial volume, noise, scale error, implants, lesions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cordcohort.phantom import imaging, signals, slices
from cordcohort.phantom.acquisition import Acquisition, Pose, acquire, stored
from cordcohort.phantom.frame import build_frame
from cordcohort.phantom.person import Lesion, Person
from cordcohort.phantom.tissues import CORD, N_TISSUES, Tissue

CLEAN = imaging.Noise(snr=1e4, lesion_cnr=0.0, bias=0.0, texture=0.0)


def _image(person: Person, grid: Acquisition, contrast: str, noise: imaging.Noise) -> np.ndarray:
    table = signals.tissue_signals(contrast, "GE", 0, "scan")
    rng = np.random.default_rng(5)
    return imaging.structural_image(person, grid, table, contrast=contrast, noise=noise, rng=rng)


def _cord_share(person: Person, grid: Acquisition) -> np.ndarray:
    values = np.zeros((N_TISSUES, 1))
    values[list(CORD)] = 1.0
    return imaging.mean_over_voxels(person, grid, values)[..., 0]


@pytest.mark.parametrize("contrast", signals.CONTRASTS)
def test_every_contrast_gives_a_finite_positive_image_of_the_grid(
    healthy: Person, axial: Acquisition, contrast: str
):
    image = _image(healthy, axial, contrast, imaging.Noise())
    assert image.shape == axial.shape
    assert image.dtype == np.float32
    assert np.isfinite(image).all()
    assert image.min() >= 0.0


def test_csf_is_bright_on_t2w_and_dark_on_t1w():
    for vendor in ("Siemens", "Philips", "GE"):
        t1, t2 = (signals.tissue_signals(c, vendor, 1, "x") for c in ("T1w", "T2w"))
        assert t2[Tissue.CSF] > 1.5 * t2[Tissue.LEFT_GM]
        assert t1[Tissue.CSF] < 0.5 * t1[Tissue.LEFT_LATERAL_WM]
        assert t2[Tissue.LEFT_GM] > t2[Tissue.LEFT_LATERAL_WM]


def test_vendors_differ_and_a_vendor_is_the_same_in_all_scans_but_for_little():
    one, same, other = (
        signals.tissue_signals("T2w", vendor, 1, scan)
        for vendor, scan in (("GE", "a"), ("GE", "b"), ("Philips", "a"))
    )
    within, between = np.abs(np.log(one / same)), np.abs(np.log(one / other))
    assert 0.0 < within.mean() < 0.5 * between.mean()


def test_an_unknown_contrast_is_refused():
    with pytest.raises(ValueError, match="T2w"):
        signals.tissue_signals("PET", "GE", 0, "x")


def test_partial_volume_lies_between_the_tissues(healthy: Person, axial: Acquisition):
    share = _cord_share(healthy, axial)
    assert ((share > 0.05) & (share < 0.95)).sum() > 50
    assert share.max() == pytest.approx(1.0)
    shares = slices.true_shares(healthy, axial)[..., :8].sum(axis=-1)
    assert np.allclose(share, shares, atol=1e-5)


def test_noise_alone_is_rayleigh():
    # Mean of a Rayleigh distribution: sigma * sqrt(pi / 2); its standard error here is 0.2 %.
    noise = imaging.rician(np.zeros((60, 60, 30), np.float32), 10.0, np.random.default_rng(0))
    assert noise.mean() == pytest.approx(10.0 * np.sqrt(np.pi / 2), rel=0.01)


def test_noise_in_the_cord_has_the_standard_deviation_asked_for(
    healthy: Person, axial: Acquisition
):
    noisy = _image(healthy, axial, "T1w", replace(CLEAN, snr=20.0))
    clean = _image(healthy, axial, "T1w", CLEAN)
    white = signals.tissue_signals("T1w", "GE", 0, "scan")[Tissue.LEFT_LATERAL_WM]
    inside = _cord_share(healthy, axial) > 0.99
    assert (noisy - clean)[inside].std() == pytest.approx(white / 20.0, rel=0.1)


def test_a_lesion_has_the_contrast_to_noise_asked_for(healthy: Person):
    z = float(build_frame(healthy).z_of_level(5.0))
    lesioned = replace(healthy, lesions=(Lesion(0.0, 0.0, z, 2.0, 2.0, 6.0, 0.0),))
    grid = acquire(healthy, (40, 40, 20), (1.0, 1.0, 1.0), centre_level=5.0, pose=Pose())
    noise = replace(CLEAN, snr=20.0, lesion_cnr=4.0)
    gain = _image(lesioned, grid, "T2w", noise) - _image(healthy, grid, "T2w", noise)
    sigma = signals.tissue_signals("T2w", "GE", 0, "scan")[Tissue.LEFT_LATERAL_WM] / 20.0
    inside = imaging.lesion_fraction(lesioned, grid) > 0.99
    assert inside.sum() > 20
    assert gain[inside].mean() == pytest.approx(4.0 * sigma, rel=0.15)
    assert abs(gain[imaging.lesion_fraction(lesioned, grid) == 0.0]).max() < 1e-3


def test_signal_is_lost_near_an_implant_and_nowhere_else(healthy: Person):
    grid = acquire(healthy, (60, 60, 20), (1.0, 1.0, 2.0), centre_level=5.0, pose=Pose())
    survival = imaging.implant_survival(replace(healthy, implant_levels=(5.0,)), grid)
    assert survival.min() < 0.01
    assert survival[0, 0, 0] == pytest.approx(1.0, abs=1e-3)
    assert imaging.implant_survival(healthy, grid).min() == 1.0


def test_a_scale_error_makes_the_cord_look_smaller(healthy: Person):
    area = []
    for scale in (1.0, 1.02):
        grid = acquire(
            healthy, (60, 60, 6), (0.5, 0.5, 3.0), centre_level=5.0, pose=Pose(), scale=scale
        )
        area.append(_cord_share(healthy, grid)[:, :, 3].sum())
    assert area[0] / area[1] == pytest.approx(1.02**2, rel=0.01)


def test_repositioning_moves_the_header_with_the_person(healthy: Person):
    poses = (Pose(), Pose((0.0, 0.0, 10.0), (20.0, 0.0, 0.0)))
    grids = [acquire(healthy, (9, 9, 9), (1, 1, 1), centre_level=4.0, pose=p) for p in poses]
    centres = [(g.to_person @ [4, 4, 4, 1])[:3] for g in grids]
    assert np.allclose(*centres, atol=1e-6)
    assert not np.allclose(grids[0].affine, grids[1].affine)


def test_tilted_slices_stand_perpendicular_to_the_cord(healthy: Person):
    plain, tilted = (
        acquire(healthy, (9, 9, 9), (1, 1, 1), centre_level=7.5, pose=Pose(), tilt=tilt)
        for tilt in (False, True)
    )
    cosine = [slices.tilt_cosine(healthy, g)[4] for g in (plain, tilted)]
    assert cosine[1] > cosine[0]
    assert cosine[1] > 0.998


@pytest.mark.parametrize("axes", ["RAS", "LAS", "LPS", "PIR"])
def test_storage_order_keeps_every_voxel_where_it_was(axes: str):
    data = np.arange(24, dtype=float).reshape(2, 3, 4)
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = [5.0, 6.0, 7.0]
    turned, matrix = stored(data, affine, axes)
    for index in np.ndindex(*turned.shape):
        world = matrix @ [*index, 1.0]
        home = np.rint(np.linalg.inv(affine) @ world)[:3].astype(int)
        assert data[tuple(home)] == turned[index]


def test_a_field_of_view_without_cord_is_imaged_all_the_same(healthy: Person):
    grid = acquire(
        healthy, (16, 16, 4), (1, 1, 3), centre_level=5.0, pose=Pose(), off_centre_mm=(300.0, 0.0)
    )
    image = _image(healthy, grid, "T2w", imaging.Noise())
    assert np.isfinite(image).all()
    assert slices.slice_truth(healthy, grid, slices.true_shares(healthy, grid)) == []
