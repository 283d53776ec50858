"""Scans of a cohort as training items: contrasts, targets, splits, and what cannot be used."""

from __future__ import annotations

import csv
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from cordcohort.bids.index import build_index, rows_of
from cordcohort.errors import ConfigError
from cordcohort.training.cohort import Candidate, candidates, check_entries, load_item
from cordcohort.training.recipe import parse_recipe
from cordcohort.training.split import joined_splits, split_persons, write_split
from cordcohort.training.supply import make_supply
from unit.bids.tree import config_of
from unit.training.cohorts import CORD_MM, put, write_cohort

AREA_MM2 = np.pi * CORD_MM[0] * CORD_MM[1]
ISOTROPIC = [1.0, 1.0, 1.0]


def rows(root: Path) -> list[dict]:
    return rows_of(build_index(config_of(root.parent, root)).scans)


def items(root: Path, spacing=ISOTROPIC, **entry) -> list:
    (found,) = check_entries([{"folder": "cohort", **entry}])
    usable = [c for c in candidates(found, rows(root)) if not c.reason]
    return [load_item(c, spacing, root.parent / "volumes") for c in usable]


def test_soft_targets_keep_the_area_and_hard_ones_are_binary(tmp_path: Path) -> None:
    root = write_cohort(tmp_path / "cohort", ["1"], ["T1w", "T2starw"])
    for one in items(root, masks="softseg"):
        area = one.target.astype(np.float32).sum((1, 2))
        assert area[2:-2] == pytest.approx(np.full(len(area) - 4, AREA_MM2), rel=0.02)
        assert ((one.target > 0.1) & (one.target < 0.9)).any()
    for one in items(root, masks="softseg", target="hard"):
        assert set(np.unique(one.target)) == {0.0, 1.0}


def test_thick_slices_are_brought_to_one_millimetre_and_slices_of_networks_are_not(
    tmp_path: Path,
) -> None:
    root = write_cohort(tmp_path / "cohort", ["1"], ["T2starw"])
    (fine,), (own,) = items(root), items(root, spacing=[4.0, 0.5, 0.5])
    assert fine.image.shape == (24, 24, 24)
    assert own.image.shape == (6, 40, 40)
    assert own.spacing_mm == pytest.approx((4.0, 0.6, 0.6))


def test_one_contrast_or_all(tmp_path: Path) -> None:
    root = write_cohort(tmp_path / "cohort", ["1", "2"])
    assert {i.contrast for i in items(root)} == {"T1w", "T2w"}
    assert {i.contrast for i in items(root, contrasts=["T2w"])} == {"T2w"}


def test_only_the_slab_that_was_drawn_where_asked(tmp_path: Path) -> None:
    root = write_cohort(tmp_path / "cohort", ["1"], ["T2w"])
    path = next((root / "derivatives/labels").rglob("*T2w_label-SC_seg.nii.gz"))
    mask = np.array(np.asanyarray(nib.load(path).dataobj))
    mask[..., :5] = mask[..., 20:] = 0
    put(path, mask.astype(np.uint8), (1, 1, 1))
    (whole,), (slab,) = items(root), items(root, slices="labelled")
    assert whole.image.shape[0] == 24
    assert slab.image.shape[0] == 15
    assert slab.target.any((1, 2)).all()


def test_a_diffusion_series_is_its_weighted_mean_or_its_unweighted_one(tmp_path: Path) -> None:
    root = write_cohort(tmp_path / "cohort", ["1"], ["T2w"])
    source = next(root.glob("sub-1/anat/*T2w.nii.gz"))
    plain = np.asanyarray(nib.load(source).dataobj)
    stem = root / "sub-1/dwi/sub-1_dwi"
    series = np.stack([plain, 500 - plain, 500 - plain], -1)
    put(stem.with_suffix(".nii.gz"), series.astype(np.int16), (1, 1, 1))
    stem.with_suffix(".bval").write_text("0 800 800\n")
    stem.with_suffix(".bvec").write_text("0 1 0\n0 0 1\n0 0 0\n")
    mask = next((root / "derivatives/labels").rglob("*_seg.nii.gz")).read_bytes()
    label = root / "derivatives/labels/sub-1/dwi/sub-1_dwi_label-SC_seg.nii.gz"
    label.parent.mkdir(parents=True)
    label.write_bytes(mask)
    (mean,), (b0,) = (items(root, contrasts=["dwi"], dwi=d) for d in ("mean", "b0"))
    both = np.corrcoef(mean.image.ravel(), b0.image.ravel())[0, 1]
    assert both < -0.9  # the weighted volumes were made as the negative


