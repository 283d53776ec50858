"""Labels that give a scan its levels, read and carried: of the scan itself or of its session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordcohort.errors import ImageError
from cordcohort.measures.masks import OK, READ_AS, fault
from cordcohort.measures.options import MANUAL
from cordcohort.nifti import Image, read_mask

Floats = NDArray[np.float64]
Entry = Mapping[str, Any]

CARRIED, REGISTERED = "carried by world coordinates", "carried by rigid registration"
RATER = "rater-"


def is_drawn(entry: Entry) -> bool:
    """Whether a person drew a label."""
    method = str(entry["method"])
    return method == MANUAL or method.startswith(RATER)


def way(entry: Entry) -> str:
    """How a label of another scan is brought to this one."""
    return REGISTERED if "world" in entry else CARRIED


def named(entry: Entry, wrong: str) -> str:
    """A fault with the label that has it."""
    where = f" of {entry['of']}" if entry.get("of") else ""
    return f"{entry['structure']} by {entry['method']}{where}: {wrong}" if wrong else ""


def read_label(entry: Entry, grid: Image) -> tuple[Image | None, str]:
    """A label on canonical axes; one of another scan keeps its own grid."""
    if entry.get("status", OK) != OK:
        return None, named(entry, str(entry.get("reason", "")) or "not readable")
    try:
        like = None if entry.get("of") else grid
        label = read_mask(entry["path"], like, kind=READ_AS[entry["kind"]])
        if "world" in entry:
            label = replace(label, affine=np.asarray(entry["world"]) @ label.affine)
        return label.canonical(), ""
    except ImageError as error:
        return None, named(entry, fault(error))


def carried_mm(place_mm: Floats, source: Image, target: Image) -> Floats:
    """Bring a place from one grid to another through the world.

    Parameters
    ----------
    place_mm : array, shape (3,)
        In mm from the centre of voxel 0 of the source, along its axes.
    source, target : Image
        Canonical grids.

    Examples
    --------
    >>> data = np.zeros((2, 2, 2)); far = np.eye(4); far[2, 3] = 10.0
    >>> carried_mm(np.array([1.0, 1.0, 15.0]), Image(data, np.eye(4)), Image(data, far)).tolist()
    [1.0, 1.0, 5.0]
    """
    voxel = np.append(np.asarray(place_mm) / source.spacing_mm, 1.0)
    there = np.linalg.solve(target.affine, source.affine @ voxel)
    return np.asarray(there[:3] * target.spacing_mm, dtype=np.float64)
