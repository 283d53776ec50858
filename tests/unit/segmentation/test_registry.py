"""Models: wrong hashes, pickles, unknown architectures and keys are refused by name."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from cordcohort.errors import ConfigError
from cordcohort.files import sha256_of
from cordcohort.segmentation.device import choose_device
from cordcohort.segmentation.networks import build_network
from cordcohort.segmentation.registry import list_models, load_model, models_folder
from safetensors.torch import save_file

LARGEST_MODEL_BYTES = 10_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A registry with one tiny model."""
    torch.manual_seed(0)
    options = {"in_slices": 3, "features": [4, 8]}
    home = tmp_path / "tiny"
    home.mkdir()
    save_file(build_network("slice_unet", options).state_dict(), str(home / "cord.safetensors"))
    stage = {
        "architecture": "slice_unet", "options": options, "weights": "cord.safetensors",
        "spacing_mm": 1.0, "patch": 32, "neighbour_mm": 2.0, "normalisation": "z-score",
        "activation": "sigmoid",
    }  # fmt: skip
    card = {
        "schema": 1, "name": "tiny", "task": "cord", "labels": {"1": "cord"}, "orientation": "RAS",
        "stages": {"cord": stage}, "licence": "GPL-3.0-or-later",
    }  # fmt: skip
    (home / "model.yaml").write_text(yaml.safe_dump(card))
    entry = {
        "folder": "tiny",
        "weights": {"cord.safetensors": sha256_of(home / "cord.safetensors")},
    }
    (tmp_path / "registry.yaml").write_text(yaml.safe_dump({"models": {"tiny": entry}}))
    return tmp_path


def test_the_classical_baseline_is_listed_like_a_network_and_has_no_weights() -> None:
    model = load_model("classical", "cpu")
    assert (model.backend, model.stages, model.sha256) == ("classical", {}, "")
    assert "classical" in list_models()


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"backend": "magic"}, "backend"),
        ({"backend": "classical"}, "stages"),
        ({"stages": {}}, "stages"),
    ],
)
def test_a_backend_without_what_it_needs_is_refused(
    folder: Path, changes: dict[str, object], key: str
) -> None:
    change_card(folder, **changes)
    with pytest.raises(ConfigError, match=key):
        load_model("tiny", folder=folder)


def change_card(folder: Path, **changes: object) -> None:
    path = folder / "tiny" / "model.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))


def test_a_listed_model_loads_in_evaluation_mode(folder: Path) -> None:
    model = load_model("tiny", folder=folder)
    assert not model.stages["cord"].network.training
    assert len(model.sha256) == 64


def test_changed_weights_are_refused_by_name(folder: Path) -> None:
    weights = folder / "tiny" / "cord.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(bytes(raw))
    with pytest.raises(ConfigError, match=r"sha256 of cord\.safetensors"):
        load_model("tiny", folder=folder)


def test_a_pickle_in_place_of_safetensors_is_refused_and_never_run(folder: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (folder / "sprung",)  # type: ignore[return-value]

    (folder / "tiny" / "cord.safetensors").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ConfigError, match="safetensors"):
        load_model(folder / "tiny")
    assert not (folder / "sprung").exists()


def test_other_weight_files_are_refused(folder: Path) -> None:
    card = yaml.safe_load((folder / "tiny" / "model.yaml").read_text())
    for name in ("cord.pt", "../cord.safetensors"):
        stage = {**card["stages"]["cord"], "weights": name}
        change_card(folder, stages={"cord": stage})
        with pytest.raises(ConfigError, match="weights"):
            load_model(folder / "tiny")


def test_unknown_architecture_is_refused(folder: Path) -> None:
    card = yaml.safe_load((folder / "tiny" / "model.yaml").read_text())
    change_card(folder, stages={"cord": {**card["stages"]["cord"], "architecture": "os.system"}})
    with pytest.raises(ConfigError, match=r"os\.system"):
        load_model(folder / "tiny")


def test_unknown_card_key_is_refused(folder: Path) -> None:
    change_card(folder, colour="red")
    with pytest.raises(ConfigError, match="colour"):
        load_model(folder / "tiny")


def test_unknown_model_names_the_known_ones(folder: Path) -> None:
    with pytest.raises(ConfigError, match="tiny"):
        load_model("huge", folder=folder)


def test_missing_weights_are_named(folder: Path) -> None:
    shutil.move(folder / "tiny" / "cord.safetensors", folder / "elsewhere")
    with pytest.raises(ConfigError, match=r"cord\.safetensors"):
        load_model("tiny", folder=folder)


@pytest.mark.parametrize("name", sorted(list_models()))
def test_shipped_models_load_and_are_small(name: str) -> None:
    model = load_model(name)
    assert model.card["licence"] == "GPL-3.0-or-later"
    files = (models_folder() / list_models()[name]["folder"]).glob("*.safetensors")
    assert sum(f.stat().st_size for f in files) <= LARGEST_MODEL_BYTES


@pytest.mark.parametrize(
    "change",
    [
        {"options": {"features": [10**9]}}, {"options": {"features": [4] * 1000}},
        {"options": {"features": "os.system"}}, {"options": [1]}, {"spacing_mm": "1; x"},
        {"spacing_mm": float("nan")}, {"patch": 10**9}, {"neighbour_mm": -1}, {"patch": None},
        {"options": {"features": [[[[[[4]]]]]]}},
    ],
)  # fmt: skip
def test_a_card_that_asks_for_the_impossible_is_refused_before_memory_is_asked_for(
    folder: Path, change: dict[str, object]
) -> None:
    card = yaml.safe_load((folder / "tiny" / "model.yaml").read_text())
    change_card(folder, stages={"cord": card["stages"]["cord"] | change})
    with pytest.raises(ConfigError, match=r"stages\.cord"):
        load_model("tiny", folder=folder)


@pytest.mark.parametrize("stages", [[1], "x", {"cord": 3}, {"cord": {}}, {"cord": None}])
def test_stages_of_another_shape_are_refused_by_name(folder: Path, stages: object) -> None:
    change_card(folder, stages=stages)
    with pytest.raises(ConfigError, match="stages"):
        load_model("tiny", folder=folder)


def test_a_gpu_that_is_not_there_is_refused_by_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", bool)
    assert choose_device("auto").type == "cpu"
    with pytest.raises(ConfigError, match=r"segmentation\.device.*GPU"):
        choose_device("cuda")
