"""The cascade: place, grid and orientation never change what is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from cordcohort.nifti import Image
from cordcohort.segmentation.infer import segment_volume
from cordcohort.segmentation.registry import Model
from scipy import ndimage

Draw = Callable[..., tuple[Image, np.ndarray]]


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return (
        2 * np.count_nonzero((a > 0) & (b > 0)) / max(np.count_nonzero(a) + np.count_nonzero(b), 1)
    )


def test_the_cord_of_a_phantom_is_found(model: Model, draw: Draw) -> None:
    image, truth = draw()
    found = segment_volume(model, image)
    assert found.status == "ok"
    assert dice(found.mask, truth) > 0.85


def test_soft_values_lie_strictly_between_zero_and_one_and_agree_with_the_mask(
    model: Model, draw: Draw
) -> None:
    found = segment_volume(model, draw()[0])
    assert found.soft.dtype == np.float32
    assert found.mask.dtype == np.uint8
    assert ((found.soft > 0.05) & (found.soft < 0.95)).sum() > 50
    assert np.array_equal(found.mask, found.soft >= 0.5)


def test_one_object_without_gap(model: Model, draw: Draw) -> None:
    mask = segment_volume(model, draw()[0]).mask
    assert ndimage.label(mask, np.ones((3, 3, 3)))[1] == 1
    used = np.flatnonzero(mask.any((0, 1)))
    assert np.array_equal(used, np.arange(used[0], used[-1] + 1))


@pytest.mark.parametrize("flips", [(0,), (1, 2), (0, 1, 2)])
def test_flipped_axes_give_the_same_mask(model: Model, draw: Draw, flips: tuple[int, ...]) -> None:
    image, _ = draw()
    affine = image.affine.copy()
    for axis in flips:
        affine[:3, 3] += affine[:3, axis] * (image.data.shape[axis] - 1)
        affine[:3, axis] *= -1
    other = Image(np.flip(image.data, flips), affine)
    plain, turned = segment_volume(model, image), segment_volume(model, other)
    assert np.array_equal(np.flip(turned.mask, flips), plain.mask)


def test_permuted_axes_give_the_same_mask_on_their_own_grid(model: Model, draw: Draw) -> None:
    image, _ = draw()
    other = Image(image.data.transpose(2, 0, 1), image.affine[:, [2, 0, 1, 3]])
    found = segment_volume(model, other)
    assert found.mask.shape == other.data.shape
    assert np.array_equal(found.mask.transpose(1, 2, 0), segment_volume(model, image).mask)


def test_an_oblique_header_gives_the_same_mask(model: Model, draw: Draw) -> None:
    image, _ = draw()
    angle = np.deg2rad(12)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    other = replace(image, affine=turn @ image.affine)
    assert np.array_equal(segment_volume(model, other).mask, segment_volume(model, image).mask)


def test_intensity_scale_does_not_matter(model: Model, draw: Draw) -> None:
    image, _ = draw()
    other = replace(image, data=image.data * 37 + 1000)
    assert dice(segment_volume(model, other).mask, segment_volume(model, image).mask) > 0.995


@pytest.mark.parametrize(
    ("name", "reason"), [("empty", "constant"), ("noise", "no cord"), ("coarse", "too large")]
)
def test_scans_without_cord_have_a_named_outcome(
    model: Model, draw: Draw, name: str, reason: str
) -> None:
    rng = np.random.default_rng(1)
    data = {
        "empty": np.zeros((64, 64, 8), np.float32),
        "noise": rng.rayleigh(100, (64, 64, 8)).astype(np.float32),
        "coarse": draw((16, 16, 6), (10.0, 10.0, 10.0))[0].data,
    }[name]
    spacing = 10.0 if name == "coarse" else 1.5
    found = segment_volume(model, Image(data, np.diag([spacing, spacing, 4.0, 1.0])))
    assert found.status == "no_cord"
    assert reason in found.reason
    assert not found.mask.any()
    assert found.mask.shape == data.shape


def test_one_slice_is_enough(model: Model, draw: Draw) -> None:
    image, truth = draw((96, 96, 1))
    found = segment_volume(model, image)
    assert dice(found.mask, truth) > 0.8


def test_the_batch_size_does_not_matter(model: Model, draw: Draw) -> None:
    image, _ = draw()
    one, many = (segment_volume(model, image, batch_size=b) for b in (1, 64))
    assert dice(one.mask, many.mask) > 0.999


def test_a_blank_slice_holds_no_cord(model: Model, draw: Draw) -> None:
    image, _ = draw()
    data = image.data.copy()
    data[:, :, :3] = np.random.default_rng(0).normal(0, 0.01, data[:, :, :3].shape)
    assert not segment_volume(model, replace(image, data=data)).mask[:, :, :2].any()


def test_a_negative_offset_moves_contours_inwards(model: Model, draw: Draw) -> None:
    image, _ = draw()
    areas = []
    for offset in (0.0, -1.0):
        cord = replace(model.stages["cord"], logit_offset=offset)
        other = replace(model, stages={**model.stages, "cord": cord})
        areas.append(int(segment_volume(other, image).mask.sum()))
    assert 0.7 * areas[0] < areas[1] < areas[0]


def test_mirroring_gives_nearly_the_same_mask(model: Model, draw: Draw) -> None:
    image, truth = draw()
    plain, both = (segment_volume(model, image, mirror=m).mask for m in (False, True))
    assert dice(plain, both) > 0.95
    assert dice(both, truth) > 0.85
