"""One convention for the end of a soft mask, in whatever cuts it."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.binary import binarised
from cordcohort.images.soft_truth import SoftTruthOptions, soft_ground_truth
from cordcohort.measures.overlap import compare
from cordcohort.measures.planar import components
from cordcohort.nifti import Image


@pytest.fixture
def halved():
    """Two contrasts that agree on one half of a bar: the other half is exactly 0.5."""
    one = np.zeros((12, 8, 6), np.float32)
    one[2:10, 3:6] = 1
    other = one.copy()
    other[6:] = 0
    return one, (one + other) / 2


def test_a_voxel_of_exactly_one_half_is_inside_everywhere(halved):
    whole, average = halved
    assert np.array_equal(binarised(average), whole > 0)
    pair = compare(average, whole, 1.0)
    assert pair.both == pair.reference == whole.sum()
    assert components(average).tolist() == [1] * 6
    masks = {"T2w": Image(average, np.eye(4)), "T1w": Image(average, np.eye(4))}
    truth = soft_ground_truth(masks, options=SoftTruthOptions(edge_mm={}))
    assert np.array_equal(truth.binary["T2w"].data, whole)
