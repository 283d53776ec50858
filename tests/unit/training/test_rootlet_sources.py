"""Rootlets of atlases and cohorts as training blocks: places, classes, what is never shown."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from cordcohort.bids.single import rows_of_folders
from cordcohort.errors import ConfigError
from cordcohort.segmentation.networks import build_network
from cordcohort.segmentation.rootlet_block import BLOCK, STEP_MM
from cordcohort.spinal_names import ROOTLET_CLASSES
from cordcohort.training.engine import train
from cordcohort.training.mixture import Mixture
from cordcohort.training.optimiser import start_weights
from cordcohort.training.publish import publish
from cordcohort.training.recipe import parse_recipe, read_recipe
from cordcohort.training.rootlet_cohort import RootletShapes
from cordcohort.training.rootlet_painter import FINE_MM, RootletPainter
from cordcohort.training.rootlet_shapes import Maps, atlas_block, shape_block
from cordcohort.training.rootlet_supply import rootlet_classes, rootlet_supply
from safetensors.torch import load_file
from unit.training.cohorts import put

SHAPE, SPACING = (44, 44, 90), (0.8, 0.8, 1.6)  # x, y, z
LEVELS = {2: (70, 74), 3: (60, 65), 4: (50, 55), 5: (40, 45), 6: (30, 35), 7: (22, 26), 8: (14, 18)}
PMJ = (22, 22, 84)


def maps(levels: dict[int, tuple[int, int]] = LEVELS, tilt: float = 0.05) -> dict[str, np.ndarray]:
    """Cord, rootlets and PMJ of a neck that leans forwards, axes x, y, z."""
    x, y, z = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    middle = 20 + tilt * z
    cord = (x - 22) ** 2 / 36 + (y - middle) ** 2 / 16 < 1
    rootlets = np.zeros(SHAPE, np.uint8)
    for code, (low, high) in levels.items():
        behind = -6 if code < 100 else 6
        at = np.abs(y - middle - behind) < 0.75
        rootlets[at & (np.abs(np.abs(x - 22) - 3) < 1) & (z >= low) & (z <= high)] = code
    pmj = np.zeros(SHAPE, np.uint8)
    pmj[PMJ[0], round(20 + tilt * PMJ[2]), PMJ[2]] = 1
    return {"cord": cord.astype(np.uint8), "rootlets": rootlets, "pmj": pmj}


def write_person(root: Path, person: str, drawn: dict[str, np.ndarray], kind: str = "dseg") -> None:
    rng = np.random.default_rng(int(person))
    stem = f"sub-{person}/anat/sub-{person}_T2w"
    image = 300.0 - 150.0 * drawn["cord"] - 250.0 * (drawn["rootlets"] > 0)
    image += rng.normal(0, 3, SHAPE)
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset_description.json").write_text(json.dumps({"Name": "a", "BIDSVersion": "1.9"}))
    put(root / f"{stem}.nii.gz", np.rint(image).astype(np.int16), SPACING)
    names = {"cord": "label-SC_seg", "rootlets": f"label-rootlets_{kind}", "pmj": "pmj"}
    for structure, data in drawn.items():
        put(root / f"derivatives/labels/{stem}_{names[structure]}.nii.gz", data, SPACING)


def recipe(classes: str = "dorsal", **sources):
    return parse_recipe({
        "name": "a", "task": "rootlets", "seed": 5, "painting": {"classes": classes},
        "sources": {"split": {"seed": 1, "train": 0.7, "validation": 0.3}, **sources},
        "patches": {"size": list(BLOCK), "spacing_mm": list(STEP_MM)},
        "network": {"name": "folded_unet_3d",
                    "options": {"out_channels": len(ROOTLET_CLASSES[classes]) + 1}},
        "schedule": {"batch_size": 1}, "validation": {"samples": 1},
    })  # fmt: skip


def zyx(drawn: dict[str, np.ndarray], *, pmj: bool = True) -> Maps:
    place = np.array(PMJ[::-1]) * SPACING[::-1] if pmj else None
    return Maps(drawn["cord"].T, drawn["rootlets"].T, SPACING[::-1], place)


def heights_mm(block, code: int) -> np.ndarray:
    """Height of each row of the block that holds a level, from the PMJ downwards."""
    rows = np.flatnonzero(((block.level == code) & (block.any_rootlet > 0.5)).any((1, 2)))
    return (block.pmj[0] - rows) * FINE_MM


@pytest.mark.parametrize("code", LEVELS)
def test_levels_keep_their_distance_from_the_pmj_in_a_straightened_block(code):
    block = shape_block(zyx(maps()), "dorsal")
    low, high = LEVELS[code]
    found = heights_mm(block, code)
    # Borders of the drawn slices, half a slice beyond their centres, to a voxel of the block.
    assert found.min() == pytest.approx((PMJ[2] - high - 0.5) * SPACING[2], abs=2 * FINE_MM)
    assert found.max() == pytest.approx((PMJ[2] - low + 0.5) * SPACING[2], abs=2 * FINE_MM)


def test_a_leaning_cord_is_in_the_middle_of_every_row():
    block = shape_block(zyx(maps(tilt=0.1)), "dorsal")
    inside = np.isin(block.codes, (1, 4)) & (block.inside[:] > 0)
    rows = [k for k in range(len(inside)) if inside[k].sum() > 50]
    centres = np.array([np.argwhere(inside[k]).mean(0) for k in rows])
    middle = (np.array(inside.shape[1:]) - 1) / 2
    # Smoothing over 8 mm flattens the ends of a slope by less than a voxel of the scan.
    assert np.abs(centres - middle).max() * FINE_MM < SPACING[0]


def test_what_lies_beyond_the_labelled_levels_is_never_shown():
    whole = {**LEVELS, 9: (6, 10)}
    with_all = shape_block(zyx(maps(whole)), "dorsal")
    without_t1 = shape_block(zyx(maps()), "dorsal")
    without_pmj = shape_block(zyx(maps(whole), pmj=False), "dorsal")
    column = (slice(None), 34, 32)

    def shown(block) -> tuple[float, float]:
        rows = np.flatnonzero(block.inside[column])
        held = np.flatnonzero((block.any_rootlet > 0.5).any((1, 2)))
        return (held[0] - rows[0]) * FINE_MM, (rows[-1] - held[-1]) * FINE_MM

    below, above = shown(with_all)
    assert below > 8
    assert above > 12
    assert shown(without_t1)[0] == pytest.approx(3.0 - 0.8, abs=2 * FINE_MM)
    assert shown(without_pmj)[1] == pytest.approx(3.0 - 0.8, abs=2 * FINE_MM)
    assert not without_pmj.has_pmj
    _, target = RootletShapes([without_pmj], seed=1).batch(0, 2)
    assert float(target[:, -1].max()) == 0


@pytest.mark.parametrize("classes", sorted(ROOTLET_CLASSES))
def test_a_batch_holds_the_classes_of_the_recipe_and_nothing_outside_of_the_scan(classes):
    levels = {**LEVELS, **{code + 100: (low + 2, high + 2) for code, (low, high) in LEVELS.items()}}
    sampler = RootletShapes([shape_block(zyx(maps(levels)), classes)], seed=3, classes=classes)
    shown, target = sampler.batch(0, 3)
    assert target.shape == (3, len(ROOTLET_CLASSES[classes]) + 1, *BLOCK)
    assert float(target[:, :-1].sum(1).max()) <= 1 + 1e-3  # a share in half precision
    assert float((target * (shown[:, 1:] == 0)).max()) == 0
    held = {ROOTLET_CLASSES[classes][k] for k in range(target.shape[1] - 1)
            if float(target[:, k].sum()) > 0}  # fmt: skip
    expected = {"dorsal": set(LEVELS), "dorsal_ventral": set(levels), "binary": {200}}[classes]
    assert len(held) >= 0.7 * len(expected)
    assert held <= expected
    again = RootletShapes(sampler.blocks, seed=3, classes=classes).batch(0, 3)
    assert torch.equal(again[0], shown)


def test_an_atlas_is_painted_in_random_contrasts_without_reading_its_image(tmp_path):
    for part, data in maps().items():
        put(tmp_path / f"A_{part}.nii.gz", data, SPACING)
    (tmp_path / "A_t2.nii.gz").write_bytes(b"no image")
    block = atlas_block(tmp_path, "dorsal")
    assert block.image is None
    shown, target = RootletShapes([block], seed=1).batch(0, 6)
    contrast = []
    for image, share in zip(shown[:, 0], target[:, :-1].sum(1), strict=True):
        contrast.append(float(image[share > 0.5].mean()))
    assert np.std(contrast) > 0.1
    with pytest.raises(ConfigError, match="rootlets of the classes 'dorsal_ventral'"):
        RootletShapes([atlas_block(tmp_path, "dorsal_ventral")], seed=1)
    (tmp_path / "A_rootlets.nii.gz").unlink()
    with pytest.raises(ConfigError, match=r"\*_rootlets.nii.gz"):
        atlas_block(tmp_path, "dorsal")


def test_atlas_and_phantoms_share_the_draws_by_their_weights(tmp_path):
    for part, data in maps().items():
        put(tmp_path / f"A_{part}.nii.gz", data, SPACING)
    both = recipe(atlas="atlas", phantom={"persons": 1, "seed": 2},
                  weights={"atlas": 1.0, "phantom": 3.0})  # fmt: skip
    supply = rootlet_supply(both, {"atlas": tmp_path}, lambda _: [], tmp_path, resume=False)
    assert isinstance(supply.train, Mixture)
    assert supply.train.share == 0.25
    assert supply.unseen  # other phantom people validate
    people, atlas = supply.train.parts
    assert isinstance(people, RootletPainter)
    assert isinstance(atlas, RootletShapes)
    alone = rootlet_supply(recipe(atlas="atlas"), {"atlas": tmp_path}, lambda _: [], tmp_path,
                           resume=False)  # fmt: skip
    assert not alone.unseen
    with pytest.raises(ConfigError, match="--source atlas=FOLDER"):
        rootlet_supply(recipe(atlas="atlas"), {}, lambda _: [], tmp_path, resume=False)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Three persons with levels, one with a binary mask, one without cord, one without rootlets."""
    root = tmp_path_factory.mktemp("rootlets") / "scans"
    for person in "123":
        write_person(root, person, maps())
    binary = maps()
    binary["rootlets"] = (binary["rootlets"] > 0).astype(np.uint8)
    write_person(root, "4", binary, kind="seg")
    write_person(
        root, "5", {k: v for k, v in maps().items() if k != "cord"} | {"cord": 0 * maps()["cord"]}
    )
    write_person(root, "6", maps())
    next((root / "derivatives/labels/sub-6").rglob("*rootlets*")).unlink()
    return rows_of_folders({"scans": root})


