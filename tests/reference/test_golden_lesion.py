"""Lesion biomarkers of drawn masks on real cords against another toolbox: 0.01 % of every value.

The definitions are the same and the centreline's rule is too, so what is left is rounding of the
voxel size. The other tool counts x from the right: its midsagittal slice is mirrored here.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from cordcohort.measures.lesion import measure_lesions
from cordcohort.nifti import read_mask

COLUMNS = {
    "volume [mm3]": "volume_mm3",
    "length [mm]": "length_mm",
    "width [mm]": "width_mm",
    "max_equivalent_diameter [mm]": "max_equivalent_diameter_mm",
    "max_axial_damage_ratio []": "max_axial_damage_ratio",
}
BRIDGE_COLUMNS = {
    "length_interpolated_midsagittal_slice [mm]": "length_mm",
    "width_interpolated_midsagittal_slice [mm]": "width_mm",
    "interpolated_dorsal_bridge_width [mm]": "dorsal_mm",
    "interpolated_ventral_bridge_width [mm]": "ventral_mm",
    "interpolated_total_bridge_width [mm]": "total_mm",
    "dorsal_bridge_ratio [%]": "dorsal_percent",
    "ventral_bridge_ratio [%]": "ventral_percent",
}
RELATIVE = 1e-4


@pytest.fixture(scope="module")
def scans(shared_data, shared_golden):
    table = pd.read_csv(shared_golden / "lesion_measures.csv")
    found = {}
    for case, rows in table.groupby("case"):
        cord = read_mask(shared_data / rows["cord"].iloc[0])
        lesion = read_mask(shared_golden / rows["lesion"].iloc[0], cord).canonical()
        measured = measure_lesions(lesion.data, cord.canonical().data, lesion.spacing_mm)
        found[case] = (measured, rows.sort_values("volume [mm3]", ascending=False))
    return found


def test_every_lesion_has_the_other_tools_values(scans):
    n_lesions = 0
    for case, (measured, rows) in scans.items():
        assert len(measured.lesions) == len(rows)
        for lesion, row in zip(measured.lesions, rows.to_dict("records"), strict=True):
            n_lesions += 1
            for column, name in COLUMNS.items():
                expected = pytest.approx(row[column], rel=RELATIVE)
                assert getattr(lesion, name) == expected, (case, column)
            for column, name in BRIDGE_COLUMNS.items():
                expected = pytest.approx(row[column], rel=RELATIVE)
                assert getattr(lesion.bridges, name) == expected, (case, column)
    assert n_lesions == 5


def test_bridges_of_every_sagittal_slice_are_the_other_tools(scans):
    """The other tool goes from right to left, and numbers the slices along the file's own axis."""
    n_slices = 0
    for case, (measured, rows) in scans.items():
        for lesion, row in zip(measured.lesions, rows.to_dict("records"), strict=True):
            for side in ("dorsal", "ventral", "total"):
                column = re.compile(rf"slice_\d+_{side}_bridge_width \[mm\]")
                told = [v for c, v in row.items() if column.fullmatch(str(c)) and np.isfinite(v)]
                ours = [getattr(one, f"{side}_mm") for one in lesion.bridges.by_slice[::-1]]
                assert ours == pytest.approx(told, rel=RELATIVE), (case, side)
            n_slices += len(lesion.bridges.by_slice)
    assert n_slices == 35


def test_totals_are_sums_over_lesions(scans, shared_golden):
    totals = pd.read_csv(shared_golden / "lesion_totals.csv").set_index("case")
    for case, (measured, _) in scans.items():
        row = totals.loc[case]
        assert len(measured.lesions) == row["lesion_count"]
        volume = sum(lesion.volume_mm3 for lesion in measured.lesions)
        length = sum(lesion.length_mm for lesion in measured.lesions)
        assert volume == pytest.approx(row["total_volume_mm3"], abs=0.01)
        assert length == pytest.approx(row["total_length_mm"], abs=0.01)


def test_lesions_that_share_a_slice_damage_more_than_each_alone(scans):
    measured, _ = scans["lesionD_mt"]
    alone = max(lesion.max_axial_damage_ratio for lesion in measured.lesions)
    assert alone == pytest.approx(0.1553, abs=1e-4)
    assert measured.max_axial_damage_ratio == pytest.approx(0.1845, abs=1e-4)
