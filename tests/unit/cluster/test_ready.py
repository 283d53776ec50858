"""Preparation refuses altered weights; the command at the end never spoils a run."""

from __future__ import annotations

import hashlib
import sys

import pytest
from cordcohort.cluster.memory import job_memory_mb
from cordcohort.cluster.ready import call_at_end, check_model
from cordcohort.errors import CordcohortError


def test_weights_must_be_as_registered(tmp_path):
    (tmp_path / "m").mkdir()
    weights = tmp_path / "m" / "w.safetensors"
    weights.write_bytes(b"good")
    digest = hashlib.sha256(b"good").hexdigest()
    (tmp_path / "registry.yaml").write_text(
        f"models: {{m: {{folder: m, weights: {{w.safetensors: {digest}}}}}}}"
    )
    check_model("m", tmp_path)
    weights.write_bytes(b"evil")
    with pytest.raises(CordcohortError, match="expected sha256"):
        check_model("m", tmp_path)
    weights.unlink()
    with pytest.raises(CordcohortError, match="no file"):
        check_model("m", tmp_path)


def _engine_log(study):
    folder = study / ".snakemake" / "log"
    folder.mkdir(parents=True)
    (folder / "1.snakemake.log").write_text("")


def test_command_at_the_end_is_told_what_became_of_the_run(tmp_path):
    _engine_log(tmp_path)
    code = "import os,sys; open('told','w').write(os.environ['CORDCOHORT_EXIT']+sys.stdin.read())"
    script = tmp_path / "tell.py"
    script.write_text(code.replace("'told'", repr(str(tmp_path / "told"))))
    call_at_end(f"{sys.executable} '{script}'", tmp_path, 1, [])
    assert (tmp_path / "told").read_text().startswith("1jobs of the last run")


@pytest.mark.parametrize("command", ["no-such-program", "'unclosed", "false"])
def test_command_that_fails_is_told_and_raises_nothing(tmp_path, capsys, command):
    _engine_log(tmp_path)
    call_at_end(command, tmp_path, 0, [])
    assert command in capsys.readouterr().err


def test_command_is_not_given_to_a_shell(tmp_path, capsys):
    _engine_log(tmp_path)
    call_at_end(f"true; touch {tmp_path}/made", tmp_path, 0, [])
    assert not (tmp_path / "made").exists()


def test_memory_grows_with_the_image_and_doubles_with_the_attempt():
    assert job_memory_mb("segment", 10**7) > job_memory_mb("segment", 10**6)
    assert job_memory_mb("tensor", 10**6, 2) == pytest.approx(
        2 * job_memory_mb("tensor", 10**6), abs=2
    )
