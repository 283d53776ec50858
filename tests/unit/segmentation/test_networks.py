"""Networks of the allow-list: shapes, deep supervision, refusal of everything else."""

from __future__ import annotations

import pytest
import torch
from cordcohort.errors import ConfigError
from cordcohort.segmentation.networks import build_network


def test_slice_network_answers_on_the_grid_of_its_input() -> None:
    network = build_network("slice_unet", {"in_slices": 5, "features": [4, 8, 8]})
    assert network(torch.zeros(2, 5, 32, 48)).shape == (2, 1, 32, 48)


def test_anisotropic_3d_network_keeps_thin_slabs() -> None:
    options = {
        "features": [4, 8, 8],
        "kernels": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
        "strides": [[1, 1, 1], [1, 2, 2], [1, 2, 2]],
    }
    network = build_network("unet_3d", options)
    assert network(torch.zeros(1, 1, 3, 16, 24)).shape == (1, 1, 3, 16, 24)


@pytest.mark.parametrize(
    ("name", "shape"), [("slice_unet", (1, 3, 32, 32)), ("unet_3d", (1, 1, 8, 16, 16))]
)
def test_deep_supervision_answers_finest_first_and_only_in_training(
    name: str, shape: tuple[int, ...]
) -> None:
    network = build_network(name, {"features": [4, 8, 8], "deep_supervision": True})
    outputs = network.train()(torch.zeros(shape))
    sizes = [o.shape[-1] for o in outputs]
    assert sizes[0] == shape[-1]
    assert sizes == sorted(sizes, reverse=True)
    assert network.eval()(torch.zeros(shape)).shape[2:] == shape[2:]


def test_unknown_option_is_refused() -> None:
    with pytest.raises(ConfigError, match="dropout"):
        build_network("slice_unet", {"dropout": 0.1})
