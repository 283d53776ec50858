"""A small study with every kind of broken scan; fixtures for tests/hostile and tests/workflow."""

from __future__ import annotations

import pytest
import yaml
from conftest import run_command
from cordcohort.phantom.config import PhantomStudy, Protocol, Site
from cordcohort.phantom.study import write_study

SITES = (
    Site("north", "Siemens", "Prisma", subjects=2),
    Site("south", "GE", "SIGNA", subjects=2),
)
PROTOCOLS = (
    Protocol("T2w", (40, 48, 40), (1.2, 1.2, 1.6)),
    Protocol("dwi", (36, 36, 6), (1.1, 1.1, 5.0), sessions=1),
)


def write_config(folder, content) -> None:
    """Write a study's config."""
    (folder / "config").mkdir(parents=True, exist_ok=True)
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(content))


def study_content(**changes) -> dict:
    """Config of the small study."""
    content = {
        "study": {"name": "small"},
        "datasets": [{"name": s.name, "path": f"data/{s.name}"} for s in SITES],
        "segmentation": {"models": [], "device": "cpu"},
        "analyses": [
            {
                "name": "area_over_sites",
                "kind": "variability",
                "select": {"measure": "csa_mm2", "structure": "cord", "statistic": "mean"},
                "over": "site",
            }
        ],
    }
    return content | changes


@pytest.fixture(scope="session")
def small_data(tmp_path_factory):
    """Folder with a small study, nothing run yet, some of its scans broken."""
    folder = tmp_path_factory.mktemp("small")
    study = PhantomStudy(sites=SITES, protocols=PROTOCOLS, sessions=1, missing=(), bad_input=True)
    write_study(study, folder / "data")
    write_config(folder, study_content())
    return folder


@pytest.fixture(scope="session")
def broken_study(small_data):
    """The small study after a run with the shipped model."""
    write_config(small_data, study_content(segmentation={"models": ["cord-v1"], "device": "cpu"}))
    done = run_command("cordcohort", "run", small_data, "--cores", "2")
    return small_data, done
