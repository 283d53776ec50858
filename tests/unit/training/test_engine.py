"""Training: a run that was interrupted ends with the same weights, and it learns."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
import yaml
from cordcohort.bids.single import rows_of_folders
from cordcohort.errors import ConfigError
from cordcohort.files import read_json
from cordcohort.segmentation.networks import build_network
from cordcohort.training.engine import train
from cordcohort.training.optimiser import learning_rate
from cordcohort.training.recipe import parse_recipe, read_recipe
from safetensors.torch import load_file
from unit.training.cohorts import write_cohort

RECIPE = {
    "name": "tiny",
    "task": "cord",
    "seed": 3,
    "sources": {"phantom": {"persons": 1, "seed": 2}},
    "painting": {"grid": 16, "pixel_mm": 2.0, "paints": 2},
    "network": {"name": "slice_unet", "options": {"features": [4, 8]}},
    "schedule": {"steps": 6, "warmup": 2, "batch_size": 4},
    "validation": {"every": 2, "samples": 4, "patience": 50},
    "checkpoint": {"every": 2},
}


def write(path: Path, **changes: object) -> Path:
    path.write_text(yaml.safe_dump({**RECIPE, **changes}))
    return path


def test_an_interrupted_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = train(write(tmp_path / "a.yaml"), tmp_path / "whole", {}, threads=1, device="cpu")
    # The first half must follow the same learning rates: only the number of steps is cut.
    steps = {"steps": 6, "warmup": 2, "batch_size": 4, "stop_after": 4}
    train(write(tmp_path / "b.yaml", schedule=steps), tmp_path / "cut", {}, threads=1, device="cpu")
    assert read_json(tmp_path / "cut" / "state.json")["step"] == 4
    train(write(tmp_path / "a.yaml"), tmp_path / "cut", {}, threads=1, device="cpu")
    one, two = load_file(str(whole)), load_file(str(tmp_path / "cut" / "weights.safetensors"))
    assert all(torch.equal(one[k], two[k]) for k in one)
    state = [load_file(str(tmp_path / n / "state.safetensors")) for n in ("whole", "cut")]
    assert all(torch.equal(state[0][k], state[1][k]) for k in state[0])
    rows = [list(csv.DictReader((tmp_path / n / "log.csv").open())) for n in ("whole", "cut")]
    assert [r["loss"] for r in rows[0]] == [r["loss"] for r in rows[1]]


def test_training_lowers_the_validation_loss(tmp_path: Path) -> None:
    schedule = {"steps": 60, "warmup": 5, "batch_size": 8}
    validation = {"every": 20, "samples": 16, "patience": 50}
    path = write(tmp_path / "r.yaml", schedule=schedule, validation=validation)
    train(path, tmp_path / "out", {}, threads=1, device="cpu")
    losses = [float(r["loss"]) for r in csv.DictReader((tmp_path / "out" / "log.csv").open())]
    assert losses[-1] < losses[0]
    assert (tmp_path / "out" / "curve.png").stat().st_size > 1000
    assert (tmp_path / "out" / "recipe.yaml").read_text() == path.read_text()


def test_validation_without_improvement_stops_the_run(tmp_path: Path) -> None:
    path = write(
        tmp_path / "r.yaml",
        validation={"every": 1, "samples": 4, "patience": 1},
        optimiser={"learning_rate": 0.0},
    )
    train(path, tmp_path / "out", {}, threads=1, device="cpu")
    summary = read_json(tmp_path / "out" / "summary.json")
    assert summary["stopped"]
    assert summary["step"] < 6


def test_unknown_key_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"schedule\.rounds"):
        parse_recipe({**RECIPE, "schedule": {"rounds": 3}})


def test_missing_folder_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "r.yaml", sources={"atlas": "template"})
    with pytest.raises(ConfigError, match="template"):
        train(path, tmp_path / "out", {}, threads=1, device="cpu")


def test_learning_rate_rises_holds_and_falls() -> None:
    recipe = parse_recipe({**RECIPE, "schedule": {"steps": 100, "warmup": 10, "decay_from": 0.5}})
    rates = [learning_rate(s, recipe) for s in (0, 9, 49, 75, 99)]
    assert rates[0] < rates[1] == rates[2] > rates[3] > rates[4] > 0


RECIPES = Path(__file__).resolve().parents[3] / "config" / "training"


SHIPPED = [str(p.relative_to(RECIPES)) for p in sorted(RECIPES.rglob("*.yaml"))]


OF_OTHERS = ("cohort.yaml", "-nnunet.yaml")


@pytest.mark.parametrize("name", [n for n in SHIPPED if not n.endswith(OF_OTHERS)])
def test_shipped_recipes_are_valid(name: str) -> None:
    recipe = read_recipe(RECIPES / name)
    assert build_network(recipe.network["name"], recipe.network["options"]).training


def images(**changes: object) -> dict[str, object]:
    """Recipe of a network of volumes on a cohort's images."""
    return {
        "sources": {"cohort": [{"folder": "cohort", "masks": "softseg"}]},
        "patches": {"size": [8, 16, 16], "centre": "cord", "shift_mm": 2.0},
        "network": {
            "name": "unet_3d",
            "options": {"features": [4, 8], "strided": True, "deep_supervision": True},
        },
        "loss": {"name": "adaptive_wing"},
        "schedule": {"steps": 6, "warmup": 0, "decay_from": 0.0, "batch_size": 2},
        **changes,
    }


