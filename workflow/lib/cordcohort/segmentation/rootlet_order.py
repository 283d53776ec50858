"""Name the levels of rootlets along the cord: one below the other, at the distances of a spine.

A network that sees a level too few or too many names all below it wrongly, with one level squeezed
between two others. So the names are chosen together: each slice votes with what the network drew in
it, neighbouring levels follow each other without a gap, their lengths are alike, borders cost less
where little is drawn, and below a pontomedullary junction (PMJ) in view C2 comes first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

VOTE = 0.13
"""Weight of one slice's log shares: neighbouring slices of a level do not vote independently."""
BORDER = 4.0
"""Cost of a border between two levels through a slice that is full of rootlets."""
FLOOR, HALF_VOTE = 0.5, 5.0
"""Voxels that every level has without being drawn; voxels at which a slice has half its vote."""
FULL_PERCENTILE = 75
LENGTHS_MM = tuple(range(12, 20))
LENGTH_MM, LENGTH_SD_MM, WITHIN_SD_MM = 15.0, 1.5, 1.8
"""Length of a level: mean and SD over people (as the phantom's), SD within a person."""
C2_END_MM, C2_END_SD_MM = 44.0, 6.0
"""Border of C2 and C3 below the PMJ, an SD half as large again as the phantom's."""
SHARED_SLICES = 2
"""Slices of a block (1.5 mm) by which a level may reach into its neighbours."""


def in_order(shares: torch.Tensor, step_mm: float, pmj_slice: float | None = None) -> torch.Tensor:
    """Levels kept to the stretch of the cord that their order along it leaves them.

    A level keeps what it holds in its own slices and a little beyond: rootlets of two levels may
    share slices. Elsewhere another level has the voxel.

    Parameters
    ----------
    shares : Tensor, shape (levels, z, y, x)
        From above to below along the first axis; slices from below to above.
    step_mm : float
        Between slices.
    pmj_slice : float, optional
        Slice of the PMJ, where it was found.

    Examples
    --------
    >>> shares = torch.zeros(2, 30, 1, 1)
    >>> shares[0, 20:], shares[1, 5:15], shares[0, 2] = 9.0, 9.0, 6.0
    >>> in_order(shares, 1.5)[0, :, 0, 0].nonzero().flatten().tolist() == list(range(20, 30))
    True
    """
    evidence = shares.sum((2, 3)).cpu().numpy().astype(float)[:, ::-1]  # slices downwards
    n_levels, n_slices = evidence.shape
    below = None if pmj_slice is None else (n_slices - 1 - pmj_slice) * step_mm
    level = level_of_slices(evidence, step_mm, below)
    allowed = np.zeros((n_levels, n_slices), bool)
    for k, c in enumerate(level):
        allowed[c, max(0, k - SHARED_SLICES) : k + SHARED_SLICES + 1] = True
    mask = torch.from_numpy(np.ascontiguousarray(allowed[:, ::-1])).to(shares.device)
    return shares * mask[:, :, None, None]


def level_of_slices(
    evidence: Floats, step_mm: float, pmj_mm: float | None = None
) -> NDArray[np.int_]:
    """Which level each slice belongs to, index from 0.

    Parameters
    ----------
    evidence : array, shape (levels, slices)
        Voxels drawn of each level, slices downwards.
    step_mm : float
        Between slices.
    pmj_mm : float, optional
        Height of the PMJ below the first slice.

    Examples
    --------
    >>> drawn = np.zeros((3, 30))
    >>> drawn[0, 2:7], drawn[1, 12:17], drawn[2, 22:27], drawn[2, 13] = 20, 20, 20, 30
    >>> level_of_slices(drawn, 1.5)[[4, 14, 24]].tolist()
    [0, 1, 2]
    """
    found = [_chain(evidence, step_mm, pmj_mm, float(length)) for length in LENGTHS_MM]
    far = [0.5 * ((length - LENGTH_MM) / LENGTH_SD_MM) ** 2 for length in LENGTHS_MM]
    best = int(np.argmax([score - cost for (score, _), cost in zip(found, far, strict=True)]))
    return found[best][1]


def _chain(
    evidence: Floats, step_mm: float, pmj_mm: float | None, length_mm: float
) -> tuple[float, NDArray[np.int_]]:
    """Best chain of levels that are about this long, and its score.

    The first and the last level may have any length: the field of view may cut them.
    """
    n_levels, n = evidence.shape
    votes, cost = _votes(evidence), _border_costs(evidence)
    at = np.arange(n + 1) * step_mm
    prior = -0.5 * ((at - length_mm) / WITHIN_SD_MM) ** 2
    longest = int((length_mm + 5 * WITHIN_SD_MM) / step_mm) + 1
    # best[c, k]: of all chains whose level c ends before slice k.
    best = np.full((n_levels, n + 1), -np.inf)
    came = np.zeros((n_levels, n + 1), int)
    best[:, 1:] = votes[:, 1:]
    if pmj_mm is not None:
        best[1:] = -np.inf
        end = at[1:] - step_mm / 2 - pmj_mm
        best[0, 1:] -= 0.5 * ((end - C2_END_MM) / C2_END_SD_MM) ** 2
    for c in range(1, n_levels):
        before = best[c - 1] + cost - votes[c]
        for k in range(2, n + 1):
            start = np.arange(max(1, k - longest), k)
            score = before[start] + votes[c, k] + prior[k - start]
            j = int(score.argmax())
            if score[j] > best[c, k]:
                best[c, k], came[c, k] = score[j], start[j]
    return _traced(best, came, votes, cost, any_first=pmj_mm is None)


def _traced(
    best: Floats, came: NDArray[np.int_], votes: Floats, cost: Floats, *, any_first: bool
) -> tuple[float, NDArray[np.int_]]:
    """Score and levels of the best chain, whose last level goes on to the last slice."""
    n_levels, n = votes.shape[0], votes.shape[1] - 1
    top, level, start = -np.inf, 0, 0
    for c in range(n_levels):
        if (any_first or c == 0) and votes[c, n] > top:
            top, level, start = float(votes[c, n]), c, 0
        if c and n > 1:
            score = best[c - 1, 1:n] + cost[1:n] + votes[c, n] - votes[c, 1:n]
            if score.max() > top:
                top, level, start = float(score.max()), c, int(score.argmax()) + 1
    out, end = np.zeros(n, int), n
    while True:
        out[start:end] = level
        if start == 0:
            return top, out
        end, level = start, level - 1
        start = came[level, end]


def _votes(evidence: Floats) -> Floats:
    """Cumulated votes (levels, slices + 1): log share of each level in each slice."""
    total = evidence.sum(0)
    share = (evidence + FLOOR) / (total + len(evidence) * FLOOR)
    votes = VOTE * np.log(share) * total / (total + HALF_VOTE)
    return np.concatenate([np.zeros((len(evidence), 1)), np.cumsum(votes, 1)], 1)


def _border_costs(evidence: Floats) -> Floats:
    """Cost (slices + 1) of a border before each slice, 0 or less."""
    total = evidence.sum(0)
    drawn = total[total > HALF_VOTE]
    full = float(np.percentile(drawn, FULL_PERCENTILE)) if drawn.size else 1.0
    between = np.concatenate([[0.0], (total[1:] + total[:-1]) / 2, [0.0]])
    return -BORDER * np.minimum(1.0, between / full)
