"""Area and shape of real masks against another toolbox's values.

Participants: five of nine, T1w, T2w, T2starw, with and without angle correction, and one soft mask.
Tolerances, argued:

* mean area within 1 % is what a study can ask; we keep 0.05 %, a slice 0.3 %. Without correction
  the definitions are equal (found: 0.01 %, the other tool's resampling). With it, the other tool
  resamples each slice by linear interpolation (found: mean 0.01 %, slice 0.19 %).
* diameters: the same rule on an outline that is not resampled (found: mean 0.2 %, slice 1.6 %).
* solidity: the other tool's outline is a staircase of 0.1 mm, whose hull is larger than its pixels
  (found: mean 0.4 %, soft mask 1.1 %; a slice 1.9 %).
* angles: equal splines (found: 0.00 degrees); a soft mask's centre is weighted here (0.13 degrees).
* length: by the tilt in space instead of the product of two cosines (found: a slice 0.02 %).
* orientation: equal without correction (found: 0.00 degrees). With it, a cord that leans to a
  corner is shrunk along its lean here and along x and y separately there, which turns the ellipse
  differently (found: mean 0.7 degrees; 3.7 in one end slice that is nearly round).
* signs: the other tool counts x to the left, so tilt about front-back and orientation change sign.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cordcohort.measures import slice_shape
from cordcohort.measures.geometry import slice_geometry
from cordcohort.nifti import read_mask

LARGEST_MEAN_AND_SLICE_PERCENT = {
    "area": ("csa_mm2", 0.05, 0.3),
    "diameter_AP": ("diameter_ap_mm", 0.25, 0.8),
    "diameter_AP_ellipse": ("diameter_ap_ellipse_mm", 0.25, 2.0),
    "diameter_RL": ("diameter_rl_mm", 0.25, 1.0),
    "eccentricity": ("eccentricity", 0.3, 2.0),
    "solidity": ("solidity", 1.2, 2.0),
    "length": ("length_mm", 0.02, 0.05),
}
LARGEST_DEGREES = {
    "angle_AP": ("angle_ap_deg", -1, 0.2),
    "angle_RL": ("angle_rl_deg", 1, 0.2),
    "orientation": ("orientation_deg", -1, 4.0),
}


@pytest.fixture(scope="module")
def slices(shared_golden):
    return pd.read_csv(shared_golden / "csa_perslice.csv")


def geometries(slices, shared_data, shared_golden, correction):
    chosen = slices[slices["angle_corr"] == correction]
    for case, rows in chosen.groupby("case"):
        source = rows["source"].iloc[0]
        root = shared_golden if source.startswith("masks/") else shared_data
        kind = "softseg" if rows["kind"].iloc[0] == "soft" else "seg"
        mask = read_mask(root / source, kind=kind).canonical()
        geometry = slice_geometry(mask.data, mask.spacing_mm, angle_correction=bool(correction))
        yield case, geometry, rows.set_index("slice_RPI").loc[geometry.index]


@pytest.mark.parametrize("correction", [0, 1])
def test_size_and_shape_are_the_other_tools_within_the_argued_difference(
    slices, shared_data, shared_golden, correction
):
    n_cases = 0
    for case, geometry, theirs in geometries(slices, shared_data, shared_golden, correction):
        n_cases += 1
        for column, (name, of_mean, of_slice) in LARGEST_MEAN_AND_SLICE_PERCENT.items():
            ours = getattr(slice_shape, name)(geometry)
            mean = 100 * (ours.mean() / theirs[column].mean() - 1)
            worst = 100 * np.abs(ours / theirs[column].to_numpy() - 1).max()
            assert abs(mean) <= of_mean, (case, column, mean)
            assert worst <= of_slice, (case, column, worst)
    assert n_cases == 16


def test_angles_are_the_other_tools_with_the_sign_of_our_axes(slices, shared_data, shared_golden):
    for case, geometry, theirs in geometries(slices, shared_data, shared_golden, 1):
        for column, (name, sign, largest) in LARGEST_DEGREES.items():
            difference = sign * getattr(slice_shape, name)(geometry) - theirs[column].to_numpy()
            assert np.abs(difference).max() <= largest, (case, column)


def test_mean_area_of_every_mask_is_within_one_percent(shared_data, shared_golden):
    table = pd.read_csv(shared_golden / "csa_mean.csv")
    for row in table.itertuples():
        root = shared_golden if row.source.startswith("masks/") else shared_data
        mask = read_mask(
            root / row.source, kind="softseg" if row.kind == "soft" else "seg"
        ).canonical()
        geometry = slice_geometry(mask.data, mask.spacing_mm, angle_correction=bool(row.angle_corr))
        area = slice_shape.csa_mm2(geometry)
        assert area.mean() == pytest.approx(row.mean_area, rel=0.01)
        assert area.std(ddof=0) == pytest.approx(row.std_area, rel=0.01)  # theirs is of ddof 0
        assert slice_shape.length_mm(geometry).sum() == pytest.approx(row.sum_length, rel=0.01)
