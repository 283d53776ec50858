"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["hostile_study"]

ROOT = Path(__file__).resolve().parents[1]

# Shared machines are slow at times, which says nothing about the code; and a run repeats itself.
settings.register_profile(
    "shared", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shared")


def _shared(sub: str) -> Path:
    data = Path(os.environ.get("CORDCOHORT_DATA", ROOT.parent / "shared" / "data"))
    return data if sub == "data" else data.parent / sub


# Tests that share a study run in one worker, so that it is made once.
STUDY_FIXTURES = {
    "demo_study": "demo",
    "finished_demo": "demo",
    "small_data": "small",
    "broken_study": "small",
    "real_study": "real",
}


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items):
    """Group tests by the study that they share."""
    for item in items:
        for fixture in item.fixturenames:
            if fixture in STUDY_FIXTURES:
                item.add_marker(pytest.mark.xdist_group(STUDY_FIXTURES[fixture]))
                break


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


def run_command(*arguments: object, check: bool = True, **options) -> subprocess.CompletedProcess:
    """Run `python -m ...` with the checkout's package, as a user would."""
    environment = (
        os.environ | {"PYTHONPATH": str(ROOT / "workflow" / "lib")} | options.pop("env", {})
    )
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        capture_output=True, text=True, check=False, env=environment, **options,
    )  # fmt: skip
    if check and done.returncode:
        pytest.fail(f"{arguments} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


@pytest.fixture(scope="session")
def demo_study(tmp_path_factory) -> Path:
    """Folder of the demo study with its data written and nothing run yet."""
    folder = tmp_path_factory.mktemp("demo study")  # a space in the path, as users have
    run_command("cordcohort", "demo", folder, "--only-data")
    return folder


@pytest.fixture(scope="session")
def finished_demo(demo_study) -> Path:
    """Folder of the demo study after a whole run."""
    run_command("cordcohort", "run", demo_study, "--cores", "2", "--quiet", "all")
    return demo_study
