"""Rows of spinal levels: who is measured, what is flagged, and what never gets a value."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cordcohort.images.level_maps import make_level_map
from cordcohort.measures.catalogue import CATALOGUE
from cordcohort.measures.masks import grid_of
from cordcohort.measures.options import MeasureOptions, RootletOptions
from cordcohort.measures.rows import valued
from cordcohort.measures.shape import measure_shape
from cordcohort.measures.spinal_rows import WITHOUT_LEVELS, measure_spinal
from cordcohort.measures.spinal_scene import NO_PMJ, SOFT_ONLY
from cordcohort.nifti import write_image

SHAPE = (24, 24, 60)
AFFINE = np.diag([1.0, 1.0, 1.0, 1.0])
LEVELS = {2: (48, 52), 3: (38, 43), 4: (29, 34), 5: (20, 25), 6: (11, 16), 7: (4, 7)}
SCAN = {"dataset": "a", "subject": "01", "session": "", "acquisition": "", "run": "",
        "contrast": "T2w", "folder": "sub-01/anat", "stem": "sub-01_T2w", "status": "ok",
        "reason": ""}  # fmt: skip
PMJ_SLICE = 58
DISTANCES = ("pmj_distance_mm", "pmj_distance_start_mm", "pmj_distance_end_mm")


class Drawn:
    """Masks of one scan in a folder, as the index would name them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.masks: list[dict] = []

    def add(self, method: str, structure: str, kind: str, data: np.ndarray, **more) -> None:
        path = self.folder / f"{method}-{structure}-{kind}-{len(self.masks)}.nii.gz"
        dtype = np.float32 if data.dtype.kind == "f" else np.uint8
        write_image(path, data.astype(dtype), AFFINE, dtype=dtype)
        self.masks.append({"method": method, "structure": structure, "kind": kind,
                           "path": str(path), "status": "ok", "reason": "", **more})  # fmt: skip

    def rows(self, **options) -> pd.DataFrame:
        return measure_spinal(SCAN, self.masks, MeasureOptions(**options))


def cord() -> np.ndarray:
    out = np.zeros(SHAPE, np.uint8)
    out[9:15, 9:15, 1:59] = 1
    return out


def rootlets(levels: dict[int, tuple[int, int]] = LEVELS, up: int = 0) -> np.ndarray:
    out = np.zeros(SHAPE, np.uint8)
    for code, (low, high) in levels.items():
        out[[8, 15], 8, low + up : high + 1 + up] = code
    return out


def junction(*slices: int) -> np.ndarray:
    out = np.zeros(SHAPE, np.uint8)
    for k in slices or (PMJ_SLICE,):
        out[12, 12, k] = 1
    return out


@pytest.fixture
def drawn(tmp_path: Path) -> Drawn:
    one = Drawn(tmp_path)
    one.add("manual", "cord", "seg", cord())
    one.add("manual", "pmj", "pmj", junction())
    one.add("manual", "rootlets", "dseg", rootlets())
    return one


def value(table: pd.DataFrame, level: str, measure: str, method: str = "manual") -> float:
    own = table[(table["level"] == level) & (table["measure"] == measure)]
    return float(own[own["method"] == method]["value"].iloc[0])


def test_every_expected_level_has_rows_and_a_missing_one_says_so(drawn: Drawn):
    table = drawn.rows()
    assert list(dict.fromkeys(table["level"])) == ["C2", "C3", "C4", "C5", "C6", "C7", "C8"]
    assert set(table["level_kind"]) == {"spinal"}
    # The cord is straight but for the step from the PMJ, which the window of 50 mm spreads.
    assert value(table, "C4", "pmj_distance_mm") == pytest.approx(PMJ_SLICE - 31.5, abs=0.2)
    assert value(table, "C4", "level_height_mm") == pytest.approx(5, abs=0.02)
    assert value(table, "C4", "level_extent_mm") == pytest.approx(6, abs=0.02)
    lost = table[table["level"] == "C8"]
    assert lost["value"].isna().all()
    assert set(lost["flag"]) == {"undefined"}
    assert set(lost["reason"]) == {"no rootlets of C8"}


def test_without_a_pmj_distances_are_undefined_and_heights_stay(drawn: Drawn):
    drawn.masks = [m for m in drawn.masks if m["structure"] != "pmj"]
    table = drawn.rows()
    away = table[table["measure"].isin(DISTANCES) & (table["level"] == "C4")]
    assert away["value"].isna().all()
    assert set(away["reason"]) == {NO_PMJ}
    assert value(table, "C4", "level_height_mm") == pytest.approx(5, abs=1e-6)


def test_two_places_of_a_pmj_are_no_pmj(drawn: Drawn):
    drawn.masks = [m for m in drawn.masks if m["structure"] != "pmj"]
    drawn.add("manual", "pmj", "pmj", junction(50, 58))
    table = drawn.rows()
    told = table[(table["measure"] == "pmj_distance_mm") & (table["level"] == "C4")]["reason"]
    assert "2 places labelled" in told.iloc[0]


