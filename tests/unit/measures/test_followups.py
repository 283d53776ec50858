"""Lesions over sessions: each state by a drawn example, the rule's bounds, registration."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.measures.followup_rows import FollowupOptions, measure_followup
from cordcohort.measures.followups import FollowupRule, Session, follow_lesions
from cordcohort.measures.task import Task
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.measures.test_shape_table import SCAN, entry, save

SHAPE = (24, 24, 40)
SPACING = (1.0, 1.0, 1.0)
SEEN = np.ones(SHAPE, dtype=bool)


def drawn(*boxes):
    labels = np.zeros(SHAPE, dtype=np.int64)
    for number, (z, width) in enumerate(boxes, start=1):
        labels[10 : 10 + width, 10 : 10 + width, z[0] : z[1]] = number
    return labels


def session(labels):
    return Session(labels, np.bincount(labels.ravel()).astype(float))


def followed(old, late, rule=None, seen=SEEN):
    return follow_lesions(session(old), session(late), seen, SPACING, rule or FollowupRule())


def states(old, late, rule=None):
    return [group.name for group in followed(old, late, rule).groups]


@pytest.mark.parametrize(
    ("old", "late", "expected"),
    [
        (drawn(((5, 10), 4)), drawn(((5, 10), 4)), ["1>1 stable"]),
        (drawn(((5, 10), 4)), drawn(((5, 12), 4)), ["1>1 grown"]),
        (drawn(((5, 15), 4)), drawn(((5, 11), 4)), ["1>1 shrunk"]),
        (drawn(((5, 10), 4)), drawn(), ["1>none gone"]),
        (drawn(), drawn(((5, 10), 4)), ["none>1 new"]),
        (drawn(((5, 10), 4), ((14, 19), 4)), drawn(((5, 19), 4)), ["1+2>1 merged"]),
        (drawn(((5, 19), 4)), drawn(((5, 10), 4), ((14, 19), 4)), ["1>1+2 split"]),
        (drawn(((5, 10), 4)), drawn(((20, 25), 4)), ["1>none gone", "none>1 new"]),
        (drawn(), drawn(), []),
    ],
)
def test_each_state_is_what_its_name_says(old, late, expected):
    assert states(old, late) == expected


def test_a_change_of_just_the_threshold_is_stable():
    old, late = drawn(((0, 10), 4)), drawn(((0, 13), 4))
    assert states(old, late) == ["1>1 stable"]
    assert states(old, late, FollowupRule(change=0.29)) == ["1>1 grown"]


def test_three_mm3_exactly_are_left_out_at_both_sessions():
    old = np.zeros(SHAPE, dtype=np.int64)
    old[10, 10, 5:8] = 1
    late = old.copy()
    assert states(old, late) == []
    late[10, 10, 5:9] = 1
    assert states(old, late) == ["none>1 new"]


def test_a_lesion_within_the_tolerance_is_the_same_and_one_beyond_is_not():
    old, late = drawn(((5, 10), 4)), drawn(((11, 16), 4))
    assert states(old, late) == ["1>1 stable"]
    assert states(old, late, FollowupRule(tolerance_mm=1.9)) == ["1>none gone", "none>1 new"]


def test_a_touch_of_less_than_the_overlap_does_not_join_lesions_that_have_a_match():
    old = drawn(((0, 20), 4), ((22, 30), 4))
    late = drawn(((1, 19), 4), ((19, 32), 4))  # the second shares one slice of 13 with the first
    assert states(old, late) == ["1>1 stable", "2>2 grown"]
    assert states(old, late, FollowupRule(min_overlap=0.05)) == ["1+2>1+2 stable"]


def test_what_the_other_session_does_not_show_is_told_and_is_neither_new_nor_gone():
    seen = SEEN.copy()
    seen[:, :, 18:] = False
    found = followed(drawn(), drawn(((5, 10), 4), ((20, 25), 4)), seen=seen)
    assert [g.name for g in found.groups] == ["none>1 new"]
    assert found.n_unseen == 1
    gone = Session(np.zeros(SHAPE, dtype=np.int64), np.array([0.0, 50.0]))
    found = follow_lesions(gone, session(drawn()), SEEN, SPACING)
    assert (found.groups, found.n_unseen) == ((), 1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_lesion_is_in_one_group_and_time_reversed_exchanges_the_states(seed):
    rng = np.random.default_rng(seed)
    sides = []
    for _ in range(2):
        labels = np.zeros((12, 12, 12), dtype=np.int64)
        for number in range(1, int(rng.integers(1, 5))):
            x, y, z = rng.integers(0, 9, 3)
            labels[x : x + 3, y : y + 3, z : z + 3] = number
        _, dense = np.unique(labels, return_inverse=True)
        sides.append(session(dense.reshape(labels.shape)))
    seen = np.ones((12, 12, 12), dtype=bool)
    rule = FollowupRule(tolerance_mm=0.0)
    there = follow_lesions(*sides, seen, SPACING, rule).groups
    back = follow_lesions(*sides[::-1], seen, SPACING, rule).groups
    for side, numbers in ((0, "before"), (1, "after")):
        large = np.flatnonzero(sides[side].volume_mm3[1:] > 3) + 1
        assert sorted(n for g in there for n in getattr(g, numbers)) == large.tolist()
    assert {(g.before, g.after) for g in there} == {(g.after, g.before) for g in back}
    swapped = {"new": "gone", "gone": "new", "merged": "split", "split": "merged"}
    reverse = {(g.after, g.before): g.state for g in back}
    for group in there:
        if group.state in swapped:
            assert reverse[group.before, group.after] == swapped[group.state]


@pytest.fixture
def two_sessions(tmp_path):
    """A cord with a lesion; later the person has moved by 3 mm and the lesion has grown."""

    def write(name, shift, boxes):
        x, y = np.meshgrid(np.arange(40), np.arange(40), indexing="ij")
        round_cord = (((x - 20 - shift) / 9) ** 2 + ((y - 20) / 6) ** 2 < 1)[..., None]
        cord = np.repeat(round_cord, 30, axis=2).astype(float)
        lesion = np.zeros((40, 40, 30))
        for low, high in boxes:
            lesion[17 + shift : 23 + shift, 18:22, low:high] = 1
        files = [save(tmp_path / f"{name}_{k}.nii.gz", v) for k, v in
                 (("cord", cord), ("lesion", lesion))]  # fmt: skip
        masks = [entry(files[0]), entry(files[1], structure="lesion")]
        return Task(scan=SCAN | {"session": name}, masks=masks, output="")

    return write


def value(table, measure, name=""):
    rows = table[(table["measure"] == measure) & (table["object"] == name)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_a_person_who_moved_between_sessions_is_followed_by_registration(two_sessions):
    old = two_sessions("1", 0, [(4, 9)])
    late = two_sessions("2", 6, [(4, 12), (20, 24)])
    table = measure_followup(old, late, FollowupOptions(registration="masks"))
    assert set(table["reference"]) == {"ses-1"}
    assert set(table["session"]) == {"2"}
    assert value(table, "lesions_grown_n")["value"] == 1
    assert value(table, "lesions_new_n")["value"] == 1
    assert value(table, "lesions_gone_n")["value"] == 0
    assert value(table, "lesion_change_percent", "1>1 grown")["value"] == pytest.approx(60.0)
    assert value(table, "lesion_change_percent", "none>2 new")["flag"] == "undefined"
    header = measure_followup(old, late, FollowupOptions(registration="header"))
    assert value(header, "lesions_gone_n")["value"] == 0  # 3 mm aside, yet they overlap
    assert value(header, "lesions_grown_n")["flag"] == ""


def test_cords_that_do_not_meet_after_registration_are_refused_with_the_overlap(
    two_sessions, monkeypatch
):
    monkeypatch.setattr("cordcohort.measures.followup_rows.MIN_OVERLAP", 1.01)
    table = measure_followup(
        two_sessions("1", 0, [(4, 9)]), two_sessions("2", 0, [(4, 9)]),
        FollowupOptions(registration="masks"),
    )  # fmt: skip
    assert set(table["flag"]) == {"failed"}
    assert "overlap by 1.00" in table["reason"].iloc[0]


def test_without_cords_the_headers_decide_and_it_is_said(two_sessions):
    sides = [two_sessions(name, 0, [(4, 9)]) for name in ("1", "2")]
    sides = [Task(scan=t.scan, masks=t.masks[1:], output="") for t in sides]
    table = measure_followup(*sides, FollowupOptions())
    row = value(table, "lesions_stable_n")
    assert (row["value"], row["flag"]) == (1, "warning")
    assert "no cord mask of one method at both sessions" in row["reason"]


def test_a_mask_that_cannot_be_read_and_a_method_of_one_session(two_sessions, tmp_path):
    old, late = (two_sessions(name, 0, [(4, 9)]) for name in ("1", "2"))
    broken = save(tmp_path / "broken.nii.gz", np.zeros((3, 3, 3)))
    masks = [late.masks[0], entry(broken, structure="lesion")]
    table = measure_followup(old, Task(late.scan, masks, ""), FollowupOptions())
    assert set(table["flag"]) == {"failed"}
    assert (table["reason"] != "").all()
    alone = [late.masks[0], entry(late.masks[1]["path"], "m", structure="lesion")]
    assert measure_followup(old, Task(late.scan, alone, ""), FollowupOptions()).empty
