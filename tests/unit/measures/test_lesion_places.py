"""Shares of lesions per level and region: they add up, and loads are of the place."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.measures.lesions import measure_lesion
from cordcohort.measures.regions import REGION_CODES
from unit.measures.test_shape_table import SCAN, entry, save

SHAPE = (40, 40, 12)


@pytest.fixture
def masks(tmp_path):
    cord, lesion, levels, regions = (np.zeros(SHAPE) for _ in range(4))
    cord[10:30, 10:30] = 1
    lesion[12:18, 18:22, 2:8] = 1  # left: x rises to the right
    lesion[25:27, 12:14, 9:11] = 1
    levels[15, 15, :] = [5, 5, 5, 5, 4, 4, 4, 4, 3, 3, 3, 3]
    regions[10:20, 10:30] = REGION_CODES["left_lateral_wm"]
    regions[20:30, 10:30] = REGION_CODES["right_dorsal_wm"]
    return [
        entry(save(tmp_path / "cord.nii.gz", cord)),
        entry(save(tmp_path / "lesion.nii.gz", lesion), structure="lesion"),
        entry(save(tmp_path / "levels.nii.gz", levels), structure="vertebrae", kind="dseg"),
        entry(save(tmp_path / "regions.nii.gz", regions), structure="regions", kind="dseg"),
    ]


def shares(table, measure="lesion_share_percent", number=""):
    rows = table[(table["measure"] == measure) & (table["object"] == number)]
    places = rows["level"].where(rows["level"] != "", rows["structure"])
    return dict(zip(places, rows["value"], strict=True))


def test_shares_of_levels_add_up_and_loads_are_of_the_levels_cord(masks):
    table = measure_lesion(SCAN, masks[:3])
    first, second = 6 * 4 * 6, 2 * 2 * 2
    found = shares(table)
    assert sum(found.values()) == pytest.approx(100)
    assert found["C5"] == pytest.approx(100 * first / 3 / (first + second))
    assert shares(table, number="1") == pytest.approx({"C5": 100 / 3, "C4": 200 / 3})
    assert shares(table, number="2") == {"C3": 100}
    loads = shares(table, "lesion_load_percent")
    assert loads["C4"] == pytest.approx(100 * (6 * 4 * 4) / (400 * 4))


def test_shares_of_regions_add_up_over_the_eight_and_tissues_are_sums(masks):
    table = measure_lesion(SCAN, [*masks[:2], masks[3]])
    found = shares(table)
    assert sum(found[name] for name in REGION_CODES) == pytest.approx(100)
    assert found["wm"] == pytest.approx(100)
    assert found["gm"] == 0
    assert shares(table, number="2") == {"right_dorsal_wm": 100, "wm": 100}
    loads = shares(table, "lesion_load_percent")
    assert loads["left_lateral_wm"] == pytest.approx(100 * 144 / (200 * 12))


def test_a_map_of_another_method_is_named(masks):
    own = [*masks[:2], masks[3] | {"method": "atlas"}]
    table = measure_lesion(SCAN, own)
    row = table[(table["structure"] == "left_lateral_wm") & (table["object"] == "")].iloc[0]
    assert (row["flag"], row["reason"]) == ("warning", "regions of atlas")


def test_without_a_lesion_the_load_is_zero_and_there_is_no_share(masks, tmp_path):
    none = entry(save(tmp_path / "none.nii.gz", np.zeros(SHAPE)), structure="lesion")
    table = measure_lesion(SCAN, [masks[0], none, masks[2]])
    assert set(shares(table, "lesion_load_percent").values()) == {0}
    rows = table[table["measure"] == "lesion_share_percent"]
    assert set(rows["flag"]) == {"undefined"}
    assert set(rows["reason"]) == {"no lesion"}


def test_without_levels_or_regions_there_are_no_such_rows(masks):
    table = measure_lesion(SCAN, masks[:2])
    assert not table["measure"].isin(["lesion_share_percent", "lesion_load_percent"]).any()
