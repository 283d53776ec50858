"""A digest of the science that a rule depends on.

Snakemake reruns a job when its script changes, but not when a module that the script imports does.
So every rule carries the digest of the modules that it calls, and of what these import from this
package. Comments, docstrings and formatting are not part of it: they rerun nothing. Digests of what
else a rule works with are here as well.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import json
import sys
from collections.abc import Collection
from pathlib import Path

from cordcohort.files import sha256_of, write_text

PACKAGE = "cordcohort"
_ROOT = Path(__file__).resolve().parent
_PACKAGE_ENDINGS = (".dist-info", ".egg-info")


@functools.cache
def science_digest(*modules: str, root: Path = _ROOT) -> str:
    """Digest of some modules of the package with all they import from it.

    Parameters
    ----------
    *modules : str
        Dotted names below the package, for example ``"measures.shape"``.
    root : Path
        Folder of the package.

    Returns
    -------
    str
        16 hexadecimal digits.

    Raises
    ------
    FileNotFoundError
        If a module does not exist.

    Examples
    --------
    >>> science_digest("table") == science_digest("table")
    True
    """
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name], imported = _module_digest(name, root)
            # Importing a.b runs a/__init__.py first, which may register more (statistics does).
            parent = name.rpartition(".")[0]
            waiting.extend([*imported, *([parent] if _exists(parent, root) else [])])
    text = "\n".join(f"{name} {found[name]}" for name in sorted(found))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def files_digest(folder: str, root: Path = _ROOT, suffixes: Collection[str] = ()) -> str:
    """Digest of the files in a folder of the package that are no code, such as page templates.

    Parameters
    ----------
    folder : str
        Below ``root``; with all folders in it.
    root : Path
        Folder of the package.
    suffixes : collection of str
        Endings of the files that count; empty for all.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for path in sorted((root / folder).rglob("*")):
        if path.is_file() and (not suffixes or path.suffix in suffixes):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def tools_digest(*files: Path) -> str:
    """Digest of what a rule works with: the files of its environment and of its adapter."""
    text = "\n".join(f"{path.name} {sha256_of(path)}" for path in files)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@functools.cache
def installed_packages() -> list[str]:
    """Python, and every installed package with its version, from the names of their folders."""
    folders = [Path(entry) for entry in sys.path if Path(entry).is_dir()]
    packages = {p.name for folder in folders for p in folder.iterdir()}
    return [sys.version, *sorted(name for name in packages if name.endswith(_PACKAGE_ENDINGS))]


def use_known_digests(cache: Path, *, keep: bool, root: Path = _ROOT) -> None:
    """Take the digests of modules that have not changed since an earlier process read them.

    Reading all modules of a rule costs a third of a second, which every job on a node would pay.

    Parameters
    ----------
    cache : Path
        JSON file of module to size, time, digest and imports; one that is absent or damaged is as
        an empty one.
    keep : bool
        Read every module of the package and write the file where something is new; for the main
        process. A job on a node only reads it.
    root : Path
        Folder of the package.
    """
    _KNOWN.clear()
    try:
        stored = json.loads(cache.read_text(encoding="utf-8"))
        _KNOWN.update({str(k): (v[0], v[1], str(v[2]), tuple(v[3])) for k, v in stored.items()})
    except (OSError, ValueError, AttributeError, TypeError, LookupError):
        _KNOWN.clear()
    if not keep:
        return
    before = dict(_KNOWN)
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            _module_digest(name, root)
    if before != _KNOWN:
        text = json.dumps(_KNOWN, sort_keys=True)
        with contextlib.suppress(OSError):  # a study of somebody else: read anew the next time
            cache.parent.mkdir(parents=True, exist_ok=True)
            write_text(cache, text)


_KNOWN: dict[str, tuple[int, int, str, tuple[str, ...]]] = {}


@functools.cache
def _module_digest(name: str, root: Path) -> tuple[str, tuple[str, ...]]:
    """Digest of one module's own code, and the package modules that it imports."""
    path = _path_of(name, root)
    state = path.stat()
    known = _KNOWN.get(name)
    if known and known[:2] == (state.st_size, state.st_mtime_ns):
        return known[2], known[3]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    _drop_docstrings(tree)
    own = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    imported = tuple(sorted(n for n in _package_imports(tree) if _exists(n, root)))
    _KNOWN[name] = (state.st_size, state.st_mtime_ns, own, imported)
    return own, imported


def _path_of(name: str, root: Path) -> Path:
    base = root.joinpath(*name.split("."))
    if base.with_suffix(".py").is_file():
        return base.with_suffix(".py")
    if (base / "__init__.py").is_file():
        return base / "__init__.py"
    raise FileNotFoundError(f"no module {PACKAGE}.{name} under {root.name}: mend the rule's digest")


def _exists(name: str, root: Path) -> bool:
    base = root.joinpath(*name.split("."))
    return base.with_suffix(".py").is_file() or (base / "__init__.py").is_file()


def _package_imports(tree: ast.AST) -> set[str]:
    """Names below the package that a module imports, wherever in the module it does so."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            head, _, rest = node.module.partition(".")
            if head == PACKAGE:
                prefix = f"{rest}." if rest else ""
                names.update(prefix + alias.name for alias in node.names)
                names.add(rest)
        elif isinstance(node, ast.Import):
            names.update(
                a.name.partition(".")[2] for a in node.names if a.name.startswith(f"{PACKAGE}.")
            )
    return names - {""}


def _drop_docstrings(tree: ast.AST) -> None:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
