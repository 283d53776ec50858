"""The centreline: straight lines, smoothing rule, gaps, one slice."""

from __future__ import annotations

import numpy as np
import pytest
from cordcohort.measures.centreline import fit_centreline
from scipy.interpolate import splev, splrep


def test_a_straight_cord_keeps_its_slope_in_mm():
    z = np.arange(10)
    line = fit_centreline(z, 3 + 0.5 * z * 4.0, 2 - 0.25 * z * 4.0, 4.0)
    np.testing.assert_allclose(line.slope_x, 0.5, atol=1e-9)
    np.testing.assert_allclose(line.slope_y, -0.25, atol=1e-9)


def test_the_smoothing_rule_is_the_published_one_at_half_mm_pixels():
    rng = np.random.default_rng(1)
    z = np.setdiff1d(np.arange(30), [7, 8, 20])
    x_voxels = 4 * np.sin(z / 2.0) + rng.normal(0, 2, z.size)
    density = z.size / 30
    knots = splrep(z, x_voxels, k=3, s=density**2 * 30 * 5.0 / 3)
    line = fit_centreline(z, x_voxels * 0.5, np.zeros(z.size), 5.0)
    np.testing.assert_allclose(line.x_mm, np.asarray(splev(np.arange(30), knots)) * 0.5, atol=1e-6)


def test_pixel_size_does_not_change_the_course():
    rng = np.random.default_rng(2)
    z = np.arange(20)
    x_mm = 5 * np.sin(z / 3.0) + rng.normal(0, 1, 20)
    first = fit_centreline(z, x_mm, x_mm, 3.0)
    second = fit_centreline(z, x_mm + 10, x_mm - 10, 3.0)
    np.testing.assert_allclose(first.slope_x, second.slope_x, atol=1e-6)


@pytest.mark.parametrize("n", [2, 3])
def test_two_or_three_slices_give_a_straight_line(n):
    line = fit_centreline(range(n), [float(i) for i in range(n)], [0.0] * n, 2.0)
    assert line.known
    np.testing.assert_allclose(line.slope_x, 0.5, atol=1e-9)


def test_one_slice_gives_no_direction():
    line = fit_centreline([4], [1.0], [2.0], 2.0)
    assert not line.known
    assert line.slopes_at([4, 9])[0].tolist() == [0.0, 0.0]


def test_no_slice_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        fit_centreline([], [], [], 1.0)


def test_beyond_the_ends_the_end_slope_holds():
    z = np.arange(5, 15)
    line = fit_centreline(z, 0.1 * (z - 5.0) ** 2, np.zeros(10), 1.0)
    below, above = line.slopes_at([0, 30])[0]
    assert below == pytest.approx(line.slope_x[0])
    assert above == pytest.approx(line.slope_x[-1])
