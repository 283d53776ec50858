"""Every adapter's imports are covered by the environment of its rule, and pins are exact."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml

CONDA_TO_IMPORT = {
    "pytorch": "torch", "pyyaml": "yaml", "scikit-image": "skimage", "python": "sys",
    "matplotlib-base": "matplotlib", "connected-components-3d": "cc3d", "cuda-version": "",
    "simpleitk": "SimpleITK",
}  # fmt: skip
# Packages that another one cannot be installed without.
BROUGHT_BY = {"matplotlib": {"PIL", "contourpy"}}
PACKAGE = "cordcohort"
# A pin file whose addresses fail is skipped with a warning, and the engine solves loosely: none.
PIN_FILES = "*.pin.txt"


def _rules(root) -> list[tuple[str, str]]:
    """(adapter, environment) of every rule."""
    found = []
    for file in sorted((root / "workflow" / "rules").glob("*.smk")):
        text = file.read_text()
        environments = re.findall(
            r'conda:\s+(?:"\.\./\.\./envs/|torch_environment\(")([\w-]+)[."]', text
        )
        scripts = re.findall(r'script:\s+"\.\./scripts/(\S+)\.py"', text)
        assert len(environments) == len(scripts), file.name
        found += list(zip(scripts, environments, strict=True))
    return found


def _module(package: Path, name: str) -> Path | None:
    base = package.joinpath(*name.split(".")[1:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


class _ForRunning(ast.NodeTransformer):
    """Drops what only a type checker reads."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        named = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return None if named else self.generic_visit(node)


def _imports(path: Path) -> set[str]:
    """Modules that a file imports when it is loaded or when its functions run."""
    names: set[str] = set()
    tree = _ForRunning().visit(ast.parse(path.read_text()))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _third_party(root, adapter: Path) -> set[str]:
    """Packages that an adapter needs, through all modules of ours that it imports."""
    package = root / "workflow" / "lib" / PACKAGE
    waiting, seen, needed = [adapter], set(), set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for name in _imports(path):
            if name.split(".")[0] != PACKAGE:
                needed.add(name.split(".")[0])
                continue
            parts = name.split(".")
            prefixes = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
            waiting += [path for prefix in prefixes if (path := _module(package, prefix))]
    return needed - set(sys.stdlib_module_names) - {"_bootstrap"}


def _entries(recipe: Path) -> tuple[list[str], list[str]]:
    """What a file takes from the channels, and what from pip."""
    entries = yaml.safe_load(recipe.read_text())["dependencies"]
    blocks = [entry for entry in entries if not isinstance(entry, str)]
    assert all(set(block) == {"pip"} for block in blocks), recipe.name
    return [e for e in entries if isinstance(e, str)], [e for b in blocks for e in b["pip"]]


def _provided(root, environment: str) -> set[str]:
    channels, pip = _entries(root / "envs" / f"{environment}.yaml")
    names = [entry.split("=")[0] for entry in channels + pip]
    provided = {CONDA_TO_IMPORT.get(name, name.replace("-", "_")) for name in names}
    return provided.union(*(BROUGHT_BY.get(name, set()) for name in provided))


def test_every_adapter_has_a_rule(root):
    adapters = {path.stem for path in (root / "workflow" / "scripts").glob("[!_]*.py")}
    assert adapters == {script for script, _ in _rules(root)}


def test_every_import_of_an_adapter_is_in_its_environment(root):
    for script, environment in _rules(root):
        needed = _third_party(root, root / "workflow" / "scripts" / f"{script}.py")
        missing = needed - _provided(root, environment)
        assert not missing, f"{script}.py needs {sorted(missing)}, envs/{environment}.yaml has not"


@pytest.mark.parametrize("name", ["segmentation", "nnunet"])
def test_cpu_and_gpu_environment_differ_in_torch_only(root, name):
    cpu, gpu = (
        {entry for entries in _entries(root / "envs" / f"{name}{end}.yaml") for entry in entries}
        for end in ("", "-cuda")
    )
    assert {entry.split("=")[0] for entry in cpu ^ gpu} == {"pytorch", "cuda-version"}
    (cuda,) = (entry.split("=")[1] for entry in gpu if entry.startswith("cuda-version="))
    assert f'CUDA = "{cuda}"' in (root / "workflow" / "rules" / "common.smk").read_text()


def test_every_rule_that_may_ask_for_a_gpu_has_the_environment_of_its_device(root):
    checked = set()
    for file in sorted((root / "workflow" / "rules").glob("*.smk")):
        for block in re.split(r"^\s*rule(?: \w+)?:", file.read_text(), flags=re.MULTILINE)[1:]:
            if asked := re.search(r"gpu=int\((.*?) == \"cuda\"\)", block):
                environment = re.search(r'torch_environment\("\w+", (.*?)\)\n', block)
                assert environment, file.name
                assert environment[1] == asked[1], file.name
                checked.add(file.name)
    assert {"segmentation.smk", "nnunet.smk", "training.smk", "nnunet_training.smk"} <= checked


def test_every_version_is_exact_and_no_pin_file_can_fall_back(root):
    assert not list((root / "envs").glob(PIN_FILES))
    for recipe in (root / "envs").glob("*.yaml"):
        assert "defaults" not in yaml.safe_load(recipe.read_text())["channels"]
        channels, pip = _entries(recipe)
        for entry in channels:
            assert re.fullmatch(r"[\w.-]+=\d[\w.]*(=\S+)?", entry), f"{recipe.name}: {entry}"
        for entry in pip:
            assert re.fullmatch(r"[\w.-]+==\d[\w.]*", entry), f"{recipe.name}: {entry}"


@pytest.mark.parametrize("recipe", ["Dockerfile", "cordcohort.def"])
def test_containers_are_made_from_the_same_locks_and_say_that_they_are_untested(root, recipe):
    text = (root / "containers" / recipe).read_text()
    for lock in root.glob("requirements*.lock"):
        assert f"-r {lock.name}" in text
    pythons = {
        line.split("=")[1]
        for file in (root / "envs").glob("*.yaml")
        for line in _entries(file)[0]
        if line.startswith("python=")
    }
    assert [f"python:{version}-" in text for version in pythons] == [True]
    assert "UNTESTED" in text
