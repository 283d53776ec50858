"""Checkpoints of a training run: tensors as safetensors, numbers as JSON, nothing executable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cordcohort.files import atomic_path, read_json, write_json

STATE_TENSORS = "state.safetensors"
STATE_NUMBERS = "state.json"
_MOMENTS = ("step", "exp_avg", "exp_avg_sq", "momentum_buffer")
"""Of Adam the first three, of gradient descent the last."""


def save_tensors(
    path: Path, tensors: dict[str, Tensor], about: dict[str, str] | None = None
) -> None:
    """Write tensors, and what a reader should know of them, atomically."""
    ready = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(ready, str(temporary), metadata=about)


def save_state(
    folder: Path, network: nn.Module, average: dict[str, Tensor],
    optimiser: torch.optim.Optimizer, numbers: dict[str, Any],
) -> None:  # fmt: skip
    """Write network, averaged weights, optimiser moments and numbers.

    The numbers are written last and name the step of the tensors: a run that dies between the two
    writes is told apart by :func:`load_state`.
    """
    tensors = {f"net.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"ema.{k}": v for k, v in average.items()}
    names = [n for n, _ in network.named_parameters()]
    for index, values in optimiser.state_dict()["state"].items():
        for moment in (m for m in _MOMENTS if values.get(m) is not None):
            tensors[f"opt.{moment}.{names[index]}"] = torch.as_tensor(values[moment])
    tensors["step"] = torch.tensor(int(numbers["step"]))
    save_tensors(folder / STATE_TENSORS, tensors)
    write_json(folder / STATE_NUMBERS, numbers)


def load_state(
    folder: Path, network: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Restore a run in place; returns averaged weights and numbers, or None without checkpoint."""
    if not (folder / STATE_NUMBERS).exists() or not (folder / STATE_TENSORS).exists():
        return None
    numbers = read_json(folder / STATE_NUMBERS)
    tensors = load_file(str(folder / STATE_TENSORS))
    numbers["step"] = int(tensors.pop("step"))
    network.load_state_dict(_part(tensors, "net."))
    state: dict[int, dict[str, Tensor]] = {}
    for index, (name, _) in enumerate(network.named_parameters()):
        kept = {m: tensors.get(f"opt.{m}.{name}") for m in _MOMENTS}
        if any(value is not None for value in kept.values()):
            state[index] = {m: value for m, value in kept.items() if value is not None}
    optimiser.load_state_dict(
        {"state": state, "param_groups": optimiser.state_dict()["param_groups"]}
    )
    return _part(tensors, "ema."), numbers


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Entries with a prefix, without it."""
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
