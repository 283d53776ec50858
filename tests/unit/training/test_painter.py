"""The painter: the same seed gives the same batch, and the target is the cord that was painted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cordcohort.training.acquire import Grid, sampling_matrices, valid_view, z_score
from cordcohort.training.contrast import EQUAL_SHARES, FAMILIES, tissue_means
from cordcohort.training.painter import Painter
from cordcohort.training.sources import CordStack
from cordcohort.training.surroundings import CODE

SMALL = {
    "grid": 48,
    "pixel_mm": 1.0,
    "offset_mm": 4.0,
    "cropped": 0.0,
    "absent": 0.0,
    "outside": 0.0,
}


def test_the_same_seed_and_step_give_the_same_batch(oval: CordStack) -> None:
    one, two = (Painter([oval], [1], SMALL, seed=4).batch(7, 8) for _ in range(2))
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])


def test_another_step_gives_another_batch(oval: CordStack) -> None:
    painter = Painter([oval], [1], SMALL, seed=4)
    assert not torch.equal(painter.batch(0, 8)[0], painter.batch(1, 8)[0])


def test_images_are_finite_and_standardised(oval: CordStack) -> None:
    image, target = Painter([oval], [1], SMALL, seed=1).batch(0, 32)
    assert torch.isfinite(image).all()
    assert image.mean((1, 2, 3)).abs().max() < 1e-3
    assert float(target.min()) >= 0
    assert float(target.max()) <= 1


def test_targets_are_soft_and_have_areas_of_cords(oval: CordStack) -> None:
    _, target = Painter([oval], [1], SMALL, seed=2).batch(0, 64)
    area = target.sum((1, 2, 3))
    assert 30 < float(area.median()) < 110
    assert bool(((target > 0.05) & (target < 0.95)).any())


def test_a_scene_is_painted_in_several_contrasts(oval: CordStack) -> None:
    painter = Painter([oval], [1], {**SMALL, "paints": 4}, seed=3)
    image, target = painter.batch(0, 8)
    mirrored = target[2].flip(2)
    assert torch.equal(target[0], target[2]) or torch.equal(target[0], mirrored)
    assert not torch.equal(image[0], image[2])


def test_scenes_without_spine_have_no_cord(oval: CordStack) -> None:
    _, target = Painter([oval], [1], {**SMALL, "absent": 1.0}, seed=3).batch(0, 8)
    assert float(target.sum()) == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_csf_is_as_bright_as_the_cord_in_the_stated_share_of_a_family_and_differs_in_the_rest(
    family: str,
) -> None:
    n = 1000
    shares = tuple(float(name == family) for name in FAMILIES)
    means = tissue_means(np.random.default_rng(3), n, shares)
    gap = np.abs(means[:, CODE["csf"]] - means[:, CODE["wm"]])
    # An equal pair differs by 2.5 % (SD) of at most 1; the others by at least 0.07, or by what is
    # left of it where CSF would be negative.
    share = np.mean(gap < 0.06)
    four_errors = 4 * np.sqrt(0.25 / n)
    assert share == pytest.approx(EQUAL_SHARES[family], abs=four_errors)
    if not EQUAL_SHARES[family]:
        assert gap.min() > 0.06


def test_grey_matter_tells_where_the_cord_is_when_csf_does_not() -> None:
    shares = tuple(float(name == "t2star") for name in FAMILIES)
    means = tissue_means(np.random.default_rng(5), 500, shares)
    wm, gm, csf = (means[:, CODE[t]] for t in ("wm", "gm", "csf"))
    equal = np.abs(csf - wm) < 0.01
    assert equal.sum() > 50
    assert (gm[equal] > 1.02 * wm[equal]).all()


@pytest.mark.parametrize("pixel", [0.5, 0.8, 3.0])
def test_acquiring_keeps_a_constant_and_the_place_of_an_edge(pixel: float) -> None:
    grid = Grid(96, 0.5)
    numbers = [torch.tensor([v]) for v in (pixel, 0.5, 1.0)]
    down, up = sampling_matrices(*numbers, grid=grid)
    assert torch.allclose((up[0] @ down[0]).sum(1), torch.ones(96), atol=1e-4)
    step = (torch.arange(96) >= 48).float()
    assert float((up[0] @ (down[0] @ step)).sum()) == pytest.approx(48, abs=2 * pixel)


def test_z_score_ignores_what_lies_outside_the_view() -> None:
    image = torch.tensor([[[[1.0, 3.0, 99.0]]]])
    valid = torch.tensor([[[[1.0, 1.0, 0.0]]]])
    assert z_score(image, valid).flatten().tolist() == [-1.0, 1.0, 0.0]


def test_views_keep_at_least_a_part_of_the_scan() -> None:
    view = valid_view(np.random.default_rng(0), 50, Grid(32, 1.0), 1.0, torch.device("cpu"))
    assert float(view.sum((1, 2, 3)).min()) > 0