def test_a_persons_pmj_wins_and_a_detected_one_needs_its_confidence(drawn: Drawn):
    drawn.add("net", "pmj", "dlabel", junction(56), confidence=0.9)
    by_hand = value(drawn.rows(), "C4", "pmj_distance_mm")
    drawn.masks = [m for m in drawn.masks if m["method"] != "manual" or m["structure"] != "pmj"]
    found = drawn.rows()
    assert value(found, "C4", "pmj_distance_mm") == pytest.approx(by_hand - 2, abs=0.2)
    own = found[(found["level"] == "C4") & (found["measure"] == "pmj_distance_mm")]
    assert own["flag"].iloc[0] == "warning"
    assert "detected by net" in own["reason"].iloc[0]
    unsure = drawn.rows(rootlets=RootletOptions(pmj_confidence=0.95))
    assert np.isnan(value(unsure, "C4", "pmj_distance_mm"))


def test_a_soft_cord_mask_gives_no_level_a_place(drawn: Drawn):
    drawn.masks = [m for m in drawn.masks if m["structure"] != "cord"]
    drawn.add("manual", "cord", "softseg", cord() * 0.9)
    table = drawn.rows()
    assert set(table["flag"]) == {"failed"}
    assert set(table["reason"]) == {SOFT_ONLY}
    assert table["value"].isna().all()


def test_soft_rootlets_alone_fail_with_the_way_out(drawn: Drawn):
    drawn.masks = [m for m in drawn.masks if m["structure"] != "rootlets"]
    drawn.add("manual", "rootlets", "softseg", (rootlets() > 0) * 0.8)
    table = drawn.rows()
    assert set(table["flag"]) == {"failed"}
    assert "label-rootlets_dseg" in table["reason"].iloc[0]


def test_a_scan_on_which_nobody_drew_rootlets_has_no_rows(drawn: Drawn):
    drawn.masks = [m for m in drawn.masks if m["structure"] != "rootlets"]
    assert drawn.rows().empty


def test_empty_rootlets_fail_instead_of_vanishing(drawn: Drawn):
    drawn.add("net", "rootlets", "dseg", np.zeros(SHAPE, np.uint8))
    table = drawn.rows()
    own = table[(table["method"] == "net") & (table["reference"] == "")]
    assert set(own["flag"]) == {"failed"}
    assert own["value"].isna().all()


@pytest.mark.parametrize(("kind", "code"), [("seg", 1), ("dseg", 1), ("dseg", 200)])
def test_a_binary_mask_of_rootlets_has_no_levels_and_is_scored_as_a_whole(drawn, kind, code):
    drawn.add("net", "rootlets", kind, ((rootlets() > 0) * code).astype(np.uint8))
    own = drawn.rows().query("method == 'net'")
    placed = own[own["reference"] == ""]
    assert set(placed["flag"]) == {"failed"}
    assert set(placed["reason"]) == {WITHOUT_LEVELS}
    scores = own[own["reference"] == "manual"]
    assert scores[["level", "measure", "value"]].values.tolist() == [["", "dice", 1.0]]


def test_a_map_of_levels_wins_over_a_binary_mask_of_the_same_method(drawn: Drawn):
    before = drawn.rows()
    drawn.add("manual", "rootlets", "seg", (rootlets() > 0).astype(np.uint8))
    pd.testing.assert_frame_equal(drawn.rows(), before)


def test_numbers_beyond_any_code_never_come_back_as_a_level(drawn: Drawn):
    path = drawn.folder / "far.nii.gz"
    write_image(path, rootlets().astype(np.int32) + 256 * (rootlets() > 0), AFFINE, dtype=np.int32)
    drawn.masks[-1]["path"] = str(path)
    assert set(drawn.rows()["flag"]) == {"failed"}


def test_ventral_rootlets_are_placed_and_scored_apart_from_dorsal_ones(drawn: Drawn):
    both = rootlets()
    for code, (low, high) in LEVELS.items():
        both[[8, 15], 15, low - 1 : high] = code + 100  # in front of the cord, one slice lower
    drawn.add("net", "rootlets", "dseg", both)
    drawn.add("second", "rootlets", "dseg", both)
    table = drawn.rows()
    dorsal = table[table["structure"] == "rootlets"]
    assert value(dorsal, "C4", "pmj_distance_mm", "net") == value(
        dorsal, "C4", "pmj_distance_mm", "manual"
    )
    ventral = table[table["structure"] == "rootlets_ventral"]
    assert set(ventral["method"]) == {"net", "second"}  # who drew none is not said to lack them
    away = value(ventral, "C4", "pmj_distance_mm", "net")
    # One slice of 1 mm lower along a cord that is straight but for its upper end.
    assert away == pytest.approx(value(dorsal, "C4", "pmj_distance_mm", "net") + 1, abs=0.05)
    by_second = drawn.rows(reference="second")
    scores = by_second[(by_second["reference"] == "second") & (by_second["method"] == "net")]
    assert set(scores["structure"]) == {"rootlets", "rootlets_ventral"}
    assert (scores.loc[scores["measure"] == "dice", "value"] == 1).all()


