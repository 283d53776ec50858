"""How unsure models that differ in their seed are of a scan: what ranks scans for correction.

Two numbers in [0, 1], alike for masks and label maps:

- **disagreement**: one minus the mean Dice of all pairs of seeds. Networks that saw the same people
  and agree with each other have nothing to learn from a mask that merely confirms them; where they
  disagree at least one is wrong (query by committee). Two empty masks agree (1), one empty mask and
  one that is not disagree (0), so a lesion that only some seeds see ranks high.
- **uncertainty**: entropy, in bits, of the mean fraction over the seeds, averaged over the voxels
  where that fraction reaches ``FLOOR``. It also sees what all seeds are unsure of alike, which
  their binary masks hide (a faint lesion at 0.4 in every seed).

A scan's score is the mean of both over the structures. Both are shares of the structure and not
sums over voxels, which would rank scans by the size of the cord; neither depends on which other
scans are ranked.

References
----------
Seung HS, Opper M, Sompolinsky H. Query by committee. COLT 1992:287-294.
Beluch WH et al. The power of ensembles for active learning in image classification. CVPR 2018.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Volume = NDArray[Any]

FLOOR = 0.1
"""Mean fraction from which a voxel counts: below lies a haze over the whole scan."""


def disagreement(masks: Sequence[Volume]) -> float:
    """One minus the mean Dice over all pairs of masks.

    Parameters
    ----------
    masks : sequence of array
        Binary masks or label maps of one scan by several seeds; a Dice of label maps is the mean
        over the labels that either has.

    Returns
    -------
    float
        In [0, 1]; NaN for a single mask.

    Examples
    --------
    >>> a, b = np.array([1, 1, 0, 0]), np.array([0, 1, 1, 0])
    >>> disagreement([a, b]), disagreement([a, a]), disagreement([a, 0 * a])
    (0.5, 0.0, 1.0)
    """
    pairs = [dice(a, b) for a, b in itertools.combinations(masks, 2)]
    return 1 - float(np.mean(pairs)) if pairs else float("nan")


def dice(a: Volume, b: Volume) -> float:
    """Dice of two masks or label maps; 1 where both are empty."""
    labels = sorted(({*np.unique(a)} | {*np.unique(b)}) - {0})
    shares = [2 * np.sum((a == k) & (b == k)) / (np.sum(a == k) + np.sum(b == k)) for k in labels]
    return float(np.mean(shares)) if shares else 1.0


def uncertainty(fractions: Sequence[Volume]) -> float:
    """Mean entropy of the mean fraction, in bits.

    Parameters
    ----------
    fractions : sequence of array
        Fractions of one structure in [0, 1], one a seed; binary masks are votes.

    Returns
    -------
    float
        In [0, 1]; 0 where no voxel reaches :data:`FLOOR`.

    Examples
    --------
    Two masks of two voxels that share one: one of three voxels is sure, two are open.

    >>> round(uncertainty([np.array([1, 1, 0]), np.array([0, 1, 1])]), 4)
    0.6667
    """
    mean = np.zeros(fractions[0].shape, dtype=np.float64)
    for one in fractions:
        mean += one
    mean = mean[mean >= FLOOR * len(fractions)] / len(fractions)
    return float(entropy(mean).mean()) if mean.size else 0.0


def uncertainty_of_labels(maps: Sequence[Volume]) -> float:
    """Mean entropy of the votes over labels and background, as a share of the largest possible.

    Examples
    --------
    >>> uncertainty_of_labels([np.array([2, 3, 0]), np.array([2, 4, 0])])
    0.5
    """
    drawn = np.any([one > 0 for one in maps], axis=0)
    votes = np.stack([one[drawn] for one in maps])
    most = np.log2(len(maps))
    if not drawn.any() or most == 0:
        return 0.0
    shares = np.stack([(votes == label).mean(0) for label in np.unique(votes)])
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = -np.nansum(shares * np.log2(shares), axis=0)
    return float(bits.mean() / most)


def entropy(fraction: Volume) -> Volume:
    """Entropy of a share in [0, 1], in bits.

    Examples
    --------
    >>> entropy(np.array([0.0, 0.5, 1.0])).tolist()
    [0.0, 1.0, 0.0]
    """
    share = np.clip(fraction, 0, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [-np.nan_to_num(p * np.log2(p)) for p in (share, 1 - share)]
    return terms[0] + terms[1] + 0.0


def score(of_structures: Sequence[tuple[float, float]]) -> float:
    """Score of a scan from (disagreement, uncertainty) of each structure; NaN parts are left out.

    Examples
    --------
    >>> score([(0.5, 0.25), (1.0, 0.25)]), score([(float("nan"), 0.5)])
    (0.5, 0.5)
    """
    parts = [float(np.nanmean(pair)) for pair in of_structures]
    return float(np.mean(parts))
