"""The one place where a measure is declared: name, unit, words for people, bounds, function.

To add a measure: write one function in the module of its kind and add one entry here. Rows, units,
failed rows and the report's words follow.

============ ============================= ======================================================
kind         module of ``function``        the function takes
============ ============================= ======================================================
shape        ``measures.slice_shape``      ``SliceGeometry`` of a binary mask; one value a slice
shape_soft   ``measures.slice_shape``      ``SliceGeometry`` of a soft mask; one value a slice
agreement    ``measures.overlap``          ``Pair`` of masks; one value
surface      ``measures.surface``          ``SurfacePair`` of masks; one value
lesion       ``measures.lesions``          ``Lesion``; one value
lesion_scan  ``measures.lesions``          ``LesionScan``; one value
lesion_place ``measures.lesion_places``    ``Place``: a level or region; one value
followup     ``measures.followups``        ``Group`` of lesions of two sessions; one value
followup_n   ``measures.followups``        ``Followup``: all groups; one value
detection    ``measures.detection``        ``Detection`` of lesions; one value
spinal       ``measures.spinal_place``     ``LevelPlace``; one value a spinal level
spinal_score ``measures.spinal_scores``    ``LevelPair``; one value a spinal level
diffusion    ``images.diffusion``          eigenvalues (n, 3) in mm2/s; one value a voxel
index_error  ``measures.region_errors``    (value, reference value) of a map in a region
fit_quality  ``images.tensor_quality``     ``SeriesQuality``: a fit; one value a series
overlap_n    ``measures.overlap``          ``Pair`` of masks; one count
============ ============================= ======================================================

Those of lesions are declared in :mod:`cordcohort.measures.lesion_catalogue`, those of diffusion in
:mod:`cordcohort.measures.diffusion_catalogue`. They import no third-party library, so that every
stage can read them.
"""

from __future__ import annotations

from math import inf

from cordcohort.measures.diffusion_catalogue import DIFFUSION_MEASURES
from cordcohort.measures.lesion_catalogue import ANIMA, LESION_MEASURES
from cordcohort.measures.measure import Measure

_PROCESS = "sct_process_segmentation (Spinal Cord Toolbox), see measures.geometry"
# The longest segments of the human cord, in the middle of the back, have 25 mm.
LONGEST_LEVEL_MM = 30.0
_ROOTLETS = "Valosek et al. 2024, see measures.spinal"

