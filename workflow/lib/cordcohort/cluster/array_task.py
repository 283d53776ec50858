"""What a task of a SLURM array runs, where the engine's SLURM plugin would get it wrong.

The plugin (2.7, 2.8) starts every task of an array as if it were the first one, and lets that
process start the task's own job. When this job is done, the process looks for the files of the
*first* job; if that one takes longer by more than ``latency-wait``, the task counts as failed and
its files are removed. So a task leaves the first job alone and becomes its own job at once.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import zlib
from collections.abc import Mapping, Sequence

_JOBS = "--slurm-jobstep-array-execs"


def become_own_job() -> None:
    """Replace this process by the job of its task; does nothing in a process that is no task."""
    command = command_of_task(sys.argv, os.environ)
    if command:
        os.execvp("sh", ["sh", "-c", command])  # noqa: S606 - the engine wrote it for a shell


def command_of_task(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Shell command of a task of an array, from the engine's command line.

    Parameters
    ----------
    arguments : sequence of str
        The engine's, of which one holds the commands of all tasks but the first.
    environment : mapping
        Of the process; SLURM tells the number of the task there.

    Returns
    -------
    str
        Empty where this process is no task, or the first one, whose command line is its own.
    """
    given = [word.partition("=")[2] for word in arguments if word.startswith(f"{_JOBS}=")]
    if not given:
        return ""
    commands = json.loads(base64.b64decode(given[0]))
    packed = commands.get(environment.get("SLURM_ARRAY_TASK_ID", ""), "")
    return zlib.decompress(bytes.fromhex(packed)).decode() if packed else ""
