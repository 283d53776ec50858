"""Diffusion by region: names, counts, minimum, levels, partial weights, faults."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.regions import REGION_CODES, measure_regions
from unit.measures.test_shape_table import KEYS, SCAN, entry, save

SHAPE = (16, 16, 4)


@pytest.fixture
def scan_files(tmp_path):
    rng = np.random.default_rng(3)
    regions = np.zeros(SHAPE)
    for code in range(1, 9):
        regions[2 * (code - 1) : 2 * code, 4:10] = code
    maps = {}
    data = {}
    for name, level, spread in [
        ("fa", 0.6, 0.1),
        ("md", 1e-3, 1e-4),
        ("ad", 2e-3, 1e-4),
        ("rd", 5e-4, 1e-5),
    ]:
        data[name] = np.clip(rng.normal(level, spread, SHAPE), 1e-6, None).astype(np.float32)
        maps[name] = save(tmp_path / f"{name}.nii.gz", data[name])
    cord = save(tmp_path / "cord.nii.gz", regions > 0)
    paths = {"regions": save(tmp_path / "regions.nii.gz", regions), "cord": cord}
    return regions, data, maps, paths


def masks_of(paths):
    return [entry(paths["cord"]), entry(paths["regions"], structure="regions", kind="dseg")]


def pick(table, structure, measure="fa", statistic="mean", level=""):
    rows = table[
        (table["structure"] == structure)
        & (table["measure"] == measure)
        & (table["statistic"] == statistic)
        & (table["level"] == level)
        & table["slice"].isna()
    ]
    assert len(rows) == 1
    return rows.iloc[0]


def test_every_region_has_the_values_of_its_own_code(scan_files):
    regions, data, maps, paths = scan_files
    table = measure_regions(SCAN, masks_of(paths), maps)
    assert not table.duplicated(KEYS).any()
    for name, code in REGION_CODES.items():
        values = data["fa"][regions == code].astype(float)
        assert pick(table, name)["value"] == pytest.approx(values.mean(), rel=1e-6)
        assert pick(table, name, statistic="median")["value"] == pytest.approx(np.median(values))
        assert pick(table, name, statistic="sd")["value"] == pytest.approx(values.std(ddof=1))
        assert pick(table, name)["n_voxels"] == values.size
    cord = data["md"][regions > 0].astype(float)
    assert pick(table, "cord", "md_mm2_per_s")["value"] == pytest.approx(cord.mean())
    white = data["rd"][np.isin(regions, [1, 2, 3, 5, 6, 7])].astype(float)
    assert pick(table, "wm", "rd_mm2_per_s")["value"] == pytest.approx(white.mean())


def test_region_codes_are_the_field_orders_names():
    assert list(REGION_CODES) == [
        f"{side}_{region}"
        for side in ("left", "right")
        for region in ("lateral_wm", "dorsal_wm", "ventral_wm", "gm")
    ]
    assert list(REGION_CODES.values()) == list(range(1, 9))


def test_voxels_without_tensor_do_not_count(scan_files, tmp_path):
    regions, data, maps, paths = scan_files
    for name in data:
        data[name][:, :, 0] = 0
        maps[name] = save(tmp_path / f"{name}.nii.gz", data[name])
    row = pick(measure_regions(SCAN, masks_of(paths), maps), "left_gm")
    values = data["fa"][(regions == 4) & (data["md"] > 0)].astype(float)
    assert row["value"] == pytest.approx(values.mean())
    assert row["n_voxels"] == values.size
    assert (row["flag"], row["reason"]) == ("warning", "12 voxels without tensor left out")


def test_too_few_voxels_and_none_are_undefined_and_counted(scan_files, tmp_path):
    regions, _, maps, paths = scan_files
    regions[regions == 3] = 0
    regions[5, 5, 1:3] = 3
    regions[regions == 7] = 0
    paths["regions"] = save(tmp_path / "regions.nii.gz", regions)
    table = measure_regions(SCAN, masks_of(paths), maps)
    few, none = pick(table, "left_ventral_wm"), pick(table, "right_ventral_wm")
    assert few[["flag", "n_voxels", "reason"]].tolist() == [
        "undefined",
        2,
        "2 voxels, fewer than 5",
    ]
    assert none[["flag", "n_voxels"]].tolist() == ["undefined", 0]
    assert np.isnan([few["value"], none["value"]]).all()
    kept = measure_regions(SCAN, masks_of(paths), maps, MeasureOptions(min_voxels=2))
    assert pick(kept, "left_ventral_wm")["flag"] == ""


def test_one_voxel_has_a_mean_and_no_sd(scan_files, tmp_path):
    regions, data, maps, paths = scan_files
    regions[regions == 3] = 0
    regions[5, 5, 1] = 3
    paths["regions"] = save(tmp_path / "regions.nii.gz", regions)
    table = measure_regions(SCAN, masks_of(paths), maps, MeasureOptions(min_voxels=1))
    assert pick(table, "left_ventral_wm")["value"] == pytest.approx(float(data["fa"][5, 5, 1]))
    assert pick(table, "left_ventral_wm", statistic="sd")["flag"] == "undefined"


def test_slices_and_levels_are_the_parts_of_the_whole(scan_files, tmp_path):
    regions, data, maps, paths = scan_files
    vertebrae = np.zeros(SHAPE)
    vertebrae[..., :2], vertebrae[..., 2:] = 4, 3
    labels = entry(save(tmp_path / "v.nii.gz", vertebrae), structure="vertebrae", kind="dseg")
    table = measure_regions(SCAN, [*masks_of(paths), labels], maps)
    c4 = data["fa"][..., :2][regions[..., :2] == 4].astype(float)
    assert pick(table, "left_gm", level="C4")["value"] == pytest.approx(c4.mean())
    rows = table[
        (table["structure"] == "left_gm") & (table["measure"] == "fa") & table["slice"].notna()
    ]
    assert rows["level"].tolist() == ["C4", "C4", "C3", "C3"]
    assert rows["value"].mean() == pytest.approx(pick(table, "left_gm")["value"])


def test_a_soft_mask_gives_the_weighted_mean(scan_files, tmp_path):
    _, data, maps, _ = scan_files
    weight = np.zeros(SHAPE, np.float32)
    weight[4:9, 4:9] = np.linspace(0.1, 1, 25).reshape(5, 5, 1)
    soft = entry(save(tmp_path / "soft.nii.gz", weight), structure="wm", kind="softseg")
    row = pick(measure_regions(SCAN, [soft], maps), "wm", statistic="weighted")
    assert row["value"] == pytest.approx(np.average(data["fa"], weights=weight), rel=1e-6)


def test_a_drawn_grey_matter_wins_over_the_region_maps(scan_files, tmp_path):
    _, _, maps, paths = scan_files
    drawn = np.zeros(SHAPE)
    drawn[4:8, 4:8] = 1
    masks = [*masks_of(paths), entry(save(tmp_path / "gm.nii.gz", drawn), structure="gm")]
    table = measure_regions(SCAN, masks, maps)
    assert pick(table, "gm")["n_voxels"] == drawn.sum()
    assert not table.duplicated(KEYS).any()


def test_a_value_beyond_physics_is_kept_with_a_warning(scan_files, tmp_path):
    _, data, maps, paths = scan_files
    data["md"][:] = 9e-3
    maps["md"] = save(tmp_path / "md.nii.gz", data["md"])
    row = pick(measure_regions(SCAN, masks_of(paths), maps), "cord", "md_mm2_per_s")
    assert row["flag"] == "warning"
    assert "beyond" in row["reason"]


def test_without_maps_every_region_has_a_failed_row_with_the_reason(scan_files):
    _, _, _, paths = scan_files
    table = measure_regions(SCAN, masks_of(paths), {}, maps_reason="[no_b0] ...")
    assert set(table["structure"]) == {"cord", *REGION_CODES}
    assert set(table["reason"]) == {"[no_b0] ..."}
    assert set(table["flag"]) == {"failed"}
    assert len(table) == 9 * 4


def test_a_broken_map_fails_the_scan_and_a_broken_mask_only_itself(scan_files, tmp_path):
    _, _, maps, paths = scan_files
    (tmp_path / "regions.nii.gz").write_bytes(b"")
    table = measure_regions(SCAN, masks_of(paths), maps)
    assert pick(table, "cord")["flag"] == ""
    assert pick(table, "left_gm")["flag"] == "failed"
    (tmp_path / "fa.nii.gz").write_bytes(b"")
    table = measure_regions(SCAN, masks_of(paths), maps)
    assert set(table["flag"]) == {"failed"}


def test_maps_of_another_image_are_refused(scan_files, tmp_path):
    _, _, maps, paths = scan_files
    other = {name: save(tmp_path / f"other_{name}.nii.gz", np.ones((5, 5, 5))) for name in maps}
    assert set(measure_regions(SCAN, masks_of(paths), other)["flag"]) == {"failed"}


def test_a_scan_without_masks_does_not_vanish(scan_files):
    table = measure_regions(SCAN, [], scan_files[2])
    assert table["reason"].unique().tolist() == ["no mask of this scan"]
