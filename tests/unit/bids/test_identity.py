"""What looks identifying is listed by name, with counts and without a value."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from cordcohort.bids.headers import telling_fields
from cordcohort.bids.identity import identifying_fields, identity_lines, looks_identifying
from cordcohort.bids.index import build_index
from cordcohort.bids.overview import with_total
from unit.bids.tree import config_of, put, put_json, put_sheet

TELLING = (
    "PatientName PatientID PatientBirthDate PatientAge InstitutionName InstitutionAddress "
    "StationName DeviceSerialNumber AcquisitionDateTime AcquisitionTime StudyInstanceUID "
    "ReferringPhysicianName OperatorsName ImageComments AccessionNumber dob name email notes "
    "researcher date_of_scan patient_id"
).split()
HARMLESS = (
    "ProtocolName SeriesDescription SequenceName ReceiveCoilName ManufacturersModelName EchoTime "
    "RepetitionTime InversionTime MagneticFieldStrength PatientSex PatientPosition "
    "SoftwareVersions AcquisitionNumber participant_id person_id session_id age sex pathology "
    "lems time_point"
).split()


@pytest.mark.parametrize("key", TELLING)
def test_names_dates_places_and_serial_numbers_look_identifying(key):
    assert looks_identifying(key)


@pytest.mark.parametrize("key", HARMLESS)
def test_parameters_of_the_scan_and_our_own_columns_do_not(key):
    assert not looks_identifying(key)


def _image(path, **header):
    image = nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4))
    for field, text in header.items():
        image.header[field] = text
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path


def test_header_texts_are_told_unless_a_program_names_itself(tmp_path):
    assert telling_fields(_image(tmp_path / "a.nii.gz", descrip="FSL5.0")) == []
    assert telling_fields(_image(tmp_path / "b.nii", descrip="Doe^Jane")) == ["descrip"]
    both = _image(tmp_path / "c.nii.gz", db_name="ward 3", aux_file="x")
    assert telling_fields(both) == ["aux_file", "db_name"]
    image = nib.load(tmp_path / "a.nii.gz")
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Jane Doe"))
    nib.save(image, tmp_path / "d.nii.gz")
    assert telling_fields(tmp_path / "d.nii.gz") == ["extensions"]


def test_text_behind_the_end_of_a_field_counts_too(tmp_path):
    path = _image(tmp_path / "a.nii")
    raw = bytearray(path.read_bytes())
    raw[150:158] = b"\0Doe Jan"  # descrip starts at byte 148; readers stop at the zero
    path.write_bytes(bytes(raw))
    assert telling_fields(path) == ["descrip"]


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\x1f\x8bbroken"])
def test_a_file_without_a_header_tells_nothing(tmp_path, content):
    (tmp_path / "a.nii.gz").write_bytes(content)
    assert telling_fields(tmp_path / "a.nii.gz") == []


def test_a_delivery_is_searched_in_sidecars_headers_and_sheets_and_no_value_is_told(tmp_path):
    root = tmp_path / "site"
    _image(root / "sub-01" / "anat" / "sub-01_T2w.nii.gz", descrip="SecretName")
    put_json(root, "sub-01/anat/sub-01_T2w.json", {"PatientName": "SecretName", "EchoTime": 0.1})
    put(root, "sub-02/anat/sub-02_T2w.nii.gz")
    put_json(root, "sub-02/anat/sub-02_T2w.json", {"PatientName": "", "StationName": "Secret3T"})
    put_sheet(
        root, "participants.tsv", "participant_id age date_of_birth", "sub-01 93 SecretDay",
        "sub-02 50 n/a",
    )  # fmt: skip
    config = config_of(tmp_path, root)
    fields = identifying_fields(config, build_index(config))
    assert set(fields.itertuples(index=False, name=None)) == {
        ("site", "header", "descrip", 1),
        ("site", "participants.tsv", "age above 89", 1),
        ("site", "participants.tsv", "date_of_birth", 1),
        ("site", "sidecar", "PatientName", 1),
        ("site", "sidecar", "StationName", 1),
    }
    lines = "\n".join(identity_lines(fields))
    assert "sidecar: PatientName (1), StationName (1)" in lines
    assert "Secret" not in lines


def test_large_data_sets_are_sampled_evenly_unless_all_are_wanted(tmp_path, monkeypatch):
    monkeypatch.setattr("cordcohort.bids.identity.LOOKED_AT", 2)
    root = tmp_path / "site"
    for number in range(5):
        stem = f"sub-{number}/anat/sub-{number}_T2w"
        put(root, f"{stem}.nii.gz")
        put_json(root, f"{stem}.json", {"PatientID": "x"})
    config = config_of(tmp_path, root)
    index = build_index(config)
    assert identifying_fields(config, index)["n"].tolist() == [2]
    assert identifying_fields(config, index, every_scan=True)["n"].tolist() == [5]


def test_one_group_alone_has_no_total_row():
    one = pd.DataFrame({"dataset": ["a"], "scans": [2]})
    assert with_total(one) is one
