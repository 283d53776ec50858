"""Preprocessing: what is done, what is written, and how maps depend on the stored axes."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort import scan as paths
from cordcohort.images.derive import derive_mean_b0, derive_tensor
from cordcohort.images.diffusion import direction_colour, tensor_maps
from cordcohort.images.preprocess import NOT_FOUND, cord_centres, preprocess
from cordcohort.nifti import Image, read_image, write_image
from cordcohort.table import read_tsv
from unit.images.diffusion_phantom import phantom

OPTIONS = {"denoise": "none", "motion_correction": True, "b0_threshold_s_per_mm2": 50.0}


@pytest.fixture(scope="module")
def oblique():
    """A still series of nearly no noise, its slices across a leaning cord."""
    return phantom(seed=5, snr=2000.0, n_directions=15, shape=(40, 40, 6), tilt=True)


@pytest.mark.parametrize("axes", ["RAS", "LAS", "LPS", "PIR", "SAL"])
def test_fa_and_direction_do_not_depend_on_how_an_oblique_image_is_stored(oblique, axes):
    image, gradients = oblique.stored(axes)
    inside = image.to_native(oblique.cord)
    found = tensor_maps(image, gradients, inside)
    plain = tensor_maps(*oblique.stored("RAS"), oblique.cord)
    for name in ("fa", "md"):
        turned = Image(found.maps[name], image.affine).canonical().data
        np.testing.assert_allclose(turned, plain.maps[name], rtol=1e-4, atol=1e-9)
    canonical = Image(found.direction, image.affine).canonical().data
    along = np.abs((canonical * plain.direction).sum(axis=-1))[oblique.cord]
    assert along.min() > 0.9999


def test_the_principal_direction_runs_along_the_cord_and_is_shown_blue(oblique):
    image, gradients = oblique.stored("PIR")
    found = tensor_maps(image, gradients, image.to_native(oblique.cord))
    direction = Image(found.direction, image.affine).canonical().data
    fibre = sum(oblique.fibres) / 2  # both sides lean apart from the middle by 4 degrees
    angle = np.degrees(np.arccos(np.abs((direction * fibre).sum(axis=-1)).clip(0, 1)))
    assert np.median(angle[oblique.cord]) < 6.0
    anisotropy = Image(found.maps["fa"], image.affine).canonical().data
    colour = direction_colour(direction, anisotropy)[oblique.cord]
    assert (colour.argmax(axis=1) == 2).all()
    np.testing.assert_allclose(np.linalg.norm(colour, axis=1), anisotropy[oblique.cord], rtol=1e-5)


def test_a_table_that_is_not_turned_with_its_image_shows_in_the_direction(oblique):
    """The mistake that the test above must be able to see."""
    image, gradients = oblique.stored("PIR")
    wrong = type(gradients)(gradients.bvals, oblique.series.directions)
    found = tensor_maps(image, wrong, image.to_native(oblique.cord))
    assert np.abs(found.direction[found.fitted][:, 2]).mean() < 0.7


def test_the_cord_is_found_without_a_mask():
    one = phantom(snr=15.0)
    image, _ = one.stored("RAS")
    mean = Image(image.data[..., one.series.bvals < 50].mean(axis=3), image.affine)
    centres = cord_centres(mean)
    assert np.abs(centres - one.centres).max() < 3  # voxels; the disc reaches 14 further


def test_where_no_cord_is_found_the_series_stays_and_says_so():
    data = np.random.default_rng(0).normal(100, 1, (24, 24, 4, 8)).astype(np.float32)
    image = Image(data, np.diag([1.0, 1.0, 5.0, 1.0]))
    found = preprocess(image, np.array([0.0, *[800.0] * 7]), OPTIONS)
    assert found.warnings == [NOT_FOUND]
    assert not found.changed
    np.testing.assert_array_equal(found.series.data, data)


@pytest.mark.parametrize("method", ["mppca", "patch2self"])
def test_denoising_lowers_the_noise_and_keeps_the_signal(method):
    one = phantom(snr=10.0, shape=(24, 24, 4))
    clean = phantom(snr=1e6, shape=(24, 24, 4)).series.data[one.cord]
    image, gradients = one.stored("RAS")
    options = OPTIONS | {"denoise": method, "motion_correction": False}
    found = preprocess(image, gradients.bvals, options)
    before, after = (np.abs(x[one.cord] - clean).mean() for x in (image.data, found.series.data))
    assert after < 0.8 * before
    assert found.steps == [f"denoised ({method})"]


@pytest.fixture(scope="module")
def moving():
    return phantom(motion_mm=1.0, snr=20.0, n_directions=12)


@pytest.fixture
def study(tmp_path, monkeypatch, moving):
    """Give the index row of a moving scan with its files and a mask of the mean b=0."""
    monkeypatch.chdir(tmp_path)
    image, gradients = moving.stored("LAS")
    write_image("dwi.nii.gz", image.data, image.affine, dtype=np.float32)
    np.savetxt("dwi.bval", gradients.bvals[None])
    np.savetxt("dwi.bvec", gradients.bvecs.T)
    write_image("mask.nii.gz", image.to_native(moving.cord), image.affine, dtype=np.uint8)
    mask = (
        '[{"method": "manual", "structure": "cord", "kind": "seg", "path": "mask.nii.gz", '
        '"status": "ok", "reason": ""}]'
    )
    return {
        "dataset": "a", "folder": "sub-01/dwi", "stem": "sub-01_dwi", "image": "dwi.nii.gz",
        "bval": "dwi.bval", "bvec": "dwi.bvec", "status": "ok", "reason": "", "masks": mask,
    }  # fmt: skip


TENSOR = {"fit": "WLS", "dilate_mm": 0.0, "b0_threshold_s_per_mm2": 50.0}


def test_the_tensor_is_fitted_to_the_series_without_motion_whose_shifts_are_written(study, moving):
    record = derive_mean_b0(study, OPTIONS)
    assert record["steps"] == ["motion taken back, slice by slice"]
    shifts = read_tsv(paths.image_file(study, "shifts").replace(".nii.gz", ".tsv"))
    n_slices, n_volumes = moving.series.data.shape[2:]
    assert len(shifts) == n_slices * n_volumes
    steps = read_tsv(paths.image_file(study, "motion").replace(".nii.gz", ".tsv"))
    told = steps["framewise_displacement_mm"].astype(float).to_numpy()
    assert told[1:].mean() == pytest.approx(
        record["quality"]["framewise_displacement_mm"], abs=1e-4
    )
    tensor = derive_tensor(study, [], TENSOR)
    assert tensor["quality"]["framewise_displacement_mm"] > 1.0
    derive_mean_b0(study, OPTIONS | {"motion_correction": False})
    raw = derive_tensor(study, [], TENSOR)
    assert raw["quality"]["framewise_displacement_mm"] is None
    assert tensor["quality"]["s0_snr"] > 1.5 * raw["quality"]["s0_snr"]


def test_without_correction_nothing_of_an_earlier_one_is_left(study):
    first = derive_mean_b0(study, OPTIONS)
    names = [file["name"] for file in first["files"].values()]
    assert sorted(first["files"]) == ["b0", "motion", "preproc", "shifts"]
    derive_mean_b0(study, OPTIONS | {"motion_correction": False})
    folder = read_image(paths.image_file(study, "b0")).path.parent
    assert [n for n in names if (folder / n).exists()] == ["sub-01_desc-b0_dwi.nii.gz"]
