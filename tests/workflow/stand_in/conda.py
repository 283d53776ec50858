"""Stand-in for conda: environments as virtual ones that hold exactly what a file pins.

It answers the calls that the workflow engine makes. Packages are linked from the environment that
the tests run in, where the same versions are installed from the lock; a version that is not there
is refused. What an environment file does not ask for, directly or through a dependency, cannot be
imported.
"""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTHON = os.environ["STAND_IN_PYTHON"]
CONDA_TO_PIP = {
    "pytorch": "torch", "matplotlib-base": "matplotlib", "cuda-version": "", "python": ""
}  # fmt: skip


def closure(names):
    """Distributions that some names need, themselves among them."""
    found, waiting = {}, list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # an optional dependency, or one for another machine
        for line in found[name].requires or []:
            if "extra ==" not in line:
                waiting.append(re.match(r"[\w.-]+", line)[0])
    return found.values()


def create(recipe, prefix):
    """Make the environment; as conda does, leave a record of every pinned package."""
    text = Path(recipe).read_text()
    pins = re.findall(r"^\s+- ([\w.-]+)=([^=\s]+)", text, re.MULTILINE)
    wanted = []
    for name, version in pins:
        pip_name = CONDA_TO_PIP.get(name, name)
        if pip_name:
            here = importlib.metadata.version(pip_name).split("+")[0]
            if here != version:
                sys.exit(f"PackagesNotFoundError: {name}={version} (here: {here})")
            wanted.append(pip_name)
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", prefix], check=True)
    site = next(Path(prefix, "lib").glob("python*/site-packages"))
    for distribution in closure(wanted):
        for top in {path.parts[0] for path in distribution.files or []}:
            source = Path(distribution.locate_file(top))
            target = site / top
            if top not in {"..", "__pycache__"} and source.exists() and not target.exists():
                target.symlink_to(source)
    meta = Path(prefix) / "conda-meta"
    meta.mkdir()
    (meta / "history").touch()
    for name, version in pins:
        (meta / f"{name}-{version}-0.json").write_text("{}")


def main(arguments):
    """Answer one call."""
    with Path(os.environ["STAND_IN_LOG"]).open("a") as log:
        log.write(" ".join([*arguments, os.environ.get("CONDA_OVERRIDE_CUDA", "")]) + "\n")
    if arguments[:2] == ["info", "--json"]:
        print(json.dumps({"conda_prefix": str(HERE), "platform": "linux-64"}))
    elif arguments[0] == "--version":
        print("conda 25.1.1")
    elif arguments[0] == "config":
        print(json.dumps({"get": {"channel_priority": "strict"}}))
    elif "create" in arguments:
        create(arguments[arguments.index("--file") + 1], arguments[arguments.index("--prefix") + 1])


main(sys.argv[1:])
