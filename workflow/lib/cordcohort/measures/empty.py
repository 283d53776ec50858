"""Words for masks that are empty, as rows of agreement tell them (no library is imported)."""

from __future__ import annotations

EMPTY_REFERENCE = "the reference is empty"
EMPTY_MASK = "the mask is empty"
