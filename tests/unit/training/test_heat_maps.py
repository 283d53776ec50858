"""Heat maps of the earlier network against the formula written out pixel by pixel."""

import math

import numpy as np
import pytest
import torch
from cordcohort.training.heat_maps import (
    best_thresholds,
    heat_map,
    heat_map_distance,
    heat_maps,
)
from cordcohort.training.losses import dice_ce, drawn


def by_the_formula(region: np.ndarray) -> np.ndarray:
    places = np.argwhere(region)
    extent = (np.ptp(places, axis=0) + 1).max()
    sigma = extent / math.sqrt(2 * 4.6052)
    out = np.empty(region.shape)
    for y in range(region.shape[0]):
        for x in range(region.shape[1]):
            farthest = max(math.hypot(y - a, x - b) for a, b in places)
            out[y, x] = 1.0 if region[y, x] else math.exp(-(farthest**2) / (2 * sigma**2))
    return out


@pytest.mark.parametrize("seed", range(4))
def test_heat_is_that_of_the_formula_for_any_shape(seed: int):
    region = np.random.default_rng(seed).random((9, 11)) < 0.2
    found = heat_map(torch.from_numpy(region)).numpy()
    np.testing.assert_allclose(found, by_the_formula(region), atol=1e-6)  # float32 exponentials


def test_an_empty_region_has_no_heat():
    assert heat_map(torch.zeros(4, 5, dtype=torch.bool)).max() == 0


def test_the_loss_is_the_distance_of_each_row_of_the_reshaped_batch():
    torch.manual_seed(1)
    target = torch.softmax(5 * torch.randn(2, 9, 6, 6), 1)
    output = torch.randn(2, 8, 6, 6)
    difference = (output - heat_maps(target)).numpy().reshape(8, -1)
    wanted = np.linalg.norm(difference, axis=1).mean()
    assert float(heat_map_distance(output, target)) == pytest.approx(wanted, rel=1e-5)


def test_the_loss_of_the_true_maps_is_nothing():
    target = torch.zeros(1, 9, 6, 6)
    target[:, 0], target[:, 0, 2:4, 2:4], target[:, 3, 2:4, 2:4] = 1, 0, 1
    assert float(heat_map_distance(heat_maps(target), target)) < 1e-5


def test_thresholds_are_those_of_a_plain_search():
    rng = np.random.default_rng(3)
    output, true = rng.random((3, 2, 5, 5)), rng.random((3, 2, 5, 5)) < 0.4
    output[true] += 0.3
    for k, found in enumerate(best_thresholds(output, true)):
        scores = []
        for t in np.round(np.arange(0.1, 1.0, 0.001), 3):
            mask = output[:, k] > t
            scores.append((mask & true[:, k]).sum() / max((mask | true[:, k]).sum(), 1))
        assert found == pytest.approx(0.1 + 0.001 * int(np.argmax(scores)), abs=1e-9)


def test_classes_that_exclude_each_other_are_drawn_by_the_largest_output():
    output = torch.tensor([[0.3, 0.2, 0.1], [0.0, 0.5, 0.4]]).T[None, :, :, None]
    target = torch.tensor([[0.9, 0.1, 0.0], [0.1, 0.2, 0.7]]).T[None, :, :, None]
    mask, goal = drawn("dice_ce", output, target)
    assert mask[0, :, :, 0].tolist() == [[0, 1], [0, 0]]
    assert goal[0, :, :, 0].tolist() == [[0, 0], [0, 1]]


def test_dice_and_cross_entropy_fall_towards_the_target():
    torch.manual_seed(0)
    target = torch.softmax(6 * torch.randn(2, 9, 8, 8), 1)
    losses = [float(dice_ce(k * torch.log(target), target)) for k in (0.0, 0.5, 1.0)]
    assert losses[0] > losses[1] > losses[2]
