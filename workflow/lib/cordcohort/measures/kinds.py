"""The kinds of measures and how a scan goes through one of them."""

from __future__ import annotations

import pandas as pd

from cordcohort.measures.agreement import measure_agreement
from cordcohort.measures.lesions import measure_lesion
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.regions import MapsQuality, measure_regions
from cordcohort.measures.resolution import measure_resolution
from cordcohort.measures.shape import measure_shape
from cordcohort.measures.spinal_rows import measure_spinal
from cordcohort.measures.task import Task
from cordcohort.measures.threshold import measure_thresholds

KINDS = ("shape", "agreement", "regions", "lesion", "threshold", "resolution", "spinal")


_OF_MASKS = {
    "shape": measure_shape,
    "agreement": measure_agreement,
    "lesion": measure_lesion,
    "threshold": measure_thresholds,
    "spinal": measure_spinal,
}


def measure(kind: str, task: Task, options: MeasureOptions) -> pd.DataFrame:
    """Measure one scan.

    Raises
    ------
    ValueError
        If there is no such kind. Faults in the scan's data become failed rows.
    """
    if kind in _OF_MASKS:
        return _OF_MASKS[kind](task.scan, task.masks, options, task.image)
    if kind == "regions":
        return measure_regions(
            task.scan,
            task.masks,
            task.maps,
            options,
            image=task.image,
            maps_reason=task.maps_reason,
            quality=MapsQuality(task.maps_values, task.maps_warnings),
        )
    if kind == "resolution":
        return measure_resolution(task.scan, task.masks, options, task.models)
    raise ValueError(f"kind of measure: expected one of {KINDS}, got {kind!r}")
