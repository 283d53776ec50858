"""A visible central canal: fluid, as wide as drawn, only where it is open, and no lesion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cordcohort.phantom.acquisition import Pose, acquire
from cordcohort.phantom.central_canal import CentralCanal, draw_central_canal
from cordcohort.phantom.cohort import participants
from cordcohort.phantom.config import REGIONS_OF_CORD, Difficulty, PhantomStudy
from cordcohort.phantom.imaging import Noise, lesion_fraction, structural_image
from cordcohort.phantom.parts import central_canal_volume
from cordcohort.phantom.person import Person, draw_person, height_of_level
from cordcohort.phantom.signals import tissue_signals
from cordcohort.phantom.sites import Site
from cordcohort.phantom.tissues import Tissue


@pytest.fixture(scope="module")
def open_canal() -> Person:
    """Canal 1.2 mm wide and 0.8 mm deep, open from 10 to 30 mm below the disc C2/C3."""
    someone = draw_person(np.random.default_rng(3))
    return replace(someone, central_canal=CentralCanal(1.2, 0.8, -30.0, -10.0))


def test_the_tube_has_the_volume_of_its_ellipse(open_canal: Person) -> None:
    step = 0.1
    grid = acquire(open_canal, (40, 40, 6), (step, step, 1.0), centre_level=4.0, pose=Pose())
    tube = central_canal_volume(open_canal, grid.shape, grid.to_person)
    area = tube.sum((0, 1)) * step**2
    # Ellipse of 1.2 x 0.8 mm; a pixel of 0.1 mm leaves 5 % to chance.
    assert area == pytest.approx(np.pi * 0.6 * 0.4, rel=0.05)


def test_the_tube_ends_where_the_canal_closes(open_canal: Person) -> None:
    grid = acquire(open_canal, (12, 12, 60), (0.4, 0.4, 1.0), centre_level=4.0, pose=Pose())
    tube = central_canal_volume(open_canal, grid.shape, grid.to_person)
    z = grid.to_person[2, 2] * np.arange(60) + grid.to_person[2, 3]
    filled = tube.any((0, 1))
    assert set(np.flatnonzero(filled)) == set(np.flatnonzero((z >= -30.0) & (z <= -10.0)))


def test_it_is_as_bright_as_fluid_and_no_lesion(open_canal: Person) -> None:
    grid = acquire(open_canal, (24, 24, 4), (0.3, 0.3, 1.0), centre_level=4.0, pose=Pose())
    signals = tissue_signals("T2starw", "GE", 0, "a")
    images = [
        structural_image(
            person, grid, signals, contrast="T2starw",
            noise=Noise(snr=500.0, bias=0.0, texture=0.0),
            rng=np.random.default_rng(0),
        )
        for person in (open_canal, replace(open_canal, central_canal=None))
    ]  # fmt: skip
    gained = (images[0] - images[1]).max()
    # A voxel wholly inside turns from grey matter into fluid; noise is 0.2 % of white matter.
    assert gained == pytest.approx(signals[Tissue.CSF] - signals[Tissue.LEFT_GM], rel=0.03)
    assert not lesion_fraction(open_canal, grid).any()


def test_shares_of_a_study_are_of_its_controls_and_none_by_default() -> None:
    study = PhantomStudy(seed=4)
    assert all(one.person.central_canal is None for one in participants(study))
    shown = replace(study, difficulty=Difficulty(central_canal_share=1.0))
    for one in participants(shown):
        assert (one.person.central_canal is not None) == (one.group == "control")


def test_an_open_canal_is_in_the_part_of_the_cord_that_is_scanned() -> None:
    site = Site("a", "Siemens", "Prisma", subjects=1, regions=("lumbar",))
    study = PhantomStudy(sites=(site,), patient_share=0.0, traveller=False, seed=4,
                         difficulty=Difficulty(central_canal_share=1.0))  # fmt: skip
    (one,) = participants(study)
    canal = one.person.central_canal
    assert canal is not None
    scanned = height_of_level(one.person.vertebra_mm, REGIONS_OF_CORD["lumbar"])
    assert canal.low_mm < scanned < canal.high_mm


def test_drawn_canals_stay_below_a_syrinx() -> None:
    drawn = [draw_central_canal(np.random.default_rng(n), 0.0) for n in range(50)]
    assert max(max(c.width_mm, c.depth_mm) for c in drawn) < 2.0
    assert all(c.low_mm < 0 < c.high_mm for c in drawn)
