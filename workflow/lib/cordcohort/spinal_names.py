"""Names of spinal levels, as rootlet label maps number them; light, since many modules ask."""

from __future__ import annotations

N_CERVICAL, N_THORACIC, N_LUMBAR, N_SACRAL = 8, 12, 5, 5
SPINAL_LEVELS = (
    *(f"C{i + 1}" for i in range(N_CERVICAL)),
    *(f"T{i + 1}" for i in range(N_THORACIC)),
    *(f"L{i + 1}" for i in range(N_LUMBAR)),
    *(f"S{i + 1}" for i in range(N_SACRAL)),
)
"""There are eight cervical nerves and seven cervical vertebrae: 8 is C8, 9 is T1."""
ROOTLET_CODES = tuple(range(2, 10))
"""Levels that are segmented: C2 (2) to C8 (8), T1 (9)."""
VENTRAL = 100
"""Added to the code of a level by its ventral rootlets: 102 is C2. Levels without it are dorsal."""
VENTRAL_CODES = tuple(code + VENTRAL for code in ROOTLET_CODES)
VENTRAL_ROOTLETS = "rootlets_ventral"
"""Structure, in the long table, of rows of ventral rootlets."""
NO_LEVEL = 200
"""A rootlet whose level nobody told, as in a binary mask."""
DORSAL, DORSAL_VENTRAL, BINARY = "dorsal", "dorsal_ventral", "binary"
ROOTLET_CLASSES = {
    DORSAL: ROOTLET_CODES,
    DORSAL_VENTRAL: (*ROOTLET_CODES, *VENTRAL_CODES),
    BINARY: (NO_LEVEL,),
}
"""Which rootlets a model may tell apart, and their codes in a label map."""


def spinal_name(number: int) -> str:
    """Name of a spinal level: 2 is C2, 8 is C8, 9 is T1; "" for what is none.

    Examples
    --------
    >>> [spinal_name(n) for n in (2, 8, 9, 21, 0, 99)]
    ['C2', 'C8', 'T1', 'L1', '', '']
    """
    return SPINAL_LEVELS[number - 1] if 1 <= number <= len(SPINAL_LEVELS) else ""


def rootlet_name(code: int) -> str:
    """What a code of a rootlet map means; "" for what is none.

    Examples
    --------
    >>> [rootlet_name(n) for n in (2, 109, 200, 77)]
    ['C2', 'T1 ventral', 'rootlet', '']
    """
    if code == NO_LEVEL:
        return "rootlet"
    if code in VENTRAL_CODES:
        return f"{spinal_name(code - VENTRAL)} ventral"
    return spinal_name(code)
