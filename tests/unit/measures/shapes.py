"""Solid shapes whose measures are known in closed form, drawn on voxel grids."""

from __future__ import annotations

import numpy as np


def tube(
    *,
    shape=(60, 60, 12),
    spacing=(0.5, 0.5, 2.0),
    semi_axes_mm=(6.0, 4.0),
    slope=(0.0, 0.0),
    turn_deg=0.0,
    soft=False,
    centre_shift_mm=(0.0, 0.0),
):
    """An elliptic cylinder along the direction (slope_x, slope_y, 1).

    Its section *across* that direction has the given semi-axes (right-left and front-back, turned
    by ``turn_deg``). ``soft`` gives partial volumes from 7 x 7 points a voxel.
    """
    n = 7 if soft else 1
    steps = (np.arange(n) + 0.5) / n - 0.5
    total = np.zeros(shape)
    for ox in steps:
        for oy in steps:
            total += _inside(
                shape=shape,
                spacing=spacing,
                semi_axes_mm=semi_axes_mm,
                slope=slope,
                turn_deg=turn_deg,
                offset=(ox, oy),
                shift=centre_shift_mm,
            )
    return total / n**2 if soft else total.astype(np.uint8)


def _inside(*, shape, spacing, semi_axes_mm, slope, turn_deg, offset, shift):
    i, j, k = np.meshgrid(*[np.arange(s, dtype=float) for s in shape], indexing="ij")
    z = (k - (shape[2] - 1) / 2) * spacing[2]
    x = (i - (shape[0] - 1) / 2 + offset[0]) * spacing[0] - slope[0] * z - shift[0]
    y = (j - (shape[1] - 1) / 2 + offset[1]) * spacing[1] - slope[1] * z - shift[1]
    # Coordinates across the axis: the in-plane offset without its part along the axis, expressed in
    # the plane's own frame (the one in which a straight tube's section is the ellipse).
    lean = np.hypot(*slope)
    cosine = 1 / np.sqrt(1 + lean**2)
    if lean > 0:
        u = np.array(slope) / lean
        along = x * u[0] + y * u[1]
        x, y = x - (1 - cosine) * along * u[0], y - (1 - cosine) * along * u[1]
    c, s = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    right, front = c * x + s * y, -s * x + c * y
    return (right / semi_axes_mm[0]) ** 2 + (front / semi_axes_mm[1]) ** 2 <= 1
