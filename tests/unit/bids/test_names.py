from __future__ import annotations

import pytest
from cordcohort.bids.names import (
    NameFaultError,
    parse_name,
    scan_name,
    split_extension,
    valid_label,
)
from hypothesis import given
from hypothesis import strategies as st

labels = st.text("abcXYZ0189+", min_size=1, max_size=8)
BAD_LABELS = [
    "",
    "a;touch x",
    "a b",
    "a\nb",
    "../x",
    "-x",
    "x" * 300,
    "аbc",
    "é",
    "a_b",
    "a/b",
    ".",
]


def scan(stem):
    return scan_name(parse_name(stem))


@given(subject=labels, session=labels, acquisition=labels, run=labels)
def test_every_entity_comes_back_as_it_was_written(subject, session, acquisition, run):
    found = scan(f"sub-{subject}_ses-{session}_acq-{acquisition}_run-{run}_T2w")
    assert (found.subject, found.session) == (subject, session)
    assert (found.acquisition, found.run, found.contrast) == (acquisition, run, "T2w")


@given(st.text(max_size=40))
def test_any_text_is_parsed_or_refused_with_a_reason(text):
    try:
        name = parse_name(text)
    except NameFaultError:
        return
    assert all(valid_label(label) for label in name.entities.values())


@pytest.mark.parametrize("label", BAD_LABELS)
def test_a_label_that_could_leave_its_path_is_no_label(label):
    assert not valid_label(label)
    if label != "a_b":  # reads as subject a and suffix b, which is no contrast
        with pytest.raises(NameFaultError):
            parse_name(f"sub-{label}_T2w")


@pytest.mark.parametrize("label", ["01", "no", "1e5", "0123", "A+b"])
def test_labels_stay_text(label):
    assert scan(f"sub-{label}_T2w").subject == label


@pytest.mark.parametrize(
    ("stem", "contrast", "acquisition"),
    [
        ("sub-1_T2w", "T2w", ""),
        ("sub-1_T2star", "T2starw", ""),
        ("sub-1_acq-MTon_MTS", "MTon", "MTon"),
        ("sub-1_acq-MToff_MTS", "MToff", "MToff"),
        ("sub-1_acq-T1w_MTS", "T1w", "T1w"),
        ("sub-1_flip-1_mt-on_MTS", "MTon", "flip1"),
        ("sub-1_flip-1_mt-off_MTS", "MToff", "flip1"),
        ("sub-1_flip-2_mt-off_MTS", "MToff", "flip2"),
        ("sub-1_acq-x_MTS", "MTS", "x"),
        ("sub-1_rec-average_dwi", "dwi", "recaverage"),
        ("sub-1_acq-sag_echo-1_T2starw", "T2starw", "sag+echo1"),
        ("sub-1_UNIT1", "UNIT1", ""),
    ],
)
def test_contrast_and_acquisition_follow_the_field_s_names(stem, contrast, acquisition):
    assert (scan(stem).contrast, scan(stem).acquisition) == (contrast, acquisition)


def test_entities_that_bids_knows_and_the_key_does_not_keep_scans_apart():
    stems = [
        "sub-1_T2w",
        "sub-1_rec-a_T2w",
        "sub-1_acq-b_T2w",
        "sub-1_res-low_T2w",
        "sub-1_ce-x_T2w",
    ]
    found = {(s.acquisition, s.run, s.contrast) for s in map(scan, stems)}
    assert len(found) == len(stems)


def test_resolution_comes_from_its_entity():
    assert scan("sub-1_res-iso_T2w").resolution == "iso"


@pytest.mark.parametrize(
    ("stem", "words"),
    [
        ("sub-1", "no suffix"),
        ("sub-1_sub-2_T2w", "twice"),
        ("sub-1_T2w!", "not a BIDS suffix"),
        ("sub-1_a-b-c_T2w", "not a BIDS entity"),
    ],
)
def test_a_faulty_name_says_what_is_wrong(stem, words):
    with pytest.raises(NameFaultError, match=words):
        parse_name(stem)


def test_an_unknown_suffix_is_read_when_the_study_names_it():
    with pytest.raises(NameFaultError, match="contrasts"):
        scan("sub-1_DIRxyz")
    assert scan_name(parse_name("sub-1_DIRxyz"), also=["DIRxyz"]).contrast == "DIRxyz"


def test_extensions_are_of_nifti_only():
    assert split_extension("a.nii.gz") == ("a", ".nii.gz")
    assert split_extension("a.nii") == ("a", ".nii")
    assert split_extension("a.nii.gz.json")[1] == ""
