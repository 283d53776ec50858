"""Losses against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from cordcohort.errors import ConfigError
from cordcohort.training.losses import (
    CLASS_LOSSES,
    LOSSES,
    adaptive_wing,
    dice_bce,
    make_loss,
    near_foreground,
    regions_dice_ce,
    soft_dice,
    soft_dice_relu,
)
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

OMEGA, THETA, EPSILON, ALPHA = 8.0, 0.5, 1.0, 2.1


def wing(y: float, p: float) -> float:
    """The published formula, one voxel."""
    d, power = abs(y - p), ALPHA - y
    if d < THETA:
        return OMEGA * math.log(1 + (d / EPSILON) ** power)
    ratio = (THETA / EPSILON) ** power
    a = OMEGA * (1 / (1 + ratio)) * power * (THETA / EPSILON) ** (power - 1) / EPSILON
    return a * d - (THETA * a - OMEGA * math.log(1 + ratio))


def voxel(value: float) -> torch.Tensor:
    return torch.full((1, 1, 1, 1), value, dtype=torch.float64)


@given(y=st.floats(0, 1), p=st.floats(-3, 3))
def test_adaptive_wing_equals_the_published_formula(y: float, p: float) -> None:
    assert float(adaptive_wing(voxel(p), voxel(y))) == pytest.approx(wing(y, p), abs=1e-6)


@pytest.mark.parametrize("y", [0.0, 0.3, 1.0])
def test_adaptive_wing_is_continuous_where_its_branches_meet(y: float) -> None:
    below, above = (float(adaptive_wing(voxel(y + THETA + s), voxel(y))) for s in (-1e-9, 1e-9))
    assert below == pytest.approx(above, abs=1e-6)


@pytest.mark.parametrize("y", [0.0, 1.0])
def test_adaptive_wing_has_finite_gradient_at_a_perfect_prediction(y: float) -> None:
    output = voxel(y).requires_grad_()
    adaptive_wing(output, voxel(y)).backward()
    assert output.grad is not None
    assert torch.isfinite(output.grad).all()


def test_weighted_wing_multiplies_only_near_the_foreground() -> None:
    target = torch.zeros(1, 1, 21, 21)
    target[..., 10, 10] = 1
    assert float(near_foreground(target).sum()) == 49
    output = target + 0.1
    plain, heavy = adaptive_wing(output, target), adaptive_wing(output, target, weighted=True)
    assert float(heavy) > float(plain)


def test_the_weight_map_is_the_dilated_target_above_its_level() -> None:
    target = torch.rand((1, 1, 9, 12, 11), generator=torch.Generator().manual_seed(1)) ** 6
    expected = ndimage.grey_dilation(target[0, 0].numpy(), size=(7, 7, 7)) > 0.2
    assert np.array_equal(near_foreground(target)[0, 0].numpy() > 0, expected)
    output = target + 0.3
    each = [
        adaptive_wing(output[..., i : i + 1], target[..., i : i + 1], reduction="sum")
        for i in range(11)
    ]
    assert float(sum(each)) == pytest.approx(float(adaptive_wing(output, target)) * 9 * 12 * 11)


def test_by_a_sum_a_coarse_output_counts_by_its_voxels() -> None:
    target = torch.full((1, 1, 8, 8, 8), 0.5)
    fine, coarse = torch.zeros(1, 1, 8, 8, 8), torch.zeros(1, 1, 4, 4, 4)
    total = float(make_loss("adaptive_wing", {"reduction": "sum"})([fine, coarse], target))
    assert total == pytest.approx((512 + 64 / 2) / 2 * wing(0.5, 0.0), rel=1e-5)


@pytest.mark.parametrize("scale", [0.1, 1.0, 7.0])
def test_dice_of_the_normalised_relu_does_not_depend_on_the_scale_or_on_what_is_negative(
    scale: float,
) -> None:
    target = torch.tensor([1.0, 0.4, 0.0, 0.0]).view(1, 1, 1, 4)
    output = torch.tensor([1.0, 0.5, 0.0, -3.0]).view(1, 1, 1, 4) * scale
    # (2 (1 + 0.4 x 0.5) + 1) / (1.4 + 1.5 + 1): sums, not sums of squares, as published.
    assert float(soft_dice_relu(output, target)) == pytest.approx(1 - 3.4 / 3.9, abs=1e-6)


def test_dice_of_an_all_negative_output_is_finite() -> None:
    output = torch.full((1, 1, 2, 2), -1.0, requires_grad=True)
    loss = soft_dice_relu(output, torch.ones(1, 1, 2, 2))
    loss.backward()
    assert math.isfinite(float(loss.detach()))
    assert output.grad is not None
    assert torch.isfinite(output.grad).all()


def test_soft_dice_is_zero_for_the_soft_target_itself() -> None:
    target = torch.tensor([0.2, 0.5, 0.9]).view(1, 1, 1, 3)
    assert float(soft_dice(torch.logit(target), target)) == pytest.approx(0, abs=1e-6)


def test_soft_dice_of_disjoint_masks_tends_to_one() -> None:
    target = torch.zeros(1, 1, 100, 100)
    target[..., :50] = 1
    assert float(soft_dice(80 * (0.5 - target), target)) == pytest.approx(1, abs=1e-3)


def test_cross_entropy_is_least_at_the_soft_target() -> None:
    target = torch.full((1, 1, 4, 4), 0.3)
    best = float(dice_bce(torch.logit(target), target, dice_weight=0))
    assert best == pytest.approx(-0.3 * math.log(0.3) - 0.7 * math.log(0.7), abs=1e-6)
    assert best < float(dice_bce(torch.logit(target + 0.1), target, dice_weight=0))


@pytest.mark.parametrize("name", sorted(set(LOSSES) - CLASS_LOSSES))
def test_deep_supervision_halves_the_weight_of_each_coarser_output(name: str) -> None:
    target = torch.full((1, 1, 8, 8), 0.5)
    fine, coarse = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 4, 4)
    loss = make_loss(name, {})
    expected = (loss(fine, target) + 0.5 * loss(coarse, target[..., ::2, ::2])) / 2
    assert float(loss([fine, coarse], target)) == pytest.approx(float(expected), rel=1e-6)


def test_unknown_loss_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="hinge"):
        make_loss("hinge", {})


def nested() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and targets of a cord of four voxels with a lesion of one."""
    target = torch.zeros(1, 2, 1, 8)
    target[0, 0, 0, :4] = 1
    target[0, 1, 0, 1] = 1
    return torch.zeros(1, 2, 1, 8), target


