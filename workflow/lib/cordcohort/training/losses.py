"""Losses for soft (partial-volume) targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as nnf

from cordcohort.errors import ConfigError
from cordcohort.training.heat_maps import heat_map_distance

DICE_EPSILON = 1.0
DILATION_PIXELS = 3
LEAST_PEAK = 1e-3
LEAST_VOLUME = 1e-8
FOREGROUND_LEVEL = 0.2
FOREGROUND_HALF = 0.5
SLICE_NDIM = 4  # item, channel, y, x


def adaptive_wing(
    output: Tensor,
    target: Tensor,
    *,
    omega: float = 8.0,
    theta: float = 0.5,
    epsilon: float = 1.0,
    alpha: float = 2.1,
    weighted: bool = False,
    reduction: str = "mean",
) -> Tensor:
    r"""Adaptive Wing loss on raw (linear) outputs.

    :math:`\omega \ln(1 + (|y - \hat y| / \epsilon)^{\alpha - y})` below ``theta``, linear above it,
    continuous in value and slope.

    Parameters
    ----------
    output, target
        Same shape; target in [0, 1].
    weighted
        Multiply by ``1 + omega`` near the foreground: where the target, dilated by 3 pixels, is
        above 0.2. This is the map that was meant. The published code opens the target instead and
        compares the result, true or false, with 51 of 255, so that its map is 1 everywhere and the
        published model was trained unweighted: hence the default.
    reduction
        ``mean`` or ``sum`` (published) over voxels. They differ under deep supervision: by a sum
        an output of half the resolution counts an eighth, besides its weight.

    References
    ----------
    Wang, Bo, Fuxin. Adaptive Wing Loss for Robust Face Alignment via Heatmap Regression. ICCV 2019.

    Examples
    --------
    >>> float(adaptive_wing(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)))
    0.0
    """
    difference = (target - output).abs()
    power = alpha - target
    ratio = (theta / epsilon) ** power
    slope = omega / (1 + ratio) * power * (theta / epsilon) ** (power - 1) / epsilon
    offset = theta * slope - omega * torch.log1p(ratio)
    # The inner branch is evaluated at min(d, theta): the unused branch must give no infinite slope.
    inner = omega * torch.log1p((difference.clamp(1e-8, theta) / epsilon) ** power)
    inner = torch.where(difference > 0, inner, difference)
    loss = torch.where(difference < theta, inner, slope * difference - offset)
    if weighted:
        loss = loss * (1 + omega * near_foreground(target))
    return loss.sum() if reduction == "sum" else loss.mean()


def near_foreground(target: Tensor) -> Tensor:
    """1 where a voxel with target above 0.2 lies within 3 voxels (square neighbourhood), else 0."""
    size = 2 * DILATION_PIXELS + 1
    pool = nnf.max_pool2d if target.ndim == SLICE_NDIM else nnf.max_pool3d
    grown = pool(target, size, stride=1, padding=DILATION_PIXELS)
    return (grown > FOREGROUND_LEVEL).to(target.dtype)


def soft_dice(output: Tensor, target: Tensor) -> Tensor:
    """One minus the soft Dice of sigmoid(output), over the whole batch.

    Squares in the denominator make the loss 0 for a prediction equal to a soft target. The batch
    is one object, so slices without cord need no special case.

    Examples
    --------
    >>> t = torch.tensor([[[[1.0, 0.0]]]])
    >>> round(float(soft_dice(40 * (t - 0.5), t)), 6)
    0.0
    """
    probability = torch.sigmoid(output)
    overlap = 2 * (probability * target).sum() + DICE_EPSILON
    return 1 - overlap / ((probability**2).sum() + (target**2).sum() + DICE_EPSILON)


def soft_dice_relu(output: Tensor, target: Tensor) -> Tensor:
    """One minus the soft Dice of the normalised ReLU of linear outputs (published ablation).

    ``1 - (2 sum(a b) + 1) / (sum(a) + sum(b) + 1)``; each item's output is divided by its largest
    value. As published, nothing is squared: a soft target itself has a loss above 0.

    Examples
    --------
    >>> t = torch.tensor([[[[1.0, 1.0, 0.0]]]])
    >>> round(float(soft_dice_relu(3 * t, t)), 6)
    0.0
    """
    positive = nnf.relu(output)
    peak = positive.amax(tuple(range(1, output.ndim)), keepdim=True).clamp(min=LEAST_PEAK)
    share = positive / peak
    overlap = 2 * (share * target).sum() + DICE_EPSILON
    return 1 - overlap / (share.sum() + target.sum() + DICE_EPSILON)


def dice_bce(output: Tensor, target: Tensor, *, dice_weight: float = 1.0) -> Tensor:
    """Soft Dice plus binary cross-entropy; soft targets allowed in both.

    Examples
    --------
    >>> bool(dice_bce(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)) > 0.69)
    True
    """
    entropy = nnf.binary_cross_entropy_with_logits(output, target)
    return dice_weight * soft_dice(output, target) + entropy


def regions_dice_ce(
    output: Tensor, target: Tensor, *, smooth: float = 1.0, squared: bool = True,
    dice_weight: float = 1.0, weights: Sequence[float] = (),
) -> Tensor:  # fmt: skip
    """Dice plus binary cross-entropy of nested regions, a sigmoid and a Dice each.

    Each region has a Dice of its own over the whole batch, so that a small lesion weighs as much as
    the cord; the mean over regions is added to the mean cross-entropy.

    Parameters
    ----------
    output, target
        Logits and fractions ``(n, regions, ...)``; a voxel may be in several regions.
    smooth
        Added to numerator and denominator. nnU-Net: 1e-5; 0 is Dice + CE without smoothing, where
        a batch without a region gives the constant 1 and no slope.
    squared
        Squares in the denominator make a prediction equal to a soft target the best; False is
        nnU-Net's.
    weights
        Of the regions; alike if empty.

    References
    ----------
    Isensee et al. nnU-Net. Nature Methods 2021;18:203-211.

    Examples
    --------
    >>> t = torch.tensor([[[[1.0, 1.0]], [[1.0, 0.0]]]])
    >>> round(float(regions_dice_ce(80 * (t - 0.5), t, smooth=0.0)), 6)
    0.0
    """
    probability = torch.sigmoid(output)
    over = [0, *range(2, output.ndim)]
    overlap = 2 * (probability * target).sum(over) + smooth
    sizes = probability**2 + target**2 if squared else probability + target
    dice = 1 - overlap / (sizes.sum(over) + smooth).clamp(min=LEAST_VOLUME)
    entropy = nnf.binary_cross_entropy_with_logits(output, target, reduction="none").mean(over)
    share = output.new_tensor(weights) if weights else torch.ones_like(dice)
    return ((dice_weight * dice + entropy) * share).sum() / share.sum()


def dice_ce(output: Tensor, target: Tensor, *, dice_weight: float = 1.0) -> Tensor:
    """Soft Dice plus cross-entropy of classes that exclude each other; soft targets allowed.

    Parameters
    ----------
    output
        Logits ``(n, classes, y, x)``; class 0 is the background.
    target
        Share of each class in each pixel, same shape, sum 1.
    dice_weight
        Of the Dice part, the mean over the classes but the background, each over the whole batch.

    Examples
    --------
    >>> t = torch.eye(2).view(2, 2, 1, 1)
    >>> round(float(dice_ce(60 * t, t)), 4)
    0.0
    """
    entropy = nnf.cross_entropy(output, target)
    found, true = torch.softmax(output, 1)[:, 1:], target[:, 1:]
    sides = (0, *range(2, output.ndim))
    overlap = 2 * (found * true).sum(sides) + DICE_EPSILON
    dice = overlap / ((found**2).sum(sides) + (true**2).sum(sides) + DICE_EPSILON)
    return dice_weight * (1 - dice.mean()) + entropy


LOSSES: dict[str, Callable[..., Tensor]] = {
    "dice_ce": dice_ce,
    "heat_map_distance": heat_map_distance,
    "adaptive_wing": adaptive_wing,
    "soft_dice": soft_dice,
    "soft_dice_relu": soft_dice_relu,
    "dice_bce": dice_bce,
    "regions_dice_ce": regions_dice_ce,
}
LINEAR_LOSSES = frozenset({"adaptive_wing", "soft_dice_relu", "heat_map_distance"})
SOFTMAX_LOSSES = frozenset({"dice_ce"})
"""Losses of classes that exclude each other; their first class is the background."""
CLASS_LOSSES = SOFTMAX_LOSSES | {"heat_map_distance"}
"""Losses whose targets hold the background first."""


def drawn(name: str, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """What a network draws and what it should draw, 0 or 1 in each pixel and foreground channel.

    Examples
    --------
    >>> out, goal = drawn("dice_ce", torch.eye(3)[None, :, :, None], torch.eye(3)[None, :, :, None])
    >>> out.shape[1], bool((out == goal).all())
    (2, True)
    """
    if name in CLASS_LOSSES:
        target = target[:, 1:]
    if name in SOFTMAX_LOSSES:
        best = output.argmax(1, keepdim=True)
        mask = torch.cat([best == k for k in range(1, output.shape[1])], 1)
    else:
        mask = output > (FOREGROUND_HALF if name in LINEAR_LOSSES else 0.0)
    return mask.float(), (target > FOREGROUND_HALF).float()


def make_loss(name: str, options: dict[str, Any]) -> Callable[[Any, Tensor], Tensor]:
    """Loss by name, for one output or a list of outputs (deep supervision).

    Outputs of a list get weights 1, 1/2, 1/4, ... and the sum is divided by their number; the
    target is resized linearly to each.

    Raises
    ------
    ConfigError
        Unknown name.

    Examples
    --------
    >>> float(make_loss("soft_dice", {})(torch.full((1, 1, 2, 2), -60.0), torch.zeros(1, 1, 2, 2)))
    0.0
    """
    if name not in LOSSES:
        raise ConfigError("loss.name", name, "one of " + ", ".join(LOSSES), "use a listed loss")
    single = LOSSES[name]

    def loss(output: Tensor | Sequence[Tensor], target: Tensor) -> Tensor:
        outputs = [output] if isinstance(output, Tensor) else list(output)
        total = torch.zeros((), device=target.device)
        for level, item in enumerate(outputs):
            mode = "bilinear" if target.ndim == SLICE_NDIM else "trilinear"
            goal = target
            if item.shape != target.shape:
                goal = nnf.interpolate(target, size=item.shape[2:], mode=mode, align_corners=False)
            total = total + single(item.float(), goal, **options) / 2**level
        return total / len(outputs)

    return loss
