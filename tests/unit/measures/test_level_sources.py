"""Which source gives a scan its levels, what is said of it, and what a faulty one leaves."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from cordcohort.errors import ConfigError
from cordcohort.measures.level_sources import scan_levels
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.shape import measure_shape
from cordcohort.nifti import read_grid, read_mask
from unit.measures.shapes import tube

SCAN = {
    "dataset": "d", "subject": "01", "session": "1", "acquisition": "", "run": "",
    "contrast": "T2w",
}  # fmt: skip
SPACING = (0.5, 0.5, 2.0)
SHAPE = (60, 60, 30)
AFFINE = np.diag([*SPACING, 1.0])
OPTIONS = MeasureOptions(level_ranges=("C2-C3",), pmj_distances_mm=(20.0, 50.0), pmj_extent_mm=10.0)


def save(path, data, affine=AFFINE):
    nib.save(nib.Nifti1Image(np.asarray(data, dtype=np.uint8), affine), path)
    return str(path)


def points(places, shape=SHAPE):
    """Volume with one voxel for each code at (x, y, z)."""
    out = np.zeros(shape, np.uint8)
    for code, place in places.items():
        out[place] = code
    return out


def entry(path, structure, method="manual", kind="dlabel", **more):
    return {
        "method": method, "structure": structure, "kind": kind, "path": path, "status": "ok",
        "reason": "",
    } | more  # fmt: skip


DISCS = {2: (30, 44, 26), 3: (30, 44, 20), 4: (30, 44, 11), 5: (30, 44, 2)}
BY_HAND = {"C2": [21, 22, 23, 24, 25, 26], "C3": list(range(12, 21)), "C4": list(range(3, 12))}


@pytest.fixture
def cord(tmp_path):
    path = save(tmp_path / "cord.nii.gz", tube(shape=SHAPE))
    return entry(path, "cord", kind="seg")


def levels_of(masks, options=OPTIONS):
    """Levels of a scan from its masks, and the slices of each."""
    cord_path = next(m["path"] for m in masks if m["structure"] == "cord")
    cord_image = read_mask(cord_path).canonical()
    found = scan_levels(masks, read_grid(cord_path), cord_image, options)
    names = sorted(set(found.by_slice.values()))
    slices = {n: sorted(k for k, name in found.by_slice.items() if name == n) for n in names}
    return found, slices


def summary(table, level, measure="csa_mm2", statistic="mean"):
    chosen = table[(table["measure"] == measure) & (table["statistic"] == statistic)
                   & (table["level"] == level) & table["slice"].isna()]  # fmt: skip
    assert len(chosen) == 1, chosen
    return chosen.iloc[0]


def test_discs_by_hand_on_an_upright_cord(cord, tmp_path):
    found, slices = levels_of([cord, entry(save(tmp_path / "d.nii.gz", points(DISCS)), "discs")])
    assert slices == BY_HAND
    assert (found.kind, found.note, found.fault) == ("vertebral", "", "")


def test_manual_discs_win_over_a_map_and_a_map_over_another_scan(cord, tmp_path):
    discs = entry(save(tmp_path / "d.nii.gz", points(DISCS)), "discs")
    everything = np.zeros(SHAPE)
    everything[30, 30] = 9
    whole = entry(save(tmp_path / "v.nii.gz", everything), "vertebrae", kind="dseg")
    shifted = {code: (x, y, z - 1) for code, (x, y, z) in DISCS.items()}
    peer = entry(save(tmp_path / "p.nii.gz", points(shifted)), "discs", of="sub-01_T1w")
    assert levels_of([peer, whole, cord, discs])[1] == BY_HAND
    assert set(levels_of([peer, whole, cord])[1]) == {"T2"}
    assert levels_of([peer, cord])[1]["C3"] == [k - 1 for k in BY_HAND["C3"]]


def test_only_sources_that_are_allowed_are_used(cord, tmp_path):
    discs = entry(save(tmp_path / "d.nii.gz", points(DISCS)), "discs")
    for levels in ("none", ("vertebrae",), ("session", "pmj"), ("detected",)):
        assert levels_of([cord, discs], MeasureOptions(levels=levels))[1] == {}
    assert levels_of([cord, discs], MeasureOptions(levels=("discs",)))[1] == BY_HAND


def test_detected_discs_are_of_a_kind_of_their_own_and_say_how_sure_they_are(cord, tmp_path):
    path = save(tmp_path / "d.nii.gz", points(DISCS))
    found, slices = levels_of([cord, entry(path, "discs", "discs-v1", confidence=0.83)])
    assert slices == BY_HAND
    assert found.kind == "vertebral_detected"
    assert found.note == "levels: discs detected (confidence 0.83)"


def test_detected_discs_below_the_least_confidence_give_no_level(cord, tmp_path):
    path = save(tmp_path / "d.nii.gz", points(DISCS))
    masks = [cord, entry(path, "discs", "discs-v1", confidence=0.49)]
    found, slices = levels_of(masks)
    assert slices == {}
    assert found.fault == "discs detected with confidence 0.49, below 0.5"
    assert levels_of(masks, MeasureOptions(disc_confidence=0.4))[1] == BY_HAND
    row = summary(measure_shape(SCAN, masks, OPTIONS), "C2-C3")
    assert (row["flag"], row["reason"]) == ("undefined", found.fault)
    assert np.isnan(row["value"])


def test_levels_of_another_scan_are_carried_through_the_world_and_say_so(cord, tmp_path):
    affine = np.array([[-1.0, 0, 0, 30], [0, 0, 1.0, -5], [0, 1.0, 0, -40], [0, 0, 0, 1]])
    shape = (60, 160, 60)
    world = {code: (x * 0.5, y * 0.5, z * 2.0) for code, (x, y, z) in DISCS.items()}
    other = np.zeros(shape, np.uint8)
    for code, place in world.items():
        voxel = np.rint(np.linalg.solve(affine, [*place, 1.0])[:3]).astype(int)
        other[tuple(voxel)] = code
    path = save(tmp_path / "peer.nii.gz", other, affine)
    found, slices = levels_of([cord, entry(path, "discs", of="sub-01_ses-1_T1w")])
    assert slices == BY_HAND
    assert found.kind == "vertebral"
    assert found.note == (
        "levels: discs labelled on sub-01_ses-1_T1w, carried by world coordinates"
    )
    row = summary(measure_shape(SCAN, [cord, entry(path, "discs", of="x")], OPTIONS), "C3")
    assert (row["flag"], np.isfinite(row["value"])) == ("warning", True)


def test_a_registration_of_the_two_scans_is_used_where_there_is_one(cord, tmp_path):
    moved = np.eye(4)
    moved[:3, 3] = (0.0, 3.0, -8.0)  # the person lay 8 mm lower in the other scan
    path = save(tmp_path / "peer.nii.gz", points(DISCS), moved @ AFFINE)
    plain = entry(path, "discs", of="sub-01_T1w")
    assert levels_of([cord, plain])[1]["C3"] == [k - 4 for k in BY_HAND["C3"]]
    found, slices = levels_of([cord, plain | {"world": np.linalg.inv(moved).tolist()}])
    assert slices == BY_HAND
    assert found.note == "levels: discs labelled on sub-01_T1w, carried by rigid registration"


def test_a_map_of_another_scan_is_read_where_the_cord_runs(cord, tmp_path):
    fine = np.zeros((60, 60, 120))
    for k in range(120):  # 0.5 mm slices: C4 up to 23 mm, C3 up to 41 mm, then C2
        fine[30, 30, k] = 4 if k * 0.5 < 23 else 3 if k * 0.5 < 41 else 2
    path = save(tmp_path / "fine.nii.gz", fine, np.diag([0.5, 0.5, 0.5, 1.0]))
    _, slices = levels_of([cord, entry(path, "vertebrae", kind="dseg", of="sub-01_T1w")])
    assert slices == {"C4": list(range(12)), "C3": list(range(12, 21)), "C2": list(range(21, 30))}
    far = np.diag([0.5, 0.5, 0.5, 1.0])
    far[2, 3] = 500.0
    masks = [
        cord,
        entry(save(tmp_path / "far.nii.gz", fine, far), "vertebrae", kind="dseg", of="y"),
    ]
    assert "does not reach this scan" in levels_of(masks)[0].fault


@pytest.mark.parametrize(
    ("places", "fault"),
    [
        (DISCS | {4: (30, 44, 24)}, "disc 4 does not lie below disc 3"),
        ({3: (30, 44, 20)}, "1 disc labelled: a level needs the disc above and below it"),
        ({3: (30, 44, 20), 5: (30, 44, 2)}, "no slice lies between two labelled discs"),
        ({60: (30, 44, 20), 61: (30, 44, 2)}, "0 disc labelled"),
    ],
)
def test_labels_that_contradict_leave_no_level_and_the_reason(cord, tmp_path, places, fault):
    masks = [cord, entry(save(tmp_path / "d.nii.gz", points(places)), "discs")]
    found, slices = levels_of(masks)
    assert slices == {}
    assert fault in found.fault
    table = measure_shape(SCAN, masks, OPTIONS)
    assert set(table["level"]) == {"", "C2-C3"}
    row = summary(table, "C2-C3")
    assert (row["flag"], np.isnan(row["value"]), row["n_voxels"]) == ("undefined", True, 0)
    assert fault in row["reason"]
    whole = summary(table, "")  # needs no level
    assert (whole["flag"], whole["reason"], np.isfinite(whole["value"])) == ("", "", True)


def test_a_fault_of_the_first_source_is_told_where_the_levels_of_the_next_one_are(cord, tmp_path):
    broken = entry(save(tmp_path / "b.nii.gz", np.zeros((5, 5, 5))), "discs")
    whole = np.zeros(SHAPE)
    whole[30, 30] = 4
    drawn = entry(save(tmp_path / "v.nii.gz", whole), "vertebrae", kind="dseg")
    masks = [cord, broken, drawn]
    found, slices = levels_of(masks)
    assert list(slices) == ["C4"]
    assert "other_grid" in found.fault
    table = measure_shape(SCAN, masks, MeasureOptions(level_ranges=("C3-C4",)))
    for level in ("C4", "C3-C4"):
        row = summary(table, level)
        assert row["flag"] == "warning"
        assert "other_grid" in row["reason"]
    assert set(table.loc[table["level"] == "", "flag"]) == {""}


def test_a_pmj_of_no_use_is_told_with_the_distances_from_it_and_not_with_the_whole_cord(
    cord, tmp_path
):
    two = points({1: (30, 30, 29), 2: (30, 30, 20)})
    masks = [cord, entry(save(tmp_path / "q.nii.gz", two), "pmj", kind="pmj")]
    table = measure_shape(SCAN, masks, MeasureOptions(pmj_distances_mm=(20.0, 50.0)))
    for distance in ("20", "50"):
        row = summary(table, distance)
        assert (row["level_kind"], row["flag"]) == ("pmj_mm", "undefined")
        assert "2 places labelled" in row["reason"]
    assert summary(table, "")["flag"] == ""


def test_a_range_outside_of_the_labelled_levels_is_counted_as_undefined(cord, tmp_path):
    whole = np.zeros(SHAPE)
    whole[30, 30] = 12
    masks = [cord, entry(save(tmp_path / "v.nii.gz", whole), "vertebrae", kind="dseg")]
    row = summary(measure_shape(SCAN, masks, OPTIONS), "C2-C3")
    assert (row["flag"], row["reason"]) == ("undefined", "no slice at C2, C3")


def test_a_disc_that_nobody_labelled_leaves_both_of_its_levels_as_undefined_rows(cord, tmp_path):
    places = {2: (30, 44, 26), 3: (30, 44, 20), 5: (30, 44, 11), 6: (30, 44, 2)}
    discs = entry(save(tmp_path / "d.nii.gz", points(places)), "discs")
    table = measure_shape(SCAN, [cord, discs], OPTIONS)
    for level in ("C3", "C4"):
        row = summary(table, level)
        assert np.isnan(row["value"])
        assert (row["flag"], row["reason"]) == ("undefined", f"no slice at {level}")
    assert summary(table, "C5")["value"] > 0
    assert set(table["level"]) >= {"C2", "C5"}
    assert not set(table["level"]) & {"C1", "C6"}  # nothing lies beyond the ends


def test_rows_at_distances_from_the_pmj_by_hand(cord, tmp_path):
    masks = [cord, entry(save(tmp_path / "p.nii.gz", points({1: (30, 30, 29)})), "pmj", kind="pmj")]
    table = measure_shape(SCAN, masks, OPTIONS)
    assert set(table.loc[table["level"] != "", "level_kind"]) == {"pmj_mm"}
    per_slice = table[(table["measure"] == "csa_mm2") & table["slice"].notna()].set_index("slice")
    near = summary(table, "20")
    # 15 to 25 mm below slice 29 (2 mm each): slices at 16, 18, 20, 22, 24 mm.
    assert near["value"] == pytest.approx(per_slice["value"][[17, 18, 19, 20, 21]].mean())
    length = summary(table, "20", "length_mm", "sum")
    assert length["value"] == pytest.approx(10.0, rel=0.01)
    far = summary(table, "50")
    assert far["flag"] == ""


def test_a_distance_that_the_mask_does_not_reach_is_undefined(cord, tmp_path):
    masks = [cord, entry(save(tmp_path / "p.nii.gz", points({1: (30, 30, 29)})), "pmj", kind="pmj")]
    row = summary(measure_shape(SCAN, masks, MeasureOptions(pmj_distances_mm=(56.0,))), "56")
    assert row["flag"] == "undefined"
    assert row["reason"] == "46 to 66 mm from the PMJ: the cord mask ends at 58 mm"


def test_the_pmj_of_another_scan_is_carried_and_two_pmjs_are_none(cord, tmp_path):
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = (0.0, 0.0, 40.0)
    path = save(tmp_path / "p.nii.gz", points({1: (15, 15, 18)}, (30, 30, 30)), affine)
    found, _ = levels_of([cord, entry(path, "pmj", kind="pmj", of="sub-01_T1w")])
    assert found.pmj is not None
    assert found.pmj.distance_mm[found.pmj.slices == 28] == pytest.approx(2.0, abs=0.05)
    assert found.pmj_note == "PMJ labelled on sub-01_T1w, carried by world coordinates"
    two = points({1: (30, 30, 29), 2: (30, 30, 20)})
    found, _ = levels_of([cord, entry(save(tmp_path / "q.nii.gz", two), "pmj", kind="pmj")])
    assert (found.pmj, found.pmj_fault) == (
        None, "pmj by manual: PMJ: 2 places labelled, expected one"
    )  # fmt: skip


def test_levels_of_a_tool_are_said_to_be_of_that_tool(cord, tmp_path):
    path = save(tmp_path / "d.nii.gz", points(DISCS))
    found, _ = levels_of([cord, entry(path, "discs", "sct")])
    assert (found.kind, found.note) == ("vertebral", "levels: discs labelled by sct")
    both = [cord, entry(path, "discs", "sct"), entry(path, "discs", "rater-2")]
    assert levels_of(both)[0].note == ""


def test_without_a_grid_there_are_no_levels():
    assert scan_levels([], None, None, OPTIONS).by_slice == {}


def test_ranges_of_the_options_are_refused_with_their_key():
    with pytest.raises(ConfigError, match="level_ranges"):
        MeasureOptions(level_ranges=("X1-X2",))
