"""What a stored map of rootlets says: levels, dorsal or ventral, or rootlets of no told level."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cordcohort.measures.masks import ScanMask
from cordcohort.nifti import Array
from cordcohort.spinal_names import (
    BINARY,
    DORSAL_VENTRAL,
    NO_LEVEL,
    ROOTLET_CLASSES,
    VENTRAL,
    VENTRAL_CODES,
    VENTRAL_ROOTLETS,
)

BINARY_KIND = "seg"
MOST = 255


def rootlet_codes(data: Array, kind: str = "dseg") -> NDArray[np.uint8]:
    """Codes of a stored map or mask (:mod:`cordcohort.spinal_names`).

    A binary mask, also one that is stored as a label map, has no levels: its 1 is not C1.

    Parameters
    ----------
    data : array
        Labels, of any axes.
    kind : {"dseg", "seg"}

    Examples
    --------
    >>> rootlet_codes(np.array([0, 2, 9])).tolist(), rootlet_codes(np.array([0, 1, 1])).tolist()
    ([0, 2, 9], [0, 200, 200])
    """
    numbers = np.asarray(data)
    # A number beyond what fits must not come back as a level.
    known = np.where((numbers > 0) & (numbers <= MOST), numbers, 0)
    codes = known.astype(np.uint8)
    if kind == BINARY_KIND or np.unique(codes[codes > 0]).tolist() == [1]:
        return np.where(codes > 0, NO_LEVEL, 0).astype(np.uint8)
    return codes


def class_numbers(codes: Array, classes: str) -> NDArray[np.uint8]:
    """Number of the class of each voxel, from 1 on; 0 for what is no class.

    Parameters
    ----------
    codes : array
        Of :func:`rootlet_codes`.
    classes : str
        Key of :data:`cordcohort.spinal_names.ROOTLET_CLASSES`.

    Examples
    --------
    >>> codes = np.array([0, 2, 9, 102])
    >>> [class_numbers(codes, name).tolist() for name in ("dorsal", "dorsal_ventral", "binary")]
    [[0, 1, 8, 0], [0, 1, 8, 9], [0, 1, 1, 1]]
    """
    if classes == BINARY:
        return (np.asarray(codes) > 0).astype(np.uint8)
    table = np.zeros(MOST + 1, np.uint8)
    for number, code in enumerate(ROOTLET_CLASSES[classes], start=1):
        table[code] = number
    return table[np.asarray(codes)]


def lacking(codes: Array, classes: str) -> str:
    """Why a map cannot teach some classes; "" where it can.

    Examples
    --------
    >>> [lacking(np.array(codes), "dorsal_ventral") for codes in ([0], [200], [2], [2, 102])]
    ['an empty map', 'rootlets without levels', 'dorsal rootlets only', '']
    """
    if not np.any(codes):
        return "an empty map"
    if not class_numbers(codes, classes).any():
        return "rootlets without levels" if np.any(codes == NO_LEVEL) else "none of them"
    if classes == DORSAL_VENTRAL and not np.isin(codes, VENTRAL_CODES).any():
        return "dorsal rootlets only"
    return ""


def dorsal_and_ventral(mask: ScanMask) -> list[ScanMask]:
    """A mask with its codes and, where it holds ventral rootlets, these as a mask of their own.

    The codes of the second are those of the levels; so what is measured of dorsal rootlets is
    measured of ventral ones alike.
    """
    if mask.image is None:
        return [mask]
    codes = rootlet_codes(mask.image.data, mask.kind)
    ventral = np.isin(codes, VENTRAL_CODES)
    image = replace(mask.image, data=np.where(ventral, 0, codes))
    own = replace(mask, kind="dseg", image=image)
    if not ventral.any():
        return [own]
    levels = np.where(ventral, codes - VENTRAL * ventral, 0)
    lower = replace(own, structure=VENTRAL_ROOTLETS, image=replace(mask.image, data=levels))
    return [own, lower] if image.data.any() else [lower]
