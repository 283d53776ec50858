"""A sagittal strip along the cord, straightened: rows follow the cord, columns run to the front.

Row 0 is the upper end; a row is one mm along the cord's axis. Beyond the ends of the cord mask the
axis goes on straight, so that skull base and dens come into view where the scan shows them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cordcohort.measures.geometry import own_centreline
from cordcohort.nifti import Array, Image

Floats = NDArray[np.float64]

BACK_MM = 20
"""Columns behind the cord's axis; the others lie in front, one mm each."""
COLUMNS = 48
SIDES_MM = (-2.0, 0.0, 2.0)
JOINT, FIRST_DISC, LAST_DISC = 2, 3, 25
"""Codes of disc labels: the joint C1/C2, and the discs from C2/C3 to L5/S1."""
CURVES = ("any_disc", "pmj", "joint_c1_c2")
"""What a network draws along the rows of a strip."""
EDGE_MM = 8.0
"""A disc's place is that of its posterior edge, about this far in front of the cord's axis."""
ABOVE_MM, BELOW_MM = 60.0, 40.0
"""How far the strip goes on beyond the ends of the mask."""
END_MM = 15.0
"""Part of the cord whose direction is taken for what lies beyond its end."""
STEEPEST = 0.6
LONGEST_ROWS = 400
STEP_MM = 0.25


@dataclass(frozen=True)
class Strip:
    """Straightened strip of one scan.

    Attributes
    ----------
    values : array of float32, shape (rows, COLUMNS)
        Intensities, mean of three parasagittal lines; 0 outside the scan.
    valid : array of bool, shape (rows, COLUMNS)
        Inside the scan.
    axis_mm : array, shape (rows, 3)
        The cord's axis in mm from the centre of the scan's voxel 0 (canonical axes).
    front : array, shape (rows, 3)
        One mm to the front, across the axis.
    """

    values: NDArray[np.float32]
    valid: NDArray[np.bool_]
    axis_mm: Floats
    front: Floats

    def edge_mm(self, row: float) -> Floats:
        """Place in front of the axis, on the canal's front wall, at a fractional row."""
        rows = np.arange(len(self.axis_mm))
        points = self.axis_mm + EDGE_MM * self.front
        return np.array([np.interp(row, rows, points[:, k]) for k in range(3)])


def cord_strip(image: Image, cord: Array) -> Strip:
    """Straighten the sagittal plane of a scan along its cord.

    Parameters
    ----------
    image : Image
        Canonical axes.
    cord : array, shape of the image
        Cord mask on the same axes.

    Returns
    -------
    Strip

    Raises
    ------
    ValueError
        If the mask is empty or holds one slice only: it has no direction.

    Examples
    --------
    >>> data = np.zeros((30, 90, 40), np.float32); data[:, 53, :] = 1
    >>> cord = np.zeros(data.shape); cord[12:19, 42:49, 5:35] = 1
    >>> strip = cord_strip(Image(data, np.eye(4)), cord)
    >>> strip.values.shape, int(strip.values[20].argmax()) - BACK_MM
    ((40, 48), 8)
    """
    axis = _axis(cord, image.spacing_mm)
    tangent = np.gradient(axis, axis=0)
    tangent /= -np.linalg.norm(tangent, axis=1, keepdims=True)  # upwards; rows run downwards
    front = _across(tangent, np.array([0.0, 1.0, 0.0]))
    right = np.asarray(np.cross(front, tangent), dtype=np.float64)
    columns = (np.arange(COLUMNS) - BACK_MM)[None, :, None]
    plane = axis[:, None] + columns * front[:, None]
    spacing = np.asarray(image.spacing_mm)
    data = np.asarray(image.data, dtype=np.float32)
    voxels = plane / spacing
    inside = np.all((voxels > -0.5) & (voxels < np.array(data.shape) - 0.5), axis=-1)  # noqa: PLR2004
    lines = [_sampled(data, (plane + side * right[:, None]) / spacing) for side in SIDES_MM]
    values = np.where(inside, np.mean(lines, axis=0), 0.0).astype(np.float32)
    return Strip(values, inside, axis, front)


def _axis(cord: Array, spacing_mm: tuple[float, float, float]) -> Floats:
    """Points of the axis, one mm apart, from above to below, in mm from voxel 0."""
    line = own_centreline(cord, spacing_mm)
    if not line.known:
        raise ValueError("the cord mask holds one slice only: its direction is not known")
    z = line.slices * spacing_mm[2]
    known = np.stack([line.x_mm, line.y_mm], axis=1)
    last = (cord.shape[2] - 1) * spacing_mm[2]
    low, high = max(0.0, z[0] - BELOW_MM), min(last, z[-1] + ABOVE_MM)
    fine = np.arange(high, low - STEP_MM / 2, -STEP_MM)
    place = np.stack([np.interp(fine, z, known[:, k]) for k in range(2)], axis=1)
    for end, beyond in ((z[0], fine < z[0]), (z[-1], fine > z[-1])):
        near = np.abs(z - end) <= max(END_MM, 2.0 * spacing_mm[2])
        slope = np.clip(np.polyfit(z[near], known[near], 1)[0], -STEEPEST, STEEPEST)
        place[beyond] += (fine[beyond] - end)[:, None] * slope
    points = np.column_stack([place, fine])
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    rows = np.arange(0.0, min(length[-1] + 1e-9, LONGEST_ROWS - 1))
    return np.stack([np.interp(rows, length, points[:, k]) for k in range(3)], axis=1)


def _across(tangent: Floats, direction: Floats) -> Floats:
    """A direction made perpendicular to the tangents, of length one."""
    out = direction - (tangent @ direction)[:, None] * tangent
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def _sampled(data: Array, places: Floats) -> Any:
    return ndimage.map_coordinates(
        data, np.moveaxis(places, -1, 0), order=1, mode="nearest", prefilter=False
    )
