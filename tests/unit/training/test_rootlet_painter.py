"""Painted blocks of rootlets: targets, determinism, people that are held back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cordcohort.segmentation.rootlet_block import BLOCK
from cordcohort.spinal_names import ROOTLET_CODES
from cordcohort.training.rootlet_painter import RootletPainter


@pytest.fixture(scope="module")
def painter() -> RootletPainter:
    return RootletPainter({"persons": 1, "seed": 4}, seed=9)


def test_a_step_fixes_its_batch(painter: RootletPainter):
    again = RootletPainter({"persons": 1, "seed": 4}, seed=9)
    for one, other in zip(painter.batch(3, 1), again.batch(3, 1), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(painter.batch(3, 1)[0], painter.batch(4, 1)[0])


def test_levels_lie_below_each_other_and_never_share_a_voxel_twice(painter: RootletPainter):
    seen = 0
    for step in range(4):
        image, target = painter.batch(step, 1)
        assert image.shape[2:] == target.shape[2:] == BLOCK
        levels = target[0, : len(ROOTLET_CODES)]
        assert float(levels.sum(0).max()) <= 1 + 1e-6
        height = torch.arange(BLOCK[0]).view(-1, 1, 1)
        mass = levels.sum((1, 2, 3))
        drawn = [c for c in range(len(levels)) if mass[c] > 50]
        middles = [float((levels[c] * height).sum() / mass[c]) for c in drawn]
        assert all(np.diff(middles) < 0)
        seen += len(middles)
        # Nothing is asked for where the scan shows nothing.
        assert float((target[0] * (image[0, 1] == 0)).max()) == 0
    assert seen >= 12
