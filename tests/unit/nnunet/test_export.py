"""Scans and masks become an nnU-Net data set whose folds split no person."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from cordcohort.bids.single import rows_of_folders
from cordcohort.errors import ConfigError
from cordcohort.nnunet.export import cases, export, split_of, volumes
from cordcohort.nnunet.recipe import parse_nnunet_recipe, read_nnunet_recipe
from unit.training.cohorts import put, write_cohort


def _recipe(**changes):
    content = {
        "name": "a", "backend": "nnunet", "task": "lesion", "seed": 1,
        "sources": {"cohort": [{"folder": "scans", "contrasts": ["T2w"]}],
                    "split": {"seed": 7, "train": 0.6, "validation": 0.2}},
    }  # fmt: skip
    return parse_nnunet_recipe(content | changes)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Five persons; all but the last have a lesion mask."""
    root = write_cohort(tmp_path_factory.mktemp("cohort") / "scans", "12345", ["T2w"])
    for person in "1234":
        lesion = np.zeros((24, 24, 24), np.uint8)
        lesion[11:13, 11:13, 5:9] = 1
        name = f"derivatives/labels/sub-{person}/anat/sub-{person}_T2w_label-lesion_seg.nii.gz"
        put(root / name, lesion, (1.0, 1.0, 1.0))
    return rows_of_folders({"scans": root})


def test_parts_of_a_lesion_are_lesion_with_or_without_regions_of_their_own(cohort, tmp_path):
    root = write_cohort(tmp_path / "scans", "1", ["T2w"])
    for part, z in (("oedema", 5), ("haemorrhage", 9)):
        mask = np.zeros((24, 24, 24), np.uint8)
        mask[11:13, 11:13, z] = 1
        name = f"derivatives/labels/sub-1/anat/sub-1_T2w_label-{part}_seg.nii.gz"
        put(root / name, mask, (1.0, 1.0, 1.0))
    rows = rows_of_folders({"scans": root})
    counts = []
    for regions in (["cord", "lesion"], ["cord", "lesion", "oedema", "haemorrhage"]):
        recipe = _recipe(regions=regions)
        (case,), _ = cases(recipe, rows)
        counts.append(np.bincount(volumes(case, recipe)[1].ravel()).tolist()[1:])
    (cord, lesion), (own, rest, oedema, haemorrhage) = counts
    assert (own, rest, oedema, haemorrhage) == (cord, 0, 4, 4)
    assert lesion == oedema + haemorrhage


def _follow_up(rows):
    """The rows, and those of the first person once more, as of another session."""
    first = next(row for row in rows if row["subject"] == "1")
    return [*rows, {**first, "stem": "sub-1_ses-2_T2w", "session": "2"}]


def test_labels_are_nested_and_turned_with_the_scan(cohort):
    chosen, left_out = cases(_recipe(), cohort)
    assert len(chosen) == 4
    assert list(left_out.values()) == ["no lesion mask by 'manual'"]
    image, label = volumes(chosen[0], _recipe())
    assert set(np.unique(label)) == {0, 1, 2}
    stored = nib.load(chosen[0].row["image"])  # RAS; RPI runs from right to left
    assert np.array_equal(image.data, np.asarray(stored.dataobj)[::-1])
    assert np.count_nonzero(label == 2) == 16
    both, _ = cases(_recipe(sources={"cohort": [{"folder": "scans", "without_lesion": "empty"}]}),
                    cohort)  # fmt: skip
    assert len(both) == 5


