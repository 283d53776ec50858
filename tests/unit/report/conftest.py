"""A small study and its report, made once for the tests that only read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cordcohort.report.build import build_report
from unit.report.small_study import Wanted, make_study


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A study with images, 10 % of its scans failed, and its report."""
    folder = tmp_path_factory.mktemp("study")
    config = make_study(folder, Wanted(with_images=True, n_subjects=6))
    build_report(folder, config)
    return folder, config


@pytest.fixture(scope="session")
def report(study: tuple[Path, dict[str, Any]]) -> Path:
    """The report's folder."""
    return study[0] / "results" / "report"
