"""Words for masks and levels that are missing, as rows tell them (no library is imported)."""

from __future__ import annotations

EMPTY_REFERENCE = "the reference is empty"
EMPTY_MASK = "the mask is empty"
SMALL_REFERENCE = "the reference holds no lesion of more than 3 mm3"
NO_SLICE_AT = "no slice at"  # a range of levels of which some are missing
