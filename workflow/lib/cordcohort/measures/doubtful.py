"""Whether a cord that hardly fits the reference was drawn in a mirrored image.

A header with a wrong orientation leaves a mask that looks right on its own image and lies on the
other side of the reference's grid. Mirroring tells it from a mask that is merely poor.
"""

from __future__ import annotations

import numpy as np

from cordcohort.binary import binarised
from cordcohort.nifti import Array

LOW_DICE = 0.6  # two raters of a cord agree to 0.85 and more: below this, look at the scan
MIRROR_GAIN = 0.05  # a cord in the middle of the image nearly fits its mirror image too
AXES = ("left-right", "front-back", "top-bottom")  # of canonical axes


def doubts(mask: Array, reference: Array) -> str:
    """What is doubtful about a cord beside its reference, "" where nothing is.

    Parameters
    ----------
    mask, reference : array, shape (X, Y, Z)
        Binary or soft, on one grid, canonical axes; slices without reference are not looked at.

    Returns
    -------
    str
        A Dice below :data:`LOW_DICE`, and the axis along which the mask mirrored has a Dice that
        is larger by more than :data:`MIRROR_GAIN`; nothing where the reference is empty.

    Examples
    --------
    >>> drawn = np.zeros((8, 4, 2))
    >>> drawn[1:3, 1:3] = 1
    >>> doubts(drawn, drawn)
    ''
    >>> doubts(drawn[::-1], drawn)
    'Dice 0.00 below 0.6; mirrored left-right it fits better (Dice 1.00): check the orientation'
    """
    inside, drawn = binarised(mask), binarised(reference)
    if not drawn.any():
        return ""
    found = _dice(inside, drawn)
    texts = [f"Dice {found:.2f} below {LOW_DICE:g}"] if found < LOW_DICE else []
    if found + MIRROR_GAIN < 1 and inside.any():
        mirrored = [_dice(np.flip(inside, axis), drawn) for axis in range(inside.ndim)]
        best = int(np.argmax(mirrored))
        if mirrored[best] > found + MIRROR_GAIN:
            fits = f"it fits better (Dice {mirrored[best]:.2f})"
            texts.append(f"mirrored {AXES[best]} {fits}: check the orientation")
    return "; ".join(texts)


def _dice(inside: Array, drawn: Array) -> float:
    """Dice in the slices that were drawn."""
    scored = drawn.any(axis=(0, 1))
    a, b = inside[..., scored], drawn[..., scored]
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))
