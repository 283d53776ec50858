"""Scans and their masks on grids of another voxel size, as a coarser protocol would show them.

The field of view and the orientation stay. Before an image is sampled more coarsely it is blurred,
so that a large voxel is about the mean of what it covers and nothing is aliased: along each axis by
a Gaussian whose FWHM adds in quadrature to the old voxel to give the new one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cordcohort.binary import binarised
from cordcohort.nifti import Array, Image

FWHM_OF_SD = 2.3548  # of a Gaussian
POINT_KINDS = ("dlabel", "pmj")


def at_voxel_size(image: Image, size_mm: float, kind: str = "image") -> Image:
    """Bring an image or a mask to isotropic voxels.

    Parameters
    ----------
    image : Image
        3-D, any axes.
    size_mm : float
        Edge of the new voxels.
    kind : {"image", "seg", "softseg", "dseg", "dlabel", "pmj"}
        Images and soft masks are blurred and interpolated linearly, binary masks alike and then cut
        at one half, label maps take the nearest voxel, and labelled points are moved.

    Returns
    -------
    Image
        Same axes and centre; the same grid for every kind.

    Examples
    --------
    >>> block = Image(np.ones((4, 4, 4), np.float32), np.diag([1.0, 1.0, 1.0, 1.0]))
    >>> at_voxel_size(block, 2.0).data.shape, float(at_voxel_size(block, 2.0).data.mean())
    ((2, 2, 2), 1.0)
    """
    spacing = np.asarray(image.spacing_mm, dtype=float)
    factor = size_mm / spacing
    shape = np.maximum(1, np.rint(np.asarray(image.data.shape) / factor)).astype(int)
    # The middle of the field of view stays where it is.
    start = (np.asarray(image.data.shape) - 1) / 2 - (shape - 1) / 2 * factor
    affine = image.affine.copy()
    affine[:3, :3] = image.affine[:3, :3] * factor
    affine[:3, 3] = (image.affine @ [*start, 1.0])[:3]
    if kind in POINT_KINDS:
        data = _moved_points(image.data, factor, start, shape)
    elif kind == "dseg":
        data = _sampled(image.data, factor, start, shape, order=0)
    else:
        blurred = ndimage.gaussian_filter(
            np.asarray(image.data, np.float32), _blur(factor), mode="nearest"
        )
        data = _sampled(blurred, factor, start, shape, order=1)
        data = binarised(data).astype(np.uint8) if kind == "seg" else data
    return replace(image, data=data, affine=affine)


def _blur(factor: NDArray[np.float64]) -> NDArray[np.float64]:
    """SD of the blur along each axis, in old voxels; 0 where voxels do not grow."""
    return np.sqrt(np.maximum(factor**2 - 1.0, 0.0)) / FWHM_OF_SD


def _sampled(data: Array, factor: Array, start: Array, shape: Array, *, order: int) -> Array:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = np.diag(factor), start
    return ndimage.affine_transform(
        data, matrix, output_shape=tuple(shape), order=order, mode="nearest"
    )


def _moved_points(data: Array, factor: Array, start: Array, shape: Array) -> Array:
    """Each label at the voxel that holds its centre of mass; one beyond the grid is dropped."""
    out = np.zeros(tuple(shape), dtype=data.dtype)
    for label in np.unique(data[data > 0]):
        centre = np.argwhere(data == label).mean(axis=0)
        place = np.rint((centre - start) / factor).astype(int)
        if (place >= 0).all() and (place < shape).all():
            out[tuple(place)] = label
    return out
