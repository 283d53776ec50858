"""Whole studies: the same bytes again, everything readable, truth beside the images."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from cordcohort.errors import ImageError
from cordcohort.files import read_json
from cordcohort.images.gradients import read_gradients
from cordcohort.nifti import read_image, read_mask
from cordcohort.phantom.__main__ import main
from cordcohort.phantom.config import study_from_dict
from cordcohort.phantom.diffusion import directions
from cordcohort.phantom.study import write_study
from cordcohort.table import read_tsv

SMALL = {
    "sites": [
        {"name": "one", "manufacturer": "Siemens", "model": "x", "subjects": 2, "tilt": True},
        {
            "name": "two",
            "manufacturer": "GE",
            "model": "y",
            "subjects": 1,
            "axes": "LPS",
            "volume_axes": "PIR",
        },
    ],
    "protocols": [
        {"contrast": "T2w", "shape": [28, 28, 30], "spacing_mm": [1.2, 1.2, 1.5], "rater_2": True},
        {"contrast": "dwi", "shape": [28, 28, 4], "spacing_mm": [1.0, 1.0, 5.0], "sessions": 1},
    ],
    "diffusion": {"n_b0": 2, "n_directions": 6},
    "missing": ["one/01/1/dwi"],
    "patient_share": 1.0,
    "returning_share": 1.0,
    "bad_input": True,
    "difficulty": {"motion_mm": 0.5},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    write_study(study_from_dict(SMALL), root)
    return root


def _digests(root: Path) -> dict[str, str]:
    files = sorted(p for p in root.rglob("*") if p.is_file())
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_the_same_configuration_gives_the_same_bytes(folder: Path, tmp_path: Path):
    write_study(study_from_dict(SMALL), tmp_path)
    assert _digests(folder) == _digests(tmp_path)


def test_another_seed_gives_other_images(folder: Path, tmp_path: Path):
    write_study(study_from_dict(SMALL | {"seed": 1, "bad_input": False}), tmp_path)
    name = "one/sub-01/ses-1/anat/sub-01_ses-1_T2w.nii.gz"
    assert _digests(folder)[name] != _digests(tmp_path)[name]


def test_every_image_and_mask_is_readable_and_masks_lie_on_their_images(folder: Path):
    images = [p for p in folder.rglob("sub-*/ses-*/*/*.nii.gz") if "bad" not in p.name]
    assert len(images) > 30
    for path in images:
        image = read_image(path, ndim=None)
        assert np.isfinite(image.data).all()
    for path in folder.rglob("derivatives/labels/sub-0*/ses-*/*/*_seg.nii.gz"):
        home = str(path).replace("/derivatives/labels", "").split("_label-")[0] + ".nii.gz"
        whole = read_image(home, ndim=None)
        mask = read_mask(path, whole)
        assert mask.data.any()
        assert np.array_equal(mask.affine, whole.affine)


def test_masks_agree_with_the_true_shares(folder: Path):
    for path in folder.rglob("derivatives/labels/sub-0*/ses-*/*/*_label-SC_seg.nii.gz"):
        true = str(path).replace("/labels/", "/truth/").replace("SC_seg", "SC_softseg")
        drawn, soft = read_mask(path).data > 0, read_image(true).data >= 0.5
        dice = 2.0 * (drawn & soft).sum() / (drawn.sum() + soft.sum())
        assert dice > 0.85


def test_truth_tables_hold_one_row_a_slice_with_cord(folder: Path):
    table = read_tsv(folder / "one/derivatives/truth/sub-01/ses-1/anat/sub-01_ses-1_T2w_slices.tsv")
    area = table["csa_mm2"].astype(float)
    assert len(table) == 30
    assert area.between(20.0, 120.0).all()
    truth = read_json(
        folder / "one/derivatives/truth/sub-01/ses-1/anat/sub-01_ses-1_T2w_truth.json"
    )
    assert truth["person_id"] == "one01"
    assert 0.0 < truth["damage"] <= 1.0


@pytest.mark.parametrize(("site", "subject"), [("one", "02"), ("two", "01")])
def test_gradient_files_give_back_the_directions_in_any_storage_order(
    folder: Path, site: str, subject: str
):
    stem = folder / site / f"sub-{subject}/ses-1/dwi/sub-{subject}_ses-1_dwi"
    image = read_image(f"{stem}.nii.gz", ndim=4)
    table = read_gradients(f"{stem}.bval", f"{stem}.bvec", image.data.shape[3])
    weighted = ~table.is_b0
    assert table.is_b0.sum() == 2
    world = table.world_bvecs(image.affine)[weighted]
    assert np.abs(world - directions(6)).max() < 1e-5


def test_motion_and_regions_are_told(folder: Path):
    truth = folder / "one/derivatives/truth/sub-02/ses-1/dwi"
    assert len(read_tsv(truth / "sub-02_ses-1_dwi_motion.tsv")) == 8 * 4
    regions = read_tsv(truth / "sub-02_ses-1_dwi_regions.tsv")
    assert list(regions["structure"])[:2] == ["left_lateral_wm", "left_dorsal_wm"]


def test_the_traveller_has_the_same_true_area_at_both_sites(folder: Path):
    people = read_tsv(folder / "people.tsv")
    travelling = people[people["person_id"] == "traveller"]
    assert len(travelling) == 2
    area = []
    for row in travelling.to_dict("records"):
        name = f"sub-{row['subject']}_ses-1_T2w_slices.tsv"
        path = folder / row["dataset"] / f"derivatives/truth/sub-{row['subject']}/ses-1/anat" / name
        table = read_tsv(path).astype(float).sort_values("z_mm")
        area.append(np.interp(-35.0, table["z_mm"], table["csa_true_mm2"]))
    assert area[0] == pytest.approx(area[1], rel=0.01)


def test_a_second_rater_has_a_folder_of_its_own(folder: Path):
    found = list(folder.rglob("derivatives/labels_rater-2/**/*_label-SC_seg.nii.gz"))
    assert found
    assert all("ses-1" in p.name for p in found)


def test_missing_scans_have_no_files(folder: Path):
    assert not list(folder.glob("one/sub-01/ses-1/dwi/*"))
    assert not list(folder.glob("one/derivatives/*/sub-01/ses-1/dwi/*"))


@pytest.mark.parametrize("subject", ["badTruncated", "badEmpty", "badPointer", "badNaN", "bad4D"])
def test_each_bad_image_is_refused_with_a_reason(folder: Path, subject: str):
    path = folder / f"two/sub-{subject}/ses-1/anat/sub-{subject}_ses-1_T2w.nii.gz"
    with pytest.raises(ImageError):
        read_image(path)


def test_the_bad_mask_lies_on_another_grid_and_the_image_without_cord_is_noise(folder: Path):
    name = "ses-1/anat/sub-badOtherGrid_ses-1_T2w"
    image = read_image(folder / f"two/sub-badOtherGrid/{name}.nii.gz")
    mask = folder / f"two/derivatives/labels/sub-badOtherGrid/{name}_label-SC_seg.nii.gz"
    with pytest.raises(ImageError):
        read_mask(mask, image)
    noise = folder / "two/sub-badNoCord/ses-1/anat/sub-badNoCord_ses-1_T2w.nii.gz"
    assert read_image(noise).data.std() > 0.0
    assert not list(folder.rglob("derivatives/**/sub-badNoCord*"))


def test_the_command_writes_a_study_and_refuses_a_wrong_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    config = tmp_path / "small.yaml"
    config.write_text(
        "protocols: [{contrast: T1w, shape: [12, 12, 4], spacing_mm: [2, 2, 4]}]\n"
        "sites: [{name: a, manufacturer: GE, model: x, subjects: 1}]\nsessions: 1\n"
    )
    assert main([str(tmp_path / "out"), "--config", str(config), "--seed", "4"]) == 0
    assert read_json(tmp_path / "out" / "phantom.json")["seed"] == 4
    assert len(list((tmp_path / "out/a").glob("sub-01/ses-1/anat/*.nii.gz"))) == 1
    config.write_text("sede: 3\n")
    assert main([str(tmp_path / "other"), "--config", str(config)]) == 1
    assert "sede" in capsys.readouterr().err


def test_a_configuration_file_that_is_no_mapping_is_refused(tmp_path: Path):
    config = tmp_path / "list.yaml"
    config.write_text("- 1\n")
    assert main([str(tmp_path / "out"), "--config", str(config), "--seed", "1"]) == 1


@pytest.mark.parametrize("region", ["thoracic", "lumbar"])
def test_other_regions_of_the_cord_can_be_scanned(tmp_path: Path, region: str):
    values = {
        "region": region,
        "sessions": 1,
        "sites": [{"name": "a", "manufacturer": "GE", "model": "x", "subjects": 1}],
        "protocols": [{"contrast": "T2w", "shape": [24, 24, 12], "spacing_mm": [1.5, 1.5, 5]}],
    }
    write_study(study_from_dict(values), tmp_path)
    mask = next(tmp_path.rglob("derivatives/labels/**/*_label-SC_seg.nii.gz"))
    assert read_mask(mask).data.any()
