"""Which slice belongs to which vertebral level.

Levels are names (``C2``), slices are numbers along the canonical axis from below to above. Where a
scan has no level labels the mapping is empty: no level is ever guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from cordcohort.nifti import Array

N_CERVICAL, N_THORACIC, N_LUMBAR = 7, 12, 5
VERTEBRAE = (
    *(f"C{i + 1}" for i in range(N_CERVICAL)),
    *(f"T{i + 1}" for i in range(N_THORACIC)),
    *(f"L{i + 1}" for i in range(N_LUMBAR)),
    "S1",
)
ROUNDING = 1e-6  # of a slice: a disc labelled in a slice belongs to that slice


def level_name(number: int) -> str:
    """Name of a vertebral level: 1 is C1, 7 is C7, 8 is T1, 20 is L1, 25 is S1; "" for others.

    Examples
    --------
    >>> [level_name(n) for n in (1, 7, 8, 20, 25, 60)]
    ['C1', 'C7', 'T1', 'L1', 'S1', '']
    """
    return VERTEBRAE[number - 1] if 1 <= number <= len(VERTEBRAE) else ""


def levels_from_map(label_map: Array, name: Callable[[int], str] = level_name) -> dict[int, str]:
    """Levels from a map of vertebrae (``label-vert_dseg``), or of spinal levels.

    A slice belongs to the level that the mean of its non-zero labels rounds to (halves upwards).

    Parameters
    ----------
    label_map : array of int, shape (X, Y, Z)
        Canonical axes; 0 is background, n the n-th vertebra from C1.
    name : callable
        Number to name; "" for a number without one.

    Returns
    -------
    dict
        Slice number to level name.

    Examples
    --------
    >>> labels = np.zeros((2, 2, 3), int)
    >>> labels[..., 1] = 3; labels[0, 0, 2] = 2
    >>> levels_from_map(labels)
    {1: 'C3', 2: 'C2'}
    """
    n_labelled = np.count_nonzero(label_map, axis=(0, 1))
    total = label_map.sum(axis=(0, 1), dtype=np.int64)
    slices = np.flatnonzero(n_labelled)
    numbers = np.floor(total[slices] / n_labelled[slices] + 0.5).astype(int)
    return _named(zip(slices, numbers, strict=True), name)


def levels_from_discs(labels: Array) -> dict[int, str]:
    """Levels from disc labels (``label-discs_dlabel``) that are projected on the slice axis.

    Label n is the disc above vertebra n (3 is C2/C3, the upper end of C3). A vertebra whose upper
    or lower disc is not labelled gets no slices. With a cord mask, :func:`levels_from_heights` of
    :func:`cordcohort.measures.discs.heights_along` is the better projection.

    Parameters
    ----------
    labels : array of int, shape (X, Y, Z)
        Canonical axes; one voxel, or a few, for each disc.

    Returns
    -------
    dict
        Slice number to level name.

    Examples
    --------
    >>> labels = np.zeros((1, 1, 9), int)
    >>> labels[0, 0, [8, 5, 1]] = [2, 3, 4]
    >>> levels_from_discs(labels)
    {6: 'C2', 7: 'C2', 8: 'C2', 2: 'C3', 3: 'C3', 4: 'C3', 5: 'C3'}
    """
    where = np.nonzero(labels)
    numbers, inverse = np.unique(labels[where], return_inverse=True)
    height = np.bincount(inverse, weights=where[2]) / np.bincount(inverse) if numbers.size else []
    return levels_from_heights({int(n): float(h) for n, h in zip(numbers, height, strict=True)})


def levels_from_heights(heights: Mapping[int, float]) -> dict[int, str]:
    """Levels from the heights of discs in slices.

    Vertebra n holds the slices whose centre lies above disc n + 1 and not above disc n.

    Parameters
    ----------
    heights : mapping
        Code of a disc to the (fractional) number of the slice that it crosses.

    Examples
    --------
    >>> levels_from_heights({3: 4.6, 4: 2.0})
    {3: 'C3', 4: 'C3'}
    """
    pairs = [
        (k, code)
        for code in heights
        if code + 1 in heights
        for k in range(_above(heights[code + 1]), _above(heights[code]))
    ]
    return _named(pairs)


def _above(height: float) -> int:
    """First slice whose centre lies above a height."""
    return int(np.floor(height + ROUNDING)) + 1


def level_range(text: str, names: Sequence[str] = VERTEBRAE) -> list[str]:
    """The levels of a range such as ``C2-C3``, from above to below.

    Parameters
    ----------
    text : str
    names : sequence of str
        All levels, from above to below: vertebrae, or spinal levels, which have a C8.

    Raises
    ------
    ValueError
        If an end is not the name of a level, or they are in the wrong order.

    Examples
    --------
    >>> level_range("C6-T1"), level_range("C4")
    (['C6', 'C7', 'T1'], ['C4'])
    """
    first, _, last = text.partition("-")
    ends = [first, last or first]
    unknown = [name for name in ends if name not in names]
    if unknown or names.index(ends[0]) > names.index(ends[1]):
        raise ValueError(f"levels: expected a range such as C2-C3, from above, got {text!r}")
    return list(names[names.index(ends[0]) : names.index(ends[1]) + 1])


def _named(
    pairs: Iterable[tuple[Any, Any]], name: Callable[[int], str] = level_name
) -> dict[int, str]:
    return {int(k): name(int(n)) for k, n in pairs if name(int(n))}
