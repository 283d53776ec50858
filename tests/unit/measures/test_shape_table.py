"""Shape of a scan's masks as rows: levels, statistics, soft masks, and every fault as a row."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from cordcohort.measures.kinds import measure
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.shape import measure_shape
from cordcohort.measures.task import Task
from cordcohort.table import LONG_COLUMNS, SCAN_KEY
from unit.measures.shapes import tube

SPACING = (0.5, 0.5, 2.0)
SHIFTED = np.diag([*SPACING, 1.0])
SHIFTED[0, 3] = 3.0
SCAN = dict.fromkeys(SCAN_KEY, "") | {"dataset": "a", "subject": "01", "contrast": "T2w"}
KEYS = [*SCAN_KEY, "method", "structure", "level_kind", "level", "slice", "measure", "statistic"]


def save(path, data, affine=None, dtype=np.float32):
    affine = np.diag([*SPACING, 1.0]) if affine is None else affine
    nib.save(nib.Nifti1Image(np.asarray(data, dtype=dtype), affine), path)
    return str(path)


def entry(path, method="manual", structure="cord", kind="seg", **other):
    common = {"method": method, "structure": structure, "kind": kind, "path": path}
    return common | {"status": "ok", "reason": ""} | other


def summary(
    table, *, measure="csa_mm2", statistic="mean", method="manual", level="", structure="cord"
):
    chosen = table[
        (table["measure"] == measure)
        & (table["statistic"] == statistic)
        & (table["method"] == method)
        & (table["level"] == level)
        & (table["structure"] == structure)
        & table["slice"].isna()
    ]
    assert len(chosen) == 1
    return chosen.iloc[0]


@pytest.fixture
def cord(tmp_path):
    mask = tube(slope=(0.2, 0.0))
    return mask, save(tmp_path / "cord.nii.gz", mask)


def test_a_scan_gives_slices_and_summary_with_units_and_unique_keys(cord):
    mask, path = cord
    table = measure_shape(SCAN, [entry(path)])
    assert list(table.columns) == LONG_COLUMNS
    assert not table.duplicated(KEYS).any()
    per_slice = table[(table["measure"] == "csa_mm2") & table["slice"].notna()]
    assert per_slice["slice"].tolist() == list(range(12))
    assert per_slice["n_voxels"].tolist() == mask.sum(axis=(0, 1)).tolist()
    row = summary(table)
    assert row["unit"] == "mm2"
    assert row["value"] == pytest.approx(per_slice["value"].mean())
    assert summary(table, statistic="sd")["value"] == pytest.approx(per_slice["value"].std(ddof=1))
    assert summary(table, measure="length_mm", statistic="sum")["value"] == pytest.approx(
        24 * np.sqrt(1.04), rel=0.01
    )
    assert set(table["flag"]) == {""}


def test_without_labels_no_level_is_written(cord):
    table = measure_shape(SCAN, [entry(cord[1])])
    assert set(table["level"]) == {""}
    assert set(table["level_kind"]) == {""}


def test_levels_come_from_the_map_and_ranges_pool_slices(cord, tmp_path):
    labels = np.zeros((60, 60, 12))
    for k, level in enumerate([5, 5, 4, 4, 4, 3, 3, 3, 3, 2, 2, 2]):
        labels[30, 30, k] = level
    path = save(tmp_path / "vertebrae.nii.gz", labels)
    table = measure_shape(SCAN, [entry(cord[1]), entry(path, structure="vertebrae", kind="dseg")])
    slices = table[(table["measure"] == "csa_mm2") & table["slice"].notna()].set_index("slice")
    assert slices["level"].tolist() == ["C5"] * 2 + ["C4"] * 3 + ["C3"] * 4 + ["C2"] * 3
    assert set(slices["level_kind"]) == {"vertebral"}
    assert summary(table, level="C4")["value"] == pytest.approx(slices["value"][2:5].mean())
    pooled = summary(table, level="C2-C3")
    assert pooled["value"] == pytest.approx(slices["value"][5:12].mean())
    assert pooled["flag"] == ""
    assert not table.duplicated(KEYS).any()


def test_a_range_that_is_cut_by_the_field_of_view_says_so(cord, tmp_path):
    labels = np.zeros((60, 60, 12))
    labels[30, 30, 6:] = 3
    path = save(tmp_path / "vertebrae.nii.gz", labels)
    masks = [entry(cord[1]), entry(path, structure="vertebrae", kind="dseg")]
    pooled = summary(measure_shape(SCAN, masks), level="C2-C3")
    assert (pooled["flag"], pooled["reason"]) == ("warning", "no slice at C2")


def test_levels_can_be_left_out(cord, tmp_path):
    path = save(tmp_path / "vertebrae.nii.gz", np.full((60, 60, 12), 3.0))
    masks = [entry(cord[1]), entry(path, structure="vertebrae", kind="dseg")]
    table = measure_shape(SCAN, masks, MeasureOptions(levels="none"))
    assert set(table["level"]) == {""}


def test_broken_level_labels_leave_the_area_of_the_cord_as_it_is(cord, tmp_path):
    path = save(tmp_path / "vertebrae.nii.gz", np.zeros((10, 10, 5)))
    masks = [entry(cord[1]), entry(path, structure="vertebrae", kind="dseg")]
    table = measure_shape(SCAN, masks)
    row, alone = summary(table), summary(measure_shape(SCAN, masks[:1]))
    assert (row["flag"], row["reason"]) == ("", "")
    assert row["value"] == alone["value"]
    at_level = table[(table["level"] == "C2-C3") & (table["measure"] == "csa_mm2")]
    assert set(at_level["flag"]) == {"undefined"}
    assert at_level["reason"].str.contains("other_grid").all()


PERMUTED_AND_FLIPPED = [  # also to left-handed order
    ((0, 1, 2), (-1, 1, 1)), ((0, 1, 2), (-1, -1, -1)), ((2, 0, 1), (1, 1, 1)),
    ((1, 2, 0), (1, -1, 1)), ((0, 2, 1), (-1, 1, -1)),
]  # fmt: skip


@pytest.mark.parametrize(("order", "signs"), PERMUTED_AND_FLIPPED)
def test_stored_axes_do_not_change_a_number(tmp_path, order, signs):
    mask = tube(slope=(0.25, -0.1), turn_deg=12.0)
    plain = measure_shape(SCAN, [entry(save(tmp_path / "plain.nii.gz", mask))])
    stored = nib.Nifti1Image(mask, np.diag([*SPACING, 1.0])).as_reoriented(
        np.array([[order.index(i), signs[i]] for i in range(3)])
    )
    nib.save(stored, tmp_path / "stored.nii.gz")
    other = measure_shape(SCAN, [entry(str(tmp_path / "stored.nii.gz"))])
    np.testing.assert_allclose(other["value"], plain["value"], rtol=1e-6, atol=1e-6)
    assert other["slice"].equals(plain["slice"])


def test_soft_mask_beside_a_binary_one_adds_only_its_soft_area(cord, tmp_path):
    soft = save(tmp_path / "soft.nii.gz", tube(slope=(0.2, 0.0), soft=True))
    table = measure_shape(SCAN, [entry(cord[1]), entry(soft, kind="softseg")])
    assert summary(table, measure="csa_soft_mm2")["value"] == pytest.approx(np.pi * 24, rel=2e-3)
    assert not table.duplicated(KEYS).any()


def test_soft_mask_alone_is_also_cut_at_half(tmp_path):
    soft = save(tmp_path / "soft.nii.gz", tube(soft=True))
    table = measure_shape(SCAN, [entry(soft, kind="softseg")])
    assert summary(table)["value"] == pytest.approx(np.pi * 24, rel=0.02)
    assert summary(table, measure="csa_soft_mm2")["value"] == pytest.approx(np.pi * 24, rel=2e-3)


def test_grey_matter_takes_the_tilt_of_its_methods_cord(cord, tmp_path):
    gm = cord[0].copy()
    gm[:, :30] = 0
    gm[:25, :, ::2] = 0
    masks = [entry(save(tmp_path / "gm.nii.gz", gm), structure="gm"), entry(cord[1])]
    table = measure_shape(SCAN, masks)
    pick = table[table["slice"].notna() & (table["measure"] == "angle_ap_deg")]
    by = pick.pivot_table(index="slice", columns="structure", values="value")
    np.testing.assert_allclose(by["gm"], by["cord"])


def test_odd_slices_are_counted_in_the_summary(cord, tmp_path):
    mask = cord[0].copy()
    mask[2:4, 2:4, [1, 2]] = 1
    table = measure_shape(SCAN, [entry(save(tmp_path / "odd.nii.gz", mask))])
    row = summary(table)
    assert (row["flag"], row["reason"]) == ("warning", "2 of 12 slices: 2 components")
    flagged = table[(table["measure"] == "csa_mm2") & (table["flag"] == "warning")]
    assert flagged["slice"].dropna().tolist() == [1, 2]


def test_one_slice_has_no_sd_and_no_tilt(tmp_path):
    mask = np.zeros((20, 20, 5))
    mask[5:10, 5:10, 2] = 1
    table = measure_shape(SCAN, [entry(save(tmp_path / "one.nii.gz", mask))])
    assert summary(table)["reason"] == "one slice: tilt unknown"
    assert summary(table, statistic="sd")["flag"] == "undefined"


FAULTS = {
    "truncated": lambda p: p.write_bytes(p.read_bytes()[:200]),
    "empty file": lambda p: p.write_bytes(b""),
    "pointer": lambda p: p.write_text("/annex/objects/SHA256E-s1--0.nii.gz\n"),
    "another grid": lambda p: save(p, np.ones((10, 10, 5))),
    "shifted grid": lambda p: save(p, tube(), SHIFTED),
    "four dimensions": lambda p: save(p, np.ones((60, 60, 12, 3))),
    "NaN": lambda p: save(p, np.full((60, 60, 12), np.nan)),
    "not binary": lambda p: save(p, np.arange(60 * 60 * 12).reshape(60, 60, 12)),
    "no voxel": lambda p: save(p, np.zeros((60, 60, 12))),
    "missing": lambda p: p.unlink(),
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_fault_becomes_a_failed_row_and_others_are_measured(cord, tmp_path, fault):
    image = save(tmp_path / "image.nii.gz", np.zeros((60, 60, 12)))
    bad = tmp_path / "bad.nii.gz"
    save(bad, cord[0])
    FAULTS[fault](bad)
    table = measure_shape(SCAN, [entry(str(bad), "cord-v1"), entry(cord[1])], image=image)
    row = summary(table, method="cord-v1")
    assert row["flag"] == "failed"
    assert row["reason"]
    assert str(tmp_path) not in row["reason"]
    assert np.isnan(row["value"])
    assert summary(table)["flag"] == ""
    good = measure_shape(SCAN, [entry(cord[1], "cord-v1")], image=image)
    assert summary(good, method="cord-v1")[KEYS[:-2]].equals(row[KEYS[:-2]])


def test_a_model_that_found_no_cord_is_a_failed_row(cord):
    masks = [entry(cord[1]), entry("", "cord-v1", status="no_cord")]
    assert summary(measure_shape(SCAN, masks), method="cord-v1")["reason"] == "no cord found"


def test_a_scan_without_any_mask_does_not_vanish():
    row = summary(measure_shape(SCAN | {"reason": "[truncated] ..."}, []), method="")
    assert (row["flag"], row["reason"]) == ("failed", "[truncated] ...")


def test_a_kind_measures_the_scan_of_its_task_and_an_unknown_kind_is_refused(cord):
    task = Task(SCAN | {"subject": "02"}, [entry(cord[1])], "02.parquet")
    assert set(measure("shape", task, MeasureOptions())["subject"]) == {"02"}
    with pytest.raises(ValueError, match="expected one of"):
        measure("volume", task, MeasureOptions())
