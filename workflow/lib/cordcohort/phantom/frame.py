"""The geometry of a person, tabulated along the spine.

World coordinates are the person's own: x to the right, y to the front, z upwards, in mm, with
z = 0 at the disc C2/C3 and the cord's axis through the origin there. Cross-sections are described
relative to the cord's axis (u = x - axis, v = y - axis), so that a tilted cord is a sheared tube:
its axial diameters are the perpendicular ones divided by the cosine of the tilt.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from cordcohort.phantom import profiles
from cordcohort.phantom.person import N_SHAPE_KNOTS, N_SLOPE_KNOTS, N_VERTEBRAE, Person

Array = NDArray[Any]

STEP_MM = 0.25
"""Distance between the rows of the table."""
SKULL_LEVEL = 0.9
"""Foramen magnum: above it the cord is called brain stem."""
MIN_CSF_MM = 0.8
MIN_BULGE = 0.05
"""Depth of a compression above which disc material fills the front of the canal."""
CONUS_TAPER_LEVELS = 1.6
MAX_TILT_REACH_MM = 45.0
"""Beyond this distance from the axis, planes perpendicular to it would cross: tilt ends there."""


@dataclass(frozen=True)
class Frame:
    """Columns along z (all of one length, row 0 lowest) for one person.

    Attributes
    ----------
    z0_mm : float
        Height of row 0.
    columns : dict of arrays
        float32 columns; see `build_frame` for their names.
    """

    person: Person
    z0_mm: float
    columns: dict[str, Array] = field(repr=False)

    def row(self, z_mm: Array) -> Array:
        """Row of the table nearest to a height (clipped to the table), as int32."""
        last = len(self.columns["z"]) - 1
        return np.clip(np.rint((z_mm - self.z0_mm) / STEP_MM), 0, last).astype(np.int32)

    def at(self, name: str, z_mm: Array | float) -> Array:
        """Column `name`, interpolated linearly at heights in mm."""
        return np.asarray(np.interp(z_mm, self.columns["z"], self.columns[name]))

    def z_of_level(self, level: Array | float) -> Array:
        """Height in mm of a place given in level units (3.0 is the disc C2/C3)."""
        levels = self.columns["level"]
        found = np.interp(-np.asarray(level, dtype=float), -levels, self.columns["z"])
        return np.asarray(found)


@lru_cache(maxsize=64)
def build_frame(person: Person) -> Frame:
    """Tabulate a person's geometry along the spine; cached.

    Parameters
    ----------
    person : Person
        The shape parameters.

    Returns
    -------
    Frame
        Columns ``z, level, x, y, dx, dy`` (axis and slopes), ``cord_rx, cord_ry, indent,
        indent_at, grey`` (cord), ``sac_x, sac_y, sac_rx, sac_ry, sac_indent`` (dural sac relative
        to the cord's axis), ``bone_x, bone_y, bone_rx, bone_ry`` (bony canal) and
        the mean profiles of the surroundings.

    Examples
    --------
    >>> import numpy as np
    >>> from cordcohort.phantom.person import draw_person
    >>> frame = build_frame(draw_person(np.random.default_rng(0)))
    >>> float(frame.z_of_level(3.0))
    0.0
    """
    z, level = _levels(person)
    columns: dict[str, Array] = {"z": z, "level": level}
    _add_axis(person, columns)
    _add_cord(person, columns)
    _add_canal(person, columns)
    _add_bone(person, columns)
    for name in ("BODY_AP_MM", "BODY_RL_MM", "SPINOUS_MM"):
        columns[name.lower()] = _profile(getattr(profiles, name), level) * person.body_scale
    columns["outline_rx"] = (
        _profile(profiles.OUTLINE_RL_MM, level) / 2 * person.neck_scale_rl + person.fat_mm / 2
    )
    columns["outline_ry"] = (
        _profile(profiles.OUTLINE_AP_MM, level) / 2 * person.neck_scale_ap + person.fat_mm / 2
    )
    columns["outline_y"] = _profile(profiles.OUTLINE_CENTRE_MM, level) * person.neck_scale_ap
    narrow = {k: np.ascontiguousarray(v, dtype=np.float32) for k, v in columns.items()}
    return Frame(person, float(z[0]), narrow)


def _profile(profile: profiles.Profile, level: Array) -> Array:
    knots, values = profile
    return PchipInterpolator(knots, values)(np.clip(level, knots[0], knots[-1]))


def _smooth(values: tuple[float, ...], level: Array, top: float, bottom: float) -> Array:
    """Spread knot values evenly between two levels and join them smoothly."""
    knots = np.linspace(top, bottom, len(values))
    return PchipInterpolator(knots, values)(np.clip(level, top, bottom))


def _levels(person: Person) -> tuple[Array, Array]:
    """Heights of the rows, and the level units there."""
    heights = np.array(person.vertebra_mm)
    edges = np.concatenate([[0.0], np.cumsum(heights)])
    level_z = edges[2] - edges
    above = (1.0 - profiles.TOP_LEVEL) * heights[0]
    below = (profiles.BOTTOM_LEVEL - N_VERTEBRAE - 1.0) * heights[-1]
    knots_z = np.concatenate([[level_z[0] + above], level_z, [level_z[-1] - below]])
    knots_level = np.concatenate(
        [[profiles.TOP_LEVEL], np.arange(1.0, N_VERTEBRAE + 2.0), [profiles.BOTTOM_LEVEL]]
    )
    first = np.ceil(knots_z[-1] / STEP_MM) * STEP_MM
    z = np.arange(first, knots_z[0], STEP_MM)
    return z, np.interp(z, knots_z[::-1], knots_level[::-1])


def _add_axis(person: Person, columns: dict[str, Array]) -> None:
    z, level = columns["z"], columns["level"]
    own_ap = _smooth(person.slope_ap, level, 1.0, 26.0)
    own_rl = _smooth(person.slope_rl, level, 1.0, 26.0)
    if len(person.slope_ap) != N_SLOPE_KNOTS:
        message = f"slope_ap needs {N_SLOPE_KNOTS} knots"
        raise ValueError(message)
    slope = _profile(profiles.SLOPE_AP, level) + own_ap
    for name, own in (("y", slope), ("x", own_rl)):
        path = np.concatenate([[0.0], np.cumsum((own[1:] + own[:-1]) / 2 * STEP_MM)])
        columns[name] = path - np.interp(0.0, z, path)
        columns["d" + name] = own


def _bump(person: Person, columns: dict[str, Array]) -> tuple[Array, Array]:
    """Depth of compression along z (0 to 1) and the side of the deepest one."""
    z, level = columns["z"], columns["level"]
    depth, side = np.zeros_like(z), np.zeros_like(z)
    for one in person.compressions:
        centre = np.interp(-one.level, -level, z)
        here = one.depth * np.exp(-0.5 * ((z - centre) / one.length_mm) ** 2)
        side = np.where(here > depth, one.side, side)
        depth = np.maximum(depth, here)
    return depth, side


def _add_cord(person: Person, columns: dict[str, Array]) -> None:
    level = columns["level"]
    depth, side = _bump(person, columns)
    own_ap = 1.0 + _smooth(person.cord_ap_waves, level, 0.0, 20.0)
    own_rl = 1.0 + _smooth(person.cord_rl_waves, level, 0.0, 20.0)
    ap = _profile(profiles.CORD_AP_MM, level) * person.cord_ap_scale * own_ap
    rl = _profile(profiles.CORD_RL_MM, level) * person.cord_rl_scale * own_rl
    left = np.clip((person.conus_level - level) / CONUS_TAPER_LEVELS, 0.0, 1.0)
    taper = np.sqrt(left * (2.0 - left))
    columns["depth"] = depth
    columns["cord_ry"] = ap / 2 * np.hypot(1.0, columns["dy"]) * taper * (1.0 - 0.3 * depth)
    columns["cord_rx"] = rl / 2 * np.hypot(1.0, columns["dx"]) * taper * (1.0 + 0.06 * depth)
    columns["indent"] = 0.8 * depth
    columns["indent_at"] = side
    columns["grey"] = _profile(profiles.GREY_SCALE, level) * person.grey_scale


def _add_canal(person: Person, columns: dict[str, Array]) -> None:
    """Dural sac: always at least `MIN_CSF_MM` wider than the cord, which lies off its middle."""
    level = columns["level"]
    if len(person.cord_offset_ap) != N_SHAPE_KNOTS:
        message = f"cord_offset_ap needs {N_SHAPE_KNOTS} knots"
        raise ValueError(message)
    narrowed = 1.0 - 0.12 * columns["depth"]
    ry = _profile(profiles.SAC_AP_MM, level) / 2 * person.canal_ap_scale * narrowed
    rx = _profile(profiles.SAC_RL_MM, level) / 2 * person.canal_rl_scale
    cord_rx, cord_ry = columns["cord_rx"], columns["cord_ry"]
    ry = np.maximum(ry, cord_ry + MIN_CSF_MM)
    rx = np.maximum(rx, cord_rx + 2 * MIN_CSF_MM)
    share_y = np.clip(_smooth(person.cord_offset_ap, level, 1.0, 20.0) + 0.1, -0.8, 0.8)
    share_x = np.clip(_smooth(person.cord_offset_rl, level, 1.0, 20.0), -0.6, 0.6)
    columns["sac_y"] = -share_y * (ry - cord_ry - MIN_CSF_MM / 2)
    columns["sac_x"] = -share_x * (rx - cord_rx - MIN_CSF_MM)
    columns["sac_rx"], columns["sac_ry"] = rx, ry
    front = columns["sac_y"] + ry
    cord_front = cord_ry / (1.0 + columns["indent"])
    wanted = cord_front + 0.3 + (1.0 - columns["depth"]) * np.maximum(front - cord_front, 0.0)
    room = np.maximum(np.minimum(wanted, front) - columns["sac_y"], 0.25 * ry)
    columns["sac_indent"] = np.where(columns["depth"] > 0.0, np.maximum(ry / room - 1.0, 0.0), 0.0)


def _add_bone(person: Person, columns: dict[str, Array]) -> None:
    """Bony canal: the sac and the epidural space round it."""
    scale = _profile(profiles.EPIDURAL_LEVEL_SCALE, columns["level"])
    ventral, dorsal, lateral = person.epidural_mm
    columns["bone_x"] = columns["sac_x"]
    columns["bone_rx"] = columns["sac_rx"] + lateral * scale
    columns["bone_ry"] = columns["sac_ry"] + (ventral + dorsal * scale) / 2
    columns["bone_y"] = columns["sac_y"] + (ventral - dorsal * scale) / 2
