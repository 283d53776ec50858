"""Reading and writing of small files: atomic, bounded, and without executing anything.

Every file that cordcohort writes comes into being through :func:`atomic_path`: it is written under
a temporary name in the same folder, flushed to disk, and moved into place. A killed job leaves
either the old file, the new one, or none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import yaml

from cordcohort.errors import SheetError

MAX_YAML_BYTES = 2_000_000
MAX_YAML_ALIASES = 100
_CHUNK_BYTES = 1 << 20


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Generator[Path]:
    """Give a temporary path beside ``path`` and move it into place when the block ends well.

    The temporary name keeps the suffixes of ``path`` (writers choose a format by them) and holds
    the process id, so two processes never share one. On an error it is removed.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_path(folder / "a.txt") as tmp:
    ...     _ = tmp.write_text("x")
    >>> [p.name for p in folder.iterdir()]
    ['a.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    try:
        yield tmp
        with tmp.open("rb") as handle:
            os.fsync(handle.fileno())
        tmp.replace(path)
    finally:
        tmp.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write text as UTF-8 as it stands, atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write bytes atomically."""
    with atomic_path(path) as tmp:
        tmp.write_bytes(data)


def write_if_changed(path: Path | str, data: bytes) -> bool:
    """Write only when the content differs, so that the time stamp tells of real changes.

    Returns
    -------
    bool
        Whether the file was written.
    """
    path = Path(path)
    if path.is_file() and path.read_bytes() == data:
        return False
    write_bytes(path, data)
    return True


def write_json(path: Path | str, value: object) -> None:
    """Write JSON with sorted keys and no ``NaN`` (which is not JSON), atomically."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path | str) -> Any:
    """Read one JSON file; a fault names the file."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise SheetError(path, "a JSON file", str(error), "repair or remove it") from error


def read_yaml(path: Path | str) -> Any:
    """Read one YAML file with the safe loader, a size limit and an alias limit.

    Raises
    ------
    SheetError
        If the file is larger than 2 MB, holds more than 100 aliases or is not YAML.
    """
    path = Path(path)
    size = path.stat().st_size
    if size > MAX_YAML_BYTES:
        raise SheetError(path, f"at most {MAX_YAML_BYTES} bytes", f"{size}", "split the file")
    try:
        text = path.read_text(encoding="utf-8-sig")
        n_aliases = sum(isinstance(e, yaml.AliasEvent) for e in yaml.parse(text, yaml.SafeLoader))
        if n_aliases > MAX_YAML_ALIASES:
            came = f"{n_aliases} aliases"
            raise SheetError(path, f"at most {MAX_YAML_ALIASES} aliases", came, "write them out")
        return yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise SheetError(path, "a YAML file", str(error), "mend the line named") from error


def sha256_of(path: Path | str) -> str:
    """SHA-256 of a file's bytes as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as handle:
        while chunk := handle.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
