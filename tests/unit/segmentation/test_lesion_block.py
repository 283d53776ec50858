"""Straightened blocks along a drawn cord: intensities in, lesions on the scan's own grid out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from cordcohort.segmentation.centreline import Volume
from cordcohort.segmentation.lesion_block import (
    BLOCK,
    SHADING_MM,
    STEP_MM,
    as_seen,
    draw_in_cord,
    evened,
)
from cordcohort.segmentation.registry import Stage
from cordcohort.segmentation.resample import Axis
from scipy import ndimage


class Bright(torch.nn.Module):
    """Stands for a trained network: what is 4 quartile distances above the cord's median."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert tuple(x.shape[2:]) == BLOCK
        return 4 * (x[:, :1] - 4)


STAGE = Stage(Bright(), 0.6, max(BLOCK), 0.0, "sigmoid", block=BLOCK, in_cord=True)


def scan(
    spacing: tuple[float, float, float], shape: tuple[int, int, int], slope: float = 0.0
) -> tuple[Volume, np.ndarray, np.ndarray]:
    """Volume, cord and ball (z, y, x) of a noisy scan of an oblique cord with a bright ball."""
    sz, sy, sx = spacing
    z, y, x = np.meshgrid(*(np.arange(n) * mm for n, mm in zip(shape, spacing, strict=True)),
                          indexing="ij")  # fmt: skip
    middle = [(n - 1) * mm / 2 for n, mm in zip(shape, spacing, strict=True)]
    y0, x0 = middle[1] + slope * (z - middle[0]), middle[2]
    cord = ((x - x0) / 6.5) ** 2 + ((y - y0) / 4.5) ** 2 < 1
    away = ((x - x0 - 1) / 3) ** 2 + ((y - y0) / 3) ** 2 + ((z - middle[0]) / 6) ** 2
    ball = (away < 1) & cord
    noise = np.random.default_rng(0).normal(0, 1, shape)
    image = np.where(cord, 100.0, 70.0) + 60 * ball + 3 * noise
    volume = Volume(torch.from_numpy(image.astype(np.float32)), Axis(shape[1], sy),
                    Axis(shape[2], sx), sz, 0.1)  # fmt: skip
    return volume, cord.astype(np.float32), ball


SCANS = [((0.8, 0.8, 0.8), (60, 60, 50), 0.0), ((0.8, 0.5, 0.5), (180, 120, 80), 0.25),
         ((3.0, 0.5, 0.5), (30, 90, 80), 0.1), ((0.9, 0.6, 2.0), (70, 80, 16), 0.1)]  # fmt: skip
NAMES = ["shorter than a block", "three blocks, oblique", "thick axial", "sagittal"]


@pytest.mark.parametrize(("spacing", "shape", "slope"), SCANS, ids=NAMES)
def test_a_bright_ball_comes_back_where_it_was(
    spacing: tuple[float, float, float], shape: tuple[int, int, int], slope: float
) -> None:
    volume, cord, ball = scan(spacing, shape, slope)
    with torch.inference_mode():
        found = draw_in_cord(STAGE, volume, cord)
    assert found.shape == shape
    mask = found > 0.5
    # Two linear resamplings round the ball's border off by up to half a voxel.
    assert 2 * (mask & ball).sum() / (mask.sum() + ball.sum()) > 0.85


class Linear(torch.nn.Module):
    """Gives the intensity that it sees."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :1] / 10


@pytest.mark.parametrize(("spacing", "shape", "slope"), SCANS, ids=NAMES)
def test_nothing_is_shifted_on_the_way_there_and_back(
    spacing: tuple[float, float, float], shape: tuple[int, int, int], slope: float
) -> None:
    volume, cord, ball = scan(spacing, shape, slope)
    wide = ndimage.binary_dilation(cord > 0, iterations=6).astype(np.float32)
    hill = ndimage.gaussian_filter(ball.astype(float), [1 / mm for mm in spacing])
    grain = 0.01 * np.random.default_rng(0).normal(size=shape)
    image = torch.from_numpy((100 + grain + 0.1 * hill).astype(np.float32))
    seen = Volume(image, volume.y, volume.x, volume.step_mm, 0.1)
    stage = replace(STAGE, network=Linear(), activation="relu_clip")
    with torch.inference_mode():
        found = draw_in_cord(stage, seen, wide)
    found = np.where(hill > 0.3, found - np.median(found[wide > 0]), 0)
    places = [np.array(ndimage.center_of_mass(a)) * spacing
              for a in (found, np.where(hill > 0.3, hill, 0))]  # fmt: skip
    # A thirtieth of the network's voxel: what the grain of the image leaves.
    assert np.abs(places[0] - places[1]).max() < 0.02


class OneSided(torch.nn.Module):
    """Believes in lesions on one side only."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :1] * torch.linspace(0, 1, x.shape[4])


