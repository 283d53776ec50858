"""A job loads the package beside the workflow, and nothing of the launcher's packages."""

from __future__ import annotations

import subprocess
import sys

import pytest

JOB = """
import sys
sys.path.insert(0, {foreign!r})       # what the engine does: the launcher's packages come first
{stale}
sys.path.insert(0, {scripts!r})       # and the script's own folder
import _bootstrap
import cordcohort
print(cordcohort.__file__)
try:
    import only_in_the_launcher
    print("leaked")
except ImportError:
    print("hidden")
"""


@pytest.fixture
def launcher(tmp_path):
    """Give another environment's packages, with a stale installed copy of cordcohort among them."""
    foreign = tmp_path / "lib" / "site-packages"
    (foreign / "cordcohort").mkdir(parents=True)
    (foreign / "cordcohort" / "__init__.py").write_text("STALE = True\n")
    (foreign / "only_in_the_launcher.py").write_text("")
    return foreign


@pytest.mark.parametrize("stale", ["", "import cordcohort  # imported before the adapter"])
def test_stale_copy_and_foreign_packages_never_win(root, launcher, stale):
    code = JOB.format(
        foreign=str(launcher), scripts=str(root / "workflow" / "scripts"), stale=stale
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    where, leak = done.stdout.split()
    assert where == str(root / "workflow" / "lib" / "cordcohort" / "__init__.py")
    assert leak == "hidden"
