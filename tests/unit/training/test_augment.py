"""Augmentation against closed forms and scipy: each change does what its name says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from cordcohort.errors import ConfigError
from cordcohort.segmentation.volumes import standardised
from cordcohort.training.augment import (
    PUBLISHED,
    bias_field,
    change_intensities,
    check_augmentation,
    coarser,
    mirrored_axes,
    random_affine,
    random_displacement,
    smoothed,
)
from cordcohort.training.patches import Item, PatchSampler
from scipy import ndimage


def only(name: str, **values: object) -> dict:
    others = {other: False for other in PUBLISHED if other != name}
    return check_augmentation({**others, name: {"probability": 1.0, **values}})


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_published_probabilities_are_the_defaults() -> None:
    found = {name: values["probability"] for name, values in check_augmentation({}).items()}
    assert found == {
        "affine": 0.9, "elastic": 0.5, "low_resolution": 0.25, "gamma": 0.5, "bias": 0.3,
        "noise": 0.1, "smooth": 0.3, "flip": 0.3,
    }  # fmt: skip


def test_each_change_happens_as_often_as_its_probability_says() -> None:
    rng, options = np.random.default_rng(1), check_augmentation({})
    n = 4000
    turned = sum(bool(mirrored_axes(rng, options)) for _ in range(n))
    assert turned / n == pytest.approx(0.3, abs=4 * math.sqrt(0.3 * 0.7 / n))
    moved = sum(not np.array_equal(random_affine(rng, options), np.eye(3)) for _ in range(n))
    assert moved / n == pytest.approx(0.9, abs=4 * math.sqrt(0.9 * 0.1 / n))


def test_rotation_without_scale_keeps_lengths_and_reaches_every_axis() -> None:
    options, rng = only("affine", scale=0.0), np.random.default_rng(2)
    found = np.array([random_affine(rng, options) for _ in range(50)])
    assert np.allclose(found @ found.transpose(0, 2, 1), np.eye(3), atol=1e-12)
    assert (np.abs(found - np.eye(3)).max(axis=0)[~np.eye(3, dtype=bool)] > 0.05).all()


def test_scale_alone_stays_within_its_range_on_every_axis() -> None:
    options, rng = only("affine", degrees=0.0), np.random.default_rng(3)
    found = np.array([np.diag(random_affine(rng, options)) for _ in range(200)])
    assert (found.min(axis=0) < 0.85).all()
    assert (found.max(axis=0) > 1.15).all()
    assert found.min() >= 0.8
    assert found.max() <= 1.2


def test_elastic_displacement_has_the_sd_of_smoothed_uniform_noise() -> None:
    sigma, magnitude = 3.0, 30.0
    options = only("elastic", sigma=(sigma, sigma), magnitude=(magnitude, magnitude))
    moved = random_displacement(np.random.default_rng(0), generator(), (48, 48, 48), options)
    assert moved is not None
    # A Gaussian of SD sigma leaves (1 / (2 sigma sqrt(pi)))^3 of the variance of white noise.
    expected = magnitude * math.sqrt(1 / 3 * (1 / (2 * sigma * math.sqrt(math.pi))) ** 3)
    inner = moved[:, 12:-12, 12:-12, 12:-12]  # about 30 independent places a component
    assert float(inner.std()) == pytest.approx(expected, rel=0.25)


@pytest.mark.parametrize("sigmas", [(1.0, 0.0, 0.0), (0.5, 2.0, 1.3)])
def test_smoothing_equals_scipy(sigmas: tuple[float, float, float]) -> None:
    volume = torch.rand((2, 9, 11, 10), generator=generator())
    ours = smoothed(volume, sigmas)
    for one, other in zip(volume.numpy(), ours.numpy(), strict=True):
        reach = [max(1, math.ceil(3 * s)) if s else 0 for s in sigmas]
        theirs = one
        for axis, (s, r) in enumerate(zip(sigmas, reach, strict=True)):
            if s:
                theirs = ndimage.gaussian_filter1d(theirs, s, axis, mode="nearest", radius=r)
        assert np.allclose(other, theirs, atol=1e-5)


def test_the_bias_field_is_one_for_zero_and_a_line_for_one_linear_coefficient() -> None:
    powers = [(i, j, k) for i in range(4) for j in range(4) for k in range(4) if i + j + k <= 3]
    coefficients = np.zeros(len(powers))
    coefficients[powers.index((0, 0, 1))] = 0.4
    field = bias_field((3, 4, 5), coefficients, torch.device("cpu"))
    expected = np.exp(0.4 * np.linspace(-1, 1, 5))
    assert np.allclose(field.numpy(), np.broadcast_to(expected, (3, 4, 5)), atol=1e-6)


def test_the_bias_field_brightens_either_corner() -> None:
    options, rng = only("bias"), np.random.default_rng(5)
    flat = torch.ones(8, 8, 8)
    fields = [change_intensities(rng, generator(), flat, options) for _ in range(40)]
    corners = [float(field[7, 7, 7]) for field in fields]
    assert min(corners) < 0.9
    assert max(corners) > 1.1


def test_gamma_keeps_the_range_and_the_order() -> None:
    image = torch.linspace(-2, 5, 64).view(4, 4, 4)
    out = change_intensities(np.random.default_rng(0), generator(), image, only("gamma"))
    assert float(out.min()) == pytest.approx(-2, abs=1e-4)
    assert float(out.max()) == pytest.approx(5, abs=1e-4)
    assert (out.flatten().diff() >= -1e-5).all()
    assert not torch.allclose(out, image)


def test_noise_follows_the_images_own_sd() -> None:
    options = only("noise", largest_sd=0.1)
    image = 1000 * torch.rand((16, 16, 16), generator=generator(1))
    rng = np.random.default_rng(0)
    added = [
        float((change_intensities(rng, generator(i), image, options) - image).std() / image.std())
        for i in range(30)
    ]
    assert max(added) <= 0.105  # 0.1, and 2 % of chance over 4096 voxels
    assert max(added) > 0.07


def test_a_factor_on_the_intensity_is_undone_by_the_z_score() -> None:
    image, inside = torch.rand((4, 5, 6), generator=generator()), torch.ones(4, 5, 6)
    assert torch.allclose(standardised(1.7 * image, inside), standardised(image, inside), atol=1e-5)


def test_lower_resolution_keeps_the_mean_and_loses_detail() -> None:
    image = torch.rand((16, 16, 16), generator=generator())
    out = coarser(image, (0.5, 0.5, 0.5))
    assert float(out.mean()) == pytest.approx(float(image.mean()), abs=0.01)
    assert float(out.std()) < 0.6 * float(image.std())


def test_a_stack_of_three_slices_is_not_blurred_across() -> None:
    image = torch.zeros(3, 16, 16)
    image[1] = 1
    for name in ("smooth", "low_resolution"):
        out = change_intensities(np.random.default_rng(0), generator(), image, only(name))
        assert float(out[0].abs().max()) < 1e-6


def test_without_changes_an_image_stays_as_it_is() -> None:
    none = check_augmentation(dict.fromkeys(PUBLISHED, False))
    image = torch.rand((4, 4, 4), generator=generator())
    rng = np.random.default_rng(0)
    assert torch.equal(change_intensities(rng, generator(), image, none), image)
    assert np.array_equal(random_affine(rng, none), np.eye(3))
    assert random_displacement(rng, generator(), (4, 4, 4), none) is None


@pytest.mark.parametrize(
    ("given", "word"), [({"blur": {}}, "blur"), ({"gamma": {"p": 1}}, r"gamma\.p")]
)
def test_unknown_changes_are_refused_by_name(given: dict, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        check_augmentation(given)


def test_contrast_and_mirror_happen_only_where_they_are_asked_for() -> None:
    assert not {"contrast", "mirror"} & set(check_augmentation({}))
    found = check_augmentation({"contrast": {}, "mirror": {"probability": 1.0}})
    assert found["contrast"] == {"probability": 0.15, "range": (0.75, 1.25)}
    assert mirrored_axes(np.random.default_rng(0), {"mirror": found["mirror"]}) == [0, 1, 2]


def test_mirroring_turns_image_and_target_over_together() -> None:
    cord = np.zeros((8, 8, 8), np.float16)
    cord[1:3, 1:4, 2:4] = 1
    item = Item("a", "p", "T2w", cord, cord, (1.0, 1.0, 1.0))
    options = dict.fromkeys(PUBLISHED, False) | {"mirror": {"probability": 1.0}}
    sampler = PatchSampler([item], {"size": [8, 8, 8]}, check_augmentation(options), seed=1)
    image, target = sampler.batch(0, 1)
    turned = torch.from_numpy(cord.astype(np.float32)).flip((0, 1, 2))
    assert torch.allclose(target[0, 0], turned, atol=1e-5)  # places of voxels in single precision
    assert torch.equal(image[0, 0] > 0, target[0, 0] > 0.5)
