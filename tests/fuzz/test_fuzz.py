"""A fixed sample of what `make fuzz` tries at length."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import yaml
from cordcohort.config import load_config
from cordcohort.images.gradients import read_gradients
from cordcohort.nifti import read_image

# One process, whose limits of time and memory cannot disturb the tests beside it.
SAMPLE = ("--mutations", "400", "--examples", "15", "--guided-seconds", "2", "--seed", "1")


def test_hostile_files_are_read_right_or_refused_by_name(root):
    command = [sys.executable, str(root / "tests" / "fuzz" / "run_fuzz.py"), *SAMPLE]
    environment = {"PYTHONPATH": str(root / "workflow" / "lib")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 wrong; 0 acts outside of the folder" in done.stdout
    assert "accepted: the very numbers of the good file" in done.stdout


@pytest.fixture
def fuzz(root, monkeypatch):
    """Return the modules of the fuzzer."""
    monkeypatch.syspath_prepend(str(root / "tests" / "fuzz"))
    return tuple(importlib.import_module(name) for name in ("inputs", "mutate", "watch"))


def test_the_files_that_are_mutated_are_good_ones(fuzz, tmp_path):
    inputs, mutate, _ = fuzz
    (tmp_path / "config").mkdir()
    (tmp_path / "data" / "sub-01").mkdir(parents=True)
    (tmp_path / "lab.tsv").write_text("id\tc\tage\n01\t70.5\t44\n")
    (tmp_path / "config" / "config.yaml").write_text(yaml.safe_dump(inputs.GOOD_CONFIG))
    (tmp_path / "config" / "exclude.yaml").write_text("[]\n")
    assert load_config(tmp_path / "config" / "config.yaml").study.name == "a"
    (tmp_path / "x.bval").write_text("0 " + "800 " * (inputs.N_VOLUMES - 1))
    rows = (" ".join(map(str, row)) for row in inputs.DIRECTIONS)
    (tmp_path / "x.bvec").write_text("\n".join(rows))
    read_gradients(tmp_path / "x.bval", tmp_path / "x.bvec", inputs.N_VOLUMES)
    for good in mutate.seeds():
        assert mutate.plain_numbers(good.packed, packed=good.name.endswith(".gz")) is not None


def test_another_affine_or_other_numbers_of_an_undamaged_file_are_wrong(
    fuzz, tmp_path, monkeypatch
):
    _, mutate, watch = fuzz
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)  # the fuzzer sets it
    run_fuzz = importlib.import_module("run_fuzz")
    shift = np.eye(4)
    shift[0, 3] = 0.01
    changes = {
        "": lambda image: image,
        "another affine": lambda image: replace(image, affine=image.affine @ shift),
        "other numbers": lambda image: replace(image, data=image.data + 1),
    }
    for wrong, change in changes.items():
        monkeypatch.setattr(
            run_fuzz, "read_image", lambda *a, c=change, **k: c(read_image(*a, **k))
        )
        for good in mutate.seeds():
            tally = watch.Tally()
            same = mutate.Mutation("none", good.name, good.packed, same=True, seed=good)
            run_fuzz.judge(same, tmp_path, tally)
            assert tally.wrong == ([f"none of {good.name}: {wrong}"] if wrong else [])


def test_the_watch_sees_a_traceback_a_hang_and_a_file_elsewhere(fuzz, tmp_path, monkeypatch):
    *_, watch = fuzz
    monkeypatch.setattr(watch, "HANG_S", 1)
    home = tmp_path / "home"
    home.mkdir()
    acts, tally = watch.Acts(home), watch.Tally()

    def run_away():
        while True:
            pass

    tally.call("traceback", lambda: {}["x"])
    tally.call("hang", run_away)
    (home / "fine").write_text("")
    (tmp_path / "elsewhere").write_text("")
    shutil.rmtree(home)
    acts.watching = False
    assert [text.split(":")[0] for text in tally.wrong] == ["traceback", "hang"]
    assert [act for act in acts.seen if "elsewhere" in act] == [f"wrote {tmp_path / 'elsewhere'}"]
    assert not any("fine" in act for act in acts.seen)
