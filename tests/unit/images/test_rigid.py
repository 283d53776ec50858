"""Rigid registration of contrasts that are not co-registered."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.images.rigid import rigid_transform
from cordcohort.images.soft_truth import SoftTruthOptions, soft_ground_truth
from cordcohort.nifti import Image
from scipy import ndimage
from scipy.spatial.transform import Rotation

SHAPE = (48, 48, 40)
AFFINE = np.diag([1.0, 1.0, 1.0, 1.0])


def motion(degrees, shift_mm):
    out = np.eye(4)
    out[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    centre = np.array([24.0, 24.0, 20.0])
    out[:3, 3] = centre + shift_mm - out[:3, :3] @ centre
    return out


def drawn(world=None):
    """Mask and image of a cord among vertebrae, seen through a motion fixed -> moving world."""
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij")).reshape(3, -1)
    to_fixed = np.eye(4) if world is None else np.linalg.inv(world)
    x, y, z = to_fixed[:3, :3] @ index + to_fixed[:3, 3:]
    middle = 24.0 + 0.02 * (z - 20) ** 2 / 2
    rho = np.hypot((x - 24) / 6.5, (y - middle) / 4.0)
    cord = np.clip((1 - rho) * 4 + 0.5, 0, 1)
    body = (np.abs(x - 24) < 10) & (y > middle + 7) & (np.mod(z, 14) < 10)
    values = 0.2 + 0.8 * cord + 0.5 * body
    image = ndimage.gaussian_filter(values.reshape(SHAPE), 0.7)
    return (
        Image(cord.reshape(SHAPE).astype(np.float32), AFFINE),
        Image(image.astype(np.float32), AFFINE),
    )


def error_mm(found, truth):
    ends = np.array([[18, 24, 4, 1.0], [30, 24, 20, 1.0], [24, 28, 36, 1.0]]).T
    return float(np.linalg.norm(((found - truth) @ ends)[:3], axis=0).max())


def test_masks_alone_find_tilt_and_in_plane_motion():
    truth = motion((6.0, -4.0, 0.0), (5.0, -4.0, 0.0))
    found = rigid_transform(drawn()[0], drawn(truth)[0])
    ends = np.array([[24, 24.0 + 0.01 * (z - 20) ** 2, z, 1.0] for z in (6, 20, 34)]).T
    there, true = (found @ ends)[:2], (truth @ ends)[:2]
    assert np.abs(there - true).max() < 1.0  # position across the cord; along it is not seen


def test_images_of_opposite_contrast_find_the_slide_along_the_cord_too():
    truth = motion((4.0, -3.0, 5.0), (4.0, -3.0, 4.0))
    mask, image = drawn()
    moved_mask, moved_image = drawn(truth)
    inverted = Image(3.0 - 2.0 * moved_image.data, AFFINE)
    found = rigid_transform(mask, moved_mask, image, inverted)
    assert error_mm(found, truth) < 1.0
    turn = found[:3, :3]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(turn) == pytest.approx(1.0)


def test_scans_that_are_co_registered_stay_where_they_are():
    mask, image = drawn()
    assert error_mm(rigid_transform(mask, mask), np.eye(4)) < 0.1
    assert error_mm(rigid_transform(mask, mask, image, image), np.eye(4)) < 0.2


def test_a_contrast_that_only_rigid_registration_can_bring_back_enters_the_average():
    truth = motion((5.0, 3.0, 0.0), (16.0, 0.0, 0.0))
    mask, moved = drawn()[0], drawn(truth)[0]
    plain = soft_ground_truth({"T2w": mask, "T1w": moved})
    assert "do not overlap" in plain.exclusions[0].reason
    rigid = soft_ground_truth({"T2w": mask, "T1w": moved}, options=SoftTruthOptions(rigid=True))
    assert not rigid.exclusions
    assert set(rigid.rigid) == {"T1w"}
    own, back = moved.data, rigid.soft["T1w"].data
    assert 2 * (own * back).sum() / (own**2 + back**2).sum() > 0.95
