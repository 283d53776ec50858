"""Scans and masks become an nnU-Net data set whose folds split no person."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from cordcohort.bids.single import rows_of_folders
from cordcohort.errors import ConfigError, ImageError
from cordcohort.nnunet.export import cases, export, split_of, volumes
from cordcohort.nnunet.labels import check_structures, mask_of, read_labels
from cordcohort.nnunet.recipe import (
    dataset_labels,
    parse_nnunet_recipe,
    read_nnunet_recipe,
    structures_of,
)
from cordcohort.spinal_names import ROOTLET_CLASSES
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


def _rootlet_cohort(folder, maps: dict[str, np.ndarray], kind: str = "dseg"):
    """One person a map of rootlets."""
    root = write_cohort(folder / "scans", list(maps), ["T2w"])
    for person, data in maps.items():
        name = f"derivatives/labels/sub-{person}/anat/sub-{person}_T2w_label-rootlets_{kind}.nii.gz"
        put(root / name, data.astype(np.uint8), (1.0, 1.0, 1.0))
    return rows_of_folders({"scans": root})


def _map(*codes: int) -> np.ndarray:
    """A block of two voxels for each code, from above to below, on one side only."""
    out = np.zeros((24, 24, 24), int)
    for number, code in enumerate(codes):
        out[3, 5:7, 20 - 2 * number] = code
    return out


@pytest.mark.parametrize(
    ("classes", "numbers"),
    [("dorsal", [1, 2, 8]), ("dorsal_ventral", [1, 2, 8, 9]), ("binary", [1])],
)
def test_rootlets_are_exclusive_labels_that_count_on_in_lpi(tmp_path, classes, numbers):
    rows = _rootlet_cohort(tmp_path, {"1": _map(2, 3, 9, 102)})
    recipe = _recipe(task="rootlets", classes=classes)
    assert recipe.orientation == "LPI"
    (case,), left_out = cases(recipe, rows)
    assert not left_out
    image, label = volumes(case, recipe)
    assert np.unique(label).tolist() == [0, *numbers]
    assert label[3, 5, 20] == 1  # stored as RAS, which the field calls LPI: nothing is turned
    assert np.array_equal(image.data, np.asarray(nib.load(case.row["image"]).dataobj))
    about = dataset_labels(recipe.regions, exclusive=True)["labels"]
    assert list(about.values()) == list(range(len(recipe.regions) + 1))
    # What the drawing is told puts every label back under its code.
    labels = read_labels({"labels": about}, "")
    structures = check_structures("rootlets", structures_of(recipe), labels, "s")
    back = mask_of(label, structures["rootlets"], labels)
    expected = np.isin(_map(2, 3, 9, 102), ROOTLET_CLASSES[classes]) * _map(2, 3, 9, 102)
    assert np.array_equal(back, 200 * (label > 0) if classes == "binary" else expected)


def test_binary_rootlets_train_a_binary_model_only_and_are_never_level_c1(tmp_path):
    rows = _rootlet_cohort(tmp_path / "map", {"1": _map(1, 1)})
    named = _rootlet_cohort(tmp_path / "mask", {"1": _map(1, 1)}, kind="seg")
    for found in (rows, named):
        binary, levels = _recipe(task="rootlets", classes="binary"), _recipe(task="rootlets")
        (case,), _ = cases(levels, found)
        assert np.unique(volumes(case, binary)[1]).tolist() == [0, 1]
        with pytest.raises(ImageError, match="rootlets without levels"):
            volumes(case, levels)


def test_a_scan_without_rootlets_is_left_out_with_its_reason(tmp_path, cohort):
    chosen, left_out = cases(_recipe(task="rootlets"), cohort)
    assert not chosen
    assert set(left_out.values()) == {"no rootlets by 'manual'"}


def test_the_shipped_recipe_of_rootlets_is_that_of_the_published_study(root):
    recipe = read_nnunet_recipe(root / "config" / "training" / "rootlets-nnunet.yaml")
    assert (recipe.configuration, recipe.orientation, recipe.folds) == ("3d_fullres", "LPI", 5)
    assert (recipe.trainer["epochs"], recipe.trainer["iterations"]) == (2000, 250)
    assert recipe.regions == ("C2", "C3", "C4", "C5", "C6", "C7", "C8", "T1")


def test_the_shipped_recipe_is_that_of_the_published_study(root):
    recipe = read_nnunet_recipe(root / "config" / "training" / "sciseg-nnunet.yaml")
    assert (recipe.configuration, recipe.orientation) == ("3d_fullres", "RPI")
    assert (recipe.trainer["epochs"], recipe.trainer["learning_rate"]) == (1000, 0.01)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"backend": "torch"}, "nnunet"), ({"task": "regions"}, "cord, lesion, rootlets"),
        ({"task": "rootlets", "classes": "levels"}, "dorsal, dorsal_ventral, binary"),
        ({"task": "rootlets", "regions": ["C2"]}, "regions: .*no such key"),
        ({"classes": "dorsal"}, "classes: .*no such key"),
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