_MEASURES = (
    Measure(
        "csa_mm2", "mm2", "Cross-sectional area",
        "Area of the structure across the cord, corrected for the cord's tilt.",
        "shape", "csa_mm2", _PROCESS, 0.0, 1000.0, main=True,
    ),
    Measure(
        "csa_uncorrected_mm2", "mm2", "Area in the slice plane",
        "Area of the structure in the image's slice, without correction for the cord's tilt.",
        "shape", "csa_uncorrected_mm2", _PROCESS, 0.0, 1000.0,
    ),
    Measure(
        "csa_soft_mm2", "mm2", "Cross-sectional area, soft",
        "As cross-sectional area, with partial voxels of a soft mask counted in part.",
        "shape_soft", "csa_mm2", _PROCESS, 0.0, 1000.0, main=True,
    ),
    Measure(
        "diameter_ap_mm", "mm", "Diameter, front to back",
        "Mean front-back extent over the middle 3 mm, along the structure's own axis.",
        "shape", "diameter_ap_mm", _PROCESS, 0.0, 50.0,
    ),
    Measure(
        "diameter_ap_ellipse_mm", "mm", "Ellipse axis, front to back",
        "Front-back axis of the ellipse with the same second moments.",
        "shape", "diameter_ap_ellipse_mm", _PROCESS, 0.0, 50.0,
    ),
    Measure(
        "diameter_rl_mm", "mm", "Diameter, right to left",
        "Right-left axis of the ellipse with the same second moments.",
        "shape", "diameter_rl_mm", _PROCESS, 0.0, 50.0,
    ),
    Measure(
        "eccentricity", "1", "Eccentricity",
        "0 for a circle, towards 1 for a flat ellipse.",
        "shape", "eccentricity", _PROCESS, 0.0, 1.0,
    ),
    Measure(
        "orientation_deg", "deg", "Orientation",
        "Turn of the right-left axis against the image's; positive: right side to the front.",
        "shape", "orientation_deg", _PROCESS, -45.0, 45.0,
    ),
    Measure(
        "solidity", "1", "Solidity",
        "Share of the convex hull that is filled; lower where the outline is dented.",
        "shape", "solidity", _PROCESS, 0.0, 1.0,
    ),
    Measure(
        "angle_ap_deg", "deg", "Tilt about the front-back axis",
        "Lean of the cord to the side; positive: to the right upwards.",
        "shape", "angle_ap_deg", _PROCESS, -90.0, 90.0,
    ),
    Measure(
        "angle_rl_deg", "deg", "Tilt about the right-left axis",
        "Lean of the cord to the front; positive: forward upwards.",
        "shape", "angle_rl_deg", _PROCESS, -90.0, 90.0,
    ),
    Measure(
        "length_mm", "mm", "Length",
        "Length along the cord, summed over slices.",
        "shape", "length_mm", _PROCESS, 0.0, 1000.0, "sum",
    ),
    Measure(
        "volume_mm3", "mm3", "Volume",
        "Volume of the mask, summed over slices.",
        "shape", "volume_mm3", _PROCESS, 0.0, inf, "sum",
    ),
    Measure(
        "n_slices", "1", "Slices",
        "Number of slices that hold the structure.",
        "shape", "n_slices", "count", 0.0, inf, "sum",
    ),
    Measure(
        "dice", "1", "Dice",
        "Overlap with the reference, 0 to 1, in the slices that the rater drew.",
        "agreement", "dice", ANIMA, 0.0, 1.0, main=True,
    ),
    Measure(
        "iou", "1", "Intersection over union",
        "Overlap with the reference over their union, 0 to 1.",
        "agreement", "iou", ANIMA, 0.0, 1.0,
    ),
    Measure(
        "precision", "1", "Precision",
        "Share of the mask that the reference holds too.",
        "agreement", "precision", ANIMA, 0.0, 1.0, main=True,
    ),
    Measure(
        "recall", "1", "Recall",
        "Share of the reference that the mask holds too.",
        "agreement", "recall", ANIMA, 0.0, 1.0, main=True,
    ),
    Measure(
        "rve_percent", "percent", "Relative volume error",
        "Signed volume difference to the reference; positive: the mask is larger; best 0.",
        "agreement", "rve_percent", ANIMA, -100.0, inf, main=True,
    ),
    Measure(
        "soft_dice", "1", "Soft Dice",
        "Dice of soft values, (2 sum(ab) + 1) / (sum(a) + sum(b) + 1).",
        "agreement", "soft_dice", "validation metric of soft segmentation", 0.0, 1.0,
    ),
    Measure(
        "outside_slices_mm3", "mm3", "Volume outside the drawn slices",
        "Volume of the mask in slices where the rater drew nothing; not part of the overlap.",
        "agreement", "outside_slices_mm3", "own", 0.0, inf,
    ),
    Measure(
        "outside_slices_n", "1", "Slices outside the drawn slices",
        "Number of slices with mask where the rater drew nothing.",
        "agreement", "outside_slices_n", "own", 0.0, inf,
    ),
    Measure(
        "scored_slices_n", "1", "Slices scored",
        "Number of slices that the rater drew.",
        "agreement", "scored_slices_n", "own", 0.0, inf,
    ),
    Measure(
        "both_voxels_n", "1", "Voxels in both",
        "Voxels that mask and reference hold, to be pooled over scans.",
        "overlap_n", "both_voxels_n", "own", 0.0, inf,
    ),
    Measure(
        "mask_voxels_n", "1", "Voxels of the mask",
        "Voxels of the mask in the scored slices, to be pooled over scans.",
        "overlap_n", "mask_voxels_n", "own", 0.0, inf,
    ),
    Measure(
        "reference_voxels_n", "1", "Voxels of the reference",
        "Voxels of the reference in the scored slices, to be pooled over scans.",
        "overlap_n", "reference_voxels_n", "own", 0.0, inf,
    ),
    Measure(
        "hd95_mm", "mm", "Hausdorff distance, 95 %",
        "The larger of the two 95th percentiles of surface distance, in the drawn slices.",
        "surface", "hd95_mm", "Maier-Hein et al. 2024 (MetricsReloaded)", 0.0, inf,
    ),
    Measure(
        "asd_mm", "mm", "Average surface distance",
        "Mean distance of both surfaces from each other, in the drawn slices.",
        "surface", "asd_mm", "Maier-Hein et al. 2024 (MetricsReloaded)", 0.0, inf,
    ),
    Measure(
        "asd_anima_mm", "mm", "Surface distance as published tables have it",
        "A running minimum, far too small; only for comparison with published tables.",
        "surface", "asd_anima_mm", ANIMA, 0.0, inf,
    ),
    *LESION_MEASURES,
    *DIFFUSION_MEASURES,
    Measure(
        "pmj_distance_mm", "mm", "Distance from the PMJ",
        "Length of the cord from the pontomedullary junction to the middle of a spinal level.",
        "spinal", "pmj_distance_mm", _ROOTLETS, -50.0, 400.0, "", main=True,
    ),
    Measure(
        "pmj_distance_start_mm", "mm", "Distance from the PMJ, lower end",
        "As the distance from the PMJ, to the centre of the level's lowest slice.",
        "spinal", "pmj_distance_start_mm", _ROOTLETS, -50.0, 400.0, "",
    ),
    Measure(
        "pmj_distance_end_mm", "mm", "Distance from the PMJ, upper end",
        "As the distance from the PMJ, to the centre of the level's highest slice.",
        "spinal", "pmj_distance_end_mm", _ROOTLETS, -50.0, 400.0, "",
    ),
    Measure(
        "level_height_mm", "mm", "Height of a spinal level",
        "Length between the centres of the first and the last slice whose rootlets meet the cord.",
        "spinal", "level_height_mm", _ROOTLETS, 0.0, LONGEST_LEVEL_MM, "",
    ),
    Measure(
        "level_extent_mm", "mm", "Covered extent of a spinal level",
        "Length of the cord that the level's slices cover, from border to border.",
        "spinal", "level_extent_mm", "own", 0.0, LONGEST_LEVEL_MM, "",
    ),
    Measure(
        "level_contiguous_mm", "mm", "Height of a spinal level without gaps",
        "Length between the middles of the gaps to the neighbouring levels.",
        "spinal", "level_contiguous_mm", "own", 0.0, LONGEST_LEVEL_MM, "",
    ),
    Measure(
        "slice_f1", "1", "F1 of slices",
        "Agreement on which slices hold the level: 1 where both maps agree on all, 0 on none.",
        "spinal_score", "slice_f1", _ROOTLETS, 0.0, 1.0, "", main=True,
    ),
    Measure(
        "in_slice_f1", "1", "Mean F1 within slices",
        "Mean Dice within the slices in which both maps hold the level.",
        "spinal_score", "in_slice_f1", _ROOTLETS, 0.0, 1.0, "",
    ),
    Measure(
        "midpoint_error_mm", "mm", "Midpoint error",
        "Distance along the cord between the midpoints of a level in both maps.",
        "spinal_score", "midpoint_error_mm", _ROOTLETS, 0.0, 400.0, "",
    ),
)  # fmt: skip

CATALOGUE: dict[str, Measure] = {measure.name: measure for measure in _MEASURES}


def measures_of(kind: str) -> list[Measure]:
    """Measures of one kind, in the order in which they are declared.

    >>> [m.name for m in measures_of("diffusion")]
    ['fa', 'md_mm2_per_s', 'ad_mm2_per_s', 'rd_mm2_per_s']
    """
    return [measure for measure in _MEASURES if measure.kind == kind]


def map_name(measure: Measure) -> str:
    """Short name of a diffusion map as it stands in file names: ``fa``, ``md``, ``ad``, ``rd``."""
    return measure.name.split("_", maxsplit=1)[0]