@pytest.mark.parametrize("folds", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_no_person_is_in_two_parts_of_any_fold(cohort, folds, seed):
    split = {"seed": seed, "train": 0.5, "validation": 0.25}
    recipe = _recipe(folds=folds, sources={"cohort": [{"folder": "scans"}], "split": split})
    chosen, _ = cases(recipe, {"scans": _follow_up(cohort["scans"])})
    parts, found = split_of(chosen, recipe, {"2": "test"})
    person = {case.name: case.row["person"] for case in chosen}
    assert len(found) == folds
    for fold in found:
        train, val = ({person[n] for n in fold[k]} for k in ("train", "val"))
        assert train
        assert val
        assert not train & val
        assert not {p for p, part in parts.items() if part == "test"} & (train | val)
    assert parts["2"] == "test"
    if folds > 1:  # everybody free validates once
        seen = [n for fold in found for n in fold["val"]]
        assert sorted(seen) == sorted(n for n, p in person.items() if parts[p] != "test")


def test_another_seed_deals_anew_and_the_same_seed_alike(cohort):
    chosen, _ = cases(_recipe(), cohort)
    parts = []
    for seed in (1, 1, 2, 3):
        split = {"seed": seed, "train": 0.5, "validation": 0.25}
        recipe = _recipe(sources={"cohort": [{"folder": "scans"}], "split": split})
        parts.append(split_of(chosen, recipe, {})[0])
    assert parts[0] == parts[1]
    assert len({str(p) for p in parts}) > 1


def test_the_data_set_is_as_nnunet_wants_it(cohort, tmp_path):
    recipe = _recipe(regions=["cord", "lesion", "oedema", "haemorrhage"])
    chosen, _ = cases(recipe, cohort)
    _, folds = split_of(chosen, recipe, {})
    written, refused = export(chosen, recipe, tmp_path, folds)
    assert not refused
    about = json.loads((tmp_path / "dataset.json").read_text())
    assert list(about["labels"]) == ["background", "cord", "lesion", "oedema", "haemorrhage"]
    assert about["regions_class_order"] == [1, 2, 3, 4]
    assert about["numTraining"] == len(written) == len(list((tmp_path / "labelsTr").iterdir()))
    splits = json.loads((tmp_path / "splits_final.json").read_text())
    named = {name for fold in splits for group in fold.values() for name in group}
    for name in named:
        image = nib.load(tmp_path / "imagesTr" / f"{name}_0000.nii.gz")
        label = nib.load(tmp_path / "labelsTr" / f"{name}.nii.gz")
        assert image.shape == label.shape
        assert np.array_equal(image.affine, label.affine)


def test_a_damaged_scan_is_left_out_with_its_reason(cohort, tmp_path):
    recipe = _recipe()
    chosen, _ = cases(recipe, cohort)
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"no image")
    rows = [{**row, "image": str(broken)} if row["subject"] == "3" else row
            for row in cohort["scans"]]  # fmt: skip
    chosen, _ = cases(recipe, {"scans": rows})
    names = [case.name for case in chosen]
    folds = [{"train": names[:2] + names[3:], "val": names[2:3] + names[:1]}]
    written, refused = export(chosen, recipe, tmp_path / "raw", folds)
    assert len(written) == 3
    assert len(refused) == 1
    with pytest.raises(ConfigError, match="in every fold"):
        export(chosen, recipe, tmp_path / "raw", [{"train": names, "val": names[2:3]}])


@pytest.mark.parametrize(("said", "folds"), [(dict.fromkeys("123", "test"), 1), ({"1": "test"}, 4)])
def test_too_few_persons_are_refused(cohort, said, folds):
    recipe = _recipe(folds=folds)
    chosen, _ = cases(recipe, cohort)
    with pytest.raises(ConfigError, match="persons"):
        split_of(chosen, recipe, said)


def test_the_shipped_recipe_is_that_of_the_published_study(root):
    recipe = read_nnunet_recipe(root / "config" / "training" / "sciseg-nnunet.yaml")
    assert (recipe.configuration, recipe.orientation) == ("3d_fullres", "RPI")
    assert (recipe.trainer["epochs"], recipe.trainer["learning_rate"]) == (1000, 0.01)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"backend": "torch"}, "nnunet"), ({"task": "rootlets"}, "cord, lesion"),
        ({"seed": True}, "seed"), ({"folds": 0}, "folds"), ({"configuration": "3d_lowres"}, "2d"),
        ({"orientation": "XYZ"}, "RPI"), ({"regions": ["lesion", "cord"]}, "cord, lesion"),
        ({"regions": ["cord", "lesion", "tumour"]}, "oedema"), ({"sources": {}}, "sources.cohort"),
        ({"trainer": {"epoch": 3}}, "trainer.epoch"), ({"trainer": {"loss": "l1"}}, "dice_ce"),
        ({"planner": {"spacing_mm": [1.0]}}, "three lengths"), ({"patch": 3}, "patch"),
        ({"planner": {"gpu_memory_gb": 0}}, "gpu_memory_gb"),
    ],
)  # fmt: skip
def test_a_recipe_that_cannot_be_trained_is_refused_by_its_key(change, told):
    with pytest.raises(ConfigError, match=told):
        _recipe(**change)
