"""Overlap of drawn pairs against six tools: equal to 1e-6, or to a tool's printed digits.

Overlap has no room for opinion where both masks hold voxels; conventions differ for empty ones.
"""

from __future__ import annotations

import pandas as pd
import pytest
from cordcohort.measures import overlap
from cordcohort.measures.overlap import compare
from cordcohort.nifti import read_mask

SAME = {
    "dsc": ("dice", 1.0), "dice": ("dice", 1.0), "Dice": ("dice", 1.0),
    "sensitivity": ("recall", 1.0), "Sensitivity": ("recall", 1.0), "recall": ("recall", 1.0),
    "Jaccard": ("iou", 1.0), "PPV": ("precision", 1.0),
    "rel_vol_error_percent": ("rve_percent", 1.0), "RelativeVolumeError": ("rve_percent", 1.0),
    "fbeta": ("dice", 1.0),
}  # fmt: skip
PRINTED_DIGITS = 5.1e-7  # ANIMA prints six decimals
SINGLE_PRECISION = 1e-6


def test_overlap_equals_every_tool_on_every_pair(shared_golden):
    pairs = pd.read_csv(shared_golden / "segmentation_pairs.csv").set_index("pair")
    values = pd.read_csv(shared_golden / "segmentation_metrics.csv")
    n_compared = 0
    tools = set()
    for row in values[values["metric"].isin(list(SAME))].itertuples():
        files = pairs.loc[row.pair]
        if files["ref_voxels"] == 0:
            continue
        reference = read_mask(shared_golden / files["ref"])
        mask = read_mask(shared_golden / files["pred"], reference)
        pair = compare(mask.data, reference.data, mask.voxel_mm3, drawn_slices_only=False)
        name, scale = SAME[row.metric]
        allowed = (
            {"rel": 0, "abs": PRINTED_DIGITS}
            if "ANIMA" in row.tool
            else {"rel": SINGLE_PRECISION, "abs": SINGLE_PRECISION}
        )
        ours = getattr(overlap, name)(pair) * scale
        assert ours == pytest.approx(row.value, **allowed), (
            row.metric,
            row.pair,
            row.tool,
        )
        n_compared += 1
        tools.add(row.tool)
    assert n_compared >= 30
    assert len(tools) >= 4


def test_both_empty_is_undefined_here_where_others_say_one_or_nothing(shared_golden):
    reference = read_mask(shared_golden / "masks" / "P10_both_empty_ref.nii.gz")
    mask = read_mask(shared_golden / "masks" / "P10_both_empty_pred.nii.gz", reference)
    pair = compare(mask.data, reference.data, mask.voxel_mm3)
    assert overlap.dice(pair) != overlap.dice(pair)
    assert overlap.outside_slices_mm3(pair) == 0
