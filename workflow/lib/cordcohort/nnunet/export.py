"""A study's scans and masks as an nnU-Net raw data set, with folds that never split a person."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cordcohort.binary import binarised
from cordcohort.errors import ConfigError, ImageError
from cordcohort.files import write_json, write_text
from cordcohort.measures.rootlet_maps import class_numbers, lacking, rootlet_codes
from cordcohort.measures.tasks import truth_masks
from cordcohort.nifti import Array, Image, read_mask, write_image
from cordcohort.nnunet.orientation import turned
from cordcohort.nnunet.recipe import ROOTLETS, NnunetRecipe, dataset_labels
from cordcohort.scan import Row, masks_of, scan_id
from cordcohort.trained import REGIONS
from cordcohort.training.cohort import Candidate, check_entries, scan_image
from cordcohort.training.nested import CORD, SKIP, region_masks, unusable_lesion
from cordcohort.training.split import TEST, TRAIN, VALIDATION, split_persons

ENDING = ".nii.gz"
SPLITS = "splits_final.json"
_UNSAFE = re.compile(r"[^0-9A-Za-z-]+")
_SEEDS_APART = 1000
_KINDS = ("seg", "softseg")  # the binary mask wins
_MAP_KINDS = ("dseg", "seg")  # the map of levels wins


@dataclass(frozen=True)
class Case:
    """A scan to train with.

    Attributes
    ----------
    name
        Of its files: readable, and unique by a digest of the scan's own name.
    masks
        Region to the files, each with its kind, whose union it is; without files it is empty.
    """

    name: str
    row: Row
    masks: Mapping[str, tuple[tuple[str, str], ...]]


def cases(
    recipe: NnunetRecipe, rows: Mapping[str, Sequence[Row]]
) -> tuple[list[Case], dict[str, str]]:
    """Scans that can be trained with, and why the others cannot, by scan.

    Parameters
    ----------
    rows
        Index rows of each key of ``sources.cohort``.
    """
    found: dict[str, Case] = {}
    left_out: dict[str, str] = {}
    for entry in recipe.cohort:
        for row in rows.get(str(entry["folder"]), ()):
            if not entry["contrasts"] or row["contrast"] in entry["contrasts"]:
                case, reason = _case(row, entry, recipe)
                if case is None:
                    left_out[scan_id(row)] = reason
                else:
                    found[scan_id(row)] = case
    return list(found.values()), {s: why for s, why in left_out.items() if s not in found}


def _case(
    row: Row, entry: Mapping[str, Any], recipe: NnunetRecipe
) -> tuple[Case | None, str]:  # fmt: skip
    if row["status"] != "ok":
        return None, str(row["reason"]) or "no image"
    masks, reason = (
        _rootlets(row, entry["masks"])
        if recipe.task == ROOTLETS
        else _nested(row, entry, recipe.regions)
    )
    if reason:
        return None, reason
    digest = hashlib.sha256(scan_id(row).encode()).hexdigest()[:8]
    return Case(f"{_UNSAFE.sub('-', str(row['stem']))}-{digest}", row, masks), ""


def _rootlets(row: Row, method: str) -> tuple[dict[str, tuple[tuple[str, str], ...]], str]:
    """The map of rootlets of a scan, or why there is none."""
    own = [m for m in masks_of(row) if m["structure"] == ROOTLETS and m["method"] == method]
    for kind in _MAP_KINDS:
        for mask in own:
            if mask["kind"] == kind and mask["status"] == "ok":
                return {ROOTLETS: ((str(mask["path"]), kind),)}, ""
    return {}, f"no rootlets by '{method}'"


def _nested(
    row: Row, entry: Mapping[str, Any], regions: Sequence[str]
) -> tuple[dict[str, tuple[tuple[str, str], ...]], str]:
    """Masks of nested regions, or why a scan cannot be used."""
    method = entry["masks"]
    own = [m for m in [*masks_of(row), *truth_masks(row)] if m["method"] == method]
    usable = {
        (m["structure"], m["kind"]): str(m["path"]) for m in own if m["status"] == "ok"
    }  # fmt: skip
    kinds = {usable[s, kind]: kind for s in REGIONS for kind in _KINDS if (s, kind) in usable}
    drawn = {s: usable[s, kind] for s in REGIONS for kind in _KINDS[::-1] if (s, kind) in usable}
    if CORD not in drawn:
        return {}, f"no cord mask by '{method}'"
    inner = region_masks(drawn, regions)
    lost = unusable_lesion(own) if inner else ""
    if lost or (inner and not inner[0] and entry["without_lesion"] == SKIP):
        return {}, lost or f"no lesion mask by '{method}'"
    files = [(drawn[CORD],), *inner]
    return {r: tuple((f, kinds[f]) for f in own) for r, own in zip(regions, files, strict=True)}, ""


def split_of(
    chosen: Sequence[Case], recipe: NnunetRecipe, said: Mapping[str, str]
) -> tuple[dict[str, str], list[dict[str, list[str]]]]:
    """Part of each person, and the folds of nnU-Net's ``splits_final.json``.

    All scans of a person go the same way; who is kept for the test is in no fold.

    Parameters
    ----------
    said
        What sheets say of each person.

    Raises
    ------
    ConfigError
        Fewer persons than folds, or nobody to train on or to validate with.
    """
    persons = {str(case.row["person"]): said.get(str(case.row["person"]), "") for case in chosen}
    split = recipe.split
    parts = split_persons(persons, int(split["seed"]), split["train"], split["validation"])
    by_person: dict[str, list[str]] = {}
    for case in chosen:
        by_person.setdefault(str(case.row["person"]), []).append(case.name)
    free = [p for p, part in parts.items() if part != TEST]
    if recipe.folds == 1:
        groups = [[p for p in free if parts[p] == VALIDATION]]
    else:
        order = np.random.default_rng(int(split["seed"]) + _SEEDS_APART).permutation(len(free))
        groups = [[free[i] for i in order[k :: recipe.folds]] for k in range(recipe.folds)]
        parts = {p: TRAIN if p in free else part for p, part in parts.items()}
    if not all(groups) or any(len(group) == len(free) for group in groups):
        raise ConfigError("sources.split", f"{len(free)} persons to train and validate with",
                          f"at least {max(2, recipe.folds)}, some on either side",
                          "name more data or fewer folds", "recipe")  # fmt: skip
    folds = [
        {"train": sorted(n for p in free if p not in group for n in by_person[p]),
         "val": sorted(n for p in group for n in by_person[p])}
        for group in groups
    ]  # fmt: skip
    return parts, folds


def export(
    chosen: Sequence[Case], recipe: NnunetRecipe, folder: Path, splits: Any
) -> tuple[list[str], dict[str, str]]:
    """Write ``imagesTr``, ``labelsTr``, ``dataset.json`` and ``splits_final.json``.

    Parameters
    ----------
    folder
        ``.../Dataset001_NAME``.
    splits
        Folds of :func:`split_of`, from which scans that cannot be read are taken out.

    Returns
    -------
    tuple
        Names of the cases that were written, and why others were not, by scan.
    """
    written: list[str] = []
    refused: dict[str, str] = {}
    for case in chosen:
        try:
            image, label = volumes(case, recipe)
        except ImageError as error:
            refused[scan_id(case.row)] = error.reason
            continue
        write_image(folder / "imagesTr" / f"{case.name}_0000{ENDING}", image.data, image.affine,
                    dtype=np.float32)  # fmt: skip
        write_image(folder / "labelsTr" / f"{case.name}{ENDING}", label, image.affine,
                    dtype=np.uint8)  # fmt: skip
        written.append(case.name)
    usable = [{k: [n for n in fold[k] if n in written] for k in fold} for fold in splits]
    if not all(fold[k] for fold in usable for k in ("train", "val")):
        told = "; ".join(f"{scan}: {reason}" for scan, reason in list(refused.items())[:3])
        raise ConfigError(
            "sources.cohort", f"{len(written)} usable scans of {len(chosen)}",
            "scans to train and to validate with in every fold", told, "recipe",
        )  # fmt: skip
    write_json(folder / SPLITS, usable)
    about = {
        "channel_names": {"0": "MRI"},
        **dataset_labels(recipe.regions, exclusive=recipe.task == ROOTLETS),
        "numTraining": len(written), "file_ending": ENDING, "name": recipe.name,
    }  # fmt: skip
    # In this order: nnU-Net counts its outputs in the order in which the labels are written.
    write_text(folder / "dataset.json", json.dumps(about, indent=1) + "\n")
    return written, refused


def volumes(case: Case, recipe: NnunetRecipe) -> tuple[Image, Array]:
    """Scan and label map of a case in the recipe's orientation.

    Nested regions are written from the outermost inwards: the label of a voxel is that of the
    innermost region. A lesion beyond the cord mask counts as cord, as in the published study. Of
    rootlets each class has its label.

    Raises
    ------
    ImageError
        A scan or mask that cannot be used, or an empty one; rootlets without any of the classes.
    """
    entry = check_entries({"folder": "cohort"})[0]
    scan = scan_image(Candidate(case.row, entry))
    label = _rootlet_label(case, scan, recipe) if recipe.classes else _nested_label(
        case, scan, recipe)  # fmt: skip
    data, spacing = turned(scan, recipe.orientation)
    turned_label, _ = turned(Image(label, scan.affine, scan.path), recipe.orientation)
    return Image(data, np.diag([*spacing, 1.0]), scan.path), turned_label


def _nested_label(case: Case, scan: Image, recipe: NnunetRecipe) -> Array:
    label = np.zeros(scan.data.shape, np.uint8)
    for value, region in enumerate(recipe.regions, start=1):
        for path, kind in case.masks[region]:
            label[binarised(read_mask(path, scan, kind=kind).data)] = value
    if not label.any():
        raise ImageError(scan.path, "empty", "a scan with a cord mask", "an empty mask",
                         "draw the mask or leave the scan out")  # fmt: skip
    return label


def _rootlet_label(case: Case, scan: Image, recipe: NnunetRecipe) -> Array:
    ((path, kind),) = case.masks[ROOTLETS]
    codes = rootlet_codes(read_mask(path, scan, kind=kind).data, kind)
    came = lacking(codes, recipe.classes)
    if came:
        raise ImageError(Path(path), "no_class", f"rootlets of the classes '{recipe.classes}'",
                         came, "draw them, or leave the scan out")  # fmt: skip
    return class_numbers(codes, recipe.classes)
