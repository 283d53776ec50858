"""Blocks along the cord for the network of rootlets: there and back, order, what is not found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cordcohort.nifti import Image
from cordcohort.segmentation import rootlets
from cordcohort.segmentation.registry import Model, Stage, load_model
from cordcohort.segmentation.rootlet_block import (
    BLOCK,
    STEP_MM,
    CordAxis,
    back_to_scan,
    cut_block,
)
from cordcohort.spinal_names import ROOTLET_CLASSES, ROOTLET_CODES, rootlet_name
from torch import nn

SHAPE = (150, 60, 56)  # z, y, x
SPACING = (0.8, 0.9, 1.2)  # x, y, z


def slanting() -> CordAxis:
    z = np.arange(SHAPE[0]) * SPACING[2]
    return CordAxis(z, 24.0 + 0.08 * z, 22.0 - 0.02 * z)


def smooth_volume() -> torch.Tensor:
    z, y, x = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    return torch.from_numpy((np.sin(z / 9) + np.cos(y / 7) + np.sin(x / 8)).astype(np.float32))


def test_a_volume_comes_back_from_its_block_where_the_block_lies():
    volume = smooth_volume()
    block = cut_block(volume, SPACING, slanting())
    inside = block.shown[1] > 0
    shown = block.shown[0]
    assert float(shown[inside].mean()) == pytest.approx(0, abs=1e-4)
    whole = back_to_scan(block, torch.stack([shown, block.shown[1]]), SHAPE, range(SHAPE[0]))
    assert whole is not None
    here = (whole[1] > 0.999).numpy()
    assert here.any(axis=(1, 2)).sum() > 0.9 * SHAPE[0]
    line = np.polyfit(whole[0].numpy()[here], volume.numpy()[here], 1)
    left = volume.numpy()[here] - np.polyval(line, whole[0].numpy()[here])
    # Two trilinear steps blur waves of some 50 mm by about a hundredth of their height.
    assert np.abs(left).max() < 0.05


def test_a_place_in_the_block_is_its_place_in_the_scan():
    volume = torch.zeros(SHAPE)
    volume[70, 33, 27] = 1000.0
    block = cut_block(volume, SPACING, slanting())
    top = np.unravel_index(int(block.shown[0].argmax()), BLOCK)
    place = block.place_mm(np.array(top, float))
    expected = np.array([27 * SPACING[0], 33 * SPACING[1], 70 * SPACING[2]])
    assert np.abs(place - expected).max() < max(STEP_MM)


def test_levels_that_change_places_are_named():
    codes = np.zeros((30, 2, 2), int)
    codes[20:25], codes[10:15], codes[2:5] = 4, 3, 5
    assert rootlets.order_faults(codes) == ["levels out of order: C4 is not below C3"]
    assert rootlets.order_faults(np.zeros((3, 3, 3), int)) == []


class _Fixed(nn.Module):
    """Draws level C4 in the middle of every block, and the PMJ at one voxel."""

    def __init__(self, heat: float) -> None:
        super().__init__()
        self.heat = heat

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = torch.full((x.shape[0], len(ROOTLET_CODES) + 1, *x.shape[2:]), -8.0)
        out[:, 2, 60:68, 18:22, 10:30] = 8.0
        out[:, -1, 100, 20, 20] = self.heat
        return out


def fixed_model(monkeypatch, heat: float) -> Model:
    stage = Stage(_Fixed(heat), 1.5, max(BLOCK), 0.0, "sigmoid", 0.0, BLOCK)
    monkeypatch.setattr(rootlets, "cord_line", lambda *_: (_Line(), ""))
    stages = {"localiser": stage, "rootlets": stage}
    card = {"name": "fixed", "task": "rootlets", "threshold": 0.5}
    return Model("fixed", card, stages, "", torch.device("cpu"))


class _Line:
    index = np.arange(10, 140)
    first, last = 10, 139
    centres = np.column_stack([np.full(130, 24.0), np.full(130, 22.0)])


@pytest.fixture
def image() -> Image:
    data = smooth_volume().numpy().transpose(2, 1, 0)
    turned = np.diag([-SPACING[0], SPACING[1], SPACING[2], 1.0])  # x runs to the left
    return Image(np.ascontiguousarray(data[::-1]), turned)


def test_labels_come_back_on_the_scans_own_axes(monkeypatch, image: Image):
    found = rootlets.segment_rootlets(fixed_model(monkeypatch, 6.0), image, 8, mirror=False)
    labels = found["rootlets"]
    assert labels.status == "ok"
    assert labels.mask.shape == image.data.shape
    assert set(np.unique(labels.mask).tolist()) == {0, 4}
    assert labels.mask.dtype == np.uint8
    assert labels.n_slices == pytest.approx(8 * STEP_MM[0] / SPACING[2], abs=1.1)
    centre = np.argwhere(labels.mask)[:, 0].mean() * SPACING[0]
    width = (image.data.shape[0] - 1) * SPACING[0]
    assert width - centre == pytest.approx(22.0, abs=1.0)  # the axis lies 22 mm from the right end
    assert found["pmj"].status == "ok"
    assert found["pmj"].mask.sum() == 1
    assert found["pmj"].confidence == pytest.approx(1 / (1 + np.exp(-6.0)), abs=1e-3)


class _Both(nn.Module):
    """Draws dorsal T1 above ventral C4, of all dorsal and ventral levels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = torch.full((x.shape[0], 17, *x.shape[2:]), -8.0)
        out[:, 7, 80:88, 10:14, 10:30] = 8.0
        out[:, 10, 60:68, 26:30, 10:30] = 8.0
        return out