def test_an_interrupted_run_on_images_ends_with_the_same_weights(tmp_path: Path) -> None:
    rows = rows_of_folders({"cohort": write_cohort(tmp_path / "cohort", ["1", "2", "3"])})
    recipe = write(tmp_path / "a.yaml", **images())
    train(recipe, tmp_path / "whole", {}, rows=rows, threads=1, device="cpu")
    steps = {"steps": 6, "warmup": 0, "decay_from": 0.0, "batch_size": 2, "stop_after": 4}
    stopped = write(tmp_path / "b.yaml", **images(schedule=steps))
    train(stopped, tmp_path / "cut", {}, rows=rows, threads=1, device="cpu")
    train(recipe, tmp_path / "cut", {}, rows=rows, threads=1, device="cpu")
    state = [load_file(str(tmp_path / n / "state.safetensors")) for n in ("whole", "cut")]
    assert all(torch.equal(state[0][k], state[1][k]) for k in state[0])
    assert not (tmp_path / "whole" / "volumes").exists()


def test_training_on_images_lowers_the_validation_loss(tmp_path: Path) -> None:
    rows = rows_of_folders({"cohort": write_cohort(tmp_path / "cohort", ["1", "2", "3"])})
    schedule = {"epochs": 15, "warmup": 0, "decay_from": 0.0, "batch_size": 2}
    validation = {"every_epochs": 5, "samples": 4, "patience": 9}
    path = write(tmp_path / "r.yaml", **images(schedule=schedule, validation=validation))
    train(path, tmp_path / "out", {}, rows=rows, threads=1, device="cpu")
    rows = list(csv.DictReader((tmp_path / "out" / "log.csv").open()))
    # One person of three trains on two contrasts, two samples a step: an epoch is two steps wide.
    assert len(rows) == 3
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])


def test_batches_without_cord_change_nothing_where_they_are_skipped(tmp_path: Path) -> None:
    rows = rows_of_folders({"cohort": write_cohort(tmp_path / "cohort", ["1", "2", "3"])})
    far = {"size": [8, 16, 16], "shift_mm": 4000.0}
    schedule = {"steps": 4, "batch_size": 2, "skip_empty": True}
    path = write(tmp_path / "r.yaml", **images(patches=far, schedule=schedule))
    train(path, tmp_path / "out", {}, rows=rows, threads=1, device="cpu")
    summary = read_json(tmp_path / "out" / "summary.json")
    assert summary["skipped"] == summary["step"] == 4
    state = load_file(str(tmp_path / "out" / "state.safetensors"))
    assert not any(key.startswith("opt.") for key in state)


def test_epochs_without_scans_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "r.yaml", schedule={"epochs": 2, "batch_size": 4})
    with pytest.raises(ConfigError, match=r"schedule\.epochs"):
        train(path, tmp_path / "out", {}, threads=1, device="cpu")


def test_a_missing_cohort_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "r.yaml", **images())
    with pytest.raises(ConfigError, match=r"--source cohort=FOLDER"):
        train(path, tmp_path / "out", {}, threads=1, device="cpu")
