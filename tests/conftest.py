"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _shared(sub: str) -> Path:
    data = Path(os.environ.get("CORDCOHORT_DATA", ROOT.parent / "shared" / "data"))
    return data if sub == "data" else data.parent / sub


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real scans, masks and tables that are not part of the project."""
    folder = _shared("data")
    if not (folder / "README.md").is_file():
        pytest.skip(f"real data not found: set CORDCOHORT_DATA (looked in {folder.name})")
    return folder


@pytest.fixture(scope="session")
def shared_golden() -> Path:
    """Values of other tools on real masks."""
    folder = _shared("reference") / "golden"
    if not folder.is_dir():
        pytest.skip("golden values of other tools not found beside CORDCOHORT_DATA")
    return folder
