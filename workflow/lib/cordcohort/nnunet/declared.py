"""The steps of a declared training by nnU-Net: prepare, train each fold, make a model folder."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from cordcohort.files import read_json, read_yaml, sha256_of, write_json, write_text
from cordcohort.nnunet.checkpoint import CONFIGURATION, MIRROR_AXES, read_fold
from cordcohort.nnunet.export import cases, export, split_of
from cordcohort.nnunet.paths import (
    DATASET,
    NNUNET,
    PLANS,
    WEIGHTS,
    dataset_name,
    fold_record,
    planned_record,
    work_folder,
)
from cordcohort.nnunet.prepare import FOLDERS, plan_and_preprocess
from cordcohort.nnunet.recipe import (
    NnunetRecipe,
    parse_nnunet_recipe,
    read_nnunet_recipe,
    structures_of,
)
from cordcohort.nnunet.trainer import train_fold
from cordcohort.scan import Row
from cordcohort.segmentation.registry import CARD, SCHEMA
from cordcohort.trained import model_folder, model_split, rows_by_key, said_of_persons
from cordcohort.training.ready import made_of, ready
from cordcohort.training.split import write_split
from cordcohort.training.state import save_tensors


def prepare_declared(
    entry: Mapping[str, Any], rows: Sequence[Row], *, study_dir: Path = Path(), threads: int = 1
) -> dict[str, Any]:
    """Export the study's labels, deal the folds, plan and preprocess.

    Parameters
    ----------
    entry
        A declaration of ``training`` with ``backend: nnunet``, resolved.
    rows
        The study's index.

    Returns
    -------
    dict
        The record, as written to :func:`cordcohort.nnunet.paths.planned_record`.
    """
    entry, rows, tested = ready(entry, rows, study_dir)
    recipe = read_nnunet_recipe(Path(str(entry["recipe"])))
    chosen, left_out = cases(recipe, rows_by_key(entry, rows))
    parts, folds = split_of(chosen, recipe, said_of_persons(rows))
    work = study_dir / work_folder(str(entry["name"]))
    shutil.rmtree(work / FOLDERS["nnUNet_raw"], ignore_errors=True)
    raw = work / FOLDERS["nnUNet_raw"] / dataset_name(str(entry["name"]))
    used = [case for case in chosen if any(case.name in g for f in folds for g in f.values())]
    written, refused = export(used, recipe, raw, folds)
    plans = plan_and_preprocess(recipe, work, threads=threads)
    record = {
        "recipe": read_yaml(Path(str(entry["recipe"]))),
        "made_of": made_of(str(entry["recipe"]), [case.row for case in used], study_dir),
        "cases": sorted(written),
        "left_out": left_out | refused, "persons": parts | tested, "folds": len(folds),
        "patch": [int(n) for n in plans["configurations"][recipe.configuration]["patch_size"]],
    }  # fmt: skip
    write_json(study_dir / planned_record(str(entry["name"])), record)
    return record


def train_declared_fold(
    entry: Mapping[str, Any], fold: int, device: torch.device, *,
    study_dir: Path = Path(), threads: int = 1,
) -> dict[str, Any]:  # fmt: skip
    """Train one fold, from its last checkpoint where the data and the recipe are the same."""
    name = str(entry["name"])
    work = study_dir / work_folder(name)
    planned = read_json(study_dir / planned_record(name))
    recipe, digest = parse_nnunet_recipe(planned["recipe"]), planned["made_of"]
    note = work / f"fold_{fold}.made_of.json"
    if not note.is_file() or read_json(note)["made_of"] != digest:
        shutil.rmtree(trained_folder(recipe, name, work) / f"fold_{fold}", ignore_errors=True)
        write_json(note, {"made_of": digest})
    began = time.perf_counter()
    path = train_fold(recipe, fold, work, device, threads=threads, name=name)
    record = {
        "made_of": digest, "checkpoint": str(path.relative_to(work.resolve())),
        "sha256": sha256_of(path),
        "device": device.type, "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip
    write_json(study_dir / fold_record(name, fold), record)
    return record


def trained_folder(recipe: NnunetRecipe, name: str, work: Path) -> Path:
    """Folder of the trained model as nnU-Net writes and publishes it."""
    kind = f"nnUNetTrainer__nnUNetPlans__{recipe.configuration}"
    return work / FOLDERS["nnUNet_results"] / dataset_name(name) / kind


def publish_declared(entry: Mapping[str, Any], *, study_dir: Path = Path()) -> Path:
    """Make the model folder: plans, labels, weights of every fold as safetensors, card, split."""
    name = str(entry["name"])
    work, folder = study_dir / work_folder(name), study_dir / model_folder(name)
    planned = read_json(study_dir / planned_record(name))
    recipe = parse_nnunet_recipe(planned["recipe"])
    trained = trained_folder(recipe, name, work)
    shutil.rmtree(folder, ignore_errors=True)
    files = [PLANS, DATASET]
    for file in files:
        write_text(folder / file, (trained / file).read_text(encoding="utf-8"))
    folds: list[dict[str, Any]] = []
    for fold in range(int(planned["folds"])):
        record = read_json(study_dir / fold_record(name, fold))
        files.append(f"fold_{fold}/{WEIGHTS}")
        save_weights(work / record["checkpoint"], folder / files[-1])
        folds.append({k: record[k] for k in ("device", "seconds")})
    write_text(folder / "recipe.yaml", yaml.safe_dump(planned["recipe"], sort_keys=False))
    card = {
        "schema": SCHEMA, "backend": NNUNET, "name": name, "task": recipe.task,
        "structures": structures_of(recipe),
        "orientation": recipe.orientation, "folds": [], "checkpoint": WEIGHTS,
        "sha256": {file: sha256_of(folder / file) for file in files},
        "training": {"recipe": recipe.name, "seed": recipe.seed, "cases": len(planned["cases"]),
                     "folds": folds},
        "licence": "GPL-3.0-or-later",
    }  # fmt: skip
    write_text(folder / CARD, yaml.safe_dump(card, sort_keys=False, width=100))
    write_split(study_dir / model_split(name), planned["persons"], keep=False)
    return folder


def save_weights(checkpoint: Path, path: Path) -> None:
    """Network of a checkpoint as safetensors, each tensor once."""
    fold = read_fold(checkpoint)
    seen: set[int] = set()
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in fold.weights.items():
        if tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            tensors[name] = tensor
    same = {n: next(k for k, t in tensors.items() if t.data_ptr() == v.data_ptr())
            for n, v in fold.weights.items() if n not in tensors}  # fmt: skip
    about = {CONFIGURATION: fold.configuration, "same": json.dumps(same),
             MIRROR_AXES: ",".join(map(str, fold.mirror_axes))}  # fmt: skip
    save_tensors(path, tensors, about)
