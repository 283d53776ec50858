"""Diffusion series that cannot be trusted: one clear line and a flag, never a number misread."""

from __future__ import annotations

import json

import numpy as np
import pytest
from cordcohort.images.derive import derive_mean_b0, derive_tensor
from cordcohort.images.preprocess import mean_b0
from cordcohort.measures.kinds import measure
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.tasks import measuring_task
from cordcohort.nifti import Image, write_image
from unit.images.test_gradients import BVALS, BVECS, DIRECTIONS, N

SHAPE = (8, 8, 2)
AFFINE = np.diag([1.0, 1.0, 5.0, 1.0])
SERIES = {"denoise": "none", "motion_correction": True, "b0_threshold_s_per_mm2": 50.0}
TENSOR = {"fit": "WLS", "dilate_mm": 0.0, "b0_threshold_s_per_mm2": 50.0}


def series(bvals=BVALS, bvecs=BVECS):
    """A series of one known tensor, as its true table says."""
    tensor = np.diag([0.4e-3, 0.4e-3, 1.6e-3])
    signal = 1000 * np.exp(-np.asarray(bvals) * np.einsum("ij,jk,ik->i", bvecs, tensor, bvecs))
    return np.broadcast_to(signal, (*SHAPE, len(bvals))).astype(np.float32).copy()


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Give a function that writes a series with any table and gives its index row."""
    monkeypatch.chdir(tmp_path)
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:6, 2:6] = 1
    write_image("mask.nii.gz", mask, AFFINE, dtype=np.uint8)
    entry = {"method": "manual", "structure": "cord", "kind": "seg", "path": "mask.nii.gz",
             "status": "ok", "reason": ""}  # fmt: skip

    def write(data=None, bvals="0 800 800 800 800 800 800 800", bvecs=BVECS.T):
        write_image("dwi.nii.gz", series() if data is None else data, AFFINE, dtype=np.float32)
        (tmp_path / "dwi.bval").write_text(bvals)
        np.savetxt("dwi.bvec", bvecs)
        return {
            "dataset": "a", "subject": "01", "session": "", "acquisition": "", "run": "",
            "contrast": "dwi", "folder": "sub-01/dwi", "stem": "sub-01_dwi", "datatype": "dwi",
            "image": "dwi.nii.gz", "bval": "dwi.bval", "bvec": "dwi.bvec", "status": "ok",
            "reason": "", "peers": "", "masks": json.dumps([entry]),
        }  # fmt: skip

    return write


def rows_of(scan, threshold=50.0):
    """The record of the fit, and the rows of the scan's cord in the long table."""
    derive_mean_b0(scan, SERIES | {"b0_threshold_s_per_mm2": threshold})
    record = derive_tensor(scan, [], TENSOR | {"b0_threshold_s_per_mm2": threshold})
    table = measure("regions", measuring_task("regions", scan, []), MeasureOptions())
    return record, table[(table["method"] == "manual") & table["slice"].isna()]


FLAT = np.stack([np.cos(np.arange(7) * 0.4), np.sin(np.arange(7) * 0.4), np.zeros(7)], axis=1)
FAULTS = {
    "bval_count": {"bvals": " ".join(map(str, BVALS[:-1]))},
    "bval_text": {"bvals": "zero " + " ".join(map(str, BVALS[1:]))},
    "bval_values": {"bvals": " ".join(map(str, [0, -800, *BVALS[2:]]))},
    "no_b0": {"bvals": " ".join(["800"] * N), "bvecs": np.vstack([BVECS[1], DIRECTIONS]).T},
    "bvec_shape": {"bvecs": BVECS.T[:, :-1]},
    "bvec_norm": {"bvecs": (BVECS * 0.5).T},
    "directions": {"bvecs": np.vstack([np.zeros(3), FLAT]).T},
}


@pytest.mark.parametrize("code", list(FAULTS))
def test_a_table_that_is_wrong_gives_one_line_and_failed_rows(study, code):
    record, rows = rows_of(study(**FAULTS[code]))
    assert record["status"] == "failed"
    assert f"[{code}]" in record["reason"]
    assert "\n" not in record["reason"]
    assert set(rows["flag"]) == {"failed"}
    assert rows["value"].isna().all()
    assert rows["reason"].str.contains(code, regex=False).all()