def test_scans_of_a_cohort_are_split_by_person_and_others_left_out_with_a_reason(cohort, tmp_path):
    wanted = recipe(cohort=[{"folder": "scans"}])
    supply = rootlet_supply(wanted, {}, cohort.__getitem__, tmp_path, resume=False)
    assert supply.unseen
    assert supply.epoch_samples == 2
    rows = list(csv.DictReader((tmp_path / "scans.tsv").open(), delimiter="\t"))
    reasons = {row["scan"].split("sub-")[1][0]: row["not_used_because"] for row in rows}
    assert not any(reasons[p] for p in "123")
    assert "got rootlets without levels" in reasons["4"]
    assert "a cord mask" in reasons["5"]
    assert "rootlets by 'manual', got none" in reasons["6"]
    parts = {row["person"]: row["split"] for row in rows if not row["not_used_because"]}
    assert sorted(parts.values()) == ["train", "train", "validation"]
    # Rootlets are the darkest thing of these scans: the images are those of the scans themselves.
    shown, target = supply.train.batch(0, 2)
    share = target[:, :-1].sum(1)
    assert float(shown[:, 0][share > 0.5].mean()) < float(shown[:, 0][shown[:, 1] > 0].mean()) - 1


def test_binary_masks_train_a_binary_model_together_with_levels(cohort, tmp_path):
    wanted = recipe("binary", cohort=[{"folder": "scans"}])
    rootlet_supply(wanted, {}, cohort.__getitem__, tmp_path, resume=False)
    rows = csv.DictReader((tmp_path / "scans.tsv").open(), delimiter="\t")
    assert sum(not row["not_used_because"] for row in rows) == 4


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"classes": "levels"}, "dorsal, dorsal_ventral, binary"),
        (
            {"classes": "dorsal_ventral", "phantom": {"persons": 1, "seed": 1}},
            "dorsal rootlets only",
        ),
        ({"masks": "masks", "phantom": {"persons": 1, "seed": 1}}, "sources.masks"),
        ({}, "an atlas, phantom or cohort source"),
    ],
)
def test_recipes_that_could_teach_nothing_are_refused(changes, told, tmp_path):
    classes = changes.pop("classes", "dorsal")
    wanted = recipe(**changes) if classes not in ROOTLET_CLASSES else recipe(classes, **changes)
    if classes not in ROOTLET_CLASSES:
        wanted.painting["classes"] = classes
    with pytest.raises(ConfigError, match=told):
        rootlet_supply(wanted, {}, lambda _: [], tmp_path, resume=False)