class _Any(nn.Module):
    """Draws rootlets whose level it does not tell."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = torch.full((x.shape[0], 2, *x.shape[2:]), -8.0)
        out[:, 0, 60:68, 18:22, 10:30] = 8.0
        return out


@pytest.mark.parametrize(
    ("network", "classes", "drawn"),
    [(_Both(), "dorsal_ventral", {9, 104}), (_Any(), "binary", {200})],
)
def test_ventral_levels_and_rootlets_without_level_have_codes_of_their_own(
    monkeypatch, image: Image, network, classes, drawn
):
    model = fixed_model(monkeypatch, 6.0)
    stage = Stage(network, 1.5, max(BLOCK), 0.0, "sigmoid", 0.0, BLOCK)
    labels = {str(code): rootlet_name(code) for code in ROOTLET_CLASSES[classes]}
    other = Model("other", model.card | {"labels": labels}, {**model.stages, "rootlets": stage},
                  "", model.device)  # fmt: skip
    found = rootlets.segment_rootlets(other, image, 8, mirror=False)["rootlets"]
    assert set(np.unique(found.mask).tolist()) == {0, *drawn}
    assert found.warnings == ()  # a ventral C4 below a dorsal T1 is no fault of order


def test_a_weak_peak_is_no_pmj_and_says_how_sure_it_was(monkeypatch, image: Image):
    found = rootlets.segment_rootlets(fixed_model(monkeypatch, -4.0), image, 8, mirror=False)
    assert found["pmj"].status == "no_pmj"
    assert not found["pmj"].mask.any()
    assert "confidence 0.02" in found["pmj"].reason


def test_a_scan_without_cord_has_neither_rootlets_nor_pmj():
    model = load_model("cord-v1")
    stages = {**model.stages, "rootlets": model.stages["cord"]}
    blind = Model("blind", {"task": "rootlets"}, stages, "", torch.device("cpu"))
    rng = np.random.default_rng(3)
    noise = Image(rng.normal(100, 5, (40, 40, 30)).astype(np.float32), np.eye(4))
    found = rootlets.segment_rootlets(blind, noise, 8, mirror=False)
    assert {one.status for one in found.values()} == {"no_cord"}
    constant = Image(np.ones((20, 20, 20), np.float32), np.eye(4))
    assert found.keys() == rootlets.segment_rootlets(blind, constant, 8, mirror=False).keys()


def test_voxels_too_large_for_filaments_are_left_to_the_network_of_levels(monkeypatch, image):
    """A model with a network of fine blocks that sees nothing: of thick slices it is not asked."""
    model = fixed_model(monkeypatch, 6.0)
    nothing = Stage(_Nothing(), 0.8, 16, 0.0, "sigmoid", 0.0, (16, 16, 16))
    model.stages["details"] = nothing
    fine = Image(image.data, image.affine @ np.diag([1.0, 1.0, 0.9, 1.0]))  # slices of 1.08 mm
    thick = Image(image.data, image.affine @ np.diag([1.0, 1.0, 1.1, 1.0]))  # slices of 1.32 mm
    assert not rootlets.segment_rootlets(model, fine, 8, mirror=False)["rootlets"].mask.any()
    assert rootlets.segment_rootlets(model, thick, 8, mirror=False)["rootlets"].mask.any()


class _Nothing(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.full_like(x, -9.0)
