"""Derived images: a record is always written, and says what happened."""

from __future__ import annotations

import json

import numpy as np
import pytest
from cordcohort import scan as paths
from cordcohort.files import read_record
from cordcohort.images.derive import derive_mean_b0, derive_tensor
from cordcohort.nifti import read_image, write_image

AFFINE = np.diag([1.0, 1.0, 5.0, 1.0])
SERIES = {"denoise": "none", "motion_correction": True, "b0_threshold_s_per_mm2": 50.0}
OPTIONS = {"fit": "WLS", "dilate_mm": 1.0, "b0_threshold_s_per_mm2": 50.0}
SHAPE = (8, 8, 2)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Give a folder with one diffusion scan of a known tensor, and its index row."""
    monkeypatch.chdir(tmp_path)
    bvecs = np.vstack([np.zeros(3), np.eye(3), [[1, 1, 0], [1, 0, 1], [0, 1, 1]] / np.sqrt(2)])
    bvals = np.array([0.0, *[800.0] * 6])
    tensor = np.diag([0.4e-3, 0.4e-3, 1.6e-3])
    signal = 1000 * np.exp(-bvals * np.einsum("ij,jk,ik->i", bvecs, tensor, bvecs))
    write_image("dwi.nii.gz", np.broadcast_to(signal, (*SHAPE, 7)), AFFINE, dtype=np.float32)
    np.savetxt("dwi.bval", bvals[None])
    np.savetxt("dwi.bvec", bvecs.T)
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[3:5, 3:5] = 1
    write_image("mask.nii.gz", mask, AFFINE, dtype=np.uint8)
    entry = {
        "method": "rater-2", "structure": "cord", "kind": "seg", "path": "mask.nii.gz",
        "status": "ok", "reason": "",
    }  # fmt: skip
    return {
        "dataset": "a", "folder": "sub-01/dwi", "stem": "sub-01_dwi", "image": "dwi.nii.gz",
        "bval": "dwi.bval", "bvec": "dwi.bvec", "status": "ok", "reason": "",
        "masks": json.dumps([entry]),
    }  # fmt: skip


def test_mean_b0_lies_on_the_grid_of_the_series_and_says_how_many_volumes_it_has(study):
    record = derive_mean_b0(study, SERIES)
    assert record["status"] == "ok"
    assert record["counts"] == {"b0_volumes": 1}
    image = read_image(paths.image_file(study, "b0"))
    np.testing.assert_allclose(image.data, 1000, rtol=1e-6)
    np.testing.assert_array_equal(image.affine, AFFINE)


def test_tensor_is_fitted_in_whatever_mask_there_is_and_gives_the_known_diffusivities(study):
    record = derive_tensor(study, ["no-such-model"], OPTIONS)
    assert record["mask_methods"] == ["rater-2"]
    md = read_image(paths.image_file(study, "md")).data
    np.testing.assert_allclose(md[3:5, 3:5], 0.8e-3, rtol=1e-4)
    assert md[0, 0, 0] == 0
    assert record["counts"]["mask_voxels"] == 2 * (4 + 8)  # the square and its edge neighbours


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"status": "failed", "reason": "[pointer] not fetched"}, "pointer"),
        ({"bval": ""}, "bval_missing"),
        ({"image": "mask.nii.gz"}, "bval_count"),
        ({"masks": ""}, "no_mask"),
    ],
)
def test_what_cannot_be_derived_becomes_the_reason_of_its_record(study, change, word):
    record = derive_tensor(study | change, [], OPTIONS)
    assert record["status"] == "failed"
    assert word in record["reason"]
    assert read_record(paths.image_record(study, "tensor"), 1) == record
