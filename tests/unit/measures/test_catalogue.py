"""The catalogue: every entry has its function, its unit and its words."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.errors import ConfigError
from cordcohort.images import diffusion, tensor_quality
from cordcohort.measures import (
    detection,
    followups,
    lesion_places,
    lesions,
    overlap,
    region_errors,
    slice_shape,
    spinal_place,
    spinal_scores,
    surface,
)
from cordcohort.measures.catalogue import CATALOGUE, measures_of
from cordcohort.measures.groups import groups_of
from cordcohort.measures.level_sources import ScanLevels
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.rows import valued

MODULES = {
    "shape": slice_shape,
    "shape_soft": slice_shape,
    "agreement": overlap,
    "surface": surface,
    "detection": detection,
    "lesion": lesions,
    "lesion_scan": lesions,
    "lesion_place": lesion_places,
    "followup": followups,
    "followup_n": followups,
    "spinal": spinal_place,
    "spinal_score": spinal_scores,
    "diffusion": diffusion,
    "index_error": region_errors,
    "fit_quality": tensor_quality,
    "overlap_n": overlap,
}
UNIT_ENDINGS = {"mm2": "_mm2", "mm": "_mm", "mm3": "_mm3", "mm2/s": "_mm2_per_s", "deg": "_deg",
                "percent": "_percent"}  # fmt: skip


@pytest.mark.parametrize("measure", CATALOGUE.values(), ids=list(CATALOGUE))
def test_an_entry_is_complete_and_its_name_carries_its_unit(measure):
    assert callable(getattr(MODULES[measure.kind], measure.function))
    assert measure.name.endswith(UNIT_ENDINGS.get(measure.unit, ""))
    assert measure.description.endswith(".")
    assert measure.low < measure.high
    assert measure.reduce in ("mean", "sum", "max", "min", "")


def test_every_public_function_of_a_measure_module_is_declared():
    declared = {m.function for m in measures_of("shape") + measures_of("shape_soft")}
    own = {
        name
        for name, thing in vars(slice_shape).items()
        if callable(thing) and getattr(thing, "__module__", "") == slice_shape.__name__
    }
    assert own == declared


def test_every_kind_has_a_main_measure_so_that_failures_show():
    for kind in ("shape", "shape_soft", "agreement", "diffusion", "spinal", "spinal_score"):
        assert any(m.main for m in measures_of(kind))


def test_bounds_are_inclusive_and_nan_is_undefined():
    dice = CATALOGUE["dice"]
    assert valued(dice, 1.0)["flag"] == valued(dice, 1.0 + 1e-12)["flag"] == ""
    assert valued(dice, 1.1)["flag"] == "warning"
    assert valued(dice, np.nan)["flag"] == "undefined"


def test_unknown_level_ranges_are_refused_with_the_key():
    with pytest.raises(ConfigError, match=r"measures\.level_ranges"):
        MeasureOptions(level_ranges=("2:3",))


def test_a_single_level_is_no_range_of_its_own():
    options = MeasureOptions(level_ranges=("C3-C3",))
    groups = groups_of([1, 2], ScanLevels({1: "C3", 2: "C3"}), options)
    assert [g.level for g in groups] == ["", "C3"]
