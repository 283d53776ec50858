"""Limits of agreement: one implementation, its closed form, and its undefined cases."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from cordcohort.statistics.limits import limits_around, limits_of_agreement
from statsmodels.stats.api import DescrStatsW


def test_limits_are_the_bias_and_196_standard_deviations() -> None:
    differences = np.random.default_rng(3).normal(1.5, 4.0, 40)
    moments = DescrStatsW(differences, ddof=1)
    found = limits_of_agreement(differences)
    assert found.bias == pytest.approx(moments.mean)
    assert (found.low, found.high) == pytest.approx(
        (moments.mean - 1.96 * moments.std, moments.mean + 1.96 * moments.std)
    )
    assert limits_of_agreement(differences, ddof=0).sd == pytest.approx(differences.std())


def test_order_of_the_differences_moves_no_bit() -> None:
    differences = np.random.default_rng(4).normal(0, 1e3, 101)
    assert limits_of_agreement(differences) == limits_of_agreement(differences[::-1].copy())


@pytest.mark.parametrize(
    ("n", "has_sd", "has_interval"), [(0, 0, 0), (1, 0, 0), (2, 1, 0), (3, 1, 1)]
)
def test_too_few_differences_give_no_number(n: int, has_sd: int, has_interval: int) -> None:
    found = limits_of_agreement(np.arange(float(n)))
    assert np.isfinite(found.low) == bool(has_sd)
    assert np.isfinite(found.half_width) == bool(has_interval)


def test_zero_spread_puts_the_limits_on_the_bias() -> None:
    found = limits_around(2.0, 0.0, 10)
    assert (found.low, found.high, found.half_width) == (2.0, 2.0, 0.0)


def test_limits_load_without_the_libraries_of_the_other_analyses() -> None:
    code = (
        "import sys, cordcohort.statistics.limits; "
        "print(sorted({'pingouin', 'statsmodels', 'jsonschema'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