def test_zero_vectors_of_weighted_volumes_are_named(study):
    vectors = BVECS.copy()
    vectors[3] = 0
    record, _ = rows_of(study(bvecs=vectors.T))
    assert "1 others (volume 3: length 0)" in record["reason"]


@pytest.mark.parametrize("table", [BVECS, BVECS.T])
def test_a_table_of_columns_is_recognised_as_one_of_rows(study, table):
    record, rows = rows_of(study(bvecs=table))
    assert record["status"] == "ok"
    md = rows[(rows["measure"] == "md_mm2_per_s") & (rows["statistic"] == "mean")]
    assert md["value"].tolist() == pytest.approx([0.8e-3], rel=1e-4)


def test_commas_are_read(study):
    assert rows_of(study(bvals=",".join(map(str, BVALS))))[0]["status"] == "ok"


def test_b_5_is_b_0_below_the_threshold_and_else_the_way_out_is_named(study):
    text = " ".join(map(str, [5, *BVALS[1:]]))
    assert rows_of(study(bvals=text))[0]["status"] == "ok"
    record, _ = rows_of(study(bvals=text), threshold=0.0)
    assert "a smallest b of 5; raise images.b0_threshold_s_per_mm2" in record["reason"]


def test_a_volume_that_was_dropped_is_left_out_counted_and_flagged(study):
    bvals = [0.0, *BVALS]
    bvecs = np.vstack([np.zeros(3), BVECS])
    data = series(bvals, bvecs)
    data[..., 0] = 0
    record, rows = rows_of(study(data, " ".join(map(str, bvals)), bvecs.T))
    assert record["warnings"][-1] == "1 volumes without signal left out"
    md = rows[(rows["measure"] == "md_mm2_per_s") & (rows["statistic"] == "mean")].iloc[0]
    assert md["value"] == pytest.approx(0.8e-3, rel=1e-4)
    assert md["flag"] == "warning"
    assert "without signal" in md["reason"]


def test_negative_signal_is_counted_and_flagged(study):
    data = series()
    data[3, 3, 0, 2] = -20
    data[4, 4, 1] = -1
    record, rows = rows_of(study(data))
    assert record["counts"]["negative_values"] == 1
    assert record["counts"]["not_positive_signal"] == 1
    assert set(rows[rows["statistic"] == "mean"]["flag"]) == {"warning"}


def test_a_lost_volume_does_not_dim_the_mean_of_the_others():
    data = series()[..., [0, 0]]
    data[..., 1] = 0
    image = Image(data, AFFINE)
    np.testing.assert_array_equal(mean_b0(image, np.zeros(2)).data, data[..., 0])


def test_a_slice_that_lost_its_signal_is_told_as_an_outlier(study):
    rng = np.random.default_rng(1)
    angle = rng.normal(size=(24, 3))
    bvecs = np.vstack([np.zeros((3, 3)), angle / np.linalg.norm(angle, axis=1, keepdims=True)])
    bvals = [0.0] * 3 + [800.0] * 24
    data = series(bvals, bvecs) + rng.normal(0, 10, (*SHAPE, 27)).astype(np.float32)
    data[:, :, 1, 9] *= 0.4
    record, _ = rows_of(study(data, " ".join(map(str, bvals)), bvecs.T))
    assert record["quality"]["outlier_slices_n"] == 1
    assert record["warnings"][-1] == "1 of 54 slices do not fit (volumes 9)"


def test_signal_to_noise_is_that_of_the_series(study):
    rng = np.random.default_rng(2)
    angle = rng.normal(size=(30, 3))
    bvecs = np.vstack([np.zeros((4, 3)), angle / np.linalg.norm(angle, axis=1, keepdims=True)])
    bvals = [0.0] * 4 + [800.0] * 30
    clean = series(bvals, bvecs)
    noisy = clean + rng.normal(0, 125, clean.shape).astype(np.float32)
    record, rows = rows_of(study(noisy, " ".join(map(str, bvals)), bvecs.T))
    # 1000 / 125; weighting leaves the residuals a little above the noise.
    assert record["quality"]["s0_snr"] == pytest.approx(8.0, rel=0.15)
    assert "signal to noise at b=0 is" in rows.iloc[0]["reason"]
