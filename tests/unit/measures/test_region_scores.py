"""Regions of a method against the reference: overlap, error of the index, trimmed, soft, fit."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.measures.agreement import measure_agreement
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.regions import REGION_CODES, MapsQuality, measure_regions
from scipy import ndimage
from unit.measures.test_shape_table import KEYS, SCAN, entry, save

SHAPE = (16, 16, 4)
LEFT_DORSAL = REGION_CODES["left_dorsal_wm"]


@pytest.fixture
def drawn(tmp_path):
    """Give the reference's regions, a method's that are moved by a voxel, maps, and masks."""
    rng = np.random.default_rng(8)
    reference = np.zeros(SHAPE, np.uint8)
    for code in range(1, 9):
        reference[2 * (code - 1) : 2 * code, 4:10, :3] = code
    moved = np.roll(reference, 1, axis=1)
    maps = {n: rng.uniform(0.2, 0.8, SHAPE).astype(np.float32) * s for n, s in
            [("fa", 1.0), ("md", 1e-3), ("ad", 2e-3), ("rd", 1e-3)]}  # fmt: skip
    files = {n: save(tmp_path / f"{n}.nii.gz", v) for n, v in maps.items()}
    return reference, moved, maps, files, tmp_path


def regions_of(path, method="manual", kind="dseg"):
    return entry(str(path), method=method, structure="regions", kind=kind)


def both(drawn):
    reference, moved, _, _, folder = drawn
    return [
        regions_of(save(folder / "manual.nii.gz", reference)),
        regions_of(save(folder / "moved.nii.gz", moved), "net"),
    ]


def one(table, **wanted):
    rows = table
    for column, value in ({"level": ""} | wanted).items():
        rows = rows[rows[column] == value]
    rows = rows[rows["slice"].isna()]
    assert len(rows) == 1
    return rows.iloc[0]


def test_overlap_of_each_region_is_its_own(drawn):
    reference, moved, *_ = drawn
    table = measure_agreement(SCAN, both(drawn))
    assert not table.duplicated(KEYS).any()
    for name, code in REGION_CODES.items():
        a, b = moved == code, reference == code
        common = (a & b).sum()
        for measure, value in {
            "dice": 2 * common / (a.sum() + b.sum()), "precision": common / a.sum(),
            "recall": common / b.sum(), "both_voxels_n": common, "mask_voxels_n": a.sum(),
            "reference_voxels_n": b.sum(),
        }.items():  # fmt: skip
            assert one(table, structure=name, measure=measure)["value"] == pytest.approx(value)


def test_a_region_that_the_reference_has_not_drawn_in_a_scored_slice_is_wrong_there(drawn):
    reference, moved, _, _, folder = drawn
    reference[..., 1][reference[..., 1] == LEFT_DORSAL] = 0  # the other seven are drawn there
    moved[..., 3] = LEFT_DORSAL  # nobody drew anything here: not scored
    masks = [
        regions_of(save(folder / "a.nii.gz", reference)),
        regions_of(save(folder / "b.nii.gz", moved), "net"),
    ]
    table = measure_agreement(SCAN, masks)
    row = one(table, structure="left_dorsal_wm", measure="mask_voxels_n")
    assert row["value"] == (moved[..., :3] == LEFT_DORSAL).sum()


def test_an_empty_region_has_no_dice_of_its_own_and_an_empty_reference_none_at_all(drawn):
    reference, moved, _, _, folder = drawn
    moved[moved == 2] = 0
    reference[reference == 6] = 0
    masks = [
        regions_of(save(folder / "a.nii.gz", reference)),
        regions_of(save(folder / "b.nii.gz", moved), "net"),
    ]
    table = measure_agreement(SCAN, masks)
    assert one(table, structure="left_dorsal_wm", measure="dice")["value"] == 0
    assert one(table, structure="left_dorsal_wm", measure="precision")["flag"] == "undefined"
    row = one(table, structure="right_dorsal_wm", measure="dice")
    assert row[["flag", "reason"]].tolist() == ["undefined", "the reference is empty"]


def test_the_error_of_the_index_is_that_of_the_two_means(drawn):
    reference, moved, maps, files, _ = drawn
    table = measure_regions(SCAN, both(drawn), files)
    assert not table.duplicated(KEYS).any()
    for name, code in REGION_CODES.items():
        found, true = (maps["md"][m == code].astype(float).mean() for m in (moved, reference))
        signed = 100 * (found - true) / true
        assert one(table, structure=name, measure="md_signed_error_percent")["value"] == (
            pytest.approx(signed, rel=1e-5)
        )
        row = one(table, structure=name, measure="md_error_percent")
        assert row["value"] == pytest.approx(abs(signed), rel=1e-5)
        assert row[["method", "reference", "statistic"]].tolist() == ["net", "manual", "mean"]
    slices = table[(table["measure"] == "fa_error_percent") & table["slice"].notna()]
    assert len(slices) == 8 * 3


def test_an_empty_region_has_no_error_and_is_counted_in_the_whole_scan_and_each_slice(drawn):
    _, moved, _, files, folder = drawn
    moved[moved == LEFT_DORSAL] = 0
    masks = [*both(drawn)[:1], regions_of(save(folder / "n.nii.gz", moved), "net")]
    table = measure_regions(SCAN, masks, files)
    rows = table[
        (table["structure"] == "left_dorsal_wm") & (table["measure"] == "fa_error_percent")
    ]
    assert len(rows) == 1 + 3
    assert rows["value"].isna().all()
    assert set(rows["reason"]) == {"no voxel of this region"}


def test_a_region_map_that_cannot_be_read_has_failed_errors_once(drawn):
    _, _, _, files, folder = drawn
    (folder / "broken.nii.gz").write_bytes(b"")
    masks = [*both(drawn)[:1], regions_of(folder / "broken.nii.gz", "net")]
    table = measure_regions(SCAN, masks, files)
    errors = table[table["measure"] == "fa_error_percent"]
    assert len(errors) == 8
    assert set(errors["flag"]) == {"failed"}


def test_without_maps_the_errors_fail_with_the_reason(drawn):
    table = measure_regions(SCAN, both(drawn), {}, maps_reason="[no_b0] ...")
    errors = table[table["measure"] == "fa_error_percent"]
    assert len(errors) == 8
    assert errors["reason"].str.contains("no_b0").all()


def test_soft_maps_of_regions_weigh_each_voxel_by_its_share(drawn, tmp_path):
    reference, _, maps, files, _ = drawn
    shares = np.stack([(reference == c) * np.float32(0.6) for c in range(1, 9)], axis=-1)
    shares[..., 0] += (reference == 2) * np.float32(0.3)
    masks = [*both(drawn)[:1], regions_of(save(tmp_path / "p.nii.gz", shares), "net", "probseg")]
    table = measure_regions(SCAN, masks, files)
    row = one(table, structure="left_lateral_wm", measure="fa", method="net")
    assert row["statistic"] == "weighted"
    expected = np.average(maps["fa"], weights=shares[..., 0])
    assert row["value"] == pytest.approx(expected, rel=1e-5)
    error = one(table, structure="left_lateral_wm", measure="fa_signed_error_percent")
    true = maps["fa"][reference == 1].mean()
    assert error["value"] == pytest.approx(100 * (expected - true) / true, rel=1e-3)
    assert not table.duplicated(KEYS).any()


@pytest.mark.parametrize(("n", "scale", "code"), [(7, 1.0, "label_count"), (8, 3.0, "not_soft")])
def test_soft_maps_that_are_none_are_refused_by_name(drawn, tmp_path, n, scale, code):
    shares = np.full((*SHAPE, n), 0.1 * scale, np.float32)
    masks = [regions_of(save(tmp_path / "p.nii.gz", shares), "net", "probseg")]
    table = measure_regions(SCAN, masks, drawn[3])
    assert set(table["flag"]) == {"failed"}
    assert table["reason"].str.contains(code).all()


def test_trimmed_leaves_out_the_border_of_the_region_in_the_slice(drawn):
    _, _, maps, files, folder = drawn
    wide = np.zeros(SHAPE, np.uint8)
    wide[3:12, 3:12] = 1
    wide[0:2, 0:8] = 2  # two voxels wide: nothing is left
    table = measure_regions(SCAN, [regions_of(save(folder / "w.nii.gz", wide))], files)
    inner = ndimage.binary_erosion(wide == 1, np.ones((3, 3, 1)))  # of a square: the same
    row = one(table, structure="left_lateral_wm", measure="fa", statistic="trimmed")
    assert row["value"] == pytest.approx(maps["fa"][inner].astype(float).mean())
    assert row["n_voxels"] == inner.sum()
    thin = one(table, structure="left_dorsal_wm", measure="fa", statistic="trimmed")
    assert thin[["flag", "reason"]].tolist() == ["undefined", "0 voxels, fewer than 5"]
    assert one(table, structure="left_dorsal_wm", measure="fa", statistic="mean")["flag"] == ""


def test_quality_of_the_fit_has_rows_of_its_own_and_warns_on_the_whole_scan(drawn):
    quality = MapsQuality({"s0_snr": 8.0, "outlier_slices_n": 2.0}, ["2 of 40 slices do not fit"])
    options = MeasureOptions(per_slice=True)
    table = measure_regions(SCAN, both(drawn), drawn[3], options, quality=quality)
    assert one(table, measure="s0_snr")["value"] == 8
    assert table[table["measure"] == "s0_snr"]["method"].tolist() == [""]
    whole = one(table, structure="left_gm", measure="fa", statistic="mean", method="manual")
    assert whole[["flag", "reason"]].tolist() == ["warning", "2 of 40 slices do not fit"]
    slices = table[table["slice"].notna() & (table["measure"] == "fa")]
    assert set(slices["flag"]) == {""}
