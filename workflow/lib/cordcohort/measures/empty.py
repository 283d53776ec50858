"""Words for masks and levels that are missing, as rows tell them (no library is imported)."""

from __future__ import annotations

EMPTY_REFERENCE = "the reference is empty"
EMPTY_MASK = "the mask is empty"
NO_SLICE_AT = "no slice at"  # a range of levels of which some are missing
