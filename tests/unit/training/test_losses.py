"""Losses against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from cordcohort.errors import ConfigError
from cordcohort.training.losses import (
    LOSSES,
    adaptive_wing,
    dice_bce,
    make_loss,
    near_foreground,
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


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_deep_supervision_halves_the_weight_of_each_coarser_output(name: str) -> None:
    target = torch.full((1, 1, 8, 8), 0.5)
    fine, coarse = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 4, 4)
    loss = make_loss(name, {})
    expected = (loss(fine, target) + 0.5 * loss(coarse, target[..., ::2, ::2])) / 2
    assert float(loss([fine, coarse], target)) == pytest.approx(float(expected), rel=1e-6)


def test_unknown_loss_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="hinge"):
        make_loss("hinge", {})
