"""A visible central canal: fluid in the middle of a healthy cord that is no lesion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DIAMETER_MM = (0.5, 1.5)
"""Seen in healthy adults up to about 2 mm; wider is a syrinx."""
FLATTENING = (0.6, 1.3)
LENGTH_MM = (15.0, 120.0)


@dataclass(frozen=True)
class CentralCanal:
    """A tube of fluid along the cord's axis.

    Attributes
    ----------
    width_mm, depth_mm
        Diameters to the side and to the front.
    low_mm, high_mm
        Heights between which it is open.
    """

    width_mm: float
    depth_mm: float
    low_mm: float
    high_mm: float


def draw_central_canal(rng: np.random.Generator, middle_mm: float) -> CentralCanal:
    """Draw a canal around a height of the cord.

    Examples
    --------
    >>> canal = draw_central_canal(np.random.default_rng(0), -50.0)
    >>> 0.5 <= canal.width_mm <= 1.5, canal.low_mm < -50.0 < canal.high_mm
    (True, True)
    """
    width = float(rng.uniform(*DIAMETER_MM))
    length = float(rng.uniform(*LENGTH_MM))
    share = float(rng.uniform(0.25, 0.75))
    depth = width * float(rng.uniform(*FLATTENING))
    return CentralCanal(width, depth, middle_mm - share * length, middle_mm + (1 - share) * length)
