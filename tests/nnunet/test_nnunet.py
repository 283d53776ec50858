"""A real nnU-Net v2 model: trained by rules, read as a published folder, drawn with."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from conftest import run_command
from cordcohort.errors import ConfigError
from cordcohort.files import read_json, sha256_of
from cordcohort.nifti import Image, read_image
from cordcohort.nnunet.checkpoint import read_untrusted
from cordcohort.nnunet.declared import save_weights
from cordcohort.nnunet.model import load_nnunet
from cordcohort.nnunet.paths import planned_record, work_folder
from cordcohort.nnunet.prepare import plan_and_preprocess
from cordcohort.nnunet.recipe import parse_nnunet_recipe
from cordcohort.nnunet.trainer import train_fold
from cordcohort.segmentation.draw import segment_image
from cordcohort.training.split import read_split
from nnunet.conftest import RECIPE, write_config
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

FOLD = "fold_0/checkpoint_final.pth"


def _scan(study) -> Path:
    return sorted((study / "data/north").rglob("sub-*_T2w.nii.gz"))[0]


def _records(study, model: str) -> list[dict]:
    found = study.glob(f"results/segmentation/north/{model}/**/*_seg.json")
    return [json.loads(path.read_text()) for path in found]


def _planned(study) -> list[str]:
    done = run_command("cordcohort", "run", study, "--cores", "1", "--dry-run")
    return re.findall(r"^(?:local)?rule (\S+):", done.stdout, re.MULTILINE)


def test_rules_train_every_fold_and_draw_with_their_mean(study):
    records = _records(study, "own")
    assert sorted(r["structure"] for r in records) == ["cord"] * 5 + ["lesion"] * 5
    assert {r["status"] for r in records} <= {"ok", "no_cord"}
    assert len({r["model_sha256"] for r in records}) == 1
    folder = study / "results/models/own"
    card = yaml.safe_load((folder / "model.yaml").read_text())
    assert sorted(card["sha256"]) == sorted(
        ["plans.json", "dataset.json", *(f"fold_{k}/weights.safetensors" for k in (0, 1))]
    )
    assert not list(folder.rglob("*.pth"))
    assert _planned(study) == []


def test_no_person_is_on_two_sides_and_the_test_persons_are_in_no_fold(study):
    work = study / work_folder("own")
    split = read_split(study / "results/models/own/split.tsv")
    assert sorted(split.values()) == ["test", *["train"] * 4]
    folds = json.loads(next(work.glob("preprocessed/*/splits_final.json")).read_text())
    kept = next(person for person, part in split.items() if part == "test")
    names = {n for fold in folds for group in fold.values() for n in group}
    assert len(names) == 4
    assert not [n for n in names if n.startswith(f"sub-{kept.removeprefix('north')}-")]
    assert all(not set(fold["train"]) & set(fold["val"]) for fold in folds)
    assert read_json(study / planned_record("own"))["persons"] == split


def test_a_published_folder_draws_exactly_what_nnunets_own_predictor_draws(
    study, published, tmp_path
):
    predictor = nnUNetPredictor(
        use_mirroring=False, device=torch.device("cpu"), perform_everything_on_device=False
    )
    predictor.initialize_from_trained_model_folder(published["folder"], (0, 1))
    file = nib.load(_scan(study))
    way = nib.orientations.ornt_transform(
        nib.io_orientation(file.affine), nib.orientations.axcodes2ornt("LAS")
    )
    nib.save(file.as_reoriented(way), tmp_path / "rpi.nii.gz")
    array, about = SimpleITKIO().read_images([str(tmp_path / "rpi.nii.gz")])
    drawn, outputs = predictor.predict_single_npy_array(array, about, None, None, True)
    back = nib.Nifti1Image(drawn.T, file.as_reoriented(way).affine).as_reoriented(
        nib.orientations.ornt_transform(
            nib.orientations.axcodes2ornt("LAS"), nib.io_orientation(file.affine)
        )
    )
    theirs = np.asarray(back.dataobj)
    ours = segment_image(load_nnunet(published, "cpu"), read_image(_scan(study)))
    assert theirs.any()
    assert np.array_equal(ours["cord"].mask, theirs > 0)
    assert np.array_equal(ours["lesion"].mask, theirs > 1)
    assert ours["lesion"].soft.max() == pytest.approx(outputs[1].max(), abs=1e-6)


def test_a_scan_stored_on_other_axes_gets_the_same_mask(study, published):
    image = read_image(_scan(study))
    canonical = image.canonical()
    turned = Image(canonical.data[::-1].transpose(2, 0, 1), canonical.affine)
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    flip[0, 3] = canonical.data.shape[0] - 1
    affine = (canonical.affine @ flip)[:, [2, 0, 1, 3]]
    model = load_nnunet(published, "cpu")
    first, second = (
        segment_image(model, i)["cord"] for i in (image, replace(turned, affine=affine))
    )
    assert first.mask.any()
    assert np.array_equal(
        replace(image, data=first.mask).canonical().data,
        replace(turned, affine=affine, data=second.mask).canonical().data,
    )


def test_published_and_trained_folder_are_one_model(study, published):
    image = read_image(_scan(study))
    one, other = (
        segment_image(load_nnunet(source, "cpu"), image)
        for source in (published, study / "results/models/own")
    )
    assert np.array_equal(one["cord"].soft, other["cord"].soft)
    single = segment_image(load_nnunet(published | {"folds": [0]}, "cpu"), image)
    assert not np.array_equal(one["cord"].soft, single["cord"].soft)  # two folds were averaged
    mirrored = segment_image(load_nnunet(published, "cpu"), image, mirror=True)
    assert not np.array_equal(one["cord"].soft, mirrored["cord"].soft)


def test_a_study_draws_with_a_published_folder_by_path_and_sha256(study, published):
    write_config(study, models=["own", "published"], external_models=[published])
    planned = _planned(study)
    assert not [rule for rule in planned if rule.startswith("nnunet_")]
    assert planned.count("segment_nnunet") == 1  # the batch of the published model, not that of own
    run_command("cordcohort", "run", study, "--cores", "1", "--quiet", "all")
    own, theirs = (
        {(r["image_sha256"], r["structure"]): r["mask_sha256"] for r in _records(study, model)}
        for model in ("own", "published")
    )
    assert own == theirs
    record = json.loads(next((study / "results").rglob("run.json")).read_text())
    assert record["models"]["published"] == published["sha256"]
    wrong = published | {"sha256": published["sha256"] | {FOLD: "0" * 64}}
    write_config(study, models=["published"], external_models=[wrong])
    done = run_command("cordcohort", "check", study, check=False)
    assert done.returncode == 1
    assert re.search(r"external_models\[0\]\.sha256\.fold_0/checkpoint_final\.pth", done.stderr)


def test_nothing_is_ever_unpickled_without_restraint(published, tmp_path, monkeypatch):
    asked: list[object] = []
    load = torch.load

    def watched(*arguments, **options):
        asked.append(options.get("weights_only"))
        return load(*arguments, **options)

    monkeypatch.setattr(torch, "load", watched)
    load_nnunet(published, "cpu")
    assert asked == [True, True]
    marker = tmp_path / "executed"
    folder = tmp_path / "hostile"
    shutil.copytree(published["folder"], folder)
    content = load(folder / FOLD, weights_only=False)

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {marker}",)

    torch.save(content | {"logging": Evil()}, folder / FOLD)
    listed = published["sha256"] | {FOLD: sha256_of(folder / FOLD)}
    with pytest.raises(ConfigError, match=r"posix\.system"):
        load_nnunet(published | {"folder": str(folder), "sha256": listed}, "cpu")
    assert not marker.exists()
    predictor = nnUNetPredictor(device=torch.device("cpu"))
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it says: it has run the command
        predictor.initialize_from_trained_model_folder(str(folder), (0,), "checkpoint_none.pth")
    predictor.initialize_from_trained_model_folder(str(folder), (0,))
    assert marker.exists()


def _changed(published, folder: Path, change) -> dict:
    """The folder with another checkpoint of its second fold."""
    shutil.copytree(published["folder"], folder)
    path = folder / FILES_SECOND
    content = read_untrusted(path)
    change(content)
    torch.save(content, path)
    listed = published["sha256"] | {FILES_SECOND: sha256_of(path)}
    return published | {"folder": str(folder), "sha256": listed}


FILES_SECOND = "fold_1/checkpoint_final.pth"


def _wider(content) -> None:
    weights = content["network_weights"]
    name = next(n for n in weights if n.endswith("conv.weight"))
    weights[name] = torch.cat([weights[name], weights[name]])


def _with_another_tensor(content) -> None:
    content["network_weights"]["extra.weight"] = torch.ones(1)


def _of_two_dimensions(content) -> None:
    content["init_args"]["configuration"] = "2d"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_wider, r"fold_1/checkpoint_final\.pth.*shape"),
        (_with_another_tensor, r"extra\.weight"),
        (_of_two_dimensions, "folds of one configuration"),
    ],
)
def test_folds_that_do_not_fit_together_are_refused(published, tmp_path, change, told):
    with pytest.raises(ConfigError, match=told):
        load_nnunet(_changed(published, tmp_path / "model", change), "cpu")


def test_a_constant_scan_is_an_outcome_not_an_error(published):
    image = Image(np.zeros((20, 20, 20), np.float32), np.eye(4))
    found = segment_image(load_nnunet(published, "cpu"), image)
    assert {s.status for s in found.values()} == {"no_cord"}
    assert "constant" in found["cord"].reason


def test_a_training_that_was_killed_goes_on_and_ends_as_nnunet_ends(study, tmp_path):
    work = tmp_path / "work"
    shutil.copytree(study / work_folder("own") / "preprocessed", work / "preprocessed")
    recipe = parse_nnunet_recipe(RECIPE)
    device = torch.device("cpu")
    latest = train_fold(recipe, 0, work, device, name="own", stop_after=1)
    assert latest.name == "checkpoint_latest.pth"
    final = train_fold(recipe, 0, work, device, name="own")
    log = "".join(p.read_text() for p in sorted(final.parent.glob("training_log*.txt")))
    assert re.findall(r"Epoch (\d+)\b", log) == ["0", "1"]
    assert train_fold(recipe, 0, work, device, name="own") == final  # and is not trained again


def test_slices_and_one_label_train_too_and_are_read_as_labels(study, tmp_path):
    changes = {"task": "cord", "configuration": "2d", "folds": 1,
               "trainer": RECIPE["trainer"] | {"epochs": 1, "iterations": 2}}  # fmt: skip
    recipe = parse_nnunet_recipe(RECIPE | changes)
    raw = tmp_path / "raw" / "Dataset001_own"
    shutil.copytree(next((study / work_folder("own") / "raw").iterdir()), raw)
    about = json.loads((raw / "dataset.json").read_text())
    about |= {"labels": {"background": 0, "cord": 1, "lesion": 2}}
    del about["regions_class_order"]
    (raw / "dataset.json").write_text(json.dumps(about))
    plan_and_preprocess(recipe, tmp_path)
    path = train_fold(recipe, 0, tmp_path, torch.device("cpu"), name="own")
    folder = path.parent.parent
    (folder / "w").mkdir()
    save_weights(path, folder / "w" / "weights.safetensors")
    files = ["plans.json", "dataset.json", FOLD]
    entry = {
        "name": "slices", "folder": str(folder), "task": "cord", "orientation": "RPI",
        "structures": {"cord": ["cord", "lesion"]}, "folds": [0],
        "checkpoint": "checkpoint_final.pth", "sha256": {f: sha256_of(folder / f) for f in files},
    }  # fmt: skip
    found = segment_image(load_nnunet(entry, "cpu"), read_image(_scan(study)))["cord"]
    assert found.status in {"ok", "no_cord"}
    if found.soft is not None:
        assert 0 <= found.soft.min() <= found.soft.max() <= 1
