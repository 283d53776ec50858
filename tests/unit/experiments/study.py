"""A miniature study of an experiment: two sites, then a second data set; oval cords in a field."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from cordcohort.bids.index import build_index, rows_of
from cordcohort.config import Config, make_config
from cordcohort.experiments.declared import Experiment, experiment_of
from cordcohort.scan import Row
from unit.training.cohorts import fraction, put

SHAPE, SPACING_MM = (24, 24, 16), (1.0, 1.0, 1.0)
AROUND, INSIDE, NOISE = 60.0, 30.0, 2.0
SITES = {"north": ["n1", "n2", "n3", "n4", "n5"], "south": ["s1", "s2", "s3"]}
LATER = ["w1", "w2"]
SEEDS = (7, 42)
RECIPE: dict[str, Any] = {
    "name": "tiny", "task": "cord", "seed": 1,
    "sources": {"cohort": [{"folder": "scans"}], "split": {"validation": 0.3}},
    "patches": {"size": [16, 16, 16], "centre": "cord", "shift_mm": 3.0},
    "augmentation": {"gamma": False},
    "network": {"name": "unet_3d", "options": {"features": [4, 8], "strided": True}},
    "loss": {"name": "dice_bce"},
    "optimiser": {"learning_rate": 0.01, "weight_decay": 0.0, "ema": 0.9},
    "schedule": {"steps": 20, "warmup": 2, "batch_size": 2, "skip_empty": True},
    "validation": {"every": 20, "samples": 4}, "checkpoint": {"every": 20},
}  # fmt: skip
DECLARED: dict[str, Any] = {
    "name": "own", "recipe": "config/tiny.yaml", "seeds": list(SEEDS), "localiser": "",
    "device": "cpu", "threads": 1, "test": 0.3,
    "phases": [
        {"add": [{"sites": ["north"], "acquisitions": ["acq-sag"]}, {"sites": ["south"]}]},
        {"correct": {"scans": [{"sites": ["north"], "acquisitions": ["ax"]}],
                     "folder": "corrected", "choose": 3}},
        {"add": [{"datasets": ["later"]}], "start": "previous", "test": 0},
    ],
}  # fmt: skip


def declared(**changes: Any) -> dict[str, Any]:
    """The declaration of the experiment with other keys."""
    return {**DECLARED, **changes}


def content(experiment: dict[str, Any] | None = None, **keys: Any) -> dict[str, Any]:
    """The config of the study."""
    return {
        "study": {"name": "phases"},
        "datasets": [{"name": "first", "path": "first"}, {"name": "later", "path": "later"}],
        "segmentation": {"models": [], "device": "cpu", "batch_size": 100},
        "measures": {"batch_size": 100, "levels": "none", "per_slice": False},
        "experiments": [experiment or DECLARED],
        "report": {"pictures": False},
    } | keys


def write_study(root: Path, experiment: dict[str, Any] | None = None) -> Path:
    """Write images, labels and config; axial scans of the north have no labels."""
    rng = np.random.default_rng(11)
    sheet = ["participant_id\tsite"]
    for site, persons in SITES.items():
        for person in persons:
            sheet.append(f"sub-{person}\t{site}")
            _write(root / "first", person, "acq-ax", rng, labelled=site == "south")
            if site == "north":
                _write(root / "first", person, "acq-sag", rng, labelled=True)
    for person in LATER:
        _write(root / "later", person, "acq-iso", rng, labelled=True)
    (root / "first" / "participants.tsv").write_text("\n".join(sheet) + "\n")
    for name in ("first", "later"):
        about = json.dumps({"Name": name, "BIDSVersion": "1.9"})
        (root / name / "dataset_description.json").write_text(about)
    (root / "config").mkdir()
    (root / "config" / "tiny.yaml").write_text(yaml.safe_dump(RECIPE))
    (root / "config" / "config.yaml").write_text(yaml.safe_dump(content(experiment)))
    return root


def _write(
    root: Path, person: str, acquisition: str, rng: np.random.Generator, *, labelled: bool
) -> None:
    aside = rng.uniform(-2, 2, 2)
    middle = [(n - 1) / 2 * mm + a for n, mm, a in zip(SHAPE, SPACING_MM, aside, strict=False)]
    cord = fraction(SHAPE, SPACING_MM, middle)
    image = AROUND + (INSIDE - AROUND) * cord + rng.normal(0, NOISE, SHAPE)
    stem = f"sub-{person}/anat/sub-{person}_{acquisition}_T2w"
    put(root / f"{stem}.nii.gz", np.rint(image).astype(np.int16), SPACING_MM)
    if labelled:
        mask = root / f"derivatives/labels/{stem}_label-SC_seg.nii.gz"
        put(mask, (cord >= 0.5).astype(np.uint8), SPACING_MM)


def opened(root: Path, experiment: dict[str, Any] | None = None) -> tuple[Config, list[Row]]:
    """Config and index of the study."""
    config = make_config(content(experiment), root)
    return config, rows_of(build_index(config).scans)


def experiment_in(config: Config) -> Experiment:
    """The experiment of the study."""
    return experiment_of(config.experiments[0])


def correct(root: Path, persons: Sequence[str], shift: int = 0) -> list[Path]:
    """Put corrected masks of axial scans of the north into the folder of the config."""
    files: list[Path] = []
    for person in persons:
        middle = [(n - 1) / 2 * mm for n, mm in zip(SHAPE[:2], SPACING_MM[:2], strict=True)]
        cord = np.roll(fraction(SHAPE, SPACING_MM, middle) >= 0.5, shift, axis=0)
        path = root / "corrected" / f"sub-{person}_acq-ax_T2w_label-SC_seg.nii.gz"
        put(path, cord.astype(np.uint8), SPACING_MM)
        files.append(path)
    return files
