"""Painted lesions: what the target holds, what it must not hold, and how bright they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cordcohort.errors import ConfigError
from cordcohort.segmentation.lesion_block import BLOCK, STEP_MM
from cordcohort.training.contrast import brighten_grey
from cordcohort.training.lesion_painter import LesionPainter
from cordcohort.training.lesions import DEFAULT_LESIONS, check_lesions, lesion_contrast
from cordcohort.training.recipe import parse_recipe
from cordcohort.training.sources import CordStack
from cordcohort.training.surroundings import CODE, TISSUES

VOXEL_MM3 = float(np.prod(STEP_MM))


@pytest.fixture(scope="module")
def long_cord() -> CordStack:
    """Elliptic cord of 13 x 9 mm with a butterfly's worth of grey matter, 240 mm long."""
    y, x = np.meshgrid(*(np.arange(128) - 63.5,) * 2, indexing="ij")
    one = np.stack([
        (x / 13) ** 2 + (y / 9) ** 2 < 1, (x / 5) ** 2 + (y / 4) ** 2 < 1,
        (x / 18) ** 2 + (y / 14) ** 2 < 1,
    ]).astype(np.float32)  # fmt: skip
    return CordStack("oval", np.repeat(one[:, None], 80, 1), 3.0)


def painter(stack: CordStack, **lesions: object) -> LesionPainter:
    return LesionPainter([stack], [1], lesions, seed=5)


def test_every_lesion_lies_in_the_cord(long_cord: CordStack) -> None:
    options = {"counts": [0.0, 0.0, 0.0, 1.0], "diameter_mm": [9.0, 10.0]}
    shown, target = painter(long_cord, **options).batch(0, 6)
    assert float(target.max()) > 0.9
    # The cord that is shown is a model's, whose border is a voxel off at most: far out, no lesion.
    far = torch.nn.functional.max_pool3d(shown[:, 1:2], 5, stride=1, padding=2) < 0.01
    assert float(target[far].max()) < 0.05


def test_blocks_without_lesions_have_an_empty_target(long_cord: CordStack) -> None:
    shown, target = painter(long_cord, counts=[1.0], canal=1.0, fissure=1.0).batch(0, 4)
    assert float(shown[:, 1].max()) > 0.9
    assert float(target.max()) == 0.0


def test_a_lesion_has_the_volume_of_its_ellipsoid(long_cord: CordStack) -> None:
    # 4 mm across, as long, 2 to 4.4 mm deep: 17 to 37 mm3 where it lies wholly in cord and block;
    # rough edges and shapes that are stretched with the cord move single ones by up to a third.
    options = {"counts": [0.0, 1.0], "diameter_mm": [4.0, 4.0], "elongation": [1.0, 1.0],
               "in_grey": 0.0}  # fmt: skip
    _, target = painter(long_cord, **options).batch(0, 24)
    volumes = target.sum((1, 2, 3, 4)) * VOXEL_MM3
    assert 15 < float(volumes[volumes > 8].median()) < 40
    assert float(volumes.max()) < 1.5 * 37


def test_look_alikes_change_the_image_and_not_the_target(long_cord: CordStack) -> None:
    plain = {"counts": [1.0], "canal": 0.0, "fissure": 0.0, "implant": 0.0}
    a, b = (painter(long_cord, **o).batch(0, 2) for o in (plain, {**plain, "canal": 1.0}))
    assert torch.equal(a[1], b[1])
    assert not torch.equal(a[0], b[0])


def test_a_batch_is_the_same_every_time_and_every_step_another(long_cord: CordStack) -> None:
    one, again, other = (painter(long_cord).batch(step, 1)[0] for step in (3, 3, 4))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_slab_without_cord_is_never_painted(long_cord: CordStack) -> None:
    empty = CordStack("sacrum", np.zeros((3, 20, 128, 128), np.float32), 3.0)
    both = LesionPainter([empty, long_cord], [99.0, 1.0], {}, seed=1)
    assert [s.name for s in both.stacks] == ["oval"]
    assert tuple(both.batch(0, 1)[0].shape) == (1, 5, *BLOCK)


def test_contrast_to_noise_is_as_asked_where_it_can_be() -> None:
    options = check_lesions({"contrast_to_noise": [2.0, 2.0], "dark": 0.0})
    step, core = lesion_contrast(np.random.default_rng(1), options, 0.2, 0.8)
    assert step == pytest.approx(0.4)
    assert core < 0


@pytest.mark.parametrize("white", [0.05, 0.2, 0.5])
def test_a_dark_lesion_never_has_less_than_no_signal(white: float) -> None:
    options = check_lesions({"contrast_to_noise": [50.0, 50.0], "dark": 1.0})
    step, _ = lesion_contrast(np.random.default_rng(1), options, 0.1, white)
    assert step < 0 < white + step


def test_grey_matter_becomes_brighter_in_some_scans_only() -> None:
    means = np.full((400, len(TISSUES)), 0.5, np.float32)
    brighten_grey(np.random.default_rng(0), means, 0.5)
    changed = means[:, CODE["gm"]] != 0.5
    assert 0.4 < changed.mean() < 0.6
    assert means[:, CODE["gm"]].max() <= 0.5 * 1.45 + 1e-6
    assert (np.delete(means, CODE["gm"], 1) == 0.5).all()


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(ConfigError, match=r"painting\.lesions\.size"):
        check_lesions({"size": 3})
    assert check_lesions({}) == DEFAULT_LESIONS


def test_a_network_of_slices_is_refused_where_lesions_are_painted() -> None:
    recipe = {"name": "a", "task": "lesion", "seed": 1, "painting": {"lesions": {}}}
    with pytest.raises(ConfigError, match=r"painting\.lesions.*network of volumes"):
        parse_recipe(recipe)


def test_shapes_without_any_cord_are_refused() -> None:
    empty = CordStack("sacrum", np.zeros((3, 20, 128, 128), np.float32), 3.0)
    with pytest.raises(ConfigError, match="sacrum"):
        LesionPainter([empty], [1.0], {}, seed=1)