def test_a_stored_volume_is_made_anew_when_its_mask_changes(tmp_path: Path) -> None:
    root = write_cohort(tmp_path / "cohort", ["1"], ["T2w"])
    before = items(root)[0].target.sum()
    path = next((root / "derivatives/labels").rglob("*_seg.nii.gz"))
    put(path, np.ones((24, 24, 24), np.uint8), (1, 1, 1))
    assert items(root)[0].target.sum() > before


@pytest.mark.parametrize(
    ("entry", "word"),
    [({"masks": "nobody"}, "nobody"), ({"contrasts": ["PDw"]}, "PDw")],
)
def test_nothing_to_train_on_is_refused_by_name(tmp_path: Path, entry: dict, word: str) -> None:
    root = write_cohort(tmp_path / "cohort", ["1"])
    with pytest.raises(ConfigError, match=word):
        items(root, **entry)


@pytest.mark.parametrize(
    "entry", [{"target": "fuzzy"}, {"label": "x"}, {"painted": 2}, {"dwi": "b1000"}, {"folder": ""}]
)
def test_wrong_keys_and_values_are_refused_by_name(entry: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(entry))):
        check_entries([{"folder": "a", **entry}])


def test_a_person_goes_one_way_and_whom_the_sheet_keeps_out_is_never_trained_on() -> None:
    said = {f"p{i}": "" for i in range(20)} | {"kept": "test", "other": "external"}
    split = split_persons(said, 15, 0.6, 0.2)
    assert split == split_persons(dict(reversed(said.items())), 15, 0.6, 0.2)
    assert split != split_persons(said, 16, 0.6, 0.2)
    assert split["kept"] == split["other"] == "test"
    parts = list(split.values())
    assert [parts.count(p) for p in ("train", "validation", "test")] == [12, 4, 6]


@pytest.mark.parametrize("shares", [(0.9, 0.2), (-0.1, 0.2), (0.0, 0.5)])
def test_impossible_shares_are_refused(shares: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match=r"sources\.split"):
        split_persons({"a": "", "b": ""}, 1, *shares)


def recipe(**sources: object):
    return parse_recipe({
        "name": "r", "task": "cord", "seed": 1,
        "sources": {"cohort": [{"folder": "cohort"}], **sources},
        "patches": {"size": [8, 8, 8], "centre": "cord"},
        "network": {"name": "unet_3d", "options": {"features": [2, 4]}},
        "schedule": {"batch_size": 2}, "validation": {"samples": 4},
    })  # fmt: skip


def supplied(tmp_path: Path, root: Path, *, resume: bool = False, **sources: object):
    cpu = torch.device("cpu")
    found = rows(root)
    return make_supply(recipe(**sources), {}, lambda _: found, cpu, tmp_path / "out", resume=resume)


def table(path: Path) -> list[dict]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def test_the_split_and_the_scans_are_written_with_the_reason_of_those_left_out(
    tmp_path: Path,
) -> None:
    root = write_cohort(tmp_path / "cohort", [str(i) for i in range(5)])
    path = root / "sub-2/anat/sub-2_T2w.nii.gz"
    path.write_bytes(path.read_bytes()[:-200])  # cut short
    supply = supplied(tmp_path, root)
    split = {r["person"]: r["split"] for r in table(tmp_path / "out" / "split.tsv")}
    assert sorted(split.values()) == ["test", "train", "train", "train", "validation"]
    scans = table(tmp_path / "out" / "scans.tsv")
    assert len(scans) == 10
    for scan in scans:
        broken = scan["scan"].endswith("sub-2_T2w") and split["2"] != "test"
        assert bool(scan["not_used_because"]) == broken
    used = [s for s in scans if s["split"] == "train" and not s["not_used_because"]]
    assert supply.epoch_samples == len(used)


