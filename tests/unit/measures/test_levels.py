"""Levels of slices from maps and from discs; nothing is invented."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.measures.levels import (
    level_name,
    level_range,
    levels_from_discs,
    levels_from_map,
)
from cordcohort.nifti import read_mask


def test_names_run_from_c1_to_s1_and_others_have_none():
    assert [level_name(n) for n in (1, 2, 7, 8, 19, 20, 24, 25)] == [
        "C1", "C2", "C7", "T1", "T12", "L1", "L5", "S1",
    ]  # fmt: skip
    assert level_name(0) == level_name(-3) == level_name(26) == ""


def test_a_slice_with_two_labels_takes_the_rounded_mean_of_its_voxels():
    labels = np.zeros((3, 3, 2), int)
    labels[:, :, 0] = 3
    labels[0, 0, 0] = 4
    labels[:2, :, 1] = 5
    labels[2, :, 1] = 6
    assert levels_from_map(labels) == {0: "C3", 1: "C5"}


def test_no_labels_give_no_levels():
    assert levels_from_map(np.zeros((2, 2, 5), int)) == {}
    assert levels_from_discs(np.zeros((2, 2, 5), int)) == {}


def test_a_single_disc_gives_no_level_since_its_vertebra_has_one_end_only():
    labels = np.zeros((2, 2, 9), int)
    labels[1, 1, 4] = 3
    assert levels_from_discs(labels) == {}


def test_a_missing_disc_leaves_both_its_vertebrae_out():
    labels = np.zeros((1, 1, 20), int)
    labels[0, 0, [18, 14, 6, 2]] = [2, 3, 5, 6]  # disc 4 is not labelled
    assert set(levels_from_discs(labels).values()) == {"C2", "C5"}


def test_other_labels_than_vertebrae_are_ignored():
    labels = np.zeros((1, 1, 9), int)
    labels[0, 0, [2, 6]] = [60, 61]
    assert levels_from_discs(labels) == {}


def test_ranges_name_their_levels_and_refuse_what_is_not_one():
    assert level_range("C2-C3") == ["C2", "C3"]
    assert level_range("T12-L2") == ["T12", "L1", "L2"]
    for text in ("C3-C2", "c2-c3", "C8", "2:3", ""):
        with pytest.raises(ValueError, match="expected a range"):
            level_range(text)


def test_discs_and_map_of_the_template_agree(shared_data):
    folder = shared_data / "PAM50_small"
    by_map = levels_from_map(
        read_mask(folder / "PAM50_small_levels.nii.gz", kind="dseg").canonical().data
    )
    by_disc = levels_from_discs(
        read_mask(folder / "PAM50_small_label_disc.nii.gz", kind="dseg").canonical().data
    )
    cervical = [k for k, name in by_disc.items() if name in ("C2", "C3", "C4", "C5", "C6")]
    same = [k for k in cervical if by_map.get(k) == by_disc[k]]
    assert len(same) / len(cervical) > 0.9
