"""The workflow in one environment a stage, and what a change of code or environment reruns.

The engine's own conda calls go to a stand-in (tests/workflow/stand_in); see there what it proves.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import run_command
from hostile_study import study_content, write_config

IMPORTABLE = {
    "images": {"dipy": True, "torch": False, "statsmodels": False, "snakemake": False},
    "measures": {"skimage": True, "torch": False, "dipy": False, "snakemake": False},
    "statistics": {"pingouin": True, "torch": False, "dipy": False, "nibabel": False},
    "report": {"jinja2": True, "torch": False, "dipy": False, "snakemake": False},
    "segmentation": {"torch": True, "pingouin": False, "statsmodels": False, "snakemake": False},
}
KNOWN_RULES = {
    "images": {"mean_b0", "tensor"},
    "statistics": {"cohort", "analysis"},
}


@pytest.fixture(scope="session")
def conda(root, tmp_path_factory):
    """Return the environment variables under which the engine finds the stand-in."""
    folder = root / "tests" / "workflow" / "stand_in" / "bin"
    return {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "STAND_IN_LOG": str(tmp_path_factory.mktemp("conda") / "calls"),
        "STAND_IN_PYTHON": sys.executable,
    }


@pytest.fixture(scope="session")
def checkout(root, tmp_path_factory):
    """Return a copy of the workflow that may be edited."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("Snakefile", "workflow", "envs", "config"):
        if (root / name).is_dir():
            shutil.copytree(root / name, copy / name)
        else:
            shutil.copy(root / name, copy / name)
    (copy / "models").symlink_to(root / "models")
    return copy


def _engine(checkout, study, conda, *flags):
    environment = conda | {"PYTHONPATH": str(checkout / "workflow" / "lib")}
    return run_command(
        "snakemake", "--snakefile", checkout / "Snakefile", "--directory", study,
        "--sdm", "conda", "--cores", "2", *flags, env=environment,
    )  # fmt: skip


@pytest.fixture(scope="session")
def isolated_study(checkout, conda, small_data, tmp_path_factory):
    """Return the small study after a run of every stage in its own environment."""
    study = tmp_path_factory.mktemp("isolated")
    (study / "data").symlink_to(small_data / "data")
    write_config(study, study_content(segmentation={"models": ["cord-v1"], "device": "cpu"}))
    _engine(checkout, study, conda)
    return study


def _planned(checkout, study, conda) -> set[str]:
    """Rules that a run would start."""
    done = _engine(checkout, study, conda, "--dry-run")
    return {*re.findall(r"^(?:local)?rule (\S+):", done.stdout, re.MULTILINE)} - {"all"}


@pytest.mark.slow
def test_every_rule_runs_in_an_environment_that_holds_its_own_packages_only(
    isolated_study, root, tmp_path
):
    assert (isolated_study / "results" / "report" / "index.html").is_file()
    recipes = {path.stem: path.read_text() for path in (root / "envs").glob("*.yaml")}
    built = {path.stem: path for path in (isolated_study / ".snakemake" / "conda").glob("*.yaml")}
    stages = {
        stage: built_path.parent / name
        for name, built_path in built.items()
        for stage, text in recipes.items()
        if built_path.read_text() == text
    }
    assert set(IMPORTABLE) <= set(stages)
    for stage, modules in IMPORTABLE.items():
        for module, expected in modules.items():
            python = stages[stage] / "bin" / "python"
            done = subprocess.run(
                [python, "-c", f"import {module}"], capture_output=True, check=False, cwd=tmp_path
            )
            assert (done.returncode == 0) == expected, f"{stage}: {module}"


@pytest.mark.slow
def test_second_run_builds_and_runs_nothing(checkout, isolated_study, conda):
    assert _planned(checkout, isolated_study, conda) == set()


@pytest.mark.slow
def test_a_comment_reruns_nothing_and_changed_science_its_dependants(
    checkout, isolated_study, conda
):
    module = checkout / "workflow" / "lib" / "cordcohort" / "statistics" / "run.py"
    before = module.read_text()
    try:
        module.write_text(before + "\n# A comment.\n")
        assert _planned(checkout, isolated_study, conda) == set()
        module.write_text(before + "\nCHANGED = 1\n")
        planned = _planned(checkout, isolated_study, conda)
    finally:
        module.write_text(before)
    assert "analysis" in planned
    assert planned <= {"analysis", "report", "subject_pages", "cohort"}
    assert _planned(checkout, isolated_study, conda) == set()


@pytest.mark.slow
def test_an_edited_environment_reruns_its_rules_and_what_follows(checkout, isolated_study, conda):
    recipe = checkout / "envs" / "statistics.yaml"
    before = recipe.read_text()
    try:
        recipe.write_text(before.replace("pandera=0.31.1", "pandera=0.31.1 # edited"))
        planned = _planned(checkout, isolated_study, conda)
    finally:
        recipe.write_text(before)
    assert KNOWN_RULES["statistics"] <= planned
    assert not planned & (KNOWN_RULES["images"] | {"segment", "shape"})


def test_a_version_that_cannot_be_had_is_refused_not_replaced(conda, tmp_path):
    recipe = tmp_path / "env.yaml"
    recipe.write_text("dependencies:\n  - numpy=1.0.0\n")
    done = subprocess.run(
        ["conda", "env", "create", "--file", str(recipe), "--prefix", str(tmp_path / "p")],
        capture_output=True, text=True, check=False, env=os.environ | conda,
    )  # fmt: skip
    assert done.returncode != 0
    assert not (tmp_path / "p").exists()
