"""Whether a mask belongs to its image: accepted, put in the image's order, or refused.

The rule, in the order of its steps:

1. Same shape, and every corner of the volume within a fifth of the smallest voxel side of where the
   image has it: **accepted**, with the image's geometry. Beyond two hundredths of a side (more than
   rounding) a note says how far.
2. The same voxels stored along other axes (permuted, or running the other way, with an affine that
   says so): **put in the image's order**, which needs no interpolation, with a note.
3. Anything else is **refused**, by what differs: ``other_grid`` (shape, voxel size or angle),
   ``mirrored_grid`` (an axis runs the other way and the voxels do not coincide: sides may be
   swapped), ``shifted_grid`` (the same grid, moved).

Nothing is ever interpolated: a mask that was interpolated has other areas and volumes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from nibabel.orientations import (
    apply_orientation,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)

from cordcohort.errors import ImageError
from cordcohort.nifti.image import Array, Image

# Below a fifth of a voxel every voxel centre lies well inside the voxel of the same index, and the
# overlap of two cords 24 voxels wide changes by less than 1 %; real label headers are off by 0.14.
MAX_GRID_SHIFT_VOXELS = 0.2
# Affines kept as 32-bit numbers or as text of four digits differ by less over a whole volume.
NOTED_SHIFT_VOXELS = 0.02
MAX_AXES_DIFFERENCE = 0.01  # of a voxel side, per voxel: another voxel size or angle
_RESAMPLE = "resample the mask to its image"
_PLAIN = np.array([[0, 1], [1, 1], [2, 1]], dtype=float)


def on_grid_of(mask: Image, image: Image) -> Image:
    """Bring a mask to the axes of its image, or refuse it.

    Parameters
    ----------
    mask, image : Image
        The mask as read, and the image (or its grid) that it was drawn on.

    Returns
    -------
    Image
        The mask on the axes of ``image``; ``notes`` say what was unusual.

    Raises
    ------
    ImageError
        ``other_grid``, ``mirrored_grid`` or ``shifted_grid``.

    Examples
    --------
    >>> image = Image(np.zeros((4, 4, 4)), np.eye(4))
    >>> turned = Image(np.ones((4, 4, 4)), np.diag([-1.0, 1, 1, 1]) + np.eye(4, k=3) * 3)
    >>> on_grid_of(turned, image).notes
    ('stored along other axes than its image and put in their order',)
    """
    shape = image.data.shape[:3]
    if _is_close(mask, image):
        return _noted(mask, image)
    turn = ornt_transform(io_orientation(mask.affine), io_orientation(image.affine))
    turned = replace(
        mask,
        data=apply_orientation(mask.data, turn),
        affine=mask.affine @ inv_ornt_aff(turn, mask.data.shape[:3]),
    )
    if _is_close(turned, image):
        note = "stored along other axes than its image and put in their order"
        return _noted(replace(turned, notes=(*mask.notes, note)), image)
    if turned.data.shape[:3] != shape:
        raise ImageError(
            mask.path, "other_grid", f"shape {shape} as {image.path.name}",
            f"{mask.data.shape[:3]}", f"{_RESAMPLE} or name the right image",
        )  # fmt: skip
    raise _refusal(mask, turned, image, is_turned=not np.array_equal(turn, _PLAIN))


def check_same_grid(mask: Image, image: Image) -> None:
    """Refuse a volume that does not lie on the very grid of another, axis by axis.

    Raises
    ------
    ImageError
        As :func:`on_grid_of`; also ``other_grid`` where only the order of the axes differs.
    """
    if _is_close(mask, image):
        return
    on_grid_of(mask, image)
    raise ImageError(
        mask.path, "other_grid", f"the axes of {image.path.name}", "the same grid in another order",
        "reorient it to its image",
    )  # fmt: skip


def max_corner_shift_mm(a: Array, b: Array, shape: tuple[int, ...]) -> float:
    """Largest distance, in mm, between where two affines put the corners of a volume."""
    ends = np.array(np.meshgrid(*[(0, n - 1) for n in shape[:3]])).reshape(3, -1)
    corners = np.vstack([ends, np.ones(ends.shape[1])])
    return float(np.linalg.norm(((a - b) @ corners)[:3], axis=0).max())


def _shift_voxels(mask: Image, image: Image) -> float:
    """Largest distance of two corners in sides of the image's smallest voxel."""
    shift_mm = max_corner_shift_mm(mask.affine, image.affine, image.data.shape[:3])
    return shift_mm / min(image.spacing_mm)


def _is_close(mask: Image, image: Image) -> bool:
    same_shape = mask.data.shape[:3] == image.data.shape[:3]
    return same_shape and _shift_voxels(mask, image) <= MAX_GRID_SHIFT_VOXELS


def _noted(mask: Image, image: Image) -> Image:
    """Give the mask the image's affine, so that all masks of a scan have voxels of one size."""
    shift = _shift_voxels(mask, image)
    mask = replace(mask, affine=image.affine)
    if shift <= NOTED_SHIFT_VOXELS:
        return mask
    return replace(mask, notes=(*mask.notes, f"its header is {shift:.2g} voxels off its image's"))


def _refusal(mask: Image, turned: Image, image: Image, *, is_turned: bool) -> ImageError:
    """Say how two grids of one shape differ."""
    axes = np.linalg.norm(turned.affine[:3, :3] - image.affine[:3, :3], axis=0)
    if (axes > MAX_AXES_DIFFERENCE * np.array(image.spacing_mm)).any():
        shift = max_corner_shift_mm(turned.affine, image.affine, image.data.shape[:3])
        return ImageError(
            mask.path, "other_grid", f"the grid of {image.path.name}",
            f"other voxels or angles, corners up to {shift:.3g} mm away", _RESAMPLE,
        )  # fmt: skip
    offset = np.linalg.solve(image.affine[:3, :3], turned.affine[:3, 3] - image.affine[:3, 3])
    moved = ", ".join(f"{v:g}" for v in np.round(offset, 3) + 0.0)  # no negative zero
    if is_turned:
        return ImageError(
            mask.path, "mirrored_grid", f"the grid of {image.path.name}",
            f"axes that run another way, and voxels that are {moved} voxels off",
            "find out which header is right: left and right may be swapped",
        )  # fmt: skip
    return ImageError(
        mask.path, "shifted_grid", f"the grid of {image.path.name}",
        f"the same grid moved by {moved} voxels", f"correct the header, or {_RESAMPLE}",
    )  # fmt: skip
