"""Orientation codes say where axes begin; scans come back to their own axes."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from cordcohort.nifti import Image
from cordcohort.nnunet.orientation import axes_of, turned, turned_back
from hypothesis import given
from hypothesis import strategies as st

AXES = st.permutations(["RL", "AP", "IS"]).flatmap(
    lambda pairs: st.tuples(*[st.sampled_from(pair) for pair in pairs])
)


@pytest.mark.parametrize(("ours", "nibabels"), [("RPI", "LAS"), ("LPI", "RAS"), ("AIL", "PSR")])
def test_codes_are_the_opposites_of_nibabels(ours, nibabels):
    assert "".join(nib.orientations.ornt2axcodes(axes_of(ours))) == nibabels


@given(stored=AXES, wanted=AXES)
def test_turning_is_what_nibabel_does_and_comes_back(stored, wanted):
    data = np.arange(24.0).reshape(2, 3, 4)
    spacing = (1.0, 2.0, 3.0)
    plain = nib.Nifti1Image(data, np.diag([*spacing, 1.0]))
    file = plain.as_reoriented(nib.orientations.ornt_transform(
        nib.io_orientation(plain.affine), nib.orientations.axcodes2ornt(stored)))  # fmt: skip
    image = Image(np.asarray(file.dataobj), file.affine)
    code = "".join(wanted)
    found, found_spacing = turned(image, code)
    expected = file.as_reoriented(nib.orientations.ornt_transform(
        nib.io_orientation(file.affine), axes_of(code)))  # fmt: skip
    assert np.array_equal(found, np.asarray(expected.dataobj))
    assert found_spacing == pytest.approx(expected.header.get_zooms())
    assert np.array_equal(turned_back(image, found, code), image.data)
    many = np.stack([found, found], axis=-1)
    assert np.array_equal(turned_back(image, many, code)[..., 1], image.data)
