"""Where a scan's voxels lie in a person: field of view, repositioning, scale error of the scanner.

Images are simulated on canonical axes (RAS) and turned into the vendor's storage order when they
are written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cordcohort.phantom.frame import build_frame
from cordcohort.phantom.grid import Shape
from cordcohort.phantom.person import Person

Array = NDArray[Any]

__all__ = ["Acquisition", "Pose", "acquire", "stored"]


@dataclass(frozen=True)
class Pose:
    """How a person lies in the scanner: rotation about the axes in degrees, shift in mm."""

    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def matrix(self) -> Array:
        """4 x 4 matrix from the person's coordinates to the scanner's."""
        out = np.eye(4)
        out[:3, :3] = Rotation.from_euler("xyz", self.rotation_deg, degrees=True).as_matrix()
        out[:3, 3] = self.shift_mm
        return out


@dataclass(frozen=True)
class Acquisition:
    """A scan's grid.

    Attributes
    ----------
    shape : tuple of int
        Voxels to the right, to the front and upwards.
    spacing_mm : tuple of float
        What the header says.
    affine : array, shape (4, 4)
        Voxel index to scanner millimetres, as the header says (canonical axes).
    to_person : array, shape (4, 4)
        Voxel index to the person's true millimetres: pose taken back, scale error applied.
    scale : float
        True size of a header millimetre.
    rotation : array, shape (3, 3)
        Person's axes to the scanner's axes.
    """

    shape: Shape
    spacing_mm: tuple[float, float, float]
    affine: Array
    to_person: Array
    scale: float
    rotation: Array


def acquire(
    person: Person,
    shape: Shape,
    spacing_mm: tuple[float, float, float],
    *,
    centre_level: float,
    pose: Pose,
    scale: float = 1.0,
    tilt: bool = False,
    off_centre_mm: tuple[float, float] = (0.0, 0.0),
) -> Acquisition:
    """Place a field of view on a person's cord.

    Parameters
    ----------
    person : Person
        Who is scanned.
    shape, spacing_mm : tuple
        Voxels and millimetres to the right, to the front and upwards.
    centre_level : float
        Level (3 = disc C2/C3) in the middle of the field of view.
    pose : Pose
        How the person lies.
    scale : float
        True size of a header millimetre (1.01: the scanner shows things 1 % too small).
    tilt : bool
        Whether the slices stand perpendicular to the cord there (an oblique header).
    off_centre_mm : tuple of float
        Shift of the field of view from the cord to the right and to the front, in mm.

    Returns
    -------
    Acquisition
        The grid; the header's affine knows the tilt, but neither pose nor scale error.

    Examples
    --------
    >>> import numpy as np
    >>> from cordcohort.phantom.person import draw_person
    >>> someone = draw_person(np.random.default_rng(0))
    >>> grid = acquire(someone, (9, 9, 9), (1, 1, 1), centre_level=3.0, pose=Pose())
    >>> bool(np.allclose(grid.to_person @ [4, 4, 4, 1], [0, 0, 0, 1], atol=0.1))
    True
    """
    frame = build_frame(person)
    z = float(frame.z_of_level(centre_level))
    target = np.array([frame.at("x", z), frame.at("y", z), z, 1.0], dtype=float)
    target[:2] += off_centre_mm
    centre = (pose.matrix @ target)[:3]
    axes = np.eye(3)
    if tilt:
        along = np.degrees(np.arctan(float(frame.at("dy", z))))
        axes = Rotation.from_euler("x", -along, degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = axes * np.asarray(spacing_mm, dtype=float)
    middle = (np.asarray(shape, dtype=float) - 1.0) / 2.0
    affine[:3, 3] = centre - affine[:3, :3] @ middle
    magnified = affine.copy()
    magnified[:3, :3] *= scale
    magnified[:3, 3] = centre - magnified[:3, :3] @ middle
    to_person = np.linalg.inv(pose.matrix) @ magnified
    return Acquisition(shape, spacing_mm, affine, to_person, scale, pose.matrix[:3, :3])


def stored(data: Array, affine: Array, axes: str) -> tuple[Array, Array]:
    """Turn a canonical volume into a storage order, such as ``LAS`` or ``PIR``.

    Returns
    -------
    tuple of array, array
        The volume on the stored axes and its affine.

    Examples
    --------
    >>> import nibabel as nib
    >>> turned, matrix = stored(np.zeros((2, 3, 4)), np.eye(4), "PIR")
    >>> turned.shape, "".join(nib.aff2axcodes(matrix))
    ((3, 4, 2), 'PIR')
    """
    change = ornt_transform(io_orientation(affine), axcodes2ornt(tuple(axes)))
    return apply_orientation(data, change), affine @ inv_ornt_aff(change, data.shape[:3])
