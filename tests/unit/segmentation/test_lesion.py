"""Lesions of a scan: inside the cord, believed by size and certainty, drawn with the cord."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from cordcohort.binary import binarised
from cordcohort.nifti import Image
from cordcohort.segmentation.draw import segment_image
from cordcohort.segmentation.lesion import LEAST_MM3, LEAST_SURE, STAGE, believed, nested
from cordcohort.segmentation.lesion_block import BLOCK
from cordcohort.segmentation.registry import Model, Stage
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=9))
def test_a_lesion_is_never_outside_the_cord(pairs: list[tuple[float, float]]) -> None:
    lesion, cord = (np.array(v) for v in zip(*pairs, strict=True))
    found = nested(lesion, cord)
    assert (found <= cord).all()
    assert not (binarised(found) & ~binarised(cord)).any()


def blob(n_voxels: int, value: float) -> np.ndarray:
    soft = np.zeros((5, 9, 9), np.float32)
    soft[2].flat[:n_voxels] = value
    return soft


def test_objects_are_kept_above_the_least_volume_and_only_if_sure() -> None:
    enough = int(LEAST_MM3) + 1
    assert believed(blob(enough, 0.99), 1.0).any()
    assert not believed(blob(enough - 1, 0.99), 1.0).any()
    assert not believed(blob(enough, LEAST_SURE - 0.05), 1.0).any()


def test_the_least_volume_is_in_millimetres_not_voxels() -> None:
    enough = int(LEAST_MM3) + 1
    assert not believed(blob(enough, 0.99), 0.1).any()
    assert believed(blob(2, 0.99), LEAST_MM3).any()


def test_a_small_unsure_object_does_not_take_a_large_one_with_it() -> None:
    soft = np.zeros((5, 9, 9), np.float32)
    soft[1:4, :3, :3] = 0.95
    soft[2, 8, 8] = 0.95
    found = believed(soft, 1.0)
    assert found[2, 1, 1] == np.float32(0.95)
    assert found[2, 8, 8] == 0


class Threshold(torch.nn.Module):
    """Stands for a trained network: cord and lesion by brightness of the middle slice."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([8 * (x[:, 1:2] - 0.5), 8 * (x[:, 1:2] - 3.0)], 1)


@pytest.fixture
def injured(model: Model) -> Model:
    stage = Stage(Threshold(), 0.5, 64, 2.0, "sigmoid")
    return replace(model, card={**model.card, "task": "lesion"},
                   stages={"localiser": model.stages["localiser"], STAGE: stage})  # fmt: skip


def test_both_structures_come_back_on_the_scans_own_axes(draw, injured: Model) -> None:
    image, _ = draw()
    turned = Image(np.flip(image.data, 0).copy(), image.affine @ np.diag([-1.0, 1, 1, 1]))
    found = segment_image(injured, turned)
    assert set(found) == {"cord", "lesion"}
    assert all(one.mask.shape == turned.data.shape for one in found.values())
    assert not (found["lesion"].mask & ~found["cord"].mask & 1).any()


class Parts(torch.nn.Module):
    """Stands for a network with two parts of the lesion: brighter, and everywhere."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        middle = x[:, 1:2]
        return 8 * torch.cat([middle - 0.5, middle - 1.0, middle - 1.4, 1 + 0 * middle], 1)


def test_parts_of_a_lesion_are_drawn_inside_it(draw, injured: Model) -> None:
    labels = {"1": "cord", "2": "lesion", "3": "oedema", "4": "haemorrhage"}
    stages = {**injured.stages, STAGE: Stage(Parts(), 0.5, 64, 2.0, "sigmoid")}
    model = replace(injured, card={**injured.card, "labels": labels}, stages=stages)
    image, _ = draw()
    found = {name: one.mask > 0 for name, one in segment_image(model, image).items()}
    assert list(found) == ["cord", "lesion", "oedema", "haemorrhage"]
    assert (found["haemorrhage"] == found["lesion"]).all()  # no further than the lesion
    assert found["oedema"].any()
    assert found["oedema"].sum() < found["lesion"].sum()
    assert not (found["oedema"] & ~found["lesion"]).any()
    constant = segment_image(model, Image(np.zeros((20, 20, 20), np.float32), np.eye(4)))
    assert {name: one.status for name, one in constant.items()} == dict.fromkeys(found, "no_cord")


class Blocks(torch.nn.Module):
    """Stands for a trained network of volumes with two nested outputs."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([8 * (x - 0.5), 8 * (x - 1.0)], 1)


class InCord(torch.nn.Module):
    """Stands for a network that looks for lesions in a drawn cord: the half that is brighter."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 8 * x[:, :1] * x[:, 1:]


@pytest.mark.parametrize(
    "stages",
    [{STAGE: Stage(Blocks(), 1.0, 64, 0.0, "sigmoid", block=(64, 48, 48))},
     {"cord": Stage(Threshold(), 0.5, 64, 2.0, "sigmoid"),
      STAGE: Stage(InCord(), 0.6, 96, 0.0, "sigmoid", block=BLOCK, in_cord=True)}],
    ids=["one network of volumes draws both", "lesions in the cord of another stage"],
)  # fmt: skip
def test_networks_of_blocks_draw_both(draw, model: Model, stages: dict[str, Stage]) -> None:
    own = {"localiser": model.stages["localiser"], **stages}
    image, _ = draw()
    found = segment_image(replace(model, card={**model.card, "task": "lesion"}, stages=own), image)
    assert found["cord"].status == "ok"
    assert found["cord"].mask.any()
    assert not (found["lesion"].mask & ~found["cord"].mask & 1).any()
    assert found["lesion"].mask.any()


def test_a_scan_that_shows_nothing_has_neither(injured: Model) -> None:
    found = segment_image(injured, Image(np.full((40, 40, 8), 7.0, np.float32), np.eye(4)))
    assert {one.status for one in found.values()} == {"no_cord"}
    assert {one.reason for one in found.values()} == {"the image is constant"}
