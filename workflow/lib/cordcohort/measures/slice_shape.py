"""Shape measures of slices: one function each, from the geometry to one value a slice.

To add a measure, write a function here that takes a ``SliceGeometry`` and returns an
array with one value a slice, and declare it in :mod:`cordcohort.measures.catalogue`. See
``geometry`` for definitions and for how they differ from other tools'.
"""

from __future__ import annotations

import numpy as np

from cordcohort.measures.geometry import Floats, SliceGeometry, principal_axes


def csa_mm2(slices: SliceGeometry) -> Floats:
    """Cross-sectional area in mm2, across the cord where angle correction is on."""
    return slices.raw_area_mm2 * slices.cosine


def csa_uncorrected_mm2(slices: SliceGeometry) -> Floats:
    """Area in the slice plane, in mm2."""
    return slices.raw_area_mm2


def diameter_ap_mm(slices: SliceGeometry) -> Floats:
    """Mean front-back extent over the middle 3 mm, in mm."""
    return slices.band_ap_mm


def diameter_ap_ellipse_mm(slices: SliceGeometry) -> Floats:
    """Front-back axis of the ellipse with the same second moments, in mm."""
    return principal_axes(slices.covariance_mm2)[1]


def diameter_rl_mm(slices: SliceGeometry) -> Floats:
    """Right-left axis of the ellipse with the same second moments, in mm."""
    return principal_axes(slices.covariance_mm2)[0]


def eccentricity(slices: SliceGeometry) -> Floats:
    """Eccentricity of the ellipse, from 0 (circle) to 1 (line)."""
    right_left, front_back, _ = principal_axes(slices.covariance_mm2)
    minor = np.minimum(right_left, front_back)
    major = np.maximum(right_left, front_back)
    return np.sqrt(1.0 - (minor / major) ** 2)


def orientation_deg(slices: SliceGeometry) -> Floats:
    """Turn of the right-left axis against the image's, in degrees; positive: right side forward."""
    _, _, direction = principal_axes(slices.covariance_mm2)
    angle = np.degrees(np.arctan2(direction[:, 1], direction[:, 0]))
    return np.where(slices.has_outline, angle, np.nan)


def solidity(slices: SliceGeometry) -> Floats:
    """Area of the outline over the area of its convex hull, 0 to 1."""
    return slices.outline_mm2 / slices.hull_mm2


def angle_ap_deg(slices: SliceGeometry) -> Floats:
    """Turn of the cord about the front-back axis, in degrees; positive: it leans right upwards."""
    return np.degrees(np.arctan(slices.slope_x))


def angle_rl_deg(slices: SliceGeometry) -> Floats:
    """Turn of the cord about the right-left axis, in degrees; positive: leans forward upwards."""
    return np.degrees(np.arctan(slices.slope_y))


def length_mm(slices: SliceGeometry) -> Floats:
    """Length of the cord within the slice, in mm."""
    return slices.slice_mm / slices.cosine


def volume_mm3(slices: SliceGeometry) -> Floats:
    """Volume of the mask within the slice, in mm3."""
    return slices.raw_area_mm2 * slices.slice_mm


def n_slices(slices: SliceGeometry) -> Floats:
    """One for every slice with mask."""
    return np.ones(len(slices.index))
