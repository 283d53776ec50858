"""A run becomes a model folder that loads by its id."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from cordcohort.errors import ConfigError
from cordcohort.files import read_json
from cordcohort.segmentation.card_limits import check_stage
from cordcohort.segmentation.networks import build_network
from cordcohort.segmentation.registry import list_models, load_model
from cordcohort.training.engine import train
from cordcohort.training.publish import publish
from safetensors.torch import save_file

RECIPE = {
    "name": "tiny",
    "task": "cord",
    "seed": 3,
    "sources": {"phantom": {"persons": 1, "seed": 2}},
    "painting": {"grid": 16, "pixel_mm": 2.0, "neighbour_mm": 2.0, "paints": 2},
    "network": {"name": "slice_unet", "options": {"features": [4, 8]}},
    "schedule": {"steps": 6, "warmup": 2, "batch_size": 4},
    "validation": {"every": 6, "samples": 4, "patience": 50},
    "checkpoint": {"every": 6},
}


def test_a_published_run_loads_by_its_id_and_tells_what_it_was_made_from(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE))
    train(recipe, tmp_path / "run", {}, threads=1, device="cpu")
    runs = {"localiser": tmp_path / "run", "cord": tmp_path / "run"}
    publish(tmp_path / "models" / "mine", runs, name="mine")
    model = load_model("mine", folder=tmp_path / "models")
    assert set(model.stages) == {"localiser", "cord"}
    assert model.card["training"]["cord"]["samples"] == 24
    assert model.card["training"]["cord"]["validated_on"] == "training"  # no shape is held out
    assert read_json(tmp_path / "run" / "summary.json")["validated_on"] == "training"
    assert list(list_models(tmp_path / "models")) == ["mine"]
    for name in ("cord-recipe.yaml", "cord-log.csv", "cord-curve.png"):
        assert (tmp_path / "models" / "mine" / name).is_file()


def test_painted_blocks_of_lesions_train_and_load_as_a_model_that_draws_in_the_cord(
    tmp_path: Path,
) -> None:
    recipe = tmp_path / "r.yaml"
    options = {"in_channels": 5, "features": [4, 4]}
    content = RECIPE | {
        "task": "lesion", "painting": {"lesions": {}},
        "network": {"name": "folded_unet_3d", "options": options},
        "schedule": {"steps": 2, "warmup": 1, "batch_size": 1},
        "validation": {"every": 2, "samples": 1, "patience": 5}, "checkpoint": {"every": 2},
    }  # fmt: skip
    recipe.write_text(yaml.safe_dump(content))
    train(recipe, tmp_path / "run", {}, threads=1, device="cpu")
    publish(tmp_path / "models" / "mine", {"lesion": tmp_path / "run"}, name="mine",
            notes={"localiser": "cord-v1"})  # fmt: skip
    model = load_model("mine", folder=tmp_path / "models")
    assert set(model.stages) == {"localiser", "cord", "lesion"}
    assert model.stages["lesion"].in_cord
    assert model.stages["lesion"].block == (96, 24, 32)
    assert model.card["training"]["lesion"]["data"] == "painted label maps only, no image"


def test_a_model_that_draws_in_a_cord_is_refused_without_one(tmp_path: Path) -> None:
    options = {"in_channels": 5, "features": [4, 4]}
    network = build_network("folded_unet_3d", options)
    save_file(network.state_dict(), str(tmp_path / "lesion.safetensors"))
    stage = {"architecture": "folded_unet_3d", "options": options, "in_cord": True,
             "weights": "lesion.safetensors", "spacing_mm": 0.6, "patch": [96, 24, 32],
             "activation": "sigmoid"}  # fmt: skip
    card = {"schema": 1, "name": "mine", "task": "lesion", "labels": {"2": "lesion"},
            "orientation": "RAS", "threshold": 0.5, "stages": {"lesion": stage},
            "training": {}, "licence": "x"}  # fmt: skip
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(card))
    with pytest.raises(ConfigError, match="a stage 'cord'"):
        load_model(tmp_path)


def test_networks_of_what_was_seen_in_the_cord_before_are_refused_by_one_line(
    tmp_path: Path,
) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE | {
        "task": "lesion", "painting": {"lesions": {}},
        "network": {"name": "folded_unet_3d", "options": {"in_channels": 2}},
    }))  # fmt: skip
    with pytest.raises(ConfigError, match=r"network\.options\.in_channels.*expected 5"):
        train(recipe, tmp_path / "run", {}, threads=1, device="cpu")
    stage = {"architecture": "folded_unet_3d", "options": {"in_channels": 2}, "in_cord": True,
             "weights": "lesion.safetensors", "spacing_mm": 0.6, "patch": [96, 24, 32]}  # fmt: skip
    with pytest.raises(ConfigError, match=r"stages\.lesion\.options\.in_channels.*expected 5"):
        check_stage("lesion", stage, "model.yaml")
