"""Mean adult profiles along the spine, by level (1 = top of C1, 3 = disc C2/C3, 8 = disc C7/T1).

Lengths are in mm and are whole diameters perpendicular to the cord's axis unless the name says
otherwise. They are round figures of adult anatomy, not measurements of any dataset; every person
of the phantom scales and bends them.
"""

from __future__ import annotations

from typing import Final

Profile = tuple[tuple[float, ...], tuple[float, ...]]
"""Knots (levels, increasing) and the values there."""

TOP_LEVEL: Final = -5.0
"""Above the pons; levels below 1 continue upwards by the height of C1."""
BOTTOM_LEVEL: Final = 26.0

CORD_AP_MM: Final[Profile] = (
    (-3.0, -1.5, 0.5, 1.5, 3.0, 5.0, 7.0, 8.5, 12.0, 17.0, 19.5, 20.0),
    (14.5, 12.0, 9.2, 8.2, 7.8, 7.3, 7.1, 6.8, 6.5, 6.7, 8.0, 7.4),
)
CORD_RL_MM: Final[Profile] = (
    (-3.0, -1.5, 0.5, 1.5, 3.0, 4.5, 6.0, 7.0, 8.0, 9.5, 13.0, 17.0, 19.3, 20.0),
    (22.0, 16.5, 12.0, 11.8, 12.3, 13.3, 13.6, 13.0, 11.6, 9.8, 8.6, 8.9, 10.0, 9.2),
)
SAC_AP_MM: Final[Profile] = (
    (-3.0, -1.0, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 18.0, 22.0, 26.0),
    (30.0, 24.0, 17.0, 15.0, 13.0, 12.3, 12.5, 13.0, 14.5, 14.5, 12.0),
)
SAC_RL_MM: Final[Profile] = (
    (-3.0, -1.0, 1.0, 2.0, 3.0, 5.5, 8.0, 10.0, 13.0, 18.0, 22.0, 26.0),
    (36.0, 30.0, 23.5, 20.5, 19.4, 20.4, 19.0, 16.3, 15.0, 18.0, 19.0, 15.0),
)
GREY_SCALE: Final[Profile] = (
    (1.0, 3.0, 5.0, 6.5, 8.0, 10.0, 16.0, 18.0, 20.0),
    (0.88, 0.92, 1.02, 1.14, 1.05, 0.84, 0.84, 1.25, 1.5),
)
"""Size of the grey butterfly relative to the cord, 1 at C5."""
SLOPE_AP: Final[Profile] = (
    (-5.0, -1.0, 1.0, 3.0, 5.0, 6.5, 8.0, 10.0, 14.0, 18.0, 20.0, 22.5, 24.5, 26.0),
    (-0.12, -0.10, 0.02, 0.02, 0.08, 0.17, 0.26, 0.24, 0.0, -0.18, -0.22, 0.0, 0.2, 0.4),
)
"""Change of the anterior coordinate per mm upwards: lordosis, kyphosis, lordosis."""
BODY_AP_MM: Final[Profile] = (
    (1.0, 3.0, 8.0, 14.0, 20.0, 26.0),
    (15.0, 15.5, 16.5, 24.0, 31.0, 35.0),
)
BODY_RL_MM: Final[Profile] = (
    (1.0, 3.0, 7.5, 9.0, 14.0, 20.0, 26.0),
    (18.0, 19.0, 24.0, 26.0, 28.0, 40.0, 50.0),
)
SPINOUS_MM: Final[Profile] = (
    (1.0, 2.0, 2.6, 3.0, 5.0, 7.0, 8.0, 14.0, 20.0, 26.0),
    (5.0, 8.0, 17.0, 15.0, 17.0, 24.0, 30.0, 28.0, 28.0, 24.0),
)
OUTLINE_RL_MM: Final[Profile] = (
    (-5.0, -2.0, 1.0, 3.0, 5.0, 6.5, 7.5, 8.5, 10.0, 14.0, 20.0, 26.0),
    (148.0, 146.0, 138.0, 118.0, 114.0, 128.0, 175.0, 270.0, 340.0, 320.0, 300.0, 330.0),
)
OUTLINE_AP_MM: Final[Profile] = (
    (-5.0, -2.0, 1.0, 3.0, 5.0, 6.5, 8.0, 10.0, 14.0, 20.0, 26.0),
    (185.0, 182.0, 166.0, 136.0, 121.0, 122.0, 134.0, 165.0, 205.0, 215.0, 220.0),
)
OUTLINE_CENTRE_MM: Final[Profile] = (
    (-5.0, -2.0, 1.0, 3.0, 5.0, 6.5, 8.0, 10.0, 14.0, 20.0, 26.0),
    (18.0, 16.0, 14.0, 6.0, 1.0, 0.0, 3.0, 18.0, 40.0, 45.0, 45.0),
)
"""How far the middle of the body's outline lies in front of the cord."""
EPIDURAL_LEVEL_SCALE: Final[Profile] = ((1.0, 3.0, 8.0, 14.0, 22.0, 26.0), (1.0,) * 4 + (2.2, 2.8))