def test_agreement_with_the_reference_level_by_level(drawn: Drawn):
    moved = rootlets({**LEVELS, 8: (2, 2)}, up=1)
    moved[moved == 7] = 0
    drawn.add("net", "rootlets", "dseg", moved)
    table = drawn.rows()
    scores = table[table["reference"] == "manual"].set_index(["level", "measure"])["value"]
    # Five slices moved by one: four of five are shared on either side.
    assert scores["C2", "dice"] == pytest.approx(4 / 5)
    assert scores["C2", "slice_f1"] == pytest.approx(4 / 5)
    assert scores["C2", "in_slice_f1"] == 1
    assert scores["C2", "midpoint_error_mm"] == pytest.approx(1, abs=0.02)
    assert scores["C7", "dice"] == scores["C7", "slice_f1"] == 0
    assert np.isnan(scores["C7", "in_slice_f1"])
    assert np.isnan(scores["C8", "dice"])
    told = table[(table["reference"] == "manual") & (table["level"] == "C8")]["reason"]
    assert set(told) == {"the reference has no C8"}
    whole = 2 * np.sum((moved > 0) & (rootlets() > 0)) / np.sum((moved > 0) * 1 + (rootlets() > 0))
    assert scores["", "dice"] == pytest.approx(whole)


def test_raters_of_one_scan_get_a_consensus_that_others_may_be_compared_with(drawn: Drawn):
    for number, up in ((1, 0), (2, 0), (3, 1)):
        drawn.add(f"rater-{number}", "rootlets", "dseg", rootlets(up=up))
    table = drawn.rows(reference="staple")
    assert "staple" in set(table["method"])
    scores = table[(table["reference"] == "staple") & (table["measure"] == "dice")]
    best = scores[scores["level"] == "C4"].set_index("method")["value"]
    assert best["rater-1"] == best["rater-2"] == 1
    assert best["rater-3"] < 1
    alone = drawn.rows(rootlets=RootletOptions(staple=False))
    assert "staple" not in set(alone["method"])


@pytest.fixture
def mapped(drawn: Drawn, tmp_path: Path, monkeypatch) -> tuple[dict, list[dict]]:
    """Record of the level map, and the masks with the map among them."""
    monkeypatch.chdir(tmp_path)
    options = MeasureOptions(rootlets=RootletOptions(rule="contiguous"))
    record = make_level_map({**SCAN, "status": "no_image"}, drawn.masks, options)
    path = Path("results/images/a/sub-01/anat") / record["mask"]
    entry = {"method": "manual", "structure": "spinal", "kind": "dseg", "path": str(path),
             "status": record["status"], "reason": ""}  # fmt: skip
    return record, [*drawn.masks, entry]


def test_the_level_map_gives_other_measures_their_levels(mapped):
    record, masks = mapped
    assert record["status"] == "ok"
    assert record["method"] == "manual"
    assert record["levels"]["C4"] == list(range(27, 36))  # half of the gaps on both sides
    options = MeasureOptions(level_kind="spinal", level_ranges=("C4-C5",), per_slice=False)
    table = measure_shape(SCAN, masks, options)
    area = table[(table["measure"] == "csa_mm2") & (table["statistic"] == "mean")]
    by_level = area.set_index("level")["value"]
    assert set(area["level_kind"]) >= {"spinal"}
    assert by_level["C4"] == pytest.approx(36, rel=1e-6)
    assert "C4-C5" in set(by_level.index)
    usual = measure_shape(SCAN, masks, dataclasses.replace(options, level_kind="vertebral"))
    assert "spinal" not in set(usual["level_kind"])


def test_ventral_or_binary_rootlets_alone_make_no_level_map(drawn: Drawn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for shown in ((rootlets() > 0) * 1, rootlets() + 100 * (rootlets() > 0)):
        drawn.masks = [m for m in drawn.masks if m["structure"] != "rootlets"]
        drawn.add("manual", "rootlets", "dseg", shown.astype(np.uint8))
        record = make_level_map({**SCAN, "status": "no_image"}, drawn.masks, MeasureOptions())
        assert (record["status"], record["levels"]) == ("failed", {})


def test_a_scan_without_rootlets_has_a_record_and_no_map(drawn: Drawn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    masks = [m for m in drawn.masks if m["structure"] != "rootlets"]
    record = make_level_map({**SCAN, "status": "no_image"}, masks, MeasureOptions())
    assert record["status"] == "failed"
    assert record["reason"] == "no label map of dorsal rootlets can be read"
    assert not list(tmp_path.rglob("*dseg.nii.gz")) or record["mask"] == ""
    assert grid_of("", masks) is not None


@pytest.mark.parametrize(("height_mm", "flag"), [(14.0, ""), (25.0, ""), (40.0, "warning")])
def test_a_level_as_long_as_two_is_a_warning(height_mm: float, flag: str) -> None:
    for name in ("level_height_mm", "level_extent_mm", "level_contiguous_mm"):
        assert valued(CATALOGUE[name], height_mm, "", "")["flag"] == flag
