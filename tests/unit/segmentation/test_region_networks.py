"""Networks of the eight regions: shapes, sizes against the published layers, and their loss."""

import numpy as np
import pytest
import torch
from cordcohort.segmentation.networks import build_network
from cordcohort.segmentation.region_networks import (
    VGG16UNet,
    multiply_adds,
    parameters_of,
)

# Convolutions of VGG16 on one channel, and its four up-blocks of 512, 256, 128, 64, counted
# by hand from the published widths: weights and biases of 3 x 3 kernels, and the 1 x 1 head.
VGG16_PAIRS = [
    (1, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256),
    (256, 512), (512, 512), (512, 512), (512, 512), (512, 512), (512, 512),
    (1024, 512), (512, 512), (768, 256), (256, 256), (384, 128), (128, 128), (192, 64), (64, 64),
]  # fmt: skip


def test_vgg16_has_the_published_layers():
    by_hand = sum(9 * a * b + b for a, b in VGG16_PAIRS) + 64 * 8 + 8
    assert parameters_of(VGG16UNet()) == by_hand


def test_the_reconstruction_is_a_tenth_of_the_baseline_or_less():
    light, heavy = build_network("scs_net", {}), build_network("vgg16_unet", {})
    assert 10 * parameters_of(light) < parameters_of(heavy)
    assert 10 * multiply_adds(light, 64) < multiply_adds(heavy, 64)


def test_multiply_adds_grow_with_the_area():
    network = build_network("scs_net", {"width": 4})
    assert multiply_adds(network, 64) == 4 * multiply_adds(network, 32)
    assert network.training


@pytest.mark.parametrize(("name", "options", "channels"), [
    ("scs_net", {"width": 4}, 9), ("vgg16_unet", {"divisor": 32}, 8),
])  # fmt: skip
def test_every_weight_gets_a_gradient(name: str, options: dict[str, int], channels: int):
    torch.manual_seed(0)
    network = build_network(name, options)
    output = network(torch.randn(2, 1, 32, 32))
    assert output.shape == (2, channels, 32, 32)
    (output**2).sum().backward()
    missing = [n for n, p in network.named_parameters() if p.grad is None]
    assert not missing
    assert all(np.isfinite(p.grad.numpy()).all() for p in network.parameters())
