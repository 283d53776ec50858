"""What a network reaches on the fixed batches of a validation: loss, Dice and volume by region."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cordcohort.training.losses import drawn


@dataclass(frozen=True)
class Scores:
    """Loss, and of each output channel the Dice and found over true volume, over all batches."""

    loss: float
    dice: tuple[float, ...]
    volume_ratio: tuple[float, ...]

    def columns(self) -> tuple[float, ...]:
        """Loss, then Dice and volume ratio channel by channel."""
        pairs = zip(self.dice, self.volume_ratio, strict=True)
        return (self.loss, *(value for pair in pairs for value in pair))


def score(
    network: nn.Module, loss_of: Callable[[Any, Tensor], Tensor],
    checks: Sequence[tuple[Tensor, Tensor]], *, loss_name: str, pooled: bool = False,
) -> Scores:  # fmt: skip
    """Scores of a network in evaluation mode.

    Parameters
    ----------
    loss_name
        Decides what an output means: a logit, a fraction itself, or one of several classes.
    pooled
        All channels count as one.

    Examples
    --------
    >>> t = torch.tensor([[[[1.0, 0.0]], [[1.0, 0.0]]]])
    >>> x = torch.tensor([[[[9.0, -9.0]], [[9.0, 9.0]]]])
    >>> score(nn.Identity(), lambda o, t: o.sum() * 0, [(x, t)], loss_name="dice_bce").dice
    (1.0, 0.6666666666666666)
    """
    loss = 0.0
    sums = torch.zeros(3, 0)
    with torch.no_grad():
        for image, target in checks:
            output = network(image)
            loss += float(loss_of(output, target)) / len(checks)
            pair = (one.double().flatten(2) for one in drawn(loss_name, output, target))
            found, true = (one.flatten(1)[:, None] for one in pair) if pooled else pair
            part = torch.stack([v.sum((0, 2)).cpu() for v in (found * true, found, true)])
            sums = part if sums.numel() == 0 else sums + part
    both, found, true = (sums[i].tolist() for i in range(3))
    dice = tuple(2 * b / max(f + t, 1.0) for b, f, t in zip(both, found, true, strict=True))
    return Scores(loss, dice, tuple(f / max(t, 1.0) for f, t in zip(found, true, strict=True)))
