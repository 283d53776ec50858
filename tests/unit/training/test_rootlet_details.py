"""Painted fine blocks of rootlets: targets lie in the fluid, images show what they hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cordcohort.segmentation.networks import build_network
from cordcohort.training.recipe import parse_recipe
from cordcohort.training.rootlet_details import DetailPainter, detail_batches

SIZE = (24, 24, 32)


@pytest.fixture(scope="module")
def painter() -> DetailPainter:
    return DetailPainter({"persons": 1, "seed": 4}, SIZE, seed=9)


def test_a_step_fixes_its_batch(painter: DetailPainter):
    again = DetailPainter({"persons": 1, "seed": 4}, SIZE, seed=9)
    for one, other in zip(painter.batch(3, 2), again.batch(3, 2), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(painter.batch(3, 1)[0], painter.batch(4, 1)[0])


def test_filaments_differ_from_the_fluid_around_them(painter: DetailPainter):
    """With random brightness the filaments are darker or brighter, seldom neither."""
    told = []
    for step in range(12):
        image, target = painter.batch(step, 1)
        assert image.shape == target.shape == (1, 1, *SIZE)
        assert float(image.mean()) == pytest.approx(0, abs=1e-4)
        assert set(target.unique().tolist()) <= {0.0, 1.0}
        if target.sum() < 30:
            continue
        near = torch.nn.functional.max_pool3d(target, 3, 1, 1) - target
        told.append(abs(float(image[target > 0].mean() - image[near > 0].mean())))
    assert len(told) >= 6
    assert np.median(told) > 0.05


def test_most_blocks_hold_rootlets_but_few_voxels_do(painter: DetailPainter):
    share = [float(painter.batch(k, 1)[1].mean()) for k in range(20)]
    assert np.mean(np.array(share) > 0) > 0.6
    assert 0.001 < np.mean(share) < 0.05


def test_people_that_validate_are_others():
    options = {"phantom": {"persons": 1, "seed": 1}}
    recipe = parse_recipe({
        "name": "a", "task": "rootlet_details", "seed": 1, "sources": options,
        "patches": {"size": [16, 16, 16], "spacing_mm": [0.8, 0.8, 0.8]},
        "schedule": {"batch_size": 1}, "validation": {"samples": 1},
        "network": {"name": "folded_unet_3d", "options": {"in_channels": 1, "out_channels": 1}},
    })  # fmt: skip
    painter, checks = detail_batches(recipe, 1000)
    assert len(checks) == 1
    assert all(c.shape != painter.codes[0].shape or not torch.equal(c, painter.codes[0])
               for c in DetailPainter({"persons": 1, "seed": 1001}, SIZE, 1).codes)  # fmt: skip


def test_a_fine_head_sees_the_image_itself():
    options = {"features": [4, 8], "strides": [[1, 1, 1], [2, 2, 2]], "detail": 3}
    network = build_network("folded_unet_3d", {"in_channels": 1, "out_channels": 1, **options})
    image = torch.zeros(1, 1, 8, 8, 8)
    assert network(image).shape == image.shape
    names = {name for name, _ in network.named_parameters()}
    assert any(name.startswith("fine.") for name in names)
