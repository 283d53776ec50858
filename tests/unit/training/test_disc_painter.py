"""Painted strips: landmarks where the person has them, and none that is out of view."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import yaml
from cordcohort.phantom.anatomy import codes_at
from cordcohort.phantom.frame import build_frame
from cordcohort.phantom.person import draw_person
from cordcohort.phantom.tissues import CORD, Tissue
from cordcohort.segmentation.disc_strip import BACK_MM, COLUMNS, CURVES
from cordcohort.segmentation.registry import load_model
from cordcohort.training.disc_painter import MARGIN_COLUMNS, DiscPainter, person_strip
from cordcohort.training.engine import train
from cordcohort.training.publish import publish
from safetensors.torch import load_file

MIDDLE = 2  # of the parallel lines of a strip


@pytest.fixture(scope="module")
def strip():
    someone = draw_person(np.random.default_rng(4))
    return someone, person_strip(someone, 70.0, -120.0)


def test_rows_of_discs_hold_disc_in_front_of_the_cord_and_bone_between(strip):
    _, found = strip
    ahead = slice(MARGIN_COLUMNS + BACK_MM + 12, MARGIN_COLUMNS + BACK_MM + 20)
    disc = np.isin(found.codes[MIDDLE], (Tissue.DISC_NUCLEUS, Tissue.DISC_ANNULUS))
    rows = [found.rows[code] for code in range(3, 9)]
    for row in rows:
        assert disc[round(row), ahead].mean() > 0.8
    for upper, lower in pairwise(rows):
        assert disc[round((upper + lower) / 2), ahead].mean() < 0.1


def test_the_cord_runs_straight_down_the_strip(strip):
    _, found = strip
    cord = np.isin(found.codes[MIDDLE], CORD)[round(found.rows[2]) :]
    middle = (cord * np.arange(cord.shape[1])).sum(axis=1) / cord.sum(axis=1)
    assert middle == pytest.approx(BACK_MM + MARGIN_COLUMNS, abs=1.0)


def test_rows_are_millimetres_along_the_axis(strip):
    someone, found = strip
    frame = build_frame(someone)
    z = np.linspace(*(float(frame.z_of_level(v)) for v in (8.0, 3.0)), 2000)
    steps = np.hypot(np.hypot(np.diff(frame.at("x", z)), np.diff(frame.at("y", z))), np.diff(z))
    assert found.rows[8] - found.rows[3] == pytest.approx(steps.sum(), abs=0.1)


def test_codes_at_points_are_those_of_the_volume():
    someone = draw_person(np.random.default_rng(2))
    frame = build_frame(someone)
    z = float(frame.z_of_level(5.0))
    place = [[float(frame.at("x", z))], [float(frame.at("y", z))], [z]]
    assert int(codes_at(someone, place)[0]) in [int(t) for t in CORD]
    far = [[0.0], [400.0], [0.0]]
    assert int(codes_at(someone, far)[0]) == Tissue.AIR


def test_a_batch_depends_on_its_number_alone_and_shows_no_landmark_out_of_view():
    painter = DiscPainter({"persons": 2, "seed": 5}, {"grid": 160}, seed=3)
    image, target = painter.batch(7, 6)
    again, same = painter.batch(7, 6)
    assert bool((image == again).all())
    assert bool((target == same).all())
    assert tuple(image.shape) == (6, 2, 160, COLUMNS)
    assert tuple(target.shape) == (6, len(CURVES), 160)
    assert float(target.min()) >= 0.0
    assert float(target.max()) <= 1.0
    assert not bool((painter.batch(8, 6)[0] == image).all())
    seen = image[:, 1, :, BACK_MM + 8] > 0
    for item in range(6):
        peaks = (target[item] > 0.95).any(0)
        assert not bool((peaks & ~seen[item]).any())


def test_a_recipe_of_discs_trains_and_becomes_a_model_that_loads(tmp_path):
    recipe = {
        "name": "tiny", "task": "discs", "seed": 3,
        "sources": {"phantom": {"persons": 1, "seed": 2}},
        "painting": {"grid": 64, "pixel_mm": 1.0, "neighbour_mm": 2.0},
        "network": {"name": "strip_net", "options": {"widths": [2, 2, 4], "features": [4, 4]}},
        "schedule": {"steps": 2, "warmup": 1, "batch_size": 2},
        "validation": {"every": 2, "samples": 2, "patience": 5}, "checkpoint": {"every": 2},
    }  # fmt: skip
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    train(tmp_path / "r.yaml", tmp_path / "run", {}, threads=1, device="cpu")
    publish(tmp_path / "models" / "mine", {"discs": tmp_path / "run"}, name="mine")
    model = load_model("mine", folder=tmp_path / "models")
    assert (model.card["task"], list(model.stages)) == ("discs", ["discs"])
    weights = load_file(str(tmp_path / "models" / "mine" / "discs.safetensors"))
    assert all(np.isfinite(v.numpy()).all() for v in weights.values())
