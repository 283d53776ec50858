"""An image in memory: values, geometry, and the way between the file's own axes and RAS+."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.orientations import (
    apply_orientation,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Image:
    """A verified image.

    Attributes
    ----------
    data : array, shape (X, Y, Z) or (X, Y, Z, T)
        Values after scaling, on the file's own axes.
    affine : array, shape (4, 4)
        Voxel index to RAS+ millimetres.
    path : Path
        Where it came from.
    header : nibabel header or None
        The file's header, kept for writing results on the very same grid.
    notes : tuple of str
        Legal oddities that a person may want to know.
    """

    data: Array
    affine: NDArray[np.float64]
    path: Path = Path()
    header: Any = field(default=None, repr=False, compare=False)
    notes: tuple[str, ...] = ()

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxel centres along the three array axes, in mm."""
        x, y, z = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return float(x), float(y), float(z)

    @property
    def voxel_mm3(self) -> float:
        """Volume of one voxel in mm3."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def canonical(self) -> Image:
        """The same image with axes permuted and flipped to the nearest RAS+ order (a view)."""
        orientation = io_orientation(self.affine)
        affine = self.affine @ inv_ornt_aff(orientation, self.data.shape[:3])
        return replace(self, data=apply_orientation(self.data, orientation), affine=affine)

    def to_native(self, canonical_data: Array) -> Array:
        """Bring an array that lies on this image's canonical grid back to the file's own axes."""
        orientation = io_orientation(self.affine)
        ras = np.array([[0, 1], [1, 1], [2, 1]], dtype=float)
        return apply_orientation(canonical_data, ornt_transform(ras, orientation))
