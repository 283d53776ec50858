"""Long tables made by hand, for the analyses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd
import pytest
from cordcohort.table import as_long

BASE = {
    "dataset": "a", "site": "s1", "vendor": "V1", "contrast": "T2w", "method": "manual",
    "structure": "cord", "measure": "csa_mm2", "statistic": "mean", "unit": "mm2",
}  # fmt: skip

MakeLong = Callable[..., pd.DataFrame]


def _make_long(rows: Iterable[Mapping[str, Any]], **common: Any) -> pd.DataFrame:
    filled = [BASE | common | dict(row) for row in rows]
    return as_long(pd.DataFrame([{"person": ""} | r for r in filled]))


@pytest.fixture(scope="session")
def make_long() -> MakeLong:
    """Function from partial rows (with ``subject`` and ``value``) to a long table."""
    return _make_long
