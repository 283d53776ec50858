"""Distances between the surfaces of two masks, in mm.

A surface is the set of mask voxels that touch background by a face; distances run from voxel
centre to voxel centre, through space, with the voxel size of the image. Whether the end of the
image counts as background is a choice: animaSegPerfAnalyzer says no, MetricsReloaded and MONAI say
yes. A cord runs out of the image at both ends, where its section is no surface: the default is no.

References
----------
animaSegPerfAnalyzer for the contour and ``asd_anima_mm``; MetricsReloaded (Maier-Hein et al. 2024)
for ``hd95_mm`` and ``asd_mm``, with which the values agree to rounding when ``edge=True``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cordcohort.measures.boxes import common_box
from cordcohort.nifti import Array

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
HD_PERCENTILE = 95.0
NAN = float("nan")


@dataclass(frozen=True)
class SurfacePair:
    """Distances between the surfaces of two masks.

    Attributes
    ----------
    mask_to_reference, reference_to_mask : array
        For every surface voxel of the one, in raster order (x fastest), the distance in mm to the
        nearest surface voxel of the other. Empty where either mask is empty.
    """

    mask_to_reference: Floats
    reference_to_mask: Floats

    @property
    def defined(self) -> bool:
        """Whether both masks have a surface."""
        return bool(self.mask_to_reference.size and self.reference_to_mask.size)


def surface_pair(
    mask: Array, reference: Array, spacing_mm: tuple[float, float, float], *, edge: bool = False
) -> SurfacePair:
    """Measure the distances between two surfaces.

    Parameters
    ----------
    mask, reference : array, shape (X, Y, Z)
        Binary, on one grid.
    spacing_mm : tuple of float
        Voxel size.
    edge : bool
        Whether the end of the image counts as background.

    Returns
    -------
    SurfacePair

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> a, b = np.zeros((5, 5, 5)), np.zeros((5, 5, 5))
    >>> a[1, 2, 2] = b[3, 2, 2] = 1
    >>> asd_mm(surface_pair(a, b, (0.5, 1.0, 1.0)))
    1.0
    """
    if mask.shape != reference.shape:
        raise ValueError(f"masks of one shape expected, got {mask.shape} and {reference.shape}")
    if not mask.any() or not reference.any():
        return SurfacePair(np.empty(0), np.empty(0))
    box = common_box(mask, reference)
    first, second = surface(mask[box], edge=edge), surface(reference[box], edge=edge)
    if not first.any() or not second.any():  # a mask that fills the whole image has no surface
        return SurfacePair(np.empty(0), np.empty(0))
    to_second = np.asarray(ndimage.distance_transform_edt(~second, sampling=spacing_mm))
    to_first = np.asarray(ndimage.distance_transform_edt(~first, sampling=spacing_mm))
    # Transposing makes x the fastest axis: the raster order that the running minimum depends on.
    return SurfacePair(to_second.T[first.T], to_first.T[second.T])


def surface(mask: Array, *, edge: bool = False) -> Flags:
    """Voxels of a mask that touch background by a face.

    Parameters
    ----------
    mask : array, shape (X, Y, Z)
    edge : bool
        Whether the end of the image counts as background.
    """
    inside = np.asarray(mask) > 0
    core = ndimage.binary_erosion(inside, border_value=0 if edge else 1)
    return inside & ~np.asarray(core, dtype=np.bool_)


def asd_mm(pair: SurfacePair) -> float:
    """Average distance over the surface voxels of both masks; NaN where a mask is empty."""
    if not pair.defined:
        return NAN
    return float(np.concatenate([pair.mask_to_reference, pair.reference_to_mask]).mean())


def hd_mm(pair: SurfacePair) -> float:
    """Largest distance of either surface from the other; NaN where a mask is empty."""
    if not pair.defined:
        return NAN
    return float(max(pair.mask_to_reference.max(), pair.reference_to_mask.max()))


def hd95_mm(pair: SurfacePair) -> float:
    """The larger of the two 95th percentiles; NaN where a mask is empty."""
    if not pair.defined:
        return NAN
    directed = (pair.mask_to_reference, pair.reference_to_mask)
    return float(max(np.percentile(d, HD_PERCENTILE) for d in directed))


def contour_mean_distance_mm(pair: SurfacePair) -> float:
    """The larger of the two mean directed distances; NaN where a mask is empty."""
    if not pair.defined:
        return NAN
    return float(max(pair.mask_to_reference.mean(), pair.reference_to_mask.mean()))


def asd_anima_mm(pair: SurfacePair) -> float:
    """What animaSegPerfAnalyzer prints as SurfaceDistance: each term the smallest met so far.

    For comparison with published tables only: one shared voxel early in the image brings it to
    nearly 0 whatever the disagreement. Conclusions belong on :func:`asd_mm`.
    """
    if not pair.defined:
        return NAN
    terms = [np.minimum.accumulate(d) for d in (pair.reference_to_mask, pair.mask_to_reference)]
    return float(np.concatenate(terms).mean())