def test_a_run_does_not_go_on_with_other_persons(tmp_path: Path) -> None:
    root = write_cohort(tmp_path / "cohort", ["1", "2", "3"])
    supplied(tmp_path, root)
    write_cohort(root, ["4"])
    with pytest.raises(ConfigError, match="began with"):
        supplied(tmp_path, root, resume=True)


def test_scans_and_painted_people_make_one_supply(tmp_path: Path) -> None:
    root = write_cohort(tmp_path / "cohort", ["1", "2", "3"], ["T2w"])
    supply = supplied(tmp_path, root, phantom={"persons": 2, "seed": 1})
    image, _ = supply.train.batch(0, 4)
    assert tuple(image.shape) == (4, 1, 8, 8, 8)
    assert len(supply.checks) == 4


@pytest.mark.parametrize("keeper", ["a", "b"])
def test_one_data_set_that_keeps_a_person_out_keeps_it_out_of_all(
    tmp_path: Path, keeper: str
) -> None:
    found = {}
    for name in ("a", "b"):
        found[name] = rows(write_cohort(tmp_path / name, ["1", "2", "3"]))
        for row in found[name]:
            row["person"] = row["subject"]  # the same three people travelled
            row["split"] = "test" if row["subject"] == "2" and name == keeper else ""
    # A sheet counts also where nothing of the person is trained on.
    entries = [{"folder": "a"}, {"folder": "b", "contrasts": ["T1w"]}]
    make_supply(recipe(cohort=entries), {}, found.__getitem__, torch.device("cpu"),
                tmp_path / "out", resume=False)  # fmt: skip
    split = {r["person"]: r["split"] for r in table(tmp_path / "out" / "split.tsv")}
    assert split.pop("2") == "test"
    assert sorted(split.values()) == ["train", "validation"]


def test_of_several_stages_the_strongest_word_holds(tmp_path: Path) -> None:
    one, two = tmp_path / "one.tsv", tmp_path / "two.tsv"
    write_split(one, {"1": "test", "2": "validation", "3": "test"}, keep=False)
    write_split(two, {"1": "train", "2": "test"}, keep=False)
    assert joined_splits([one, two]) == {"1": "train", "2": "validation", "3": "test"}


def test_nobody_to_validate_on_is_refused_and_a_recipe_without_validation_is_told(
    tmp_path: Path,
) -> None:
    root = write_cohort(tmp_path / "cohort", ["1"])
    alone = {"seed": 1, "train": 1.0, "validation": 0.0}
    with pytest.raises(ConfigError, match="at least one person to validate on"):
        supplied(tmp_path, root, split=alone | {"train": 0.8, "validation": 0.2})
    assert not supplied(tmp_path, root, split=alone).unseen
    write_cohort(root, ["2", "3"])
    assert supplied(tmp_path, root).unseen
    with pytest.raises(ConfigError, match="at least one person to validate on"):
        supplied(tmp_path, root, cohort=[], phantom={"persons": 1, "seed": 1})


@pytest.mark.parametrize("method", ["softseg", "soft-truth"])
def test_slices_that_a_soft_mask_does_not_know_are_not_trained_on(
    tmp_path: Path, method: str
) -> None:
    root = write_cohort(tmp_path / "cohort", ["1"], ["T2w"])
    path = next((root / "derivatives/labels_softseg").rglob("*T2w_label-SC_softseg.nii.gz"))
    mask = np.array(np.asanyarray(nib.load(path).dataobj))
    mask[..., :6] = mask[..., 18:] = 0  # the other contrasts did not cover these
    put(path, mask, (1, 1, 1))
    (entry,) = check_entries([{"folder": "cohort", "masks": method}])
    (row,) = rows(root)
    one = load_item(Candidate(row, entry, str(path), "softseg"), ISOTROPIC, tmp_path / "volumes")
    assert one.image.shape[0] == one.target.shape[0] == 12
    assert one.target.any((1, 2)).all()
    (whole,) = check_entries([{"folder": "cohort", "masks": method, "slices": "all"}])
    one = load_item(Candidate(row, whole, str(path), "softseg"), ISOTROPIC, tmp_path / "volumes")
    assert one.image.shape[0] == 24


def test_a_raters_mask_is_trained_on_with_all_slices_unless_asked() -> None:
    (entry,) = check_entries([{"folder": "cohort", "masks": "manual"}])
    assert entry.slices == "all"
