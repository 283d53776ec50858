"""Painted lesions: what the target holds, what it must not hold, and how bright they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cordcohort.errors import ConfigError
from cordcohort.training.acquire import Grid
from cordcohort.training.contrast import brighten_grey
from cordcohort.training.lesions import (
    DEFAULT_LESIONS,
    check_lesions,
    implant_survival,
    lesion_steps,
)
from cordcohort.training.painter import Painter
from cordcohort.training.sources import CordStack
from cordcohort.training.surroundings import CODE, TISSUES

GRID = {"grid": 48, "pixel_mm": 0.5, "offset_mm": 2.0, "cropped": 0.0, "absent": 0.0, "paints": 2}


def targets(oval: CordStack, **lesions: object) -> torch.Tensor:
    """Sixty-four targets of a cord with the given lesions."""
    return Painter([oval], [1], {**GRID, "lesions": lesions}, seed=5).batch(0, 64)[1]


def test_every_lesion_lies_in_the_cord(oval: CordStack) -> None:
    target = targets(oval, counts=[0.0, 0.0, 1.0])
    assert float(target[:, 1].max()) > 0.9
    assert bool((target[:, 1] <= target[:, 0] + 1e-6).all())


def test_scenes_without_lesions_have_an_empty_second_target(oval: CordStack) -> None:
    target = targets(oval, counts=[1.0], canal=1.0, fissure=1.0)
    assert float(target[:, 0].max()) > 0.9
    assert float(target[:, 1].max()) == 0.0


def test_lesions_are_as_wide_as_asked(oval: CordStack) -> None:
    # Ellipses of 4 mm across and 2 to 4.4 mm deep: at most 14 mm2 and a rough edge of half as much.
    target = targets(oval, counts=[0.0, 1.0], diameter_mm=[4.0, 4.0], in_grey=0.0)
    area = (target[:, 1] > 0.5).sum((1, 2)) * 0.25
    assert 4.0 < float(area[area > 1].median()) < 14.0
    assert float(area.max()) < 24.0


def test_look_alikes_change_the_image_and_not_the_target(oval: CordStack) -> None:
    plain = {"counts": [1.0], "canal": 0.0, "fissure": 0.0, "implant": 0.0}
    some = {**plain, "canal": 1.0}
    a, b = (Painter([oval], [1], {**GRID, "lesions": o}, seed=5).batch(0, 8) for o in (plain, some))
    assert torch.equal(a[1], b[1])
    assert not torch.equal(a[0], b[0])


def test_contrast_to_noise_is_as_asked_where_it_can_be() -> None:
    options = check_lesions({"contrast_to_noise": [2.0, 2.0], "dark": 0.0})
    noise, white = np.full(200, 0.2), np.full(200, 0.8)
    step, core = lesion_steps(np.random.default_rng(1), options, noise, white)
    assert np.median(step) == pytest.approx(0.4)
    assert (core < 0).all()


def test_a_dark_lesion_never_has_less_than_no_signal() -> None:
    options = check_lesions({"contrast_to_noise": [50.0, 50.0], "dark": 1.0})
    noise, white = np.full(50, 0.1), np.linspace(0.05, 0.5, 50)
    step, _ = lesion_steps(np.random.default_rng(1), options, noise, white)
    assert (step < 0).all()
    assert (white + step > 0).all()


def test_metal_leaves_signal_far_away_and_none_in_its_void() -> None:
    left = implant_survival(np.random.default_rng(2), 1.0, 16, Grid(160, 0.5), torch.device("cpu"))
    assert float(left.amin((1, 2, 3)).max()) < 0.05
    assert bool(((left - 1).abs() < 0.01).any(-1).any(-1).all())


def test_grey_matter_becomes_brighter_in_some_scans_only() -> None:
    means = np.full((400, len(TISSUES)), 0.5, np.float32)
    brighten_grey(np.random.default_rng(0), means, 0.5)
    changed = means[:, CODE["gm"]] != 0.5
    assert 0.4 < changed.mean() < 0.6
    assert means[:, CODE["gm"]].max() <= 0.5 * 1.30 + 1e-6
    assert (np.delete(means, CODE["gm"], 1) == 0.5).all()


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(ConfigError, match=r"painting\.lesions\.size"):
        check_lesions({"size": 3})
    assert check_lesions({}) == DEFAULT_LESIONS
