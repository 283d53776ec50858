"""Optimisers and learning rates of a recipe, and the weights that a training starts from."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cordcohort.errors import ConfigError
from cordcohort.segmentation.registry import models_folder
from cordcohort.training.recipe import POLYNOMIAL, SGD, Recipe


def make_optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW, or stochastic gradient descent with Nesterov's momentum as nnU-Net has it.

    Examples
    --------
    >>> from cordcohort.training.recipe import parse_recipe
    >>> r = parse_recipe({"name": "a", "task": "cord", "seed": 1, "optimiser": {"name": "sgd"}})
    >>> type(make_optimiser(nn.Linear(1, 1), r)).__name__
    'SGD'
    """
    chosen = recipe.optimiser
    rate, decay = float(chosen["learning_rate"]), float(chosen["weight_decay"])
    if chosen["name"] == SGD:
        momentum = float(chosen["momentum"])
        return torch.optim.SGD(network.parameters(), lr=rate, weight_decay=decay,
                               momentum=momentum, nesterov=momentum > 0)  # fmt: skip
    return torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)


def learning_rate(step: int, recipe: Recipe) -> float:
    """Warm-up, plateau, then a cosine or a polynomial to zero over the last part of the run.

    nnU-Net's is ``decay: polynomial``, ``decay_from: 0``, ``warmup: 0``:
    ``rate * (1 - step / steps) ** 0.9``.

    Examples
    --------
    >>> from cordcohort.training.recipe import parse_recipe
    >>> schedule = {"steps": 10, "warmup": 2}
    >>> r = parse_recipe({"name": "a", "task": "cord", "seed": 1, "schedule": schedule})
    >>> learning_rate(0, r) < learning_rate(5, r) and learning_rate(9, r) < learning_rate(5, r)
    True
    """
    schedule = recipe.schedule
    peak = float(recipe.optimiser["learning_rate"])
    if step < schedule["warmup"]:
        return peak * (step + 1) / schedule["warmup"]
    start = float(schedule["decay_from"]) * schedule["steps"]
    if step < start:
        return peak
    share = (step - start) / max(schedule["steps"] - start, 1)
    if schedule["decay"] == POLYNOMIAL:
        return peak * (1 - share) ** float(schedule["power"])
    return peak * 0.5 * (1 + math.cos(math.pi * share))


def start_weights(network: nn.Module, source: str, where: str = "recipe") -> list[str]:
    """Fill a network with the weights of another that was trained for a like task.

    A tensor is copied where name and shape agree. One whose first side is a multiple, as that of a
    head with more outputs, gets the other's repeated: every new output begins as the old one. One
    with a longer second side, as that of a network that sees more channels, gets zeros there: what
    is new counts nothing at first.

    Parameters
    ----------
    source
        A ``.safetensors`` file; a relative name is looked for here, then among the shipped models
        (``cord-v1/cord.safetensors``).

    Returns
    -------
    list of str
        Names of the tensors that keep their random start.

    Raises
    ------
    ConfigError
        No such file, no safetensors, or nothing in it fits.
    """
    given = Path(source)
    path = given if given.is_file() else models_folder() / given
    try:
        found = load_file(str(path))
    except (OSError, SafetensorError) as error:
        expected = "a .safetensors file, or MODEL/FILE of the shipped models"
        way_out = f"correct the path ({error})"
        raise ConfigError("network.start_from", source, expected, way_out, where) from error
    own = network.state_dict()
    fitting = {k: _fitted(found[k], v) for k, v in own.items() if k in found}
    copied = {k: v for k, v in fitting.items() if v is not None}
    if not copied:
        raise ConfigError("network.start_from", source, "weights of the same architecture",
                          "correct the path or the network's options", where)  # fmt: skip
    network.load_state_dict({**own, **copied})
    return sorted(set(own) - set(copied))


def _fitted(given: Tensor, wanted: Tensor) -> Tensor | None:
    """The tensor itself, repeated for more outputs, or with zeros for more inputs; else None."""
    if given.shape == wanted.shape:
        return given.to(wanted.dtype)
    if given.ndim > 1 and given.shape[1] < wanted.shape[1]:
        same = given.shape[0] == wanted.shape[0] and given.shape[2:] == wanted.shape[2:]
        new = torch.zeros_like(wanted[:, given.shape[1] :]) if same else None
        return None if new is None else torch.cat([given.to(wanted.dtype), new], 1)
    if not given.ndim or given.shape[1:] != wanted.shape[1:]:
        return None
    times, rest = divmod(wanted.shape[0], given.shape[0])
    if rest or not times:
        return None
    return torch.cat([given.to(wanted.dtype)] * times)