def test_dice_and_entropy_of_regions_are_the_closed_form() -> None:
    # Every probability is one half: entropy is ln 2; Dice of nnU-Net's form is 2 (p n) / (8 p + n).
    output, target = nested()
    dice = [1 - 2 * 0.5 * n / (8 * 0.5 + n) for n in (4, 1)]
    found = float(regions_dice_ce(output, target, smooth=0.0, squared=False))
    assert found == pytest.approx(sum(dice) / 2 + math.log(2), abs=1e-6)


def test_smoothing_adds_to_both_sides_of_the_dice() -> None:
    output, target = nested()
    dice = [1 - (2 * 0.5 * n + 3) / (8 * 0.5 + n + 3) for n in (4, 1)]
    found = float(regions_dice_ce(output, target, smooth=3.0, squared=False))
    assert found == pytest.approx(sum(dice) / 2 + math.log(2), abs=1e-6)


def test_without_smoothing_an_absent_region_has_no_slope_in_the_dice() -> None:
    output = torch.zeros(1, 1, 1, 4, requires_grad=True)
    empty = torch.zeros(1, 1, 1, 4)
    regions_dice_ce(output, empty, smooth=0.0, dice_weight=1.0).backward()
    entropy = torch.zeros(1, 1, 1, 4, requires_grad=True)
    regions_dice_ce(entropy, empty, smooth=0.0, dice_weight=0.0).backward()
    assert output.grad is not None
    assert entropy.grad is not None
    assert torch.equal(output.grad, entropy.grad)


def test_a_soft_target_is_its_own_best_prediction_only_with_squares() -> None:
    target = torch.full((1, 1, 1, 4), 0.3)
    own = torch.logit(target)
    above = torch.logit(target + 0.2)
    for squared, better in ((True, True), (False, False)):

        def dice(x: torch.Tensor, squared: bool = squared) -> float:
            entropy = regions_dice_ce(x, target, squared=squared, dice_weight=0.0)
            return float(regions_dice_ce(x, target, squared=squared, smooth=0.0) - entropy)

        assert (dice(own) < dice(above)) is better


def test_a_small_region_weighs_as_much_as_a_large_one() -> None:
    # Dice 1 (missed) of the lesion costs as much as Dice 1 of the cord, whatever their sizes.
    _, target = nested()
    costs = []
    for missed in (0, 1):
        right = 60 * (target - 0.5)
        right[:, missed] = -30.0
        whole = regions_dice_ce(right, target, smooth=0.0)
        costs.append(float(whole - regions_dice_ce(right, target, dice_weight=0.0)))
    assert costs[0] == pytest.approx(costs[1], abs=1e-6)


def test_weights_choose_between_regions() -> None:
    output, target = nested()
    alone = regions_dice_ce(output[:, 1:], target[:, 1:])
    assert float(regions_dice_ce(output, target, weights=(0, 1))) == pytest.approx(float(alone))
