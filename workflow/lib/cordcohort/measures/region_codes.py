"""The eight cord regions by name, with the codes of their maps (light: no library is imported)."""

from __future__ import annotations

REGION_CODES = {
    "left_lateral_wm": 1,
    "left_dorsal_wm": 2,
    "left_ventral_wm": 3,
    "left_gm": 4,
    "right_lateral_wm": 5,
    "right_dorsal_wm": 6,
    "right_ventral_wm": 7,
    "right_gm": 8,
}
