"""Orientation codes as the field writes them: each letter says where an axis begins.

``RPI`` runs from right to left, posterior to anterior, inferior to superior. nibabel's codes say
where an axis goes to, so that its name for the same order is ``LAS``.
"""

from __future__ import annotations

import numpy as np
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    ornt_transform,
)
from numpy.typing import NDArray

from cordcohort.errors import ConfigError
from cordcohort.nifti import Array, Image

OPPOSITE = {"R": "L", "L": "R", "A": "P", "P": "A", "I": "S", "S": "I"}
_PAIRS = {frozenset("RL"), frozenset("AP"), frozenset("IS")}
_RAS = np.array([[0, 1], [1, 1], [2, 1]], dtype=float)


def axes_of(code: str, key: str = "orientation") -> NDArray[np.float64]:
    """Nibabel orientation of a code.

    Raises
    ------
    ConfigError
        Letters that are no three different axes.

    Examples
    --------
    >>> axes_of("LPI").tolist(), axes_of("RPI").tolist()
    ([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]], [[0.0, -1.0], [1.0, 1.0], [2.0, 1.0]])
    """
    pairs = {frozenset({letter, OPPOSITE.get(letter, "")}) for letter in code}
    if len(code) != len(_PAIRS) or pairs != _PAIRS:
        raise ConfigError(key, code, "three letters that say where the axes begin, as RPI or LPI",
                          "correct it")  # fmt: skip
    found = axcodes2ornt(tuple(OPPOSITE[letter] for letter in code))
    return np.asarray(found, dtype=np.float64)


def turned(image: Image, code: str) -> tuple[Array, tuple[float, ...]]:
    """Voxels of an image in an orientation, and the spacing (mm) of the axes there."""
    target = axes_of(code)
    way = ornt_transform(_RAS, target)
    canonical = image.canonical()
    spacing = [0.0] * 3
    for source, (axis, _) in enumerate(way):
        spacing[int(axis)] = canonical.spacing_mm[source]
    return apply_orientation(canonical.data, way), tuple(spacing)


def turned_back(image: Image, data: Array, code: str) -> Array:
    """Bring voxels in an orientation back to the file's own axes of ``image``.

    Further axes behind the three of space stay where they are.
    """
    return image.to_native(apply_orientation(data, ornt_transform(axes_of(code), _RAS)))
