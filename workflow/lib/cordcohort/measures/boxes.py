"""Boxes around masks, so that work is done where the masks are."""

from __future__ import annotations

from typing import Any

import numpy as np

from cordcohort.nifti import Array

Box = tuple[slice, slice, slice]


def bounding_box(mask: Array) -> Box:
    """Smallest box that holds all non-zero voxels.

    Raises
    ------
    ValueError
        If there is none.

    Examples
    --------
    >>> mask = np.zeros((4, 4, 4)); mask[1, 2:4, 3] = 1
    >>> bounding_box(mask)
    (slice(1, 2, None), slice(2, 4, None), slice(3, 4, None))
    """
    filled = np.asarray(mask != 0)
    plane: Any = filled.any(axis=2)
    found = [plane.any(axis=1), plane.any(axis=0), filled.any(axis=(0, 1))]
    if not found[0].any():
        raise ValueError("the mask is empty")
    ends = [np.flatnonzero(line)[[0, -1]] for line in found]
    x, y, z = (slice(int(first), int(last) + 1) for first, last in ends)
    return x, y, z


def common_box(first: Array, second: Array, margin: int = 1) -> Box:
    """Box around both masks with a margin, cut at the end of the image; an empty box if both are.

    Examples
    --------
    >>> a = np.zeros((9, 9, 9)); b = a.copy(); a[0, 4, 4] = b[2, 4, 4] = 1
    >>> common_box(a, b)
    (slice(0, 4, None), slice(3, 6, None), slice(3, 6, None))
    """
    boxes = [bounding_box(m) for m in (first, second) if m.any()]
    if not boxes:
        return slice(0, 0), slice(0, 0), slice(0, 0)
    x, y, z = (
        slice(
            max(0, min(box[axis].start for box in boxes) - margin),
            min(size, max(box[axis].stop for box in boxes) + margin),
        )
        for axis, size in enumerate(first.shape)
    )
    return x, y, z
