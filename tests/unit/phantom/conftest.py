"""One healthy and one damaged person, and a grid on the healthy one."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.phantom.acquisition import Acquisition, Pose, acquire
from cordcohort.phantom.person import Person, draw_person


@pytest.fixture(scope="session")
def healthy() -> Person:
    return draw_person(np.random.default_rng(11))


@pytest.fixture(scope="session")
def damaged() -> Person:
    rng = np.random.default_rng(12)
    return draw_person(rng, compression=True, lesion=True, levels=(4.0, 6.4))


@pytest.fixture(scope="session")
def axial(healthy: Person) -> Acquisition:
    """Thick axial slices of a turned person, on a scanner that is 2 % wrong."""
    return acquire(
        healthy,
        (60, 60, 8),
        (0.7, 0.7, 4.0),
        centre_level=5.0,
        pose=Pose((3.0, -2.0, 4.0), (5.0, -3.0, 2.0)),
        scale=1.02,
    )
