"""A wrong config is refused before any job, naming key, value and way out, in one line."""

from __future__ import annotations

import shutil

import pytest
from conftest import run_command
from hostile_study import study_content, write_config


def _analysis(**keys) -> dict:
    return {"analyses": [{"name": "x", "kind": "variability"} | keys]}


CHANGES = {
    "unknown key": ({"segmentatoin": {}}, ["segmentatoin", "segmentation"]),
    "unknown nested key": ({"measures": {"refrence": "manual"}}, ["refrence", "reference"]),
    "wrong type": ({"measures": {"batch_size": "many"}}, ["measures.batch_size", "many"]),
    "no such data set": ({"datasets": [{"name": "a", "path": "nowhere"}]}, ["nowhere"]),
    "unknown model": ({"segmentation": {"models": ["cord-v9"]}}, ["cord-v9", "cord-v1"]),
    "unknown contrast": ({"contrasts": ["T2x"]}, ["T2x", "T2w"]),
    "unknown analysis": (_analysis(kind="agrement"), ["agrement", "agreement"]),
    "unknown measure": (_analysis(over="site", select={"measure": "csa"}), ["csa", "csa_mm2"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
@pytest.mark.parametrize("command", ["check", "run"])
def test_wrong_config_is_refused_in_one_line_before_any_job(small_data, tmp_path, case, command):
    change, words = CHANGES[case]
    study = tmp_path / "study"
    study.mkdir()
    (study / "data").symlink_to(small_data / "data")
    write_config(study, study_content(**change))
    done = run_command("cordcohort", command, study, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    for word in words:
        assert word in last, last
    assert "Traceback" not in done.stdout + done.stderr
    assert not (study / "results" / "measures").exists()


def test_exclusion_of_an_unknown_subject_names_the_nearest(small_data, tmp_path):
    study = tmp_path / "study"
    shutil.copytree(small_data / "config", study / "config")
    (study / "data").symlink_to(small_data / "data")
    write_config(study, study_content())
    (study / "config" / "exclude.yaml").write_text(
        "- {dataset: north, subject: sub-011, reason: moved}\n"
    )
    done = run_command("cordcohort", "check", study, check=False)
    assert done.returncode == 1
    assert "011" in done.stderr
    assert "nearest" in done.stderr