def test_another_number_of_outputs_than_classes_is_refused(tmp_path):
    wanted = recipe("binary", phantom={"persons": 1, "seed": 1})
    wanted.network["options"]["out_channels"] = 9
    with pytest.raises(ConfigError, match="2: the classes 'binary' and the PMJ"):
        rootlet_supply(wanted, {}, lambda _: [], tmp_path, resume=False)


@pytest.mark.parametrize(
    ("name", "classes"),
    [("rootlets-v1", "dorsal"), ("rootlets-cohort", "dorsal"), ("rootlets-binary", "binary")],
)
def test_shipped_recipes_have_an_output_for_each_class(root, name, classes):
    shipped = read_recipe(root / "config" / "training" / f"{name}.yaml")
    assert rootlet_classes(shipped) == classes


def test_rootlets_of_the_template_become_a_block(shared_data):
    block = atlas_block(shared_data / "PAM50_small", "dorsal")
    assert block.has_pmj
    assert sorted(set(np.unique(block.level).tolist()) - {0}) == list(range(2, 9))
    middles = [heights_mm(block, code).mean() for code in range(2, 9)]
    assert (np.diff(middles) > 5).all()  # downwards; neighbours lie at least 5 mm apart
    beside = np.argwhere((block.any_rootlet > 0.5) & (block.level == 5))[:, 2] - 31.5
    assert 5 < np.abs(beside).mean() * FINE_MM < 12  # beyond a cord of 13 mm, on both sides
    assert (beside > 0).mean() == pytest.approx(0.5, abs=0.1)


