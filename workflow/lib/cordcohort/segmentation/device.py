"""Where a network runs."""

from __future__ import annotations

import torch

from cordcohort.errors import ConfigError


def choose_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu`` or ``cuda`` into a device that is really there.

    Raises
    ------
    ConfigError
        If ``cuda`` is asked for and this machine shows no GPU.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "segmentation.device", name, "a GPU that this job can see",
            "ask for one in the profile (set-resources: gpu: 1, or gres: 'gpu:1'), or use cpu",
        )  # fmt: skip
    return torch.device(name)
