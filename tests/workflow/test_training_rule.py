"""A study that trains a model and segments with it, by rules."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from conftest import run_command
from cordcohort.scan import COHORT
from cordcohort.table import read_parquet, read_tsv
from unit.training.cohorts import write_cohort

RECIPE = {
    "name": "tiny", "task": "cord", "seed": 1,
    "sources": {"cohort": [{"folder": "scans", "masks": "softseg"}]},
    "patches": {"size": [16, 16, 16], "centre": "cord", "shift_mm": 3.0},
    "augmentation": {"gamma": False},
    "network": {"name": "unet_3d", "options": {"features": [4, 8], "strided": True}},
    "loss": {"name": "adaptive_wing"},
    "optimiser": {"learning_rate": 0.01, "weight_decay": 0.0, "ema": 0.9},
    "schedule": {"steps": 60, "warmup": 5, "batch_size": 2, "skip_empty": True},
    "validation": {"every": 30, "samples": 4}, "checkpoint": {"every": 30},
}  # fmt: skip


@pytest.fixture
def study(tmp_path):
    write_cohort(tmp_path / "scans", ["1", "2", "3"])
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "tiny.yaml").write_text(yaml.safe_dump(RECIPE))
    config = {
        "study": {"name": "training"},
        "datasets": [{"name": "scans", "path": "scans"}],
        "training": [
            {"name": "own", "recipe": "config/tiny.yaml", "sources": {"scans": "scans"},
             "localiser": "", "device": "cpu", "threads": 1}
        ],
        "segmentation": {"models": ["own"], "device": "cpu"},
        "report": {"pictures": False},
    }  # fmt: skip
    (tmp_path / "config" / "config.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def _planned(study) -> list[str]:
    done = run_command("cordcohort", "run", study, "--cores", "1", "--dry-run")
    return re.findall(r"^(?:local)?rule (\S+):", done.stdout, re.MULTILINE)


def test_the_training_stands_in_the_plan_once_and_only_where_it_is_declared(study):
    assert _planned(study).count("train_own") == 1
    path = study / "config" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    del config["training"]
    path.write_text(yaml.safe_dump(config | {"segmentation": {"models": []}}))
    assert not [rule for rule in _planned(study) if rule.startswith("train")]


@pytest.mark.slow
def test_a_study_trains_a_model_and_segments_with_it(study):
    run_command("cordcohort", "run", study, "--cores", "1", "--quiet", "all")
    records = [json.loads(p.read_text()) for p in study.glob("results/segmentation/**/*_seg.json")]
    assert {r["method"] for r in records} == {"own"}
    assert "ok" in {r["status"] for r in records}  # sixty steps see the cord in most scans
    table = read_parquet(study / COHORT)
    seen = read_tsv(study / "results/models/own/split.tsv").set_index("person")["split"]
    assert sorted(seen) == ["train", "train", "validation"]
    own = table["method"] == "own"
    assert (table["split"] == table["person"].map(seen).where(own, "")).all()
    assert _planned(study) == []
    mask = next((study / "scans/derivatives/labels_softseg").rglob("*sub-1_T2w*softseg.nii.gz"))
    mask.touch()
    assert "train_own" in _planned(study)