def test_the_network_of_binary_rootlets_starts_that_of_levels(cohort, tmp_path):
    options = {"in_channels": 2, "features": [4, 4], "strides": [[1, 1, 1], [2, 2, 2]]}
    path = tmp_path / "recipe.yaml"
    content: dict = {
        "name": "a", "task": "rootlets", "seed": 5, "painting": {"classes": "binary"},
        "sources": {"cohort": [{"folder": "scans"}],
                    "split": {"seed": 1, "train": 0.5, "validation": 0.25}},
        "patches": {"size": list(BLOCK), "spacing_mm": list(STEP_MM)},
        "network": {"name": "folded_unet_3d", "options": {**options, "out_channels": 2}},
        "schedule": {"steps": 1, "warmup": 0, "batch_size": 1},
        "validation": {"every": 1, "samples": 1}, "checkpoint": {"every": 1},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(content))
    weights = train(path, tmp_path / "binary", {}, rows=cohort, device="cpu", threads=1)
    labels = yaml.safe_load(
        publish(tmp_path / "model", {"rootlets": weights.parent}, name="a", register=False,
                localiser_of="cord-v1").read_text()
    )["labels"]  # fmt: skip
    assert labels == {"200": "rootlet"}
    levels = build_network("folded_unet_3d", {**options, "out_channels": 9})
    fresh = start_weights(levels, str(weights))
    before = load_file(str(weights))
    assert 0 < len(fresh) <= 2  # weight and bias of the outputs alone
    assert all(torch.equal(v, before[k]) for k, v in levels.state_dict().items() if k not in fresh)
