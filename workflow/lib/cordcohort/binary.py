"""Where a soft mask ends: one convention for inference, measures, ground truth and pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

HALF = 0.5
"""A voxel belongs to a structure from this share on."""


def binarised(values: NDArray[Any], threshold: float = HALF) -> NDArray[np.bool_]:
    """Voxels that hold at least a share of a structure.

    A voxel of exactly one half is inside. An average of two masks is full of such voxels, so the
    rule must be the same wherever a soft mask is cut.

    Parameters
    ----------
    values : array, any shape
        Shares of a structure, 0 to 1; a binary mask comes back as it is.
    threshold : float
        Smallest share that counts, above 0.

    Returns
    -------
    array of bool, same shape

    Examples
    --------
    >>> binarised(np.array([0.0, 0.49, 0.5, 1.0])).tolist()
    [False, False, True, True]
    """
    return np.asarray(values >= threshold, dtype=np.bool_)
