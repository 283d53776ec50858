"""The geometry that a header describes: spacing, units, axes, and its two descriptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordcohort.errors import ImageError
from cordcohort.nifti.container import COPY
from cordcohort.nifti.grids import max_corner_shift_mm
from cordcohort.nifti.image import Array

SPACE_UNIT_BITS, MILLIMETRE = 7, 2  # of the header field xyzt_units; 0 says nothing
MAX_SHEAR_COSINE = 1e-3
MAX_SPACING_DIFFERENCE = 0.01  # relative; areas would differ by twice that between tools
MIN_AXES_VOLUME = 0.5  # of the parallelepiped of unit vectors along the axes; 1 if perpendicular
MAX_FORMS_SHIFT_VOXELS = 0.5


def checked_affine(path: Path, image: Any) -> tuple[NDArray[np.float64], list[str]]:
    """The affine, after spacing, units, rank, shear and the agreement of all descriptions.

    Returns
    -------
    affine : array, shape (4, 4)
    notes : list of str
        What is legal but worth telling.

    Raises
    ------
    ImageError
        ``spacing``, ``units``, ``geometry``, ``two_geometries``.
    """
    _check_units(path, image.header)
    with np.errstate(all="ignore"):
        affine = np.asarray(image.affine, dtype=np.float64)
    if not np.isfinite(affine).all():
        raise ImageError(path, "geometry", "a finite affine", "NaN or infinite entries", COPY)
    _check_axes(path, affine[:3, :3])
    _check_spacing(path, image.header, affine)
    return affine, _form_notes(path, image, affine)


def _check_units(path: Path, header: Any) -> None:
    unit = int(header["xyzt_units"]) & SPACE_UNIT_BITS
    if unit not in (0, MILLIMETRE):
        came = {1: "metres", 3: "micrometres"}.get(unit, f"unit code {unit}")
        raise ImageError(path, "units", "millimetres", came, "scale the affine and set the unit")


def _check_axes(path: Path, axes: Array) -> None:
    """Three independent, perpendicular axes."""
    lengths = np.linalg.norm(axes, axis=0)
    units = axes / np.where(lengths > 0, lengths, 1)
    if (lengths <= 0).any() or abs(np.linalg.det(units)) < MIN_AXES_VOLUME:
        raise ImageError(path, "geometry", "three independent axes", "a singular affine", COPY)
    shear = float(np.abs(units.T @ units - np.eye(3)).max())
    if shear > MAX_SHEAR_COSINE:
        raise ImageError(
            path, "geometry", "perpendicular axes", f"a sheared affine (cosine {shear:.3g})",
            "resample the image to a grid without shear",
        )  # fmt: skip


def _check_spacing(path: Path, header: Any, affine: Array) -> None:
    """Positive voxel sizes that are the affine's: tools that read only one of them must agree."""
    said = np.asarray(header.get_zooms()[:3], dtype=float)
    if len(said) < 3 or not np.isfinite(said).all() or (said <= 0).any():  # noqa: PLR2004
        raise ImageError(path, "spacing", "three positive voxel sizes", f"{said}", COPY)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if (np.abs(said / spacing - 1) > MAX_SPACING_DIFFERENCE).any():
        raise ImageError(
            path, "spacing", f"voxel sizes of the affine, {_sizes(spacing)} mm",
            f"{_sizes(said)} mm in pixdim", "find out which is right and correct the other",
        )  # fmt: skip


def _sizes(values: Array) -> str:
    return " x ".join(f"{v:.4g}" for v in values)


def _form_notes(path: Path, image: Any, affine: Array) -> list[str]:
    """Two geometries that contradict each other are a fault, none at all is a note."""
    header = image.header
    q_code, s_code = int(header["qform_code"]), int(header["sform_code"])
    if q_code == 0 and s_code == 0:
        return ["no qform and no sform: orientation taken from the voxel order"]
    if q_code > 0 and s_code > 0:
        try:
            qform = header.get_qform()
        except Exception as error:
            raise ImageError(path, "geometry", "a valid qform", str(error), COPY) from error
        shift = max_corner_shift_mm(affine, qform, image.shape[:3])
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        if not shift <= MAX_FORMS_SHIFT_VOXELS * float(spacing.min()):  # also where it is NaN
            raise ImageError(
                path, "two_geometries", "qform and sform that agree",
                f"corners up to {shift:.3g} mm apart", "set the wrong one's code to 0",
            )  # fmt: skip
    return []
