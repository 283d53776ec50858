"""Nested regions from a cohort's masks: what each region holds, and that a network learns them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from cordcohort.bids.labels import label_of
from cordcohort.bids.single import rows_of_folders
from cordcohort.errors import ConfigError
from cordcohort.nnunet.export import cases
from cordcohort.nnunet.recipe import parse_nnunet_recipe
from cordcohort.segmentation.lesion import drawn_parts
from cordcohort.segmentation.networks import build_network
from cordcohort.segmentation.registry import load_model
from cordcohort.training.cohort import candidates, check_entries, load_item
from cordcohort.training.engine import train
from cordcohort.training.nested import check_regions, nested_target, region_masks
from cordcohort.training.patches import PatchSampler
from cordcohort.training.publish import publish
from cordcohort.training.recipe import parse_recipe
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from unit.training.cohorts import put, write_cohort

REGIONS = ("cord", "lesion")
SPACING = (1.0, 1.0, 1.0)


@pytest.fixture
def injured(tmp_path: Path) -> Path:
    """Three people; the first two have a bright lesion of 4 x 3 x 10 voxels, which is no cord."""
    root = write_cohort(tmp_path / "cohort", ["1", "2", "3"], ["T2w"])
    for person in ("1", "2"):
        stem = f"sub-{person}/anat/sub-{person}_T2w"
        cord_path = root / f"derivatives/labels/{stem}_label-SC_seg.nii.gz"
        cord = np.asanyarray(nib.load(cord_path).dataobj).copy()
        x, y = (int(v) for v in np.argwhere(cord[..., 0]).mean(0))
        lesion = np.zeros_like(cord)
        lesion[x - 2 : x + 2, y - 1 : y + 2, 7:17] = 1
        image = np.asanyarray(nib.load(root / f"{stem}.nii.gz").dataobj).astype(np.int16)
        put(root / f"{stem}.nii.gz", image + 60 * lesion.astype(np.int16), SPACING)
        put(cord_path, cord * (1 - lesion), SPACING)
        put(root / f"derivatives/labels/{stem}_label-lesion_seg.nii.gz", lesion, SPACING)
    return root


def entry(**changes: object) -> dict[str, object]:
    return {"folder": "cohort", "masks": "manual", "target": "hard", **changes}


@given(st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=3, max_size=3))
def test_every_region_holds_what_lies_inside_it(values: list[list[float]]) -> None:
    cord, lesion, bleeding = (np.array(v) for v in values)
    found = nested_target(cord, [[lesion, bleeding], [bleeding]])
    assert (np.diff(found, axis=0) <= 0).all()
    assert (found[0] == np.maximum.reduce([cord, lesion, bleeding])).all()


def test_without_an_inner_mask_a_region_is_empty() -> None:
    assert nested_target(np.ones(3), [[]]).tolist() == [[1, 1, 1], [0, 0, 0]]


def test_oedema_and_haemorrhage_merge_into_the_lesion() -> None:
    masks = {"oedema": "o.nii.gz", "haemorrhage": "h.nii.gz"}
    assert region_masks(masks, REGIONS) == (("o.nii.gz", "h.nii.gz"),)
    inner = region_masks(masks, (*REGIONS, "haemorrhage"))
    assert inner == (("o.nii.gz", "h.nii.gz"), ("h.nii.gz",))


def test_parts_lie_side_by_side_in_the_lesion() -> None:
    regions = [*REGIONS, "oedema", "haemorrhage"]
    check_regions(regions)
    masks = {"oedema": "o.nii.gz", "haemorrhage": "h.nii.gz"}
    assert region_masks(masks, regions) == (("o.nii.gz", "h.nii.gz"), ("o.nii.gz",), ("h.nii.gz",))
    cord, swollen, bleeding = np.eye(4)[:3]
    found = nested_target(cord, [[swollen, bleeding], [swollen], [bleeding]])
    assert found.tolist() == [[1, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 1, 0]]


@pytest.mark.parametrize("name", ["label-oedema", "label-edema"])
def test_both_spellings_of_the_parts_are_known(name: str) -> None:
    found = label_of((name, "seg"), "manual")
    assert found is not None
    assert found.structure == "oedema"


WRONG = (["lesion", "cord"], ["cord", "grey"], ["cord", "lesion", "x"],
         ["cord", "lesion", "oedema", "oedema"], ["cord", "oedema"])  # fmt: skip


@pytest.mark.parametrize("regions", WRONG)
def test_regions_that_no_mask_teaches_are_refused(regions: list[str]) -> None:
    with pytest.raises(ConfigError, match="regions"):
        check_regions(regions)


def test_the_cord_of_the_target_is_cord_and_lesion(injured: Path, tmp_path: Path) -> None:
    rows = rows_of_folders({"cohort": injured})["cohort"]
    one = next(c for c in candidates(check_entries([entry()])[0], rows, REGIONS) if c.inner[0])
    item = load_item(one, SPACING, tmp_path / "volumes")
    cord, lesion = np.asarray(item.target, bool)
    assert int(lesion.sum()) == 4 * 3 * 10
    assert (cord & lesion).sum() == lesion.sum()


def test_who_has_no_lesion_mask_is_left_out_or_healthy_as_the_recipe_says(injured: Path) -> None:
    rows = rows_of_folders({"cohort": injured})["cohort"]
    kept, healthy = (
        candidates(check_entries([entry(without_lesion=how)])[0], rows, REGIONS)
        for how in ("skip", "empty")
    )
    assert [c.reason for c in kept if c.reason] == ["no lesion mask by 'manual'"]
    assert not any(c.reason for c in healthy)


def lesion_file(injured: Path, person: str) -> Path:
    return (
        injured / f"derivatives/labels/sub-{person}/anat/sub-{person}_T2w_label-lesion_seg.nii.gz"
    )


def test_a_lesion_that_is_drawn_soft_only_is_a_lesion(injured: Path, tmp_path: Path) -> None:
    binary = lesion_file(injured, "1")
    drawn = np.asanyarray(nib.load(binary).dataobj)
    put(binary.with_name(binary.name.replace("_seg", "_softseg")), 0.75 * drawn, SPACING)
    binary.unlink()
    rows = rows_of_folders({"cohort": injured})["cohort"]
    asked = check_entries([entry(without_lesion="empty", target="soft")])[0]
    one = next(c for c in candidates(asked, rows, REGIONS) if c.row["subject"] == "1")
    target = np.asarray(load_item(one, SPACING, tmp_path / "volumes").target)
    assert target[1].max() == 0.75
    assert np.count_nonzero(target[1]) == np.count_nonzero(drawn)


def test_a_lesion_mask_that_cannot_be_read_makes_nobody_healthy(injured: Path) -> None:
    lesion_file(injured, "1").write_bytes(b"no image")
    rows = rows_of_folders({"cohort": injured})["cohort"]
    asked = check_entries([entry(without_lesion="empty")])[0]
    found = {c.row["subject"]: c.reason for c in candidates(asked, rows, REGIONS)}
    assert found.pop("1").startswith("lesion mask cannot be used: ")
    assert set(found.values()) == {""}
    recipe = parse_nnunet_recipe({
        "name": "a", "backend": "nnunet", "task": "lesion", "seed": 1,
        "sources": {"cohort": [{"folder": "cohort", "without_lesion": "empty"}]},
    })  # fmt: skip
    chosen, left_out = cases(recipe, {"cohort": rows})
    assert sorted(str(case.row["subject"]) for case in chosen) == ["2", "3"]
    assert [reason.split(":")[0] for reason in left_out.values()] == ["lesion mask cannot be used"]


def test_every_third_patch_lies_on_the_lesion(injured: Path, tmp_path: Path) -> None:
    rows = rows_of_folders({"cohort": injured})["cohort"]
    found = candidates(check_entries([entry()])[0], rows, REGIONS)
    items = [load_item(c, SPACING, tmp_path / "v") for c in found if not c.reason]
    options = {"size": [1, 8, 8], "spacing_mm": 1.0, "centre": "regions"}
    target = PatchSampler(items, options, None, seed=3).batch(0, 240)[1]
    share = float(target[:, 1].amax((1, 2)).gt(0.5).float().mean())
    # A third on the lesion; of the others 10 of 24 slices show it: 1/3 + 2/3 * 10/24 = 0.61.
    assert 0.5 < share < 0.72


def test_a_network_that_learns_parts_becomes_a_model_that_draws_them(
    injured: Path, tmp_path: Path
) -> None:
    for person in ("1", "2"):
        whole = lesion_file(injured, person)
        drawn = np.asanyarray(nib.load(whole).dataobj).copy()
        put(whole.with_name(whole.name.replace("lesion", "oedema")), drawn, SPACING)
        drawn[..., 10:] = 0
        put(whole.with_name(whole.name.replace("lesion", "haemorrhage")), drawn, SPACING)
        whole.unlink()
    recipe = {
        "name": "a", "task": "lesion", "regions": [*REGIONS, "oedema", "haemorrhage"], "seed": 1,
        "sources": {"cohort": [entry()], "split": {"train": 1.0, "validation": 0}},
        "patches": {"size": [3, 16, 16], "spacing_mm": [1.0, 1.0, 1.0], "centre": "regions"},
        "network": {"name": "slice_unet", "options": {"features": [4, 8], "out_channels": 4}},
        "loss": {"name": "regions_dice_ce"}, "schedule": {"steps": 2, "batch_size": 2},
        "validation": {"every": 2, "samples": 2, "patience": 9},
    }  # fmt: skip
    path = tmp_path / "r.yaml"
    path.write_text(json.dumps(recipe))
    rows = rows_of_folders({"cohort": injured})
    train(path, tmp_path / "run", {}, rows=rows, threads=1, device="cpu")
    runs = {"lesion": tmp_path / "run"}
    publish(tmp_path / "own", runs, name="own", localiser_of="cord-v1", register=False)
    assert drawn_parts(load_model(str(tmp_path / "own"))) == ("oedema", "haemorrhage")


NETWORKS = {
    "2-d": ({"name": "slice_unet", "options": {"features": [8, 16], "out_channels": 2}},
            {"size": [3, 16, 16], "spacing_mm": [1.0, 1.0, 1.0], "centre": "regions"}),
    "3-d": ({"name": "unet_3d", "options": {"features": [8, 16], "out_channels": 2,
                                            "strided": True, "deep_supervision": True}},
            {"size": [8, 16, 16], "spacing_mm": [1.0, 1.0, 1.0], "centre": "regions"}),
}  # fmt: skip


@pytest.mark.parametrize("dimension", list(NETWORKS))
def test_two_people_are_learnt_by_heart(injured: Path, tmp_path: Path, dimension: str) -> None:
    network, patches = NETWORKS[dimension]
    recipe = {
        "name": "a", "task": "lesion", "regions": list(REGIONS), "seed": 1,
        "sources": {"cohort": [entry()], "split": {"train": 1.0, "validation": 0}},
        "patches": patches, "network": network,
        "augmentation": dict.fromkeys(("affine", "elastic", "gamma", "smooth"), False),
        "loss": {"name": "regions_dice_ce", "options": {"smooth": 0.0, "squared": False}},
        "optimiser": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "ema": 0.0},
        "schedule": {"steps": 160, "warmup": 0, "decay": "polynomial", "decay_from": 0.0,
                     "batch_size": 4},
        "validation": {"every": 160, "samples": 16, "patience": 9},
    }  # fmt: skip
    parse_recipe(recipe)
    path = tmp_path / "r.yaml"
    path.write_text(json.dumps(recipe))
    rows = rows_of_folders({"cohort": injured})
    weights = train(path, tmp_path / "out", {}, rows=rows, threads=1, device="cpu")
    built = build_network(network["name"], network["options"]).eval()
    built.load_state_dict(load_file(str(weights)))
    log = list(csv.DictReader((tmp_path / "out" / "log.csv").open()))
    assert {"dice", "volume_ratio", "dice_lesion", "volume_ratio_lesion"} <= set(log[0])
    # 0 at the start; 36 pixels of lesion at 1 mm lose a third of their Dice by one pixel around.
    assert float(log[-1]["dice"]) > 0.85
    assert float(log[-1]["dice_lesion"]) > 0.6
    assert all(torch.isfinite(v).all() for v in built.state_dict().values())