def test_a_mirrored_scan_has_the_mirrored_lesions_whatever_the_network_prefers() -> None:
    volume, cord, _ = scan((0.8, 0.8, 0.8), (60, 60, 50))
    other = Volume(volume.slices.flip(2), volume.y, volume.x, volume.step_mm, 0.1)
    stage = replace(STAGE, network=OneSided())
    with torch.inference_mode():
        one = draw_in_cord(stage, volume, cord)
        two = draw_in_cord(stage, other, np.ascontiguousarray(cord[..., ::-1]))
    assert np.allclose(one, two[..., ::-1], atol=1e-4)
    assert one.max() > 0.6


def test_the_scanners_scale_does_not_matter() -> None:
    volume, cord, _ = scan((0.8, 0.8, 0.8), (60, 60, 50))
    scaled = [Volume(s * volume.slices, volume.y, volume.x, 0.8, 0.1) for s in (1, 7, 1e-7, 1e6)]
    with torch.inference_mode():
        one, *others = (draw_in_cord(STAGE, v, cord) for v in scaled)
    assert all(np.allclose(one, other, atol=1e-3) for other in others)


def test_a_cord_of_one_slice_and_a_constant_image_give_numbers() -> None:
    volume, cord, _ = scan((0.8, 0.8, 0.8), (60, 60, 50))
    cord[1:] = 0
    flat = Volume(torch.full_like(volume.slices, 7.0), volume.y, volume.x, 0.8, 0.1)
    with torch.inference_mode():
        found = [draw_in_cord(STAGE, v, cord) for v in (volume, flat)]
    assert all(np.isfinite(one).all() for one in found)
    assert found[1].max() < 0.5


def test_shading_goes_and_a_lesion_stays() -> None:
    volume, cord, ball = scan((0.8, 0.8, 0.8), (120, 40, 40))
    shading = torch.linspace(-0.4, 0.4, 120).exp().view(-1, 1, 1)
    share = torch.from_numpy(cord)
    plain, shaded = (evened(v, share) for v in (volume.slices, volume.slices * shading))
    white = (cord > 0) & ~ball
    # 12 % of slices hold the ball; what it pulls the curve by stays below the noise of 3 %.
    assert float(shaded[white].std() / shaded[white].mean()) < 0.035
    assert float(shaded[ball].mean() / shaded[white].mean()) == pytest.approx(1.6, abs=0.05)
    assert float((plain[white] / volume.slices[white] - 1).abs().max()) < 0.03


@pytest.mark.parametrize("length_mm", [77.0, 384.0])
def test_a_long_lesion_keeps_its_contrast_and_long_waves_are_halved_in_every_field_of_view(
    length_mm: float,
) -> None:
    n = round(length_mm / 0.8)
    z, share = torch.arange(n) * 0.8, torch.ones(n, 6, 6)
    lesion = ((z - length_mm / 2).abs() < 15).float()
    seen = evened((1 + 0.2 * lesion).view(-1, 1, 1).expand(n, 6, 6), share)[:, 0, 0]
    # Two fifths of the short scan are lesion: a curve that bends there leaves a quarter of it.
    assert float(seen[lesion > 0].mean() / seen[lesion == 0].mean() - 1) > 0.10
    wave = 0.1 * torch.cos(2 * np.pi * z / 200)
    left = evened(wave.exp().view(-1, 1, 1).expand(n, 6, 6), share)[:, 0, 0].log()
    # A sixteenth is left of it far from the ends, where the curve is free to bend less.
    assert float(left.std() / wave.std()) < 0.2


def test_a_wave_of_the_named_length_is_halved() -> None:
    n = 600
    wave = 0.1 * torch.cos(2 * np.pi * torch.arange(n) * STEP_MM[0] / SHADING_MM)
    left = evened(wave.exp().view(-1, 1, 1).expand(n, 6, 6), torch.ones(n, 6, 6))[:, 0, 0].log()
    # Away from the ends; weighing outliers away changes the half by a few hundredths.
    assert float(left[100:-100].std() / wave[100:-100].std()) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("offset", [97.0, 100.0])
