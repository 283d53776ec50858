"""Reading nnU-Net checkpoints without executing anything.

A checkpoint is a pickle: a file that may name any function to be called while it is read. torch
reads it with ``weights_only=True``, which calls nothing but what builds tensors and plain values;
the few numpy names that nnU-Net's training log holds are added. Any other name refuses the file.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from cordcohort.errors import ConfigError
from cordcohort.segmentation.registry import MAX_WEIGHTS_BYTES

ALLOWED: list[Any] = [
    np.dtype,
    type(np.dtype(np.float64)), type(np.dtype(np.float32)), type(np.dtype(np.int64)),
    (multiarray.scalar, "numpy._core.multiarray.scalar"),
    (multiarray.scalar, "numpy.core.multiarray.scalar"),
]  # fmt: skip
"""Names beyond torch's own that a checkpoint may hold: numpy numbers of the training log."""
_NAMED = re.compile(r"(?:GLOBAL|global|Unsupported class|class) ([\w.]+)")
CONFIGURATION, MIRROR_AXES = "configuration", "mirror_axes"
SAFE = ".safetensors"
MOST_AXES = 3


@dataclass(frozen=True)
class Fold:
    """One fold of a model.

    Attributes
    ----------
    weights
        Tensors of the network by name.
    configuration
        ``2d``, ``3d_fullres`` ...
    mirror_axes
        Axes over which predictions may be mirrored and averaged; empty for none.
    """

    weights: dict[str, Tensor]
    configuration: str
    mirror_axes: tuple[int, ...]


def read_untrusted(path: Path) -> dict[str, Any]:
    """Content of a checkpoint, of plain values and tensors only.

    Raises
    ------
    ConfigError
        It names code that is not on the list (the name is told), or is no checkpoint.
    """
    if not path.is_file() or path.stat().st_size > MAX_WEIGHTS_BYTES:
        raise ConfigError("weights", str(path), "a readable checkpoint", "fetch the model again")
    try:
        with torch.serialization.safe_globals(ALLOWED):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = _named(path, str(error))
        if named:
            raise ConfigError(
                "weights", named, "a checkpoint of tensors, plain values and numpy numbers",
                "it names code, which is never run: get the model from its authors as safetensors",
                str(path),
            ) from error  # fmt: skip
        raise _no_checkpoint(path, error) from error
    except (
        RuntimeError,
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
    ) as error:
        raise _no_checkpoint(path, error) from error
    if not isinstance(content, dict):
        raise _no_checkpoint(path, TypeError(type(content).__name__))
    return content


def _named(path: Path, message: str) -> str:
    """Names in a checkpoint that are not on the list; they are read, not looked up."""
    try:
        with torch.serialization.safe_globals(ALLOWED):
            found = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (RuntimeError, ValueError, pickle.UnpicklingError):
        found = _NAMED.findall(message)
    return ", ".join(sorted(set(found)))


def _no_checkpoint(path: Path, error: Exception) -> ConfigError:
    text = str(error).splitlines()
    return ConfigError("weights", (text or [""])[0][:200], "a checkpoint of nnU-Net v2",
                       "fetch the model again", str(path))  # fmt: skip


def read_fold(path: Path) -> Fold:
    """Network weights of a checkpoint, published (``.pth``) or our own (``.safetensors``).

    Raises
    ------
    ConfigError
        As :func:`read_untrusted`, or a checkpoint without the parts that nnU-Net v2 writes.
    """
    if path.suffix == SAFE:
        return _read_safe(path)
    content = read_untrusted(path)
    weights, about = content.get("network_weights"), content.get("init_args")
    if not isinstance(weights, Mapping) or not isinstance(about, Mapping):
        raise ConfigError("weights", sorted(str(k) for k in content)[:10],
                          "network_weights and init_args", "use a checkpoint of nnU-Net v2",
                          str(path))  # fmt: skip
    if not all(isinstance(t, Tensor) for t in weights.values()):
        raise ConfigError("network_weights", "other values", "tensors only",
                          "fetch the model again", str(path))  # fmt: skip
    tensors = {str(k).removeprefix("module."): t for k, t in weights.items()}
    axes = content.get("inference_allowed_mirroring_axes") or ()
    return Fold(tensors, str(about.get(CONFIGURATION)), _axes(axes, path))


def _axes(axes: Any, path: Path) -> tuple[int, ...]:
    good = isinstance(axes, (tuple, list)) and all(a in range(MOST_AXES) for a in axes)
    if not good:
        raise ConfigError("inference_allowed_mirroring_axes", axes, "axes 0 to 2",
                          "fetch the model again", str(path))  # fmt: skip
    return tuple(int(a) for a in axes)


def _read_safe(path: Path) -> Fold:
    try:
        with safe_open(str(path), framework="pt") as file:
            about = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}
        for name, other in json.loads(about.get("same", "{}")).items():
            weights[str(name)] = weights[other]
    except (SafetensorError, OSError, ValueError, KeyError, AttributeError) as error:
        raise _no_checkpoint(path, error) from error
    axes = [int(a) for a in about.get(MIRROR_AXES, "").split(",") if a.isdigit()]
    return Fold(weights, about.get(CONFIGURATION, ""), _axes(axes, path))
