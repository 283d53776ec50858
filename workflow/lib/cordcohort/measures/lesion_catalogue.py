"""Measures of lesions: detection, biomarkers, where they lie, and how they change over sessions.

As :mod:`cordcohort.measures.catalogue`, which takes them in; apart only for its length.
"""

from __future__ import annotations

from math import inf

from cordcohort.measures.measure import Measure

ANIMA = "animaSegPerfAnalyzer; Commowick et al. 2018"
ANALYZE = "sct_analyze_lesion (Spinal Cord Toolbox), see measures.lesion"

LESION_MEASURES = (
    Measure(
        "lesion_sensitivity", "1", "Lesions found",
        "Share of the reference's lesions that are detected.",
        "detection", "lesion_sensitivity", ANIMA, 0.0, 1.0,
    ),
    Measure(
        "lesion_ppv", "1", "Lesions confirmed",
        "Share of the lesions found that the reference confirms.",
        "detection", "lesion_ppv", ANIMA, 0.0, 1.0,
    ),
    Measure(
        "lesion_f1", "1", "Lesion F1",
        "Harmonic mean of lesions found and lesions confirmed.",
        "detection", "lesion_f1", ANIMA, 0.0, 1.0,
    ),
    Measure(
        "lesions_reference_n", "1", "Lesions of the reference",
        "Lesions that the reference holds, of more than 3 mm3.",
        "detection", "lesions_reference_n", ANIMA, 0.0, inf,
    ),
    Measure(
        "lesions_n", "1", "Lesions of the mask",
        "Lesions that the mask holds, of more than 3 mm3.",
        "detection", "lesions_n", ANIMA, 0.0, inf,
    ),
    Measure(
        "lesions_mm3", "mm3", "Volume of the mask's lesions",
        "Volume of the mask's lesions of more than 3 mm3, also where the reference is empty.",
        "detection", "lesions_mm3", ANIMA, 0.0, inf,
    ),
    Measure(
        "lesion_volume_mm3", "mm3", "Lesion volume",
        "Volume of the lesion within the cord.",
        "lesion", "volume_mm3", ANALYZE, 0.0, inf, "sum", main=True,
    ),
    Measure(
        "lesion_length_mm", "mm", "Lesion length",
        "Length along the cord of all slices that hold the lesion.",
        "lesion", "length_mm", ANALYZE, 0.0, inf, "sum", main=True,
    ),
    Measure(
        "lesion_width_mm", "mm", "Lesion width",
        "Largest front-back extent, across the cord.",
        "lesion", "width_mm", ANALYZE, 0.0, 50.0, "max",
    ),
    Measure(
        "lesion_diameter_mm", "mm", "Largest equivalent diameter",
        "Diameter of the disc with the lesion's largest section across the cord.",
        "lesion", "max_equivalent_diameter_mm", ANALYZE, 0.0, 50.0, "max",
    ),
    Measure(
        "lesion_damage_ratio", "1", "Maximal axial damage ratio",
        "Largest share of a section of the cord that is lesion.",
        "lesion", "max_axial_damage_ratio", ANALYZE, 0.0, 1.0, "max", main=True,
    ),
    Measure(
        "bridge_dorsal_mm", "mm", "Dorsal tissue bridge",
        "Smallest spared tissue behind the lesion in the midsagittal plane.",
        "lesion", "dorsal_mm", ANALYZE, 0.0, 50.0, "min",
    ),
    Measure(
        "bridge_ventral_mm", "mm", "Ventral tissue bridge",
        "Smallest spared tissue before the lesion in the midsagittal plane.",
        "lesion", "ventral_mm", ANALYZE, 0.0, 50.0, "min",
    ),
    Measure(
        "bridge_total_mm", "mm", "Tissue bridges",
        "Dorsal and ventral bridge together.",
        "lesion", "total_mm", ANALYZE, 0.0, 50.0, "min",
    ),
    Measure(
        "bridge_dorsal_percent", "percent", "Dorsal share of the bridges",
        "Share of the dorsal bridge; 0 where nothing is spared.",
        "lesion", "dorsal_percent", ANALYZE, 0.0, 100.0, "",
    ),
    Measure(
        "bridge_ventral_percent", "percent", "Ventral share of the bridges",
        "Share of the ventral bridge; 0 where nothing is spared.",
        "lesion", "ventral_percent", ANALYZE, 0.0, 100.0, "",
    ),
    Measure(
        "lesion_midsagittal_length_mm", "mm", "Midsagittal lesion length",
        "Length of the lesion in the midsagittal plane.",
        "lesion", "midsagittal_length_mm", ANALYZE, 0.0, inf, "max",
    ),
    Measure(
        "lesion_midsagittal_width_mm", "mm", "Midsagittal lesion width",
        "Width of the lesion in the midsagittal plane.",
        "lesion", "midsagittal_width_mm", ANALYZE, 0.0, 50.0, "max",
    ),
    Measure(
        "lesion_count", "1", "Lesions",
        "Number of lesions within the cord.",
        "lesion_scan", "lesion_count", ANALYZE, 0.0, inf, "", main=True,
    ),
    Measure(
        "lesion_removed_mm3", "mm3", "Lesion outside the cord",
        "Volume of the lesion mask outside the cord, not measured.",
        "lesion_scan", "lesion_removed_mm3", "own", 0.0, inf, "",
    ),
    Measure(
        "lesion_outside_n", "1", "Lesions outside the cord",
        "Number of lesions wholly outside the cord, left out.",
        "lesion_scan", "lesion_outside_n", "own", 0.0, inf, "",
    ),
    Measure(
        "lesion_3mm3_n", "1", "Lesions of more than 3 mm3",
        "Number of lesions within the cord of more than 3 mm3, the size that detection counts.",
        "lesion_scan", "lesion_3mm3_n", ANIMA, 0.0, inf, "",
    ),
    Measure(
        "lesion_share_percent", "percent", "Share of the lesion",
        "Share of the lesion (or of all lesions) that lies at the level or in the region.",
        "lesion_place", "share_percent", ANALYZE, 0.0, 100.0, "",
    ),
    Measure(
        "lesion_load_percent", "percent", "Share of the place that is lesion",
        "Share of the level's cord, or of the region, that lesions occupy.",
        "lesion_place", "load_percent", ANALYZE, 0.0, 100.0, "",
    ),
    Measure(
        "lesion_before_mm3", "mm3", "Volume at the earlier session",
        "Volume of the matched lesions at the earlier session.",
        "followup", "before_mm3", "own", 0.0, inf, "",
    ),
    Measure(
        "lesion_after_mm3", "mm3", "Volume at the later session",
        "Volume of the matched lesions at the later session.",
        "followup", "after_mm3", "own", 0.0, inf, "",
    ),
    Measure(
        "lesion_change_percent", "percent", "Change of volume",
        "Change of the matched lesions' volume since the earlier session; negative: smaller.",
        "followup", "change_percent", "own", -100.0, inf, "",
    ),
    Measure(
        "lesions_new_n", "1", "New lesions",
        "Number of lesions of the later session that the earlier one did not have.",
        "followup_n", "new_n", "own", 0.0, inf, "", main=True,
    ),
    Measure(
        "lesions_gone_n", "1", "Gone lesions",
        "Number of lesions of the earlier session that the later one does not have.",
        "followup_n", "gone_n", "own", 0.0, inf, "", main=True,
    ),
    Measure(
        "lesions_merged_n", "1", "Merged lesions",
        "Number of groups of lesions of which fewer are left, as they have met.",
        "followup_n", "merged_n", "own", 0.0, inf, "", main=False,
    ),
    Measure(
        "lesions_split_n", "1", "Split lesions",
        "Number of groups of lesions of which there are more, as they came apart.",
        "followup_n", "split_n", "own", 0.0, inf, "", main=False,
    ),
    Measure(
        "lesions_grown_n", "1", "Grown lesions",
        "Number of groups whose volume rose by more than the threshold.",
        "followup_n", "grown_n", "own", 0.0, inf, "", main=False,
    ),
    Measure(
        "lesions_shrunk_n", "1", "Shrunk lesions",
        "Number of groups whose volume fell by more than the threshold.",
        "followup_n", "shrunk_n", "own", 0.0, inf, "", main=False,
    ),
    Measure(
        "lesions_stable_n", "1", "Stable lesions",
        "Number of groups whose volume changed by no more than the threshold.",
        "followup_n", "stable_n", "own", 0.0, inf, "", main=False,
    ),
)  # fmt: skip
