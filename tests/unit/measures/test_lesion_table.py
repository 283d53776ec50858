"""Lesions of a scan as rows: objects, summary, whose cord, and faults."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.measures.lesions import (
    EMPTY_CORD_MASK,
    ONE_VOXEL,
    PARASAGITTAL,
    SAGITTAL,
    measure_lesion,
)
from cordcohort.measures.options import MeasureOptions
from unit.measures.test_shape_table import FAULTS, KEYS, SCAN, entry, save

SHAPE = (60, 60, 12)


@pytest.fixture
def masks(tmp_path):
    cord, lesion = np.zeros(SHAPE), np.zeros(SHAPE)
    cord[20:41, 22:39] = 1
    lesion[28:33, 26:32, 4:8] = 1
    lesion[21:24, 26:29, 6] = 1
    lesion[5:9, 5:9, 2] = 1
    return [
        entry(save(tmp_path / "cord.nii.gz", cord)),
        entry(save(tmp_path / "lesion.nii.gz", lesion), structure="lesion"),
    ]


def pick(table, measure, number="", method="manual"):
    rows = table[
        (table["measure"] == measure) & (table["object"] == number) & (table["method"] == method)
        & (table["level_kind"] == "")
    ]  # fmt: skip
    assert len(rows) == 1
    return rows.iloc[0]


def test_each_lesion_is_an_object_and_the_scan_is_their_summary(masks):
    table = measure_lesion(SCAN, masks)
    assert not table.duplicated([*KEYS, "object"]).any()
    assert pick(table, "lesion_volume_mm3", "1")["value"] == pytest.approx(60.0)
    assert pick(table, "lesion_volume_mm3", "2")["value"] == pytest.approx(4.5)
    total = pick(table, "lesion_volume_mm3")
    assert (total["statistic"], total["value"]) == ("sum", pytest.approx(64.5))
    assert pick(table, "lesion_count")["value"] == 2
    assert pick(table, "lesion_outside_n")["value"] == 1
    assert pick(table, "lesion_removed_mm3")["value"] == pytest.approx(8.0)
    assert pick(table, "lesion_damage_ratio")["value"] == pytest.approx(39 / 357)


def test_bridges_of_every_sagittal_slice_are_the_tissue_before_and_behind_the_lesion(masks):
    table = measure_lesion(SCAN, masks)
    rows = table[(table["level_kind"] == SAGITTAL) & (table["object"] == "1")]
    assert list(dict.fromkeys(rows["level"])) == ["28", "29", "30", "31", "32"]
    wide = rows.pivot(index="level", columns="measure", values="value")
    y_mm = 0.5  # of the masks; cord 22 to 38, lesion 26 to 31
    for side, n_voxels in (("dorsal", 4), ("ventral", 7), ("total", 11)):
        expected = pytest.approx([n_voxels * y_mm] * 5, rel=1e-3)  # a straight cord: no tilt
        assert wide[f"bridge_{side}_mm"].tolist() == expected
    without = measure_lesion(SCAN, masks, MeasureOptions(per_slice=False))
    assert SAGITTAL not in set(without["level_kind"])


def test_a_parasagittal_lesion_is_flagged_on_its_bridges_only(masks):
    table = measure_lesion(SCAN, masks)
    row = pick(table, "bridge_dorsal_mm", "2")
    assert (row["flag"], row["reason"]) == ("warning", PARASAGITTAL)
    assert pick(table, "lesion_length_mm", "2")["flag"] == ""
    assert pick(table, "bridge_dorsal_mm", "1")["flag"] == ""


def test_without_a_cord_size_is_kept_with_a_warning_and_bridges_are_undefined(masks):
    table = measure_lesion(SCAN, masks[1:])
    assert pick(table, "lesion_volume_mm3", "1")["flag"] == "warning"
    assert pick(table, "bridge_total_mm", "1")["flag"] == "undefined"
    assert pick(table, "lesion_damage_ratio")["flag"] == "undefined"


def test_an_empty_lesion_mask_is_no_lesion(masks, tmp_path):
    empty = entry(save(tmp_path / "none.nii.gz", np.zeros(SHAPE)), structure="lesion")
    table = measure_lesion(SCAN, [masks[0], empty])
    assert pick(table, "lesion_count")["value"] == 0
    assert pick(table, "lesion_volume_mm3")["value"] == 0
    assert pick(table, "lesion_volume_mm3")["flag"] == ""
    assert pick(table, "lesion_width_mm")[["flag", "reason"]].tolist() == ["undefined", "no lesion"]


def test_a_methods_lesion_is_measured_in_its_own_cord(masks, tmp_path):
    small = np.zeros(SHAPE)
    small[26:35, 24:34] = 1
    own = [
        entry(save(tmp_path / "own.nii.gz", small), "m"),
        entry(masks[1]["path"], "m", structure="lesion"),
    ]
    table = measure_lesion(SCAN, [*masks, *own])
    assert pick(table, "lesion_damage_ratio", "1", "m")["value"] == pytest.approx(30 / 90)
    table = measure_lesion(SCAN, [*masks, own[1]])
    assert pick(table, "lesion_damage_ratio", "1", "m")["value"] == pytest.approx(30 / 357)


@pytest.mark.parametrize("fault", [f for f in FAULTS if f != "no voxel"])
def test_a_broken_lesion_mask_gives_failed_rows(masks, tmp_path, fault):
    bad = tmp_path / "bad.nii.gz"
    save(bad, np.zeros(SHAPE))
    FAULTS[fault](bad)
    image = save(tmp_path / "image.nii.gz", np.zeros(SHAPE))
    broken = entry(str(bad), structure="lesion")
    table = measure_lesion(SCAN, [masks[0], broken], image=image)
    good = measure_lesion(SCAN, masks, image=image)
    assert set(table["flag"]) == {"failed"}
    keys = ["measure", "statistic", "object"]
    wanted = good[keys].apply(tuple, axis=1).tolist()
    assert all(key in wanted for key in table[keys].apply(tuple, axis=1))


def test_nobody_drew_lesions_gives_no_rows(masks):
    assert measure_lesion(SCAN, masks[:1]).empty


def test_an_empty_cord_mask_is_said(masks, tmp_path):
    empty = entry(save(tmp_path / "empty.nii.gz", np.zeros(SHAPE)))
    table = measure_lesion(SCAN, [empty, masks[1]])
    row = pick(table, "lesion_volume_mm3")
    assert (row["flag"], row["reason"]) == ("warning", EMPTY_CORD_MASK)
    row = pick(table, "lesion_damage_ratio")
    assert (row["flag"], row["reason"]) == ("undefined", EMPTY_CORD_MASK)


def test_a_lesion_outside_the_cord_is_flagged_on_the_counts(masks):
    row = pick(measure_lesion(SCAN, masks), "lesion_count")
    assert (row["flag"], row["reason"]) == ("warning", "1 wholly outside the cord")


def test_a_gap_of_the_cord_at_the_lesion_is_flagged_with_its_slices(masks, tmp_path):
    cord = np.zeros(SHAPE)
    cord[20:41, 22:39] = 1
    cord[:, :, 5:7] = 0
    table = measure_lesion(SCAN, [entry(save(tmp_path / "gap.nii.gz", cord)), masks[1]])
    row = pick(table, "lesion_length_mm")
    assert row["flag"] == "warning"
    assert row["reason"] == "no cord mask in 2 slices of the lesion: left out there"


def test_a_lesion_of_one_voxel_is_measured_and_flagged(masks, tmp_path):
    lesion = np.zeros(SHAPE)
    lesion[30, 30, 5] = 1
    one = entry(save(tmp_path / "one.nii.gz", lesion), structure="lesion")
    table = measure_lesion(SCAN, [masks[0], one])
    row = pick(table, "lesion_volume_mm3", "1")
    assert (row["value"], row["flag"], row["reason"]) == (0.5, "warning", ONE_VOXEL)
    assert pick(table, "lesion_3mm3_n")["value"] == 0
    assert pick(table, "lesion_count")["value"] == 1


def test_values_other_than_zero_and_one_are_refused_with_the_values(masks, tmp_path):
    lesion = np.zeros(SHAPE)
    lesion[28:33, 26:32, 4:8] = 7
    lesion[28, 26, 4] = 3
    odd = entry(save(tmp_path / "odd.nii.gz", lesion), structure="lesion")
    table = measure_lesion(SCAN, [masks[0], odd])
    assert set(table["flag"]) == {"failed"}
    assert table["reason"].str.contains("odd.nii.gz").all()
