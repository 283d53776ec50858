"""Train a model that a study declares, and make a model folder of it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cordcohort.files import read_json, write_json
from cordcohort.model_uses import FA
from cordcohort.scan import RESULTS, Row
from cordcohort.trained import (
    model_folder,
    model_split,
    recipes_of,
    rows_by_key,
    scans_of,
)
from cordcohort.training.engine import train
from cordcohort.training.publish import publish
from cordcohort.training.ready import made_of, ready
from cordcohort.training.recipe import read_recipe
from cordcohort.training.split import SPLIT_FILE, joined_splits, write_split

MADE_OF = "made_of.json"


def train_declared(
    entry: Mapping[str, Any], rows: Sequence[Row], *, study_dir: Path = Path(), threads: int = 1
) -> Path:
    """Train the stages of a declared model and write its folder below ``results/models``.

    A run that was stopped goes on; one whose recipe or data have changed starts anew.

    Parameters
    ----------
    entry
        A declaration of ``training``, resolved.
    rows
        The study's index.
    study_dir
        The study.
    threads
        Of the CPU.

    Returns
    -------
    Path
        The model folder.
    """
    runs: dict[str, Path] = {}
    base = study_dir / RESULTS / "training" / str(entry["name"])
    entry, rows, tested = ready(entry, rows, study_dir)
    by_key = rows_by_key(entry, rows)
    roots = {k: Path(v) for k, v in entry["sources"].items() if k not in by_key}
    for stage, recipe in recipes_of(entry).items():
        runs[stage] = base / stage
        _start_anew_where_changed(runs[stage], made_of(recipe, scans_of(entry, rows), study_dir))
        train(Path(recipe), runs[stage], roots, rows=by_key, device=entry["device"],
              threads=threads)  # fmt: skip
    # What sees FA looks where the tensor was fitted.
    own = "localiser" in runs or entry.get("input") == FA
    borrowed = "" if own else str(entry["localiser"])
    folder = study_dir / model_folder(str(entry["name"]))
    notes = {"description": f"Trained by the study from the recipe {Path(entry['recipe']).name}."}
    if any("lesions" in read_recipe(run / "recipe.yaml").painting for run in runs.values()):
        # It draws into that model's cord, not along its path alone.
        notes, borrowed = {**notes, "localiser": borrowed}, ""
    publish(folder, runs, name=str(entry["name"]), notes=notes, localiser_of=borrowed,
            register=False)  # fmt: skip
    splits = [run / SPLIT_FILE for run in runs.values() if (run / SPLIT_FILE).is_file()]
    split = dict(sorted((joined_splits(splits) | tested).items()))
    write_split(study_dir / model_split(str(entry["name"])), split, keep=False)
    return folder


def _start_anew_where_changed(folder: Path, digest: str) -> None:
    """Remove a checkpoint of another recipe or other data."""
    note = folder / MADE_OF
    if folder.is_dir() and (not note.is_file() or read_json(note).get("sha256") != digest):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(note, {"sha256": digest})
