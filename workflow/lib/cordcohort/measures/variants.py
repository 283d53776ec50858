"""The area of a scan's cord measured again on masks made on purpose, as rows with a ``variant``.

Masks are written to a scratch folder and measured as any other, so that levels, tilt and failures
are treated alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.shape import STRUCTURES, measure_shape
from cordcohort.nifti import Array, Image, write_image

AREAS = ("csa_mm2", "csa_soft_mm2")
CORD = "cord"
DRAWN_KINDS = ("seg", "softseg")


def cord_and_labels(masks: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What the area of the cord depends on: its masks, and labels of levels.

    Examples
    --------
    >>> kinds = {"cord": "seg", "gm": "seg", "discs": "dlabel"}
    >>> masks = [{"structure": name, "kind": kind} for name, kind in kinds.items()]
    >>> [mask["structure"] for mask in cord_and_labels(masks)]
    ['cord', 'discs']
    """
    others = set(STRUCTURES) - {CORD}
    return [entry for entry in masks if entry["structure"] not in others]


def is_cord_mask(entry: Mapping[str, Any]) -> bool:
    """Whether an entry is a mask of the cord, not a label of levels or of another structure."""
    return entry["structure"] == CORD and entry["kind"] in DRAWN_KINDS


def written_mask(
    folder: Path, number: int, data: Array, like: Image, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Write a mask to the scratch folder and describe it as the index would.

    Parameters
    ----------
    folder : Path
        Scratch folder.
    number : int
        Makes the file's name unique.
    data : array, native axes
    like : Image
        Whose grid it has.
    about : mapping
        ``method``, ``structure`` and ``kind``.
    """
    path = folder / f"mask-{number}.nii.gz"
    dtype = np.float32 if about["kind"] == "softseg" else np.uint8
    write_image(path, data.astype(dtype), like.affine, dtype=dtype)
    return {**about, "path": str(path), "status": "ok", "reason": ""}


def area_rows(
    scan: Mapping[str, Any],
    masks: Sequence[Mapping[str, Any]],
    options: MeasureOptions,
    image: str,
    *,
    variant: str,
) -> pd.DataFrame:
    """Areas of levels and scan as a long table whose ``variant`` says what was done.

    Examples
    --------
    >>> scan = dict.fromkeys(["dataset", "subject", "session", "acquisition", "run"], "a")
    >>> area_rows(scan | {"contrast": "T2w"}, [], MeasureOptions(), "", variant="x").empty
    True
    """
    if not any(is_cord_mask(entry) for entry in masks):
        masks = []
    table = measure_shape(scan, masks, replace(options, per_slice=False), image)
    wanted = table["measure"].isin(AREAS) & (table["method"] != "") & (table["structure"] == CORD)
    return table[wanted].assign(variant=variant).reset_index(drop=True)
