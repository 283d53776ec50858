"""Tasks of a SLURM array: each becomes its own job, as the plugin packs it."""

from __future__ import annotations

import base64
import json
import zlib

import pytest
from cordcohort.cluster.array_task import command_of_task
from snakemake_executor_plugin_slurm_jobstep import _decompress_array_task_call

COMMANDS = {2: "cd 'a b' && snakemake --target-jobs shape:batch=b", 41: "snakemake é"}


def _arguments() -> list[str]:
    packed = {str(n): zlib.compress(text.encode(), level=9).hex() for n, text in COMMANDS.items()}
    given = base64.b64encode(json.dumps(packed).encode()).decode()
    return ["snakemake", "--target-jobs", "shape:batch=a", f"--slurm-jobstep-array-execs={given}"]


@pytest.mark.parametrize("number", COMMANDS)
def test_a_task_gets_its_own_command_as_the_plugin_reads_it(number):
    line = _arguments()
    found = command_of_task(line, {"SLURM_ARRAY_TASK_ID": str(number)})
    assert found == COMMANDS[number]
    assert found == _decompress_array_task_call(line[-1].partition("=")[2], number)


def test_the_first_task_and_every_other_process_stay_what_they_are():
    assert command_of_task(_arguments(), {"SLURM_ARRAY_TASK_ID": "1"}) == ""
    assert command_of_task(_arguments(), {}) == ""
    assert command_of_task(["snakemake", "-n"], {"SLURM_ARRAY_TASK_ID": "2"}) == ""
