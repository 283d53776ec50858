"""Measures of diffusion: maps, their error in a region, and how far a tensor fit can be trusted.

Part of :mod:`cordcohort.measures.catalogue`.
"""

from __future__ import annotations

from math import inf

from cordcohort.measures.measure import Measure

_TENSOR = "Basser & Pierpaoli 1996, doi:10.1006/jmrb.1996.0086; dipy"
_ERROR = "Fei et al. 2023, Yang et al. 2025 (reading of their error rate)"

_MAPS = (
    Measure(
        "fa", "1", "Fractional anisotropy",
        "0 where water moves alike in all directions, 1 where it moves along one.",
        "diffusion", "fa", _TENSOR, 0.0, 1.0, main=True,
    ),
    Measure(
        "md_mm2_per_s", "mm2/s", "Mean diffusivity",
        "Mean of the three eigenvalues of the diffusion tensor.",
        "diffusion", "md_mm2_per_s", _TENSOR, 0.0, 4e-3, main=True,
    ),
    Measure(
        "ad_mm2_per_s", "mm2/s", "Axial diffusivity",
        "Largest eigenvalue of the diffusion tensor.",
        "diffusion", "ad_mm2_per_s", _TENSOR, 0.0, 6e-3, main=True,
    ),
    Measure(
        "rd_mm2_per_s", "mm2/s", "Radial diffusivity",
        "Mean of the two smaller eigenvalues of the diffusion tensor.",
        "diffusion", "rd_mm2_per_s", _TENSOR, 0.0, 4e-3, main=True,
    ),
)  # fmt: skip

_ERRORS = tuple(
    measure
    for of in _MAPS
    for measure in (
        Measure(
            f"{of.name.split('_')[0]}_error_percent", "percent", f"Error of {of.label.lower()}",
            f"Absolute difference of {of.label.lower()} to the reference's region, in % of it.",
            "index_error", "absolute_percent", _ERROR, 0.0, inf, main=True,
        ),
        Measure(
            f"{of.name.split('_')[0]}_signed_error_percent", "percent",
            f"Signed error of {of.label.lower()}",
            f"Difference of {of.label.lower()} to the reference's region, in % of it; "
            "positive: too high.",
            "index_error", "signed_percent", _ERROR, main=True,
        ),
    )
)  # fmt: skip

_QUALITY = (
    Measure(
        "s0_snr", "1", "Signal to noise at b=0",
        "Median over the cord of the signal at b=0 over the SD of the tensor fit's residuals.",
        "fit_quality", "s0_snr", "own", 0.0, inf,
    ),
    Measure(
        "framewise_displacement_mm", "mm", "Framewise displacement",
        "Mean way of the cord in the slice from one diffusion volume to the next.",
        "fit_quality", "framewise_displacement_mm", "Power et al. 2012, in the slice", 0.0, inf,
    ),
    Measure(
        "outlier_slices_n", "1", "Slices that do not fit",
        "Slices of all volumes whose mean lies far from the fitted tensor.",
        "fit_quality", "outlier_slices_n", "Andersson et al. 2016 (principle)", 0.0, inf,
    ),
    Measure(
        "unphysical_voxels_n", "1", "Voxels beyond physical bounds",
        "Voxels of the fit whose diffusivities no tissue or fluid can have.",
        "fit_quality", "unphysical_voxels_n", "own", 0.0, inf,
    ),
)  # fmt: skip

DIFFUSION_MEASURES = (*_MAPS, *_ERRORS, *_QUALITY)
