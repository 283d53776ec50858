"""The straightened strip, and the shipped detector on phantoms that no training saw."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from benchmarks.bench_discs import errors_mm, phantom_scan
from cordcohort import scan as paths
from cordcohort.errors import DamagedError
from cordcohort.files import read_record, sha256_of, write_record
from cordcohort.level_choice import DISC_MODEL
from cordcohort.nifti import Image, read_mask
from cordcohort.segmentation.disc_reading import NO_JOINT
from cordcohort.segmentation.disc_strip import BACK_MM, cord_strip
from cordcohort.segmentation.discs import cord_mask_of, detect_scans, disc_volume, find_discs
from cordcohort.segmentation.registry import load_model

SEED = 880_000  # of phantoms that neither training nor benchmark uses
LEAST = 0.5  # the default of measures.disc_confidence


@pytest.fixture(scope="module")
def model():
    return load_model(DISC_MODEL)


def ring(radius_mm=120.0, shape=(24, 120, 150)):
    """A cord along an arc, and bright spokes across it every 15 mm of the arc, in front."""
    x, y, z = np.meshgrid(*[np.arange(n, dtype=float) for n in shape], indexing="ij")
    away = y - (20 - radius_mm)  # the arc's centre lies behind; the cord's middle at y = 20
    height = z - (shape[2] - 1) / 2
    radius, angle = np.hypot(away, height), np.arctan2(height, away)
    cord = (np.hypot(radius - radius_mm, x - 12) < 5) & (np.abs(height) < 60)
    image = np.zeros(shape, np.float32)
    for spoke in np.arange(-0.5, 0.51, 0.125):
        image[(np.abs(angle - spoke) * radius < 1.5) & (radius > radius_mm + 5)] = 1.0
    return Image(image, np.eye(4)), cord


def test_spokes_across_a_curved_cord_become_level_rows_at_their_distance_along_it():
    image, cord = ring()
    strip = cord_strip(image, cord)
    bright = strip.values[:, BACK_MM + 12] > 0.5
    starts = np.flatnonzero(np.diff(bright.astype(int)) == 1)
    ends = np.flatnonzero(np.diff(bright.astype(int)) == -1)
    middles = (starts[: len(ends)] + ends[: len(starts)] + 1) / 2
    # 1/8 radian of 120 mm; the axis is a smoothed spline and rows are one mm.
    assert np.diff(middles) == pytest.approx(15.0, abs=1.1)
    across = strip.values[:, BACK_MM + 8 : BACK_MM + 20]
    level = across[strip.valid[:, BACK_MM + 8 : BACK_MM + 20].all(axis=1)]
    assert np.abs(level - level[:, :1]).mean() < 0.1


def test_a_row_and_its_place_in_the_scan_are_the_same_point():
    image, cord = ring()
    strip = cord_strip(image, cord)
    for row in (40.0, 70.0, 100.0):
        place = strip.edge_mm(row)
        radius = np.hypot(place[1] - (20 - 120.0), place[2] - 74.5)
        assert radius == pytest.approx(128.0, abs=0.5)


def test_a_cord_of_one_slice_has_no_strip(model):
    image = Image(np.ones((9, 9, 9), np.float32), np.eye(4))
    cord = np.zeros((9, 9, 9), bool)
    cord[4, 4, 4] = True
    assert find_discs(image, cord, model).reason == (
        "the cord mask holds one slice only: its direction is not known"
    )


def test_an_empty_image_or_noise_has_no_discs(model):
    cord = np.zeros((20, 60, 150), bool)
    cord[7:13, 20:26, 10:140] = True
    empty = Image(np.zeros(cord.shape, np.float32), np.eye(4))
    assert find_discs(empty, cord, model).reason == "the image is empty along the cord"
    noise = np.random.default_rng(0).normal(100, 20, cord.shape).astype(np.float32)
    assert find_discs(Image(noise, np.eye(4)), cord, model).reason == NO_JOINT


@pytest.mark.parametrize(
    "name",
    ["T1w isotropic 1.0", "T2w isotropic 0.8", "T2w sagittal 3.3 x 0.8 x 0.8",
     "T2starw isotropic 0.9"],
)  # fmt: skip
def test_discs_of_unseen_phantoms_are_within_two_mm_and_have_their_own_names(model, name):
    errors: list[float] = []
    used = 0
    for seed in (SEED, SEED + 1, SEED + 2):
        image, cord, truth, to_person = phantom_scan(name, seed)
        found = find_discs(image, cord, model)
        if found.reason or found.overall < LEAST:
            continue
        used += 1
        errors += [e for c, e in errors_mm(found, truth, image, to_person).items() if c > 2]
    assert used >= 2
    assert np.median(np.abs(errors)) <= 2.0
    assert np.max(np.abs(errors)) < 8.0  # half of the smallest distance of two discs


def test_a_back_without_the_neck_gets_no_names(model):
    for seed in (SEED, SEED + 1):
        image, cord, _, _ = phantom_scan("T2w isotropic 1.0, below T3", seed)
        found = find_discs(image, cord, model)
        assert found.reason == NO_JOINT


def test_labels_lie_on_the_grid_of_the_scan_and_in_its_storage_order(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image, cord, _, _ = phantom_scan("T2w isotropic 0.8", SEED)
    flip = np.diag([-1.0, 1.0, -1.0, 1.0]) @ image.affine  # stored to the left and downwards
    nib.save(nib.Nifti1Image(image.data[::-1, :, ::-1], flip), tmp_path / "i.nii.gz")
    nib.save(nib.Nifti1Image(cord[::-1, :, ::-1].astype(np.uint8), flip), tmp_path / "c.nii.gz")
    mask = {"method": "manual", "structure": "cord", "kind": "seg", "status": "ok",
            "path": str(tmp_path / "c.nii.gz")}  # fmt: skip
    row = {"dataset": "d", "folder": "sub-01/anat", "stem": "sub-01_T2w",
           "image": str(tmp_path / "i.nii.gz"), "masks": json.dumps([mask])}  # fmt: skip
    record = detect_scans([row], model, ["cord-v1"])[0]
    assert (record["status"], record["cord"]) == ("ok", "manual")
    path = Path(paths.disc_record(row, DISC_MODEL))
    assert read_record(path, paths.RECORD_SCHEMA) == record
    labels = read_mask(path.parent / record["mask"], kind="dseg").canonical()
    plain = disc_volume(find_discs(image, cord, model), image)
    assert np.array_equal(labels.data, plain)


def test_a_scan_without_cord_mask_or_with_a_broken_image_keeps_a_record(
    model, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    row = {"dataset": "d", "folder": "sub-01/anat", "stem": "sub-01_T2w", "image": "none.nii.gz",
           "masks": ""}  # fmt: skip
    assert cord_mask_of(row, ["cord-v1"]) == ("", "")
    record = detect_scans([row], model, ["cord-v1"])[0]
    assert (record["status"], record["reason"]) == ("failed", "no cord mask to follow")
    mask = {"method": "manual", "structure": "cord", "kind": "seg", "status": "ok", "path": "c"}
    broken = detect_scans([row | {"masks": json.dumps([mask])}], model, [])[0]
    assert broken["status"] == "failed"
    assert broken["reason"]


def test_a_cord_mask_of_a_model_that_changed_since_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    row = {"dataset": "d", "folder": "sub-01/anat", "stem": "sub-01_T2w", "masks": "[]"}
    record = Path(paths.mask_record(row, "cord-v1"))
    mask = record.with_suffix(".nii.gz")
    mask.parent.mkdir(parents=True)
    mask.write_bytes(b"1")
    told = {"schema": 1, "status": "ok", "mask": mask.name, "mask_sha256": sha256_of(mask)}
    write_record(record, told)
    assert cord_mask_of(row, ["cord-v1"]) == ("cord-v1", str(mask))
    mask.write_bytes(b"0")
    with pytest.raises(DamagedError, match="sha256"):
        cord_mask_of(row, ["cord-v1"])
