"""Link the packages of another environment into this one: ``python envs/link.py OTHER_PYTHON``."""

import subprocess
import sys
import sysconfig
from pathlib import Path

OWN = ("pip", "setuptools", "_distutils_hack", "distutils-precedence", "pkg_resources")


def main() -> None:
    """Link what this environment does not have; its own installer stays."""
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    there = subprocess.run([sys.argv[1], "-c", ask], check=True, capture_output=True, text=True)
    here = Path(sysconfig.get_path("purelib"))
    for entry in sorted(Path(there.stdout.strip()).iterdir()):
        if not entry.name.startswith(OWN) and entry.name != "__pycache__":
            (here / entry.name).symlink_to(entry.resolve())


if __name__ == "__main__":
    main()
