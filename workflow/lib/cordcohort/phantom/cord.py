"""Cross-section of the cord: its boundary, the grey butterfly, the eight regions, the dural sac.

Positions are scaled to the cord's half widths: a to the right and b to the front, both within
-1 to 1 inside the cord. A compression presses the front of the section backwards, and the
butterfly with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordcohort.phantom.frame import Frame
from cordcohort.phantom.tissues import Tissue

Array = NDArray[Any]

INDENT_WIDTH = 0.55
"""Half width of a compression's bump, as a share of the cord's half width."""
SAC_EXPONENT = 2.3
COMMISSURE_B = 0.04
VENTRAL_HORN = (0.25, 0.30, 0.165, 0.225)
"""Centre (a, b) and radii (a, b) of the ventral horn."""
DORSAL_HORN = ((0.19, 0.06, 0.120), (0.45, -0.72, 0.055))
"""Upper and lower end (a, b, radius) of the dorsal horn."""
COMMISSURE_HALF = 0.055
LATERAL_BORDER = ((-1.0, -0.72, 0.06, 0.28, 1.0), (0.60, 0.47, 0.21, 0.28, 0.55))
"""Where the lateral column begins: |a| by b."""


@dataclass(frozen=True)
class Section:
    """Points near the cord.

    Attributes
    ----------
    a, b : arrays, shape (N,)
        Scaled positions, b after the compression has been taken back.
    row : array, shape (N,)
        Row of the person's table.
    """

    a: Array
    b: Array
    row: Array


def press(a: Array, b: Array, depth: Array, at: Array | float) -> Array:
    """Take a ventral bump back: scaled positions b as they were before the cord was pressed."""
    bump = np.exp(-0.5 * ((a - at) / INDENT_WIDTH) ** 2)
    return np.where(b > 0.0, b * (1.0 + depth * bump), b)


def cord_section(frame: Frame, u: Array, v: Array, row: Array) -> Section:
    """Scale positions to the cord's own half widths.

    Parameters
    ----------
    frame : Frame
        A person's table.
    u, v : arrays, shape (N,)
        Position relative to the cord's axis, mm, right and front.
    row : array of int, shape (N,)
        Rows of the table.

    Returns
    -------
    Section
        The scaled points.
    """
    columns = frame.columns
    tiny = np.float32(1e-3)
    a = u / np.maximum(columns["cord_rx"][row], tiny)
    b = v / np.maximum(columns["cord_ry"][row], tiny)
    b = np.where(b < 0.0, b * np.float32(1.0 + frame.person.dorsal_flattening), b)
    if frame.person.compressions:
        b = press(a, b, columns["indent"][row], columns["indent_at"][row])
    return Section(a, b, row)


def inside(section: Section, exponent: float) -> Array:
    """Whether points lie in the cord: a superellipse of the person's exponent."""
    power = np.float32(exponent)
    return np.abs(section.a) ** power + np.abs(section.b) ** power <= 1.0


def sac_mask(frame: Frame, u: Array, v: Array, row: Array, margin_mm: float = 0.0) -> Array:
    """Whether points lie in the dural sac, widened by a margin in mm."""
    columns = frame.columns
    a = (u - columns["sac_x"][row]) / (columns["sac_rx"][row] + np.float32(margin_mm))
    b = (v - columns["sac_y"][row]) / (columns["sac_ry"][row] + np.float32(margin_mm))
    if frame.person.compressions:
        b = press(a, b, columns["sac_indent"][row], columns["indent_at"][row])
    power = np.float32(SAC_EXPONENT)
    return np.abs(a) ** power + np.abs(b) ** power <= 1.0


def is_grey(frame: Frame, section: Section) -> Array:
    """Whether points inside the cord lie in the grey butterfly."""
    person = frame.person
    size = frame.columns["grey"][section.row]
    side, b = np.abs(section.a), section.b
    ca, cb, ra, rb = VENTRAL_HORN
    ventral = ((side - ca) / (ra * person.ventral_horn_width * size)) ** 2
    ventral += ((b - cb) / (rb * size)) ** 2
    (a0, b0, r0), (a1, b1, r1) = DORSAL_HORN
    a1 *= person.dorsal_horn_spread
    da, db = a1 - a0, b1 - b0
    along = np.clip(((side - a0) * da + (b - b0) * db) / (da * da + db * db), 0.0, 1.0)
    width = (r0 + (r1 - r0) * along) * size
    dorsal = (side - a0 - along * da) ** 2 + (b - b0 - along * db) ** 2 <= width * width
    bridge = (np.abs(b - COMMISSURE_B) <= COMMISSURE_HALF * size) & (side <= ca)
    return (ventral <= 1.0) | dorsal | bridge


def region_codes(frame: Frame, section: Section) -> Array:
    """Code 1 to 8 of points inside the cord: side, then grey matter or one of three columns.

    Parameters
    ----------
    frame : Frame
        A person's table.
    section : Section
        Points inside the cord.

    Returns
    -------
    array of uint8, shape (N,)
        Codes of `Tissue`; left is where a is negative.
    """
    border = np.interp(section.b, *LATERAL_BORDER)
    code = np.where(
        np.abs(section.a) > border,
        np.uint8(Tissue.LEFT_LATERAL_WM),
        np.where(
            section.b < COMMISSURE_B,
            np.uint8(Tissue.LEFT_DORSAL_WM),
            np.uint8(Tissue.LEFT_VENTRAL_WM),
        ),
    )
    code = np.where(is_grey(frame, section), np.uint8(Tissue.LEFT_GM), code)
    to_right = Tissue.RIGHT_LATERAL_WM - Tissue.LEFT_LATERAL_WM
    return (code + np.where(section.a >= 0.0, to_right, 0)).astype(np.uint8)
