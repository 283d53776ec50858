"""One source of versions: lock, environments and pyproject agree with requirements.in."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

CONDA_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib", "pyyaml": "PyYAML"}
CONDA_ONLY = {"python", "cuda-version", "pip"}
LOCKS = ("requirements.lock", "requirements-torch.lock", "requirements-nnunet.lock")
SOURCES = ("envs/requirements.in", "envs/nnunet.in")


def _name(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


def _direct_pins(root) -> dict[str, str]:
    text = "".join((root / source).read_text() for source in SOURCES)
    return {_name(n): v for n, v in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)}


def _locked(root) -> dict[str, set[str]]:
    text = "".join((root / lock).read_text() for lock in LOCKS)
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE):
        found.setdefault(_name(name), set()).add(version)
    return found


def test_lock_holds_exactly_the_direct_pins(root):
    locked = _locked(root)
    for name, version in _direct_pins(root).items():
        assert locked[name] == {version}, name


def test_lock_has_hashes_and_neither_addresses_nor_local_versions(root):
    for lock in ("requirements.lock", "requirements-nnunet.lock"):
        blocks = re.split(r"\n(?=\S)", (root / lock).read_text().strip())
        assert all("--hash=sha256:" in block for block in blocks)
    for file in (*LOCKS, *SOURCES):
        content = (root / file).read_text()
        assert not re.search(r"://|--(extra-)?index-url|--find-links|==\S*\+", content), file


def test_what_nnunet_adds_replaces_nothing(root):
    pattern = re.compile(r"^([\w.-]+)==", re.MULTILINE)
    found = [pattern.findall((root / lock).read_text()) for lock in LOCKS]
    ours, _, added = ({_name(n) for n in names} for names in found)
    assert not ours & added


@pytest.mark.parametrize(
    "stage",
    [
        "images", "segmentation", "segmentation-cuda", "nnunet", "nnunet-cuda", "measures",
        "statistics", "report",
    ],
)  # fmt: skip
def test_conda_environment_pins_the_same_versions(root, stage):
    locked = _locked(root)
    environment = yaml.safe_load((root / "envs" / f"{stage}.yaml").read_text())
    entries = environment["dependencies"]
    pip = [line for block in entries if isinstance(block, dict) for line in block["pip"]]
    for line in [*(e for e in entries if isinstance(e, str)), *pip]:
        name, version = re.split("=+", line)[:2]
        if name not in CONDA_ONLY:
            assert locked[_name(CONDA_NAMES.get(name, name))] == {version}, line


def test_pyproject_allows_every_locked_version(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    locked = _locked(root)
    extras = [r for extra in project["optional-dependencies"].values() for r in extra]
    for line in [*project["dependencies"], *extras]:
        requirement = Requirement(line)
        versions = locked[_name(requirement.name)]
        assert all(Version(v) in requirement.specifier for v in versions), line