def test_intensities_around_zero_are_not_measured_by_slice(offset: float) -> None:
    image = 100 - offset + 3 * torch.randn((30, 12, 12), generator=torch.Generator().manual_seed(3))
    seen = as_seen(image, torch.ones(30, 12, 12))
    assert torch.equal(seen[0], seen[2])


def test_brighter_slices_are_seen_alike_and_a_lesion_across_the_cord_is_not_lost() -> None:
    generator = torch.Generator().manual_seed(3)
    image = 100 + 3 * torch.randn((30, 12, 12), generator=generator)
    gain = torch.exp(0.2 * torch.randn((30, 1, 1), generator=generator))
    share = torch.ones(30, 12, 12)
    by_slice = as_seen(image, share)[0], as_seen(image * gain, share)[0]
    # A slice's reference is itself measured in its noise, so equal up to a small share of it.
    assert float((by_slice[0] - by_slice[1]).abs().max()) < 1e-4
    whole = image.clone()
    whole[10:14] *= 1.5
    assert float(as_seen(whole, share)[2, 10:14].mean()) > 5
    spot = image.clone()
    spot[10:14, 4:8, 4:8] *= 1.5
    assert float(as_seen(spot, share)[0, 10:14, 4:8, 4:8].mean()) > 5


def test_a_slice_with_little_or_dark_cord_is_measured_by_the_others() -> None:
    image, share = torch.full((10, 8, 8), 50.0), torch.ones(10, 8, 8)
    share[0], share[0, 0, :3] = 0, 1
    image[1] = 0
    image[2:, :4] = 60.0
    seen = as_seen(image, share)
    assert torch.isfinite(seen).all()
    assert float(seen[0, 1].max()) < float(seen[0, 2:].min())


def test_too_little_cord_or_no_signal_is_left_as_it_is() -> None:
    image, share = torch.rand(40, 8, 8) + 1, torch.zeros(40, 8, 8)
    share[:10] = 1
    assert torch.equal(evened(image, share), image)
    assert torch.equal(evened(image * 0, torch.ones(40, 8, 8)), image * 0)


def grey_and_a_faint_spot() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Image and cord (z, y, x): two bright columns along it, and where a faint spot lies."""
    noise = torch.randn((96, 24, 32), generator=torch.Generator().manual_seed(5))
    share, grey, spot = torch.zeros(3, 96, 24, 32)
    share[:, 4:20, 4:28] = 1
    grey[:, 10:14, 9:13] = grey[:, 10:14, 19:23] = 1
    spot[44:54, 6:10, 8:14] = 1
    return 100 + 25 * grey + 8 * spot + 5 * noise, share, spot > 0


def test_grey_matter_along_the_cord_goes_and_a_faint_lesion_stays() -> None:
    image, share, spot = grey_and_a_faint_spot()
    seen = as_seen(image, share)
    away = torch.ones(96, dtype=torch.bool)
    away[34:64] = False
    along = seen[3]
    # In single voxels the spot is lost among grey matter and noise, here nothing reaches it.
    assert float(seen[0][spot].mean()) < float(seen[0][away].max()) / 3
    assert float(along[spot].mean()) > float(along[away].abs().max())


def test_a_lesion_on_one_side_stands_out_against_the_other() -> None:
    image, share, spot = grey_and_a_faint_spot()
    aside = as_seen(image, share)[4]
    assert float(aside[spot].mean()) > 5 * float(aside[:34].mean().abs())
    assert torch.allclose(aside, -aside.flip(2), atol=1e-4)


def test_the_mirrored_block_is_seen_mirrored() -> None:
    image, share, _ = grey_and_a_faint_spot()
    mirrored = as_seen(image.flip(2), share.flip(2))
    # Sums in another order: float32 rounds the last places.
    assert torch.allclose(mirrored, as_seen(image, share).flip(3), atol=1e-4)


def test_nothing_outside_the_cord_is_seen() -> None:
    image = torch.randn(4, 4, 4, generator=torch.Generator().manual_seed(1))
    share = torch.zeros(4, 4, 4)
    share[1:3, 1:3, 1:3] = 1
    changed = torch.where(share > 0, image, 1e6)
    assert torch.equal(as_seen(image, share), as_seen(changed, share))
    assert not as_seen(image, torch.zeros(4, 4, 4)).any()
