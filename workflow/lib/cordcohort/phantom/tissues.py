"""Tissue codes of the phantom's label volumes, and groups of them.

Codes 1 to 8 are the eight cord regions of the package's vocabulary; the other codes exist so that a
painted or simulated neck holds everything a network could mistake for a cord.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Tissue(IntEnum):
    """What a voxel of a phantom label volume holds."""

    AIR = 0
    LEFT_LATERAL_WM = 1
    LEFT_DORSAL_WM = 2
    LEFT_VENTRAL_WM = 3
    LEFT_GM = 4
    RIGHT_LATERAL_WM = 5
    RIGHT_DORSAL_WM = 6
    RIGHT_VENTRAL_WM = 7
    RIGHT_GM = 8
    CSF = 9
    DURA = 10
    EPIDURAL_FAT = 11
    NERVE_ROOT = 12
    CORTICAL_BONE = 13
    MARROW = 14
    DISC_NUCLEUS = 15
    DISC_ANNULUS = 16
    LIGAMENT = 17
    POSTERIOR_ARCH = 18
    FACET = 19
    MUSCLE_DEEP = 20
    MUSCLE_DORSAL = 21
    MUSCLE_LATERAL = 22
    MUSCLE_VENTRAL = 23
    FAT = 24
    SUBCUTANEOUS_FAT = 25
    SKIN = 26
    AIRWAY = 27
    CARTILAGE = 28
    OESOPHAGUS = 29
    ARTERY = 30
    VEIN = 31
    GLAND = 32
    LYMPH_NODE = 33
    BRAINSTEM = 34
    CEREBELLUM = 35
    SKULL = 36
    TONGUE = 37
    LUNG = 38
    ORGAN = 39
    CYST = 40
    IMPLANT = 41


N_TISSUES: Final = len(Tissue)
"""Length of a lookup table that gives every tissue a value."""

REGIONS: Final = tuple(Tissue(code) for code in range(1, 9))
"""The eight cord regions, in the order of their codes."""

WHITE_MATTER: Final = tuple(region for region in REGIONS if region.name.endswith("WM"))
GREY_MATTER: Final = (Tissue.LEFT_GM, Tissue.RIGHT_GM)
CORD: Final = REGIONS
CANAL: Final = (*REGIONS, Tissue.CSF, Tissue.NERVE_ROOT)
"""The dural sac: cord, cerebrospinal fluid and the roots that cross it."""
