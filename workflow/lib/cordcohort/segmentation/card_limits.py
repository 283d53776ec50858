"""Types and sizes of what a model card may ask for, so that no card stops or fills the machine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cordcohort.errors import ConfigError
from cordcohort.segmentation.networks import VOLUME_NETWORKS

STAGE_NEEDED = ("architecture", "weights", "spacing_mm", "patch", "neighbour_mm")
MAX_EXPERIMENTAL = 160
MAX_OPTION = 4096  # channels, pixels; the largest published cord networks have 512 channels
MAX_ENTRIES = 16
MAX_DEPTH = 3
BLOCK_SIDES = 3
IN_CORD_CHANNELS = 5
"""What :func:`cordcohort.segmentation.lesion_block.as_seen` gives."""
_LENGTHS = {"spacing_mm": (0.05, 20.0), "neighbour_mm": (0.0, 100.0), "patch": (8, MAX_OPTION),
            "least_sure": (0.0, 1.0)}  # fmt: skip


def check_experimental(card: Mapping[str, Any], where: str) -> None:
    """Refuse a card that calls its model experimental without a short word on what fails.

    Raises
    ------
    ConfigError
        If ``experimental`` is there and no text, or too long to stand beside a picture.
    """
    told = card.get("experimental", "-")
    if not isinstance(told, str) or not 0 < len(told.strip()) <= MAX_EXPERIMENTAL:
        expected = f"what fails, in up to {MAX_EXPERIMENTAL} characters"
        raise ConfigError("experimental", told, expected, "write it, or leave out the key", where)


def check_stage(name: str, stage: Any, where: str) -> None:
    """Check the types and sizes of one stage of a model card.

    Parameters
    ----------
    name : str
        Of the stage, for the message.
    stage : object
        As read from the card.
    where : str
        The card's file.

    Raises
    ------
    ConfigError
        If it is no mapping, lacks a key, or asks for sizes that no cord network has.
    """
    key = f"stages.{name}"
    if not isinstance(stage, Mapping):
        raise ConfigError(key, stage, "a block of keys", "correct the card", where)
    of_volumes = stage.get("architecture") in VOLUME_NETWORKS
    needed = [k for k in STAGE_NEEDED if not (of_volumes and k == "neighbour_mm")]
    missing = [k for k in needed if k not in stage]
    if missing:
        raise ConfigError(f"{key}.{missing[0]}", None, "a value", "add the key to the card", where)
    _check_block(key, stage["patch"], where, of_volumes=of_volumes)
    for size, (low, high) in _LENGTHS.items():
        value = stage.get(size, low)
        for one in value if of_volumes and size == "patch" else [value]:
            if not _is_number(one) or not low <= one <= high:
                expected = f"a number from {low:g} to {high:g}"
                raise ConfigError(f"{key}.{size}", value, expected, "correct the card", where)
    options = stage.get("options", {})
    if not isinstance(options, Mapping) or not _is_small(list(options.values())):
        expected = f"numbers up to {MAX_OPTION} in lists of up to {MAX_ENTRIES}"
        raise ConfigError(f"{key}.options", options, expected, "correct the card", where)
    if stage.get("in_cord"):
        check_in_cord(options, f"{key}.options", where)


def check_in_cord(options: Mapping[str, Any], key: str, where: str) -> None:
    """Refuse a network in the drawn cord that is not one of what is seen there now.

    Raises
    ------
    ConfigError
        Another number of input channels.

    Examples
    --------
    >>> check_in_cord({"in_channels": 5}, "network.options", "recipe")
    """
    given = options.get("in_channels")
    if given != IN_CORD_CHANNELS:
        raise ConfigError(
            f"{key}.in_channels",
            given,
            str(IN_CORD_CHANNELS),
            "train it anew: networks see the cord in another way now",
            where,
        )


def _check_block(key: str, patch: Any, where: str, *, of_volumes: bool) -> None:
    """A network of volumes takes three sides of a block, one of slices the side of a square."""
    sides = len(patch) if isinstance(patch, list) else 0
    if sides != (BLOCK_SIDES if of_volumes else 0):
        expected = "three voxel counts (z, y, x)" if of_volumes else "one number of pixels"
        raise ConfigError(f"{key}.patch", patch, expected, "correct the card", where)


def _is_number(value: Any) -> bool:
    is_real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_real and math.isfinite(value)


def _is_small(value: Any, depth: int = 0) -> bool:
    """Whether a value is a small number, true, false, nothing, or a short list of such."""
    if isinstance(value, list):
        inside = (_is_small(one, depth + 1) for one in value)
        return depth <= MAX_DEPTH and len(value) <= MAX_ENTRIES and all(inside)
    if value is None or isinstance(value, bool):
        return True
    return _is_number(value) and abs(value) <= MAX_OPTION
