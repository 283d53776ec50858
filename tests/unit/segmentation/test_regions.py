"""Eight regions of a scan: sides whatever the axes, the whole cord, and why there are none."""

from dataclasses import replace

import numpy as np
import pytest
from cordcohort.binary import binarised
from cordcohort.images.diffusion import dilated
from cordcohort.measures.regions import REGION_CODES
from cordcohort.nifti import Image
from cordcohort.phantom.acquisition import Acquisition, Pose, acquire, stored
from cordcohort.phantom.imaging import mean_over_voxels, rician
from cordcohort.phantom.person import Person, draw_person
from cordcohort.phantom.signals import stream, tissue_signals
from cordcohort.phantom.slices import true_shares
from cordcohort.phantom.tensors import REGION_FA
from cordcohort.phantom.tissues import REGIONS
from cordcohort.segmentation.centreline import open_volume
from cordcohort.segmentation.draw import segment_image
from cordcohort.segmentation.region_networks import MIRRORED
from cordcohort.segmentation.regions import cord_path
from cordcohort.segmentation.registry import Model, load_model

SEED = 886
LEAST_DICE = 0.7
"""A region of about 10 voxels a slice; the median over patients is asked to be 0.8."""


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("scsnet-v1")


@pytest.fixture(scope="module")
def person() -> Person:
    return draw_person(stream(SEED, "person"))


@pytest.fixture(scope="module")
def grid(person: Person) -> Acquisition:
    pose = Pose((2.0, -1.0, 3.0), (2.0, 1.0, 0.0))
    return acquire(person, (56, 48, 6), (0.9, 0.9, 5.0), centre_level=4.5, pose=pose,
                   off_centre_mm=(5.0, -3.0))  # fmt: skip


@pytest.fixture(scope="module")
def b0(person: Person, grid: Acquisition) -> Image:
    """Mean b=0 of the imaging model."""
    signals = tissue_signals("dwi", "Siemens", SEED, "b0")
    clean = mean_over_voxels(person, grid, signals[:, None])[..., 0]
    return Image(rician(clean, float(signals[1]) / 30.0, stream(SEED, "noise")), grid.affine)


@pytest.fixture(scope="module")
def truth(person: Person, grid: Acquisition) -> np.ndarray:
    share = true_shares(person, grid)[..., :8]
    return np.where(binarised(share.sum(-1)), share.argmax(-1) + 1, 0)


@pytest.fixture(scope="module")
def drawn(model: Model, b0: Image):
    return segment_image(model, b0)["regions"]


def dices(a: np.ndarray, b: np.ndarray) -> list[float]:
    return [
        2 * float(((a == c) & (b == c)).sum()) / max(int((a == c).sum() + (b == c).sum()), 1)
        for c in REGION_CODES.values()
    ]


def test_every_region_is_found_on_its_own_side(drawn, truth: np.ndarray):
    assert drawn.status == "ok"
    assert min(dices(drawn.mask, truth)) > LEAST_DICE


def test_regions_tile_the_cord(drawn, truth: np.ndarray):
    cord, mine = truth > 0, drawn.mask > 0
    assert 2 * (cord & mine).sum() / (cord.sum() + mine.sum()) > 0.9
    assert drawn.soft.shape == (*drawn.mask.shape, 8)
    total = drawn.soft.sum(-1)
    assert total.max() <= 1 + 1e-5  # sums of float32 shares
    assert np.array_equal(drawn.mask > 0, binarised(total))
    inside = drawn.mask > 0
    assert np.array_equal(drawn.soft[inside].argmax(-1) + 1, drawn.mask[inside])


@pytest.mark.parametrize("axes", ["LAS", "RAS", "LPS", "PIR"])
def test_sides_do_not_depend_on_the_axes_of_the_file(
    axes: str, model: Model, b0: Image, grid: Acquisition, drawn
):
    data, affine = stored(b0.data, grid.affine, axes)
    found = segment_image(model, Image(data, affine))["regions"]
    canonical = replace(Image(data, affine), data=found.mask).canonical().data
    assert np.array_equal(canonical, drawn.mask)


def test_a_mirrored_person_has_exchanged_sides(model: Model, b0: Image):
    plain = segment_image(model, b0)["regions"]
    flipped = segment_image(model, replace(b0, data=b0.data[::-1].copy()))["regions"]
    other = np.array([0, *MIRRORED])[flipped.mask[::-1]]
    # The localiser's path is not quite mirrored, so crops may lie apart by a part of a pixel.
    assert min(dices(plain.mask, other)) > 0.9


def test_without_a_cord_there_is_a_reason_and_nothing_drawn(model: Model):
    noise = np.random.default_rng(1).random((40, 40, 5)).astype(np.float32)
    for data in (noise, np.zeros_like(noise)):
        found = segment_image(model, Image(data, np.diag([0.9, 0.9, 5.0, 1.0])))["regions"]
        assert found.status == "no_cord"
        assert found.reason
        assert not found.mask.any()
        assert found.soft.shape == (*data.shape, 8)


def test_the_card_says_what_it_is(model: Model):
    assert "reconstruction" in model.card["description"]
    assert model.card["labels"] == {str(c): n for n, c in REGION_CODES.items()}


def test_the_shipped_model_of_fa_finds_every_region_on_its_own_side(
    person: Person, grid: Acquisition, truth: np.ndarray
):
    share = true_shares(person, grid)[..., :8]
    fa = 0.1 * (1 - share.sum(-1))
    for code, region in enumerate(REGIONS):
        fa = fa + share[..., code] * REGION_FA[region.name.split("_", 1)[1]]
    fa = np.clip(fa + 0.04 * stream(SEED, "fa").standard_normal(fa.shape), 0.01, 1)
    fitted = dilated(Image((truth > 0).astype(np.uint8), grid.affine), 1.9)
    drawn = segment_image(load_model("scsnet-fa-v1"), Image(fa * fitted, grid.affine))["regions"]
    assert drawn.status == "ok"
    assert min(dices(drawn.mask, truth)) > LEAST_DICE


def test_a_model_of_fa_looks_where_the_map_is_not_0(model: Model):
    lone = replace(model, stages={"regions": model.stages["regions"]})
    fa = np.zeros((40, 36, 6), np.float32)
    fa[20:28, 8:14, 1:5] = 0.6
    volume, _ = open_volume(Image(fa, np.diag([0.9, 0.9, 5.0, 1.0])).canonical(), lone.device)
    assert volume is not None
    line, _ = cord_path(lone, volume, 8)
    assert line is not None
    assert line.index.tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(line.centres, np.tile([10.5 * 0.9, 23.5 * 0.9], (4, 1)), rtol=1e-5)
    empty = segment_image(lone, Image(np.zeros_like(fa), np.eye(4)))["regions"]
    assert empty.status == "no_cord"
