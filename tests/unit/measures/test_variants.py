"""Areas repeated on purpose: at other thresholds and at other voxel sizes."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest
from cordcohort import scan as paths
from cordcohort.files import write_json
from cordcohort.images.voxel_size import at_voxel_size
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.resolution import measure_resolution
from cordcohort.measures.shape import measure_shape
from cordcohort.measures.threshold import measure_thresholds
from cordcohort.model_uses import ModelUse
from cordcohort.nifti import Image, write_image

SCAN = dict.fromkeys(paths.SCAN_KEY, "") | {
    "dataset": "d", "subject": "01", "contrast": "T2w", "folder": "sub-01/anat",
    "stem": "sub-01_T2w",
}  # fmt: skip


def cone(n=64, spacing=0.5, radius=6.0, edge=2.0):
    """Soft disc stacked along z: full inside, falling to 0 over ``edge`` mm around ``radius``."""
    x = (np.arange(n) - (n - 1) / 2) * spacing
    r = np.hypot(x[:, None], x[None])
    plane = np.clip((radius + edge / 2 - r) / edge, 0, 1)
    data = np.repeat(plane[..., None], 12, axis=2).astype(np.float32)
    return Image(data, np.diag([spacing, spacing, 3.0, 1.0]))


def entry(path, kind="softseg", structure="cord", method="soft"):
    return {"method": method, "structure": structure, "kind": kind, "path": str(path),
            "status": "ok", "reason": ""}  # fmt: skip


@pytest.fixture
def soft(tmp_path):
    image = cone()
    write_image(tmp_path / "soft.nii.gz", image.data, image.affine, dtype=np.float32)
    return entry(tmp_path / "soft.nii.gz")


def areas(table, measure="csa_mm2"):
    rows = table[(table["measure"] == measure) & (table["statistic"] == "mean")]
    return rows[rows["level"] == ""].set_index("variant")["value"].to_dict()


def test_area_at_a_threshold_is_that_of_the_disc_where_the_mask_reaches_it(soft):
    options = MeasureOptions(thresholds=(0.1, 0.5, 0.9))
    found = areas(measure_thresholds(SCAN, [soft], options))
    # The share t is reached at radius 6 + 1 - 2 t; pixels of 0.5 mm count it to 3 %.
    for threshold in options.thresholds:
        radius = 6.0 + 1.0 - 2.0 * threshold
        assert found[f"threshold {threshold:g}"] == pytest.approx(np.pi * radius**2, rel=0.03)


def test_the_threshold_of_one_half_is_the_usual_area(soft):
    usual = areas(measure_shape(SCAN, [soft]))[""]
    cut = areas(measure_thresholds(SCAN, [soft], MeasureOptions(thresholds=(0.5,))))
    assert cut == {"threshold 0.5": usual}


def test_the_threshold_of_one_half_has_the_levels_and_every_number_of_the_usual_area(tmp_path):
    leaning = np.zeros((64, 64, 30), np.uint8)
    soft = np.zeros(leaning.shape, np.float32)
    labels = np.zeros(leaning.shape, np.uint8)
    affine = np.diag([0.5, 0.5, 1.0, 1.0])
    for k in range(30):  # manual: 45 degrees to the front; soft: upright, and wider downwards
        leaning[24:40, 4 + k : 14 + k, k] = 1
        soft[..., k] = cone(radius=6.0 - k / 15).data[..., 0]
    for code, k in {2: 27, 3: 19, 4: 10, 5: 3}.items():
        labels[32, 50, k] = code
    masks = [
        entry(tmp_path / "soft.nii.gz"),
        entry(tmp_path / "manual.nii.gz", kind="seg", method="manual"),
        entry(tmp_path / "discs.nii.gz", kind="dlabel", structure="discs", method="manual"),
        entry(tmp_path / "manual.nii.gz", kind="seg", structure="gm", method="manual"),
    ]
    for path, data in {"soft": soft, "manual": leaning, "discs": labels}.items():
        write_image(tmp_path / f"{path}.nii.gz", data, affine, dtype=data.dtype.type)
    options = MeasureOptions(thresholds=(0.5,))
    usual = measure_shape(SCAN, masks, options)
    wanted = usual["method"].eq("soft") & usual["measure"].eq("csa_mm2") & usual["slice"].isna()
    cut = measure_thresholds(SCAN, masks, options)
    assert {"C2", "C3", ""} <= set(cut["level"])
    assert set(cut["variant"]) == {"threshold 0.5"}
    plain = usual[wanted].assign(variant="threshold 0.5").reset_index(drop=True)
    pd.testing.assert_frame_equal(cut, plain, check_exact=True)
    # That the manual cord decides about levels shows here: the soft one has other slices a level.
    alone = measure_thresholds(SCAN, [masks[0], masks[2]], options)
    assert alone["n_voxels"].tolist() != cut["n_voxels"].tolist()


def test_a_threshold_that_nothing_reaches_is_a_failed_row(tmp_path):
    image = cone()
    write_image(tmp_path / "low.nii.gz", image.data * 0.4, image.affine, dtype=np.float32)
    options = MeasureOptions(thresholds=(0.3, 0.8))
    table = measure_thresholds(SCAN, [entry(tmp_path / "low.nii.gz")], options)
    failed = table[table["variant"] == "threshold 0.8"]
    assert set(failed["flag"]) == {"failed"}
    assert failed["reason"].str.contains("empty").all()
    assert not (table.loc[table["variant"] == "threshold 0.3", "flag"] == "failed").any()


@pytest.mark.parametrize("masks", [[], ["binary"], ["broken"]])
def test_without_a_readable_soft_mask_there_is_no_number(tmp_path, masks):
    (tmp_path / "broken.nii.gz").write_bytes(b"no image")
    known = {
        "binary": entry("mask.nii.gz", kind="seg"),
        "broken": entry(tmp_path / "broken.nii.gz"),
    }
    table = measure_thresholds(SCAN, [known[m] for m in masks], MeasureOptions(thresholds=(0.5,)))
    assert table["value"].isna().all()
    assert len(table) == (0 if masks != ["broken"] else len(table))


def test_no_list_measures_nothing(soft):
    assert measure_thresholds(SCAN, [soft], MeasureOptions()).empty
    assert measure_resolution(SCAN, [soft], MeasureOptions()).empty


@pytest.mark.parametrize("size", [0.5, 0.8, 1.0, 1.6])
def test_soft_area_and_volume_survive_another_voxel_size(size):
    image = cone()
    small = at_voxel_size(image, size, "softseg")
    assert small.spacing_mm == pytest.approx((size,) * 3)
    area = small.data[..., small.data.shape[2] // 2].sum() * size**2
    truth = image.data[..., 6].sum() * 0.25
    assert area == pytest.approx(truth, rel=0.01)  # sampling of a blurred disc


def test_the_middle_of_the_field_of_view_stays():
    image = cone()
    small = at_voxel_size(image, 1.3)
    for one in (image, small):
        centre = (np.asarray(one.data.shape) - 1) / 2
        place = one.affine @ [*centre, 1.0]
        assert place[:3] == pytest.approx([15.75, 15.75, 16.5])


def test_labelled_points_and_levels_move_with_the_scan():
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[4, 10, 15], labels[4, 10, 3] = 3, 4
    image = Image(labels, np.diag([1.0, 1.0, 1.0, 1.0]))
    points = at_voxel_size(image, 2.0, "dlabel")
    assert sorted(np.unique(points.data)) == [0, 3, 4]
    place = points.affine @ [*np.argwhere(points.data == 3)[0], 1.0]
    assert np.abs(place[:3] - [4, 10, 15]).max() <= 1.0  # half a new voxel
    whole = at_voxel_size(Image(labels + 1, image.affine), 2.0, "dseg")
    assert set(np.unique(whole.data)) <= {1, 4, 5}


def test_masks_and_what_models_drew_are_measured_at_each_voxel_size(soft, tmp_path):
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        small = at_voxel_size(cone(), 1.2)
        row = paths.at_voxel_size(SCAN, 1.2)
        stem = paths.mask_stem(row, "net")
        write_image(f"{stem}.nii.gz", small.data > 0.5, small.affine, dtype=np.uint8)
        record = {"status": "ok", "reason": "", "structure": "cord", "soft": "",
                  "mask": f"{stem}.nii.gz".rsplit("/", 1)[1]}  # fmt: skip
        write_json(paths.mask_record(row, "net"), record)
        table = measure_resolution(
            SCAN, [soft], MeasureOptions(voxel_sizes_mm=(1.2,)), [ModelUse("net")]
        )
    finally:
        os.chdir(here)
    assert set(table["variant"]) == {"voxel 1.2 mm"}
    means = table[table["statistic"] == "mean"].set_index(["method", "measure"])["value"]
    drawn = float((small.data > 0.5).sum(axis=(0, 1)).mean()) * 1.2**2
    assert means["net", "csa_mm2"] == pytest.approx(drawn)
    whole = float(cone().data[..., 0].sum()) * 0.5**2
    assert means["soft", "csa_soft_mm2"] == pytest.approx(whole, rel=0.01)  # as above
