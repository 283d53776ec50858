"""Agreement rows: who is compared with whom, and what becomes of empty and broken masks."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.measures.agreement import measure_agreement
from cordcohort.measures.empty import EMPTY_MASK, SMALL_REFERENCE
from cordcohort.measures.options import MeasureOptions
from unit.measures.test_shape_table import FAULTS, KEYS, SCAN, entry, save


def box(first, last, slices=slice(0, 12)):
    mask = np.zeros((60, 60, 12))
    mask[first:last, 20:40, slices] = 1
    return mask


@pytest.fixture
def masks(tmp_path):
    manual = save(tmp_path / "manual.nii.gz", box(20, 40, slice(2, 8)))
    model = save(tmp_path / "model.nii.gz", box(20, 30))
    rater = save(tmp_path / "rater.nii.gz", box(20, 40, slice(2, 8)))
    return [entry(manual), entry(model, "cord-v1"), entry(rater, "rater-2")]


def value(table, measure, method="cord-v1"):
    rows = table[(table["measure"] == measure) & (table["method"] == method)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_every_method_is_compared_with_the_reference_in_its_slices(masks):
    table = measure_agreement(SCAN, masks)
    assert set(table["method"]) == {"cord-v1", "rater-2"}
    assert set(table["reference"]) == {"manual"}
    assert value(table, "dice")["value"] == pytest.approx(2 / 3)
    assert value(table, "rve_percent")["value"] == pytest.approx(-50)
    assert value(table, "outside_slices_n")["value"] == 6
    assert value(table, "outside_slices_mm3")["value"] == pytest.approx(6 * 200 * 0.5)
    assert value(table, "scored_slices_n")["value"] == 6
    assert value(table, "dice", "rater-2")["value"] == 1.0
    assert not table.duplicated([*KEYS, "reference"]).any()
    assert "soft_dice" not in set(table["measure"])


def test_distances_are_measured_in_the_drawn_slices_and_ends_are_no_surface(masks):
    table = measure_agreement(SCAN, masks)
    assert value(table, "hd95_mm", "rater-2")["value"] == 0
    assert value(table, "hd95_mm")["value"] == pytest.approx(
        5.0
    )  # ten voxels of 0.5 mm are missing
    assert value(table, "asd_mm")["unit"] == "mm"


def test_the_reference_can_be_any_method(masks):
    table = measure_agreement(SCAN, masks, MeasureOptions(reference="cord-v1"))
    assert value(table, "dice", "manual")["reference"] == "cord-v1"
    assert value(table, "recall", "manual")["value"] == pytest.approx(0.5)


def test_without_the_reference_there_is_nothing_to_compare(masks):
    assert measure_agreement(SCAN, masks[1:]).empty


def test_no_cord_found_scores_zero_with_a_warning(masks):
    table = measure_agreement(SCAN, [masks[0], entry("", "cord-v1", status="no_cord")])
    assert value(table, "dice")[["value", "flag", "reason"]].tolist() == [
        0.0, "warning", "no cord found",
    ]  # fmt: skip
    assert value(table, "precision")["flag"] == "undefined"


def test_an_empty_reference_is_undefined_and_tells_what_was_found(masks, tmp_path):
    empty = entry(save(tmp_path / "empty.nii.gz", np.zeros((60, 60, 12))))
    table = measure_agreement(SCAN, [empty, masks[1]])
    assert value(table, "dice")[["flag", "reason"]].tolist() == [
        "undefined", "the reference is empty",
    ]  # fmt: skip
    assert value(table, "outside_slices_mm3")["value"] == pytest.approx(12 * 200 * 0.5)


def test_lesions_are_scored_in_the_whole_volume(tmp_path):
    reference = entry(save(tmp_path / "a.nii.gz", box(20, 30, slice(2, 4))), structure="lesion")
    found = entry(save(tmp_path / "b.nii.gz", box(20, 30, slice(2, 6))), "m", structure="lesion")
    table = measure_agreement(SCAN, [reference, found])
    assert value(table, "precision", "m")["value"] == pytest.approx(0.5)
    assert value(table, "lesion_f1", "m")["value"] == 1.0
    assert value(table, "lesions_reference_n", "m")["value"] == 1


def test_a_reference_of_small_lesions_only_is_no_empty_mask(tmp_path):
    small = np.zeros((60, 60, 12))
    small[20:22, 20:23, 5] = 1  # 6 voxels of 0.5 mm3: exactly 3
    reference = entry(save(tmp_path / "a.nii.gz", small), structure="lesion")
    found = entry(save(tmp_path / "b.nii.gz", box(20, 30, slice(2, 6))), "m", structure="lesion")
    row = value(measure_agreement(SCAN, [reference, found]), "lesion_sensitivity", "m")
    assert (row["flag"], row["reason"]) == ("undefined", SMALL_REFERENCE)
    empty = entry(save(tmp_path / "c.nii.gz", np.zeros((60, 60, 12))), "m", structure="lesion")
    row = value(measure_agreement(SCAN, [reference, empty]), "asd_mm", "m")
    assert (row["flag"], row["reason"]) == ("undefined", EMPTY_MASK)


def test_soft_masks_also_give_the_soft_dice(masks, tmp_path):
    soft = entry(save(tmp_path / "s.nii.gz", 0.8 * box(20, 40)), "soft-v1", kind="softseg")
    table = measure_agreement(SCAN, [masks[0], soft])
    assert value(table, "dice", "soft-v1")["value"] == 1.0
    n = 6 * 400
    expected = (2 * 0.8 * n + 1) / (1.8 * n + 1)
    assert value(table, "soft_dice", "soft-v1")["value"] == pytest.approx(expected)


def test_a_binary_mask_is_preferred_to_the_same_methods_soft_one(masks, tmp_path):
    soft = entry(save(tmp_path / "s.nii.gz", 0.6 * box(20, 40)), "cord-v1", kind="softseg")
    table = measure_agreement(SCAN, [masks[0], soft, masks[1]])
    assert value(table, "dice")["value"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("fault", [f for f in FAULTS if f != "no voxel"])
@pytest.mark.parametrize("broken", [0, 1])
def test_a_broken_mask_on_either_side_gives_failed_rows(masks, tmp_path, fault, broken):
    bad = tmp_path / "bad.nii.gz"
    save(bad, box(20, 40))
    FAULTS[fault](bad)
    image = save(tmp_path / "image.nii.gz", np.zeros((60, 60, 12)))
    chosen = masks[:2]
    chosen[broken] = chosen[broken] | {"path": str(bad)}
    table = measure_agreement(SCAN, chosen, image=image)
    good = measure_agreement(SCAN, masks[:2], image=image)
    assert set(table["measure"]) == set(good["measure"])
    assert set(table["flag"]) == {"failed"}
    assert table["value"].isna().all()
    assert table["reason"].str.startswith("reference: " if broken == 0 else "bad.nii.gz").all()


def notes_of(tmp_path, mask, reference):
    masks = [
        entry(save(tmp_path / "manual.nii.gz", reference)),
        entry(save(tmp_path / "model.nii.gz", mask), "cord-v1"),
    ]
    return value(measure_agreement(SCAN, masks), "dice")[["flag", "reason"]].tolist()


@pytest.mark.parametrize(
    ("axis", "words"), [(0, "left-right"), (1, "front-back"), (2, "top-bottom")]
)
def test_a_cord_drawn_in_a_mirrored_image_is_told_with_the_axis(tmp_path, axis, words):
    reference = np.zeros((60, 60, 12))
    for z in range(12):  # an oblique cord off the middle: no mirror image of itself
        reference[10 + z : 20 + z, 5:15, z] = 1
    flag, reason = notes_of(tmp_path, np.flip(reference, axis), reference)
    assert flag == "warning"
    assert "below 0.6" in reason
    assert f"mirrored {words} it fits better (Dice 1.00): check the orientation" in reason


def test_a_poor_cord_is_told_without_accusing_the_header(tmp_path):
    flag, reason = notes_of(tmp_path, box(34, 54), box(20, 40))
    assert (flag, reason) == ("warning", "Dice 0.30 below 0.6")


def test_a_good_cord_in_the_middle_is_not_doubted(tmp_path):
    assert notes_of(tmp_path, box(21, 41), box(20, 40)) == ["", ""]


def test_the_share_of_an_empty_reference_is_no_low_one(tmp_path):
    assert notes_of(tmp_path, box(20, 40), box(0, 0))[0] == "undefined"
    assert notes_of(tmp_path, box(0, 0), box(20, 40)) == ["warning", "Dice 0.00 below 0.6"]
