"""check --deep opens every file as a run would, and notices a content that changed unseen."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from cordcohort.bids.deep import deep_check, deep_lines
from cordcohort.bids.prepare import find
from cordcohort.nifti import write_image
from cordcohort.provenance import (
    INPUTS,
    RUN_RECORD,
    config_files,
    hash_inputs,
    input_files,
    model_files,
    record_run,
)
from cordcohort.table import read_parquet
from unit.bids.tree import put_sheet, put_text

AFFINE = np.diag([0.8, 0.8, 3.0, 1.0])
SHAPE = (12, 12, 6)


@pytest.fixture
def study(tmp_path):
    """Give a study of three subjects whose files are fine."""
    cord = np.zeros(SHAPE)
    cord[4:8, 4:8] = 1
    for subject in ("01", "02", "03"):
        stem = f"sub-{subject}/anat/sub-{subject}_T2w"
        image = tmp_path / "north" / f"{stem}.nii.gz"
        write_image(image, cord * 100, AFFINE, dtype=np.int16)
        label = tmp_path / "north" / "derivatives" / "labels" / f"{stem}_label-SC_seg.nii.gz"
        write_image(label, cord, AFFINE, dtype=np.uint8)
    put_sheet(tmp_path / "north", "participants.tsv", "participant_id site", "sub-01 north")
    put_text(
        tmp_path, "config/config.yaml",
        "study: {name: t}\ndatasets: [{name: north, path: north}]\nsegmentation: {models: []}\n",
    )  # fmt: skip
    return tmp_path


def _image(study, subject, ending="_T2w.nii.gz", folder="north"):
    return study / folder / f"sub-{subject}" / "anat" / f"sub-{subject}{ending}"


def _mask(study, subject):
    return _image(study, subject, "_T2w_label-SC_seg.nii.gz", "north/derivatives/labels")


def _checked(study):
    return deep_check(*find(study), study)


def test_a_sound_delivery_has_no_finding(study):
    result = _checked(study)
    assert (len(result.findings), result.n_files, result.n_compared) == (0, 7, 0)


def test_every_fault_is_found_before_a_run_with_the_code_that_a_run_would_give(study):
    raw = bytearray(_image(study, "01").read_bytes())
    raw[len(raw) // 2] ^= 4
    _image(study, "01").write_bytes(bytes(raw))
    _image(study, "02").write_bytes(b"")
    moved = AFFINE.copy()
    moved[0, 3] = 5
    write_image(_mask(study, "03"), np.ones(SHAPE), moved, dtype=np.uint8)
    found = _checked(study).findings
    codes = dict(zip(found["file"], found["code"], strict=True))
    assert codes.pop("sub-01_T2w.nii.gz") in ("checksum", "truncated")
    assert codes == {
        "sub-02_T2w.nii.gz": "empty",
        "sub-03_T2w_label-SC_seg.nii.gz": "shifted_grid",
    }
    assert not found["reason"].str.contains(str(study)).any()


@pytest.mark.parametrize(("name", "n_faults"), [("label-SC_seg", 1), ("label-lesion_seg", 0)])
def test_an_empty_cord_mask_is_a_fault_and_an_empty_lesion_mask_is_none(study, name, n_faults):
    path = _mask(study, "03").with_name(f"sub-03_T2w_{name}.nii.gz")
    write_image(path, np.zeros(SHAPE), AFFINE, dtype=np.uint8)
    result = _checked(study)
    assert result.n_faults == n_faults
    assert set(result.findings["code"]) == {"empty_mask" if n_faults else "none_drawn"}


def test_a_study_of_empty_lesion_masks_is_told_as_one_and_no_fault(study):
    told = "every mask of manual lesion (2) is empty"
    lesions = [
        _mask(study, s).with_name(f"sub-{s}_T2w_label-lesion_seg.nii.gz") for s in ("02", "03")
    ]
    for path in lesions:
        write_image(path, np.zeros(SHAPE), AFFINE, dtype=np.uint8)
    result = _checked(study)
    lines = "\n".join(deep_lines(result, 12))
    assert (result.n_faults, lines.count(told)) == (0, 1)
    assert "sub-03_T2w_label-lesion_seg.nii.gz: no lesion in this scan" in lines
    write_image(lesions[0], np.ones(SHAPE), AFFINE, dtype=np.uint8)
    assert told[:10] not in "\n".join(deep_lines(_checked(study), 12))


def test_what_is_unusual_but_used_is_a_note(study):
    moved = AFFINE.copy()
    moved[0, 3] = 0.1
    write_image(_mask(study, "03"), np.ones(SHAPE), moved, dtype=np.uint8)
    result = _checked(study)
    assert result.findings["code"].tolist() == ["note"]
    lines = "\n".join(deep_lines(result, 12))
    assert "0 faults" in lines
    assert "voxels off" in lines


def test_a_content_that_changed_behind_its_size_and_time_is_found(study):
    assert record_run(study, *find(study)) == []
    path = study / "north" / "participants.tsv"
    before = path.stat()
    path.write_text(path.read_text().replace("sub-01\tnorth", "sub-01\tsouth"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    result = _checked(study)
    assert result.n_changed == 1
    assert result.n_compared == 7
    assert result.findings["file"].tolist() == ["participants.tsv"]


def test_a_file_of_known_size_and_time_is_not_hashed_again(study):
    config, index = find(study)
    record_run(study, config, index)
    known = read_parquet(study / INPUTS)
    files = list(input_files(config, index))
    again = hash_inputs(files, known.assign(sha256="kept"))
    assert set(again["sha256"]) == {"kept"}
    _image(study, "01").write_bytes(b"new")
    again = hash_inputs(files, known.assign(sha256="kept"))
    assert (again["sha256"] != "kept").sum() == 1


def test_an_image_that_changes_during_a_run_is_told(study):
    config, index = find(study)
    os.utime(_image(study, "02"), (1, 1))
    assert record_run(study, config, index) == ["north/sub-02/anat/sub-02_T2w.nii.gz"]


def test_a_vanished_input_has_no_hash_and_stops_nothing(study):
    config, index = find(study)
    _image(study, "02").unlink()
    record_run(study, config, index)
    inputs = read_parquet(study / INPUTS).set_index("path")["sha256"]
    assert inputs["sub-02/anat/sub-02_T2w.nii.gz"] == ""
    assert json.loads((study / RUN_RECORD).read_text())["inputs"]["unreadable"] == 1


def test_the_run_record_holds_hashes_of_everything_and_nothing_of_the_machine(study):
    record_run(study, *find(study))
    text = (study / RUN_RECORD).read_text()
    record = json.loads(text)
    for key in ("code_sha256", "environments", "config", "models", "inputs", "packages", "python"):
        assert key in record
    assert len(record["config"]["config/config.yaml"]) == 64
    assert len(record["environments"]["requirements.lock"]) == 64
    assert record["inputs"]["files"] == 7
    assert str(study) not in text
    assert os.uname().nodename not in text
    assert "/home" not in text


def test_lists_of_one_name_have_their_own_hashes_and_one_elsewhere_names_no_folder(
    study, tmp_path_factory
):
    outside = [tmp_path_factory.mktemp("elsewhere") / "qc_fail.yml" for _ in range(2)]
    lists = [study / "config" / site / "qc_fail.yml" for site in ("north", "south")] + outside
    for number, path in enumerate(lists):
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"# {number}\n")
    found = config_files(study, [*lists, study / "config" / "none.yaml"])
    assert list(found) == [
        "config/config.yaml", "config/north/qc_fail.yml", "config/south/qc_fail.yml",
        "outside-3/qc_fail.yml", "outside-4/qc_fail.yml",
    ]  # fmt: skip
    assert list(found.values())[1:] == lists


@pytest.mark.parametrize(
    ("models", "levels", "named"),
    [
        (["cord-v1"], "auto", ["cord-v1", "discs-v1", "own"]),
        (["cord-v1"], ["discs"], ["cord-v1", "own"]),
        (["cord-v1", "own"], "none", ["cord-v1", "own"]),
        ([], "auto", ["own"]),
    ],
)
def test_every_model_that_may_have_drawn_is_named_the_trained_ones_too(
    study, models, levels, named
):
    own = study / "results" / "models" / "own"
    own.mkdir(parents=True)
    for name in ("model.yaml", "cord.safetensors"):
        (own / name).write_text("x")
    found = model_files(study, models, levels)
    assert sorted(found) == named
    assert found["own"] == [own / "cord.safetensors", own / "model.yaml"]
    assert all(any(p.suffix == ".safetensors" for p in files) for files in found.values())


def test_the_record_of_the_same_inputs_is_the_same_to_the_byte(study):
    record_run(study, *find(study))
    first = (study / RUN_RECORD).read_bytes(), (study / INPUTS).read_bytes()
    record_run(study, *find(study))
    assert first == ((study / RUN_RECORD).read_bytes(), (study / INPUTS).read_bytes())
