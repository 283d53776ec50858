"""The SLURM of one machine: where it cannot be had, it says so and fails."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FAILING_APT = "#!/bin/sh\necho 'E: Unable to locate package slurmctld' >&2; exit 100\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may install")
@pytest.mark.parametrize(
    ("apt", "told"), [("", "no apt-get"), (FAILING_APT, "Unable to locate package slurmctld")]
)
def test_where_slurm_cannot_be_installed_it_fails_and_says_so(root, tmp_path, apt, told):
    for program, text in (("apt-get", apt), ("env", '#!/bin/sh\nshift\nexec "$@"\n')):
        if text:
            (tmp_path / program).write_text(text)
            (tmp_path / program).chmod(0o755)
    done = subprocess.run(
        [sys.executable, root / "tests" / "cluster" / "local_slurm.py", "up"],
        capture_output=True, text=True, check=False,
        env={"PATH": str(tmp_path), "CORDCOHORT_SLURM_STATE": str(tmp_path / "state")},
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("local_slurm: SLURM cannot be installed here: ")
    assert told in line
    assert not (tmp_path / "state").exists()
