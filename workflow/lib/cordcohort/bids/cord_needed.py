"""Models that place what they draw along a cord: whether each of their scans has one."""

from __future__ import annotations

from cordcohort.bids.index import Index
from cordcohort.config import Config
from cordcohort.errors import ConfigError
from cordcohort.model_uses import CORD, ModelUse, model_uses
from cordcohort.scan import masks_of

ALONG_A_CORD = ("rootlets",)
"""Tasks whose structures are measured along a cord mask that another method drew."""
_ADD = "add a model that draws the cord, such as cord-v1, to segmentation.models"


def check_cords(config: Config, index: Index) -> None:
    """Refuse a model of rootlets none of whose scans has a cord to place the levels along.

    Raises
    ------
    ConfigError
        With the way out.
    """
    for use, n_scans, n_without in _counts(config, index):
        if n_scans and n_without == n_scans:
            expected = f"a cord mask, drawn or by a model, on the {n_scans} scans that it is run on"
            raise ConfigError("segmentation.models", use.name, expected, _ADD)


def cord_lines(config: Config, index: Index) -> list[str]:
    """Models of rootlets some of whose scans have no cord, a line each."""
    return [
        f"{use.name}: {n_without} of {n_scans} scans have no cord mask to place levels along and "
        f"will fail: {_ADD}"
        for use, n_scans, n_without in _counts(config, index)
        if n_without
    ]


def _counts(config: Config, index: Index) -> list[tuple[ModelUse, int, int]]:
    """Each such model with its scans and how many of them have nobody's cord."""
    uses = model_uses(config)
    cords = [use for use in uses if CORD in use.structures]
    needing = [use for use in uses if use.task in ALONG_A_CORD]
    if not needing:
        return []
    found: list[tuple[ModelUse, int, int]] = []
    rows = [row for row in index.rows if row["status"] == "ok"]
    for use in needing:
        taken = [row for row in rows if use.takes(row)]
        bare = [
            row for row in taken
            if not any(cord.takes(row) for cord in cords)
            and not any(m["structure"] == CORD and m["kind"] == "seg" for m in masks_of(row))
        ]  # fmt: skip
        found.append((use, len(taken), len(bare)))
    return found
