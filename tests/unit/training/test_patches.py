"""Patches are the stored volumes, moved as asked, and fixed by seed and step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cordcohort.errors import ConfigError
from cordcohort.training.augment import PUBLISHED, check_augmentation
from cordcohort.training.mixture import Mixture
from cordcohort.training.patches import Item, PatchSampler, check_patches
from cordcohort.training.phantom_volumes import phantom_items

NONE = check_augmentation(dict.fromkeys(PUBLISHED, False))


def item(name: str = "a", shape: tuple[int, int, int] = (9, 11, 13), **keys: object) -> Item:
    rng = np.random.default_rng(len(name))
    target = np.zeros(shape, np.float16)
    target[:, 4:7, 5:8] = 1
    image = rng.random(shape).astype(np.float16)
    return Item(name, name, "T2w", image, target, (1.0, 1.0, 1.0), **keys)  # type: ignore[arg-type]


def test_a_patch_of_the_volumes_own_size_is_the_volume_standardised() -> None:
    one = item()
    image, target = PatchSampler([one], {"size": one.image.shape}, None, seed=1).batch(0, 1)
    values = one.image.astype(np.float32)
    assert np.allclose(image[0, 0], (values - values.mean()) / values.std(), atol=1e-3)
    assert np.allclose(target[0, 0], one.target, atol=1e-5)


def test_beyond_the_scan_there_is_nothing_and_it_does_not_count() -> None:
    one = item()
    larger = [n + 6 for n in one.image.shape]
    image, target = PatchSampler([one], {"size": larger}, None, seed=1).batch(0, 1)
    inner = image[0, 0, 3:-3, 3:-3, 3:-3]
    assert float(inner.mean()) == pytest.approx(0, abs=1e-4)
    assert float(inner.std(correction=0)) == pytest.approx(1, abs=1e-3)
    assert float(image.abs().sum() - inner.abs().sum()) == 0
    assert float(target.sum()) == one.target.sum()


def test_a_patch_far_outside_is_empty_and_finite() -> None:
    options = {"size": [4, 4, 4], "shift_mm": 500.0}
    image, target = PatchSampler([item()], options, NONE, seed=2).batch(0, 8)
    assert torch.isfinite(image).all()
    assert float(target.sum()) == 0


def test_patches_around_the_cord_hold_it() -> None:
    options = {"size": [3 + 1, 5, 5], "centre": "cord"}
    _, target = PatchSampler([item()], options, None, seed=3).batch(0, 6)
    assert (target.sum((1, 2, 3, 4)) > 0).all()


def test_a_scaled_patch_shows_an_area_scaled_by_the_square() -> None:
    scale = {"affine": {"probability": 1.0, "degrees": 0.0, "scale": 0.2}}
    chosen = check_augmentation({**dict.fromkeys(PUBLISHED, False), **scale})
    shape = (5, 60, 60)
    y, x = np.meshgrid(np.arange(60) - 29.5, np.arange(60) - 29.5, indexing="ij")
    disc = np.broadcast_to(x**2 + y**2 < 15**2, shape).astype(np.float16)
    one = Item("a", "a", "T2w", disc, disc, (1.0, 1.0, 1.0))
    sampler = PatchSampler([one], {"size": list(shape)}, chosen, seed=1)
    areas = []
    for step in range(20):
        _, target = sampler.batch(step, 1)
        areas.append(float(target[0, 0, 2].sum()) / (np.pi * 15**2))
    assert min(areas) > 1 / 1.2**2 * 0.98
    assert max(areas) < 1 / 0.8**2 * 1.02
    assert max(areas) - min(areas) > 0.2


def test_every_scan_comes_once_an_epoch_in_another_order_each_time() -> None:
    items = [item("a" * (i + 1)) for i in range(5)]
    sampler = PatchSampler(items, {"size": items[0].image.shape}, None, seed=1)
    values = [float(sampler.batch(i, 1)[0][0, 0, 0, 0, 0]) for i in range(10)]
    assert len(set(values[:5])) == 5
    assert sorted(values[:5]) == sorted(values[5:])
    assert values[:5] != values[5:]


def test_the_same_seed_and_step_give_the_same_batch_and_others_do_not() -> None:
    def sampler(seed: int) -> PatchSampler:
        return PatchSampler([item(painted=0.5)], {"size": [8, 8, 8]}, check_augmentation({}), seed)

    one, two = sampler(4).batch(3, 4), sampler(4).batch(3, 4)
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])
    assert not torch.equal(one[0], sampler(5).batch(3, 4)[0])
    assert not torch.equal(one[0], sampler(4).batch(4, 4)[0])


def test_every_augmented_patch_is_finite_with_fractions_as_targets() -> None:
    options = check_augmentation({name: {"probability": 1.0} for name in PUBLISHED})
    image, target = PatchSampler([item(painted=0.5)], {"size": [8, 8, 8]}, options, 1).batch(0, 24)
    assert torch.isfinite(image).all()
    assert float(target.min()) >= 0
    assert float(target.max()) <= 1


def test_a_stack_for_a_network_of_slices_has_the_middle_slice_as_target() -> None:
    options = {"size": [3, 8, 8], "spacing_mm": [2.0, 0.5, 0.5], "centre": "cord"}
    image, target = PatchSampler([item()], options, check_augmentation({}), seed=1).batch(0, 4)
    assert tuple(image.shape) == (4, 3, 8, 8)
    assert tuple(target.shape) == (4, 1, 8, 8)


def test_painted_people_are_codes_without_an_image_and_mix_with_scans() -> None:
    people = phantom_items(2, seed=1, step_mm=2.0)
    assert all(p.codes and p.target.max() > 0.9 for p in people)
    options = {"size": [8, 16, 16], "spacing_mm": 2.0, "centre": "cord"}
    painted = PatchSampler(people, options, None, seed=1)
    scans = PatchSampler([item()], options, None, seed=1)
    image, target = Mixture(scans, painted, 0.5, seed=1).batch(0, 8)
    assert image.shape == target.shape == (8, 1, 8, 16, 16)
    assert torch.isfinite(image).all()
    only_scans = Mixture(scans, painted, 0.0, seed=1).batch(0, 2)
    assert torch.equal(only_scans[0], scans.batch(0, 2)[0])


def test_repainting_changes_the_brightness_and_not_the_target() -> None:
    plain, other = (PatchSampler([item(painted=p)], {"size": [9, 11, 13]}, None, 1) for p in (0, 1))
    one, two = plain.batch(0, 1), other.batch(0, 1)
    assert torch.equal(one[1], two[1])
    assert not torch.allclose(one[0], two[0], atol=0.1)


@pytest.mark.parametrize(
    ("given", "word"),
    [({"side": 3}, "side"), ({"size": [1, 2]}, "size"), ({"centre": "brain"}, "centre"),
     ({"spacing_mm": [1, 0, 1]}, "spacing_mm")],
)  # fmt: skip
def test_wrong_patches_are_refused_by_name(given: dict, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        check_patches(given)


def test_no_scan_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one scan"):
        PatchSampler([], {}, None, seed=1)
