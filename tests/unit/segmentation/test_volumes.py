"""Networks of volumes: grids, blocks and blending lose nothing and invent nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cordcohort.errors import ConfigError
from cordcohort.nifti import Image
from cordcohort.segmentation.centreline import Centreline, Volume
from cordcohort.segmentation.infer import segment_volume
from cordcohort.segmentation.registry import Model, Stage, check_card
from cordcohort.segmentation.resample import Axis
from cordcohort.segmentation.volumes import (
    Grid,
    inside_scan,
    on_grid,
    refine_blocks,
    sweep,
    whole_grid,
)
from scipy import ndimage
from torch import nn

RADIUS_MM = 5.0
AREA_MM2 = np.pi * RADIUS_MM**2


class Brighter(nn.Module):
    """Stand-in for a network: 0 in the dark surroundings, 1 in the bright cord (7 % of a block)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        low, high = x.median(), x.flatten().quantile(0.97)
        return (x - low) / (high - low).clamp(min=0.5)


class Constant(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.full_like(x, 0.7)


def stage(network: nn.Module, activation: str = "relu_clip", block=(16, 32, 32)) -> Stage:
    return Stage(network, 1.0, max(block, default=8), 0.0, activation, 0.0, block)


def cylinder(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], lean: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Fraction of a leaning cylinder (z, y, x), and its centre (n, 2) in mm."""
    z, y, x = (np.arange(n) * mm for n, mm in zip(shape, spacing, strict=True))
    centre = np.stack([np.full(len(z), y.mean()), x.mean() + lean * (z - z.mean())], 1)
    fine = (np.arange(4) - 1.5) / 4
    out = np.zeros(shape, np.float32)
    for a in fine:
        for b in fine:
            yy = y[None, :, None] + a * spacing[1] - centre[:, 0, None, None]
            xx = x[None, None, :] + b * spacing[2] - centre[:, 1, None, None]
            out += (yy**2 + xx**2 < RADIUS_MM**2) / 16
    return out, centre.astype(np.float32)


def volume_of(data: np.ndarray, spacing: tuple[float, float, float]) -> Volume:
    tensor = torch.from_numpy(data.astype(np.float32))
    y, x = (Axis(n, mm) for n, mm in zip(data.shape[1:], spacing[1:], strict=True))
    return Volume(tensor, y, x, spacing[0], 0.0)


GRIDS = [
    ((60, 48, 48), (1.0, 1.0, 1.0)),
    ((12, 96, 96), (5.0, 0.5, 0.5)),
    ((70, 30, 60), (0.8, 1.5, 0.8)),
]


@pytest.mark.parametrize(("shape", "spacing"), GRIDS)
@pytest.mark.parametrize("lean", [0.0, 0.2])
def test_blocks_along_the_cord_give_its_area_back_on_the_scans_grid(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], lean: float
) -> None:
    data, centres = cylinder(shape, spacing, lean)
    line = Centreline(np.arange(shape[0]), centres, 0, shape[0] - 1)
    soft = refine_blocks(stage(Brighter()), volume_of(data, spacing), line, mirror=False)[0]
    area = soft.sum((1, 2)) * spacing[1] * spacing[2]
    # The spline rings at the edge of the cord and what is below 0 is cut: up to 4 % of the area.
    assert area[1:-1] == pytest.approx(np.full(shape[0] - 2, AREA_MM2), rel=0.04)
    assert soft.min() >= 0
    assert soft.max() <= 1


@pytest.mark.parametrize(("shape", "spacing"), GRIDS)
def test_overlapping_blocks_blend_a_constant_to_the_constant(
    shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> None:
    data, centres = cylinder(shape, spacing)
    line = Centreline(np.arange(shape[0]), centres, 0, shape[0] - 1)
    soft = refine_blocks(stage(Constant()), volume_of(data, spacing), line, mirror=True)[0]
    inner = soft[2:-2, shape[1] // 2, shape[2] // 2]
    assert inner == pytest.approx(np.full(len(inner), 0.7), abs=1e-5)


def test_the_middle_of_a_leaning_cord_is_found_where_it_is() -> None:
    spacing = (1.0, 1.0, 1.0)
    data, centres = cylinder((60, 48, 48), spacing, lean=0.3)
    line = Centreline(np.arange(60), centres, 0, 59)
    soft = refine_blocks(stage(Brighter()), volume_of(data, spacing), line, mirror=True)[0]
    mass = soft.sum((1, 2))
    x = (soft.sum(1) @ np.arange(48)) / mass
    assert x[2:-2] == pytest.approx(centres[2:-2, 1], abs=0.1)


def test_a_sweep_finds_the_cord_without_being_told_where_and_drops_smaller_objects() -> None:
    spacing = (2.0, 1.0, 1.0)
    data, _ = cylinder((30, 70, 70), spacing)
    both = data.copy()
    both[4:8, 4:9, 4:9] = 1
    soft = sweep(stage(Brighter()), volume_of(both, spacing), mirror=False)
    assert ndimage.label(soft >= 0.5)[1] == 1
    overlap = (
        2 * ((soft >= 0.5) & (data >= 0.5)).sum() / ((soft >= 0.5).sum() + (data >= 0.5).sum())
    )
    assert overlap > 0.95


def test_a_sweep_over_nothing_finds_nothing() -> None:
    class Nothing(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 0 * x

    data = np.random.default_rng(0).random((10, 20, 20)).astype(np.float32)
    soft = sweep(
        stage(Nothing(), "relu_normalised"), volume_of(data, (1.0, 1.0, 1.0)), mirror=False
    )
    assert not soft.any()


def test_a_model_of_volumes_runs_without_a_localiser_on_any_orientation() -> None:
    data, _ = cylinder((40, 48, 48), (1.0, 1.0, 1.0))
    image = Image(np.ascontiguousarray(100 * data.transpose(2, 1, 0)), np.eye(4))
    model = Model("v", {}, {"cord": stage(Brighter())}, "", torch.device("cpu"))
    plain = segment_volume(model, image)
    affine = np.eye(4)
    affine[0, 0], affine[0, 3] = -1, 47
    turned = segment_volume(model, Image(np.flip(image.data, 0).copy(), affine))
    assert plain.status == turned.status == "ok"
    assert np.array_equal(np.flip(turned.mask, 0), plain.mask)


def test_the_normalised_relu_reaches_one_and_does_not_blow_up_noise() -> None:
    normalised = stage(Constant(), "relu_normalised")
    assert normalised.probability(torch.tensor([-1.0, 1.0, 2.0])).tolist() == [0.0, 0.5, 1.0]
    assert normalised.probability(torch.tensor([-1.0, 0.1])).tolist() == pytest.approx([0.0, 0.1])


@pytest.mark.parametrize("step", [0.5, 1.0, 2.0])
def test_a_grid_over_a_scan_keeps_its_middle_and_its_mean(step: float) -> None:
    rng = np.random.default_rng(1)
    data = ndimage.gaussian_filter(rng.random((20, 24, 28)), 3).astype(np.float32)
    spacing = (1.0, 1.0, 1.0)
    grid = whole_grid(data.shape, spacing, step)
    for axis, n in enumerate(data.shape):
        assert grid.centres_mm(axis).mean() == pytest.approx((n - 1) / 2)
    assert on_grid(data, spacing, grid, 2).mean() == pytest.approx(data.mean(), rel=0.01)


def test_what_lies_beyond_the_scan_is_told() -> None:
    grid = Grid((4, 6, 2), 1.0, (-1.0, -2.0, 0.0))
    inside = inside_scan((2, 2, 2), (1.0, 1.0, 1.0), grid)
    assert inside[:, 2, 0].tolist() == [False, True, True, False]
    assert inside[1, :, 0].tolist() == [False, False, True, True, False, False]


def card(**stages: object) -> dict:
    return {"schema": 1, "name": "a", "task": "cord", "labels": {}, "orientation": "RAS",
            "stages": stages, "licence": "x"}  # fmt: skip


CORD = {"architecture": "unet_3d", "weights": "c.safetensors", "spacing_mm": 1.0,
        "patch": [8, 8, 8], "activation": "relu_normalised"}  # fmt: skip


def test_cards_of_volumes_and_of_slices_are_told_apart() -> None:
    assert check_card(card(cord=CORD), "x")["name"] == "a"
    with pytest.raises(ConfigError, match="three voxel counts"):
        check_card(card(cord={**CORD, "patch": 8}), "x")
    with pytest.raises(ConfigError, match="one number"):
        check_card(card(cord={**CORD, "architecture": "slice_unet", "neighbour_mm": 2.0}), "x")


def test_a_network_of_slices_without_a_localiser_is_refused() -> None:
    volume = volume_of(np.ones((4, 8, 8)), (1.0, 1.0, 1.0))
    with pytest.raises(ConfigError, match="localiser"):
        sweep(stage(Constant(), block=()), volume, mirror=False)
