"""Lesions over sessions, of several raters, and sites with parts of the cord of their own."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.errors import ConfigError
from cordcohort.nifti import read_mask
from cordcohort.phantom.cohort import participants, planned_scans
from cordcohort.phantom.config import study_from_dict
from cordcohort.phantom.study import write_study
from cordcohort.table import read_tsv

SITE = {"name": "a", "manufacturer": "GE", "model": "m", "subjects": 6}
STUDY = {
    "sites": [
        SITE | {"regions": ["cervical", "thoracic", "lumbar"], "damage": "lesion"},
        SITE | {"name": "b", "damage": "compression", "reported_as": "a", "split": "external"},
    ],
    "protocols": [
        {"contrast": "T2w", "shape": [40, 40, 40], "spacing_mm": [1.0, 1.0, 2.0], "rater_2": True,
         "sites": ["a"]},
        {"contrast": "T2w", "acquisition": "ax", "shape": [30, 30, 10],
         "spacing_mm": [1.0, 1.0, 5.0], "sites": ["b"]},
    ],
    "traveller": False,
    "missing": [],
    "patient_share": 0.7,
    "returning_share": 1.0,
    "difficulty": {"lesion_growth_sd": 0.3, "lesion_turnover": 0.3},
}  # fmt: skip


def test_sites_have_their_own_damage_regions_and_protocols():
    study = study_from_dict(STUDY)
    people = participants(study)
    regions = {"cervical": (3.5, 7.0), "thoracic": (11.0, 15.0), "lumbar": (18.0, 21.0)}
    for one in people:
        if one.group == "control":
            assert not one.person.lesions
            continue
        assert one.person.lesions
        assert bool(one.person.compressions) == (one.site.name == "b")
    assert {p.region for p in people if p.site.name == "a"} == set(regions)
    assert {p.region for p in people if p.site.name == "b"} == {"cervical"}
    names = {(s.participant.site.name, s.protocol.acquisition) for s in planned_scans(study)}
    assert names == {("a", ""), ("b", "ax")}


def test_lesions_of_myelopathy_lie_at_the_compressions():
    study = study_from_dict(STUDY)
    for one in participants(study):
        for lesion, compression in zip(one.person.lesions, one.person.compressions, strict=False):
            edges = np.concatenate([[0.0], np.cumsum(one.person.vertebra_mm)])
            level = np.interp(edges[2] - lesion.z_mm, edges, np.arange(len(edges))) + 1
            assert abs(level - compression.level) < 0.4


def test_lesions_change_from_session_to_session_and_only_if_asked():
    changed = gone = 0
    for growth in (0.3, 0.0):
        hard = {"lesion_growth_sd": growth, "lesion_turnover": growth}
        study = study_from_dict(STUDY | {"difficulty": hard})
        for scan in planned_scans(study):
            first = next(p for p in participants(study)
                         if p.person_id == scan.participant.person_id)  # fmt: skip
            same = scan.participant.person.lesions == first.person.lesions
            if growth == 0.0 or scan.session == "1" or not first.person.lesions:
                assert same
                continue
            changed += not same
            gone += len(scan.participant.person.lesions) < len(first.person.lesions)
    assert changed >= 5
    assert gone >= 1


def test_everyone_has_a_lesion_mask_and_two_raters_differ_a_little(tmp_path):
    sites = [STUDY["sites"][0] | {"subjects": 3, "regions": []}]
    protocols = [STUDY["protocols"][0]]
    study = study_from_dict(STUDY | {"sites": sites, "protocols": protocols, "sessions": 1,
                                     "lesion_masks_of_all": True})  # fmt: skip
    data = write_study(study, tmp_path)[0]
    empty = drawn_twice = 0
    for one in participants(study):
        name = f"sub-{one.subject}_ses-1_T2w_label-lesion_seg.nii.gz"
        folders = [data / "derivatives" / root / f"sub-{one.subject}/ses-1/anat"
                   for root in ("labels", "labels_rater-2")]  # fmt: skip
        mask = read_mask(folders[0] / name).data
        empty += not mask.any()
        assert mask.any() == bool(one.person.lesions)
        if one.person.lesions and (folders[1] / name).is_file():
            other = read_mask(folders[1] / name).data
            dice = 2 * (mask & other).sum() / (mask.sum() + other.sum())
            assert 0.4 < dice < 1.0
            drawn_twice += 1
    assert empty >= 1
    assert drawn_twice >= 1
    sheet = read_tsv(data / "participants.tsv")
    assert set(sheet["site"]) == {"a"}


def test_a_name_that_is_not_there_is_refused_with_its_key():
    for key, value in (("regions", ["sacral"]), ("damage", "tumour")):
        with pytest.raises(ConfigError, match=rf"sites\[0\].{key}"):
            study_from_dict({"sites": [SITE | {key: value}], "protocols": []})
    protocol = STUDY["protocols"][0] | {"sites": ["elsewhere"]}
    with pytest.raises(ConfigError, match=r"protocols\[0\].sites"):
        study_from_dict({"sites": [SITE], "protocols": [protocol]})
