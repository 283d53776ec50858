"""Who takes part, what is scanned, and how scores follow damage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from cordcohort.phantom.cohort import (
    TRAVELLER,
    damage_of,
    injury_level,
    participant_row,
    participants,
    planned_scans,
    scale_of,
    scores,
    session_rows,
)
from cordcohort.phantom.config import PhantomStudy, Site
from scipy.stats import spearmanr

COLUMNS = [
    "participant_id", "person_id", "site", "vendor", "field_strength_t", "age", "sex", "group",
    "lesion_origin", "injury_level", "days_since_injury", "implants", "light_touch", "pinprick",
    "lems",
]  # fmt: skip
LARGE = replace(
    PhantomStudy(), sites=(Site("one", "GE", "x", subjects=41), Site("two", "GE", "x", subjects=3))
)


def test_the_travelling_person_is_one_person_with_one_shape_at_all_sites():
    travellers = [p for p in participants(PhantomStudy()) if p.person_id == TRAVELLER]
    assert len(travellers) == 3
    assert len({p.site.name for p in travellers}) == 3
    assert len({p.person for p in travellers}) == 1
    assert len({p.subject for p in travellers}) > 1


def test_everyone_else_is_a_person_of_their_own():
    others = [p for p in participants(PhantomStudy()) if p.person_id != TRAVELLER]
    assert len({p.person for p in others}) == len(others)


def test_two_datasets_share_a_subject_label():
    people = participants(PhantomStudy())
    labels = [{p.subject for p in people if p.site == site} for site in PhantomStudy().sites]
    assert labels[0] & labels[1]


def test_shares_of_damage_are_those_of_the_configuration():
    patients = [p.person for p in participants(LARGE) if p.group == "patient"]
    controls = [p.person for p in participants(LARGE) if p.group == "control"]
    assert len(patients) / len(participants(LARGE)) > 0.5
    assert abs(np.mean([bool(p.compressions) for p in patients]) - 0.5) < 0.1
    assert abs(np.mean([bool(p.implant_levels) for p in patients]) - 1 / 3) < 0.1
    assert all(p.compressions or p.lesions for p in patients)
    assert not any(p.compressions or p.lesions or p.implant_levels for p in controls)


def test_scores_fall_with_damage_and_recover():
    people = participants(LARGE)
    damage = [damage_of(p.person) for p in people]
    for name in ("light_touch", "pinprick", "lems"):
        values = [scores(LARGE, p, "1")[name] for p in people]
        assert spearmanr(damage, values).statistic < -0.7
        assert min(values) >= 0.0
    worst = people[int(np.argmax(damage))]
    later = scores(LARGE, worst, "4")["pinprick"]
    assert later > scores(LARGE, worst, "1")["pinprick"]


def test_the_sheet_has_the_columns_of_the_design():
    row = participant_row(PhantomStudy(), participants(PhantomStudy())[0])
    assert list(row) == COLUMNS


def test_sessions_carry_their_time_point():
    returning = next(p for p in participants(PhantomStudy()) if len(p.sessions) > 1)
    rows = session_rows(PhantomStudy(), returning)
    assert [row["time_point"] for row in rows] == ["baseline", "followup1"]
    assert rows[0]["pinprick"] == participant_row(PhantomStudy(), returning)["pinprick"]


def test_missing_scans_are_not_planned():
    study = PhantomStudy()
    names = {f"{s.participant.site.name}/{s.stem}" for s in planned_scans(study)}
    assert "boston/sub-01_ses-1_T1w" in names
    assert "boston/sub-02_ses-1_T1w" not in names
    everything = replace(study, missing=())
    assert len(list(planned_scans(everything))) == len(names) + 3
    assert not list(planned_scans(replace(study, missing_share=1.0)))


def test_scale_error_belongs_to_the_site():
    study = PhantomStudy()
    scales = [scale_of(study, site) for site in study.sites]
    assert len(set(scales)) == 3
    assert all(abs(s - 1.0) <= 0.02 + 1e-9 for s in scales)
    none = replace(study, difficulty=replace(study.difficulty, site_scale_sd=0.0))
    assert scale_of(none, none.sites[0]) == 1.0


def test_damage_lies_in_the_usual_field_of_view():
    for one in participants(LARGE):
        level = injury_level(one.person)
        assert (level == "") == (one.group == "control")
        assert level in {"", "C3", "C4", "C5", "C6", "C7"}
