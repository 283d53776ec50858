"""Optimisers, learning rates and start weights of a recipe."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from cordcohort.errors import ConfigError
from cordcohort.segmentation.networks import build_network
from cordcohort.segmentation.registry import models_folder
from cordcohort.training.optimiser import (
    learning_rate,
    make_optimiser,
    start_weights,
)
from cordcohort.training.recipe import parse_recipe
from cordcohort.training.state import load_state, save_state
from safetensors.torch import load_file, save_file
from torch import nn

BASE = {"name": "tiny", "task": "cord", "seed": 1}
SMALL = {"features": [4, 8]}


def test_polynomial_decay_is_that_of_nnunet() -> None:
    schedule = {"steps": 1000, "warmup": 0, "decay_from": 0.0, "decay": "polynomial"}
    recipe = parse_recipe({**BASE, "optimiser": {"learning_rate": 0.01}, "schedule": schedule})
    found = [learning_rate(step, recipe) for step in (0, 250, 999)]
    assert found == pytest.approx([0.01, 0.01 * 0.75**0.9, 0.01 * 0.001**0.9])


def test_gradient_descent_has_nesterovs_momentum_and_goes_on_after_a_stop(tmp_path: Path) -> None:
    recipe = parse_recipe({**BASE, "optimiser": {"name": "sgd", "learning_rate": 0.1}})
    torch.manual_seed(0)
    nets = [nn.Linear(2, 1) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    kinds = [make_optimiser(net, recipe) for net in nets]
    assert kinds[0].param_groups[0]["nesterov"]
    assert kinds[0].param_groups[0]["momentum"] == 0.99

    def step(net: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        optimiser.zero_grad()
        net(torch.ones(1, 2)).square().sum().backward()
        optimiser.step()

    step(nets[0], kinds[0])
    average = {k: v.clone() for k, v in nets[0].state_dict().items()}
    save_state(tmp_path, nets[0], average, kinds[0], {"step": 1})
    load_state(tmp_path, nets[1], kinds[1])
    for net, optimiser in zip(nets, kinds, strict=True):
        step(net, optimiser)
    assert torch.equal(nets[0].weight, nets[1].weight)


def test_every_new_output_starts_as_the_cord_of_the_shipped_model() -> None:
    options = {"in_slices": 3, "features": [32, 64, 128, 160]}
    old, new = (build_network("slice_unet", {**options, "out_channels": n}).eval() for n in (1, 2))
    old.load_state_dict(load_file(str(models_folder() / "cord-v1" / "cord.safetensors")))
    assert start_weights(new, "cord-v1/cord.safetensors") == []
    image = torch.randn(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        one, two = old(image), new(image)
    # The same products in another order of sums: single precision.
    assert torch.allclose(two[:, :1], one, atol=1e-4)
    assert torch.equal(two[:, 0], two[:, 1])


def test_new_input_channels_count_nothing_at_first(tmp_path: Path) -> None:
    options = {"out_channels": 1, "features": [4, 8], "strides": [[1, 1, 1], [2, 2, 2]]}
    old, new = (
        build_network("folded_unet_3d", {**options, "in_channels": channels}) for channels in (2, 3)
    )
    save_file(old.state_dict(), str(tmp_path / "w.safetensors"))
    assert start_weights(new, str(tmp_path / "w.safetensors")) == []
    image = torch.randn(1, 3, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        # The same products and some zeros in another order of sums: single precision.
        assert torch.allclose(new(image), old(image[:, :2]), atol=1e-5)


def test_what_does_not_fit_keeps_its_random_start(tmp_path: Path) -> None:
    wide, narrow = (build_network("slice_unet", {"features": f}) for f in ([4, 8], [4, 12]))
    save_file(narrow.state_dict(), str(tmp_path / "w.safetensors"))
    kept = start_weights(wide, str(tmp_path / "w.safetensors"))
    assert kept
    assert all("down.1" in name or "up" in name for name in kept)


@pytest.mark.parametrize("content", [b"", b"not tensors"])
def test_a_start_that_is_no_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(ConfigError, match=r"network\.start_from"):
        start_weights(build_network("slice_unet", SMALL), str(tmp_path / "w.safetensors"))


def test_a_start_of_another_architecture_is_refused(tmp_path: Path) -> None:
    save_file({"other.weight": torch.zeros(2)}, str(tmp_path / "w.safetensors"))
    with pytest.raises(ConfigError, match="same architecture"):
        start_weights(build_network("slice_unet", SMALL), str(tmp_path / "w.safetensors"))
    with pytest.raises(ConfigError, match="start_from"):
        start_weights(build_network("slice_unet", SMALL), str(tmp_path / "nowhere.safetensors"))


def test_names_of_regions_must_be_as_many_as_outputs() -> None:
    network = {"name": "slice_unet", "options": {**SMALL, "out_channels": 2}}
    recipe = {**BASE, "task": "lesion", "network": network}
    assert parse_recipe({**recipe, "regions": ["cord", "lesion"]}).regions == ("cord", "lesion")
    with pytest.raises(ConfigError, match="regions"):
        parse_recipe({**recipe, "regions": ["cord"]})


@pytest.mark.parametrize(
    "section", [{"optimiser": {"name": "adagrad"}}, {"schedule": {"decay": "step"}}]
)
def test_an_unknown_optimiser_or_decay_is_refused(section: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="one of"):
        parse_recipe({**BASE, **section})
