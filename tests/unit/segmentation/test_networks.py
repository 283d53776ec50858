"""Networks of the allow-list: shapes, deep supervision, refusal of everything else."""

from __future__ import annotations

import pytest
import torch
from cordcohort.errors import ConfigError
from cordcohort.segmentation.networks import build_network, standardised_inside


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


def test_the_lesion_part_sees_the_same_whatever_the_scanners_scale() -> None:
    network = build_network("nested_unet", {"features": [4, 8], "lesion_features": [4, 8]}).eval()
    image = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    share = torch.zeros(1, 1, 16, 16)
    share[..., 4:12, 4:12] = 1
    one, two = (standardised_inside(x, share) for x in (image, 7 * image - 3))
    assert torch.allclose(one, two, atol=1e-4)
    assert network(image).shape == (1, 2, 16, 16)


def test_without_a_cord_nothing_is_divided_by_nothing() -> None:
    image = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    assert torch.isfinite(standardised_inside(image, torch.zeros(2, 1, 8, 8))).all()
    flat = torch.full((2, 3, 8, 8), 4.0)
    assert (standardised_inside(flat, torch.ones(2, 1, 8, 8)) == 0).all()
