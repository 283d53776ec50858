"""Consensus of several raters by STAPLE, level by level.

References
----------
Warfield, Zou, Wells. Simultaneous truth and performance level estimation (STAPLE). IEEE
Transactions on Medical Imaging 2004;23:903-921. The numbers are those of SimpleITK's
``STAPLEImageFilter`` (confidence weight 1), which no environment of this stage holds: see the test.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[Any]

THRESHOLD = 0.95
"""Least probability of a voxel of the consensus, as published for rootlets."""
FIRST_GUESS = 0.99999
MOST_ITERATIONS = 1000
CONVERGED = 1e-10


def staple(masks: Sequence[Labels]) -> Floats:
    """Probability that each voxel belongs to the structure, given what raters drew.

    The prior is the mean share that the raters drew, over the whole volume, as SimpleITK takes it;
    sensitivity and specificity of each rater are found by expectation maximisation.

    Parameters
    ----------
    masks : sequence of arrays
        Binary, one a rater, on one grid.

    Returns
    -------
    array of float64
        0 where nobody drew anything at all.

    Raises
    ------
    ValueError
        With fewer than two raters.

    Examples
    --------
    >>> a = np.array([1, 1, 1, 0, 0, 0, 0, 0]); b = np.array([1, 1, 0, 0, 0, 0, 0, 0])
    >>> (staple([a, b, a]) > 0.95).astype(int).tolist()
    [1, 1, 1, 0, 0, 0, 0, 0]
    """
    if len(masks) < 2:  # noqa: PLR2004 - one rater is no consensus
        raise ValueError("a consensus needs at least two raters")
    drawn = np.stack([np.asarray(m) > 0 for m in masks])
    # Voxels that the same raters drew share one probability: there are few such patterns.
    weights = 1 << np.arange(len(masks))
    code = np.tensordot(weights, drawn.astype(np.int64), axes=1)
    patterns, inverse, count = np.unique(code, return_inverse=True, return_counts=True)
    said = (patterns[:, None] & weights) > 0
    share = float(drawn.mean())
    if share in (0.0, 1.0):
        return np.full(drawn.shape[1:], share)
    found = _iterate(said, count.astype(np.float64), share)
    return found[inverse].reshape(drawn.shape[1:])


def _iterate(said: NDArray[np.bool_], count: Floats, prior: float) -> Floats:
    """Probability of each pattern of raters."""
    n_raters = said.shape[1]
    sensitivity = np.full(n_raters, FIRST_GUESS)
    specificity = np.full(n_raters, FIRST_GUESS)
    weight = np.zeros(len(said))
    for _ in range(MOST_ITERATIONS):
        inside = prior * np.where(said, sensitivity, 1 - sensitivity).prod(axis=1)
        outside = (1 - prior) * np.where(said, 1 - specificity, specificity).prod(axis=1)
        weight = inside / np.maximum(inside + outside, np.finfo(float).tiny)
        mass, rest = weight * count, (1 - weight) * count
        new = (mass @ said / mass.sum(), rest @ ~said / rest.sum())
        moved = max(
            float(np.abs(new[0] - sensitivity).max()), float(np.abs(new[1] - specificity).max())
        )
        sensitivity, specificity = new
        if moved < CONVERGED:
            break
    return weight


def consensus(maps: Sequence[Labels], threshold: float = THRESHOLD) -> Labels:
    """Label map of several raters' label maps: STAPLE of each level by itself.

    Where two levels pass the threshold in one voxel, the more probable one has it (the published
    code would add their numbers).

    Parameters
    ----------
    maps : sequence of arrays of int
        One a rater.
    threshold : float

    Examples
    --------
    >>> a, b = np.array([2, 2, 3, 0, 0, 0]), np.array([2, 2, 3, 3, 0, 0])
    >>> consensus([a, b, a]).tolist()
    [2, 2, 3, 0, 0, 0]
    """
    codes = sorted({int(c) for one in maps for c in np.unique(one)} - {0})
    out = np.zeros(np.shape(maps[0]), dtype=np.int32)
    best = np.full(out.shape, float(threshold))
    for code in codes:
        probability = staple([one == code for one in maps])
        wins = probability >= best
        out[wins], best[wins] = code, probability[wins]
    return out
