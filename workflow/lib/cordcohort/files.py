"""Reading and writing of small files: atomic, bounded, and without executing anything.

Every file that cordcohort writes comes into being through :func:`atomic_path`: it is written under
a temporary name in the same folder, flushed to disk, and moved into place. A killed job leaves
either the old file, the new one, or none.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
from collections.abc import Generator, Mapping
from pathlib import Path
from stat import S_ISREG
from typing import Any

import yaml

from cordcohort.errors import DamagedError, SheetError

MAX_YAML_BYTES = 1_000_000
MAX_YAML_ALIASES = 100
MAX_YAML_DEPTH = 40
MAX_JSON_BYTES = 50_000_000
MAX_SIDECAR_BYTES = 2_000_000
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP}
RECORD_DIGEST = "record_sha256"
_CHUNK_BYTES = 1 << 20


class _BoundedLoader(yaml.SafeLoader):
    """The safe loader, which gives up on what only an attack holds.

    Its scanner takes a time that grows with the square of the depth; a hundred thousand opening
    brackets would keep it busy for hours.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._open: list[str | None] = []  # anchors of the collections around the next event
        self._n_aliases = 0

    def get_event(self) -> Any:
        """Next event, counted before anything is made of it."""
        event: Any = super().get_event()
        if isinstance(event, yaml.CollectionStartEvent):
            self._open.append(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
        elif isinstance(event, yaml.AliasEvent):
            self._n_aliases += 1
            if event.anchor in self._open:
                raise yaml.YAMLError(f"*{event.anchor} stands inside of what it names")
        if len(self._open) > MAX_YAML_DEPTH or self._n_aliases > MAX_YAML_ALIASES:
            limits = f"at most {MAX_YAML_DEPTH} levels and {MAX_YAML_ALIASES} aliases"
            raise yaml.YAMLError(f"more than {limits}")
        return event


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Generator[Path]:
    """Give a temporary path beside ``path`` and move it into place when the block ends well.

    The temporary name keeps the suffixes of ``path`` (writers choose a format by them) and holds a
    random part, so two processes never share one, on one machine or on two that share a disk. The
    bytes are on the disk before the move; after a power cut the folder may still show the old file.
    On an error the temporary file is removed.

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
    tmp = path.with_name(f".tmp-{secrets.token_hex(4)}-{path.name}")
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


def read_json(path: Path | str, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """Read one JSON file; a fault names the file.

    Raises
    ------
    SheetError
        If it is no ordinary file, larger than ``max_bytes``, nested too deeply or no JSON.
    """
    refuse_no_file(path, "a JSON file", max_bytes)
    try:
        with open(path, "rb") as handle:
            return json.loads(handle.read().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise SheetError(path, "a JSON file", str(error), "repair or remove it") from error


def record_text(record: Mapping[str, Any]) -> str:
    """JSON of a record with a digest of all its other keys, so that it can be checked later."""
    content = {key: value for key, value in record.items() if key != RECORD_DIGEST}
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
    return json.dumps(content | {RECORD_DIGEST: digest}, indent=1, sort_keys=True) + "\n"


def write_record(path: Path | str, record: Mapping[str, Any]) -> None:
    """Write a record that tells by itself when a byte of it has changed, atomically."""
    write_text(path, record_text(record))


def read_record(path: Path | str, schema: int) -> dict[str, Any]:
    """Read a record that :func:`write_record` wrote, of a ``schema`` no newer than what is known.

    Raises
    ------
    DamagedError
        If it is gone or not as it was written.
    SheetError
        If it is of a newer schema.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError) as error:
        raise DamagedError(path, str(error)) from error
    if not isinstance(content, dict):
        raise DamagedError(path, "no record")
    digest = content.pop(RECORD_DIGEST, None)  # earlier versions wrote none
    if digest is not None and digest != json.loads(record_text(content))[RECORD_DIGEST]:
        raise DamagedError(path, "a record that does not match its digest")
    refuse_newer(path, content.get("schema", 1), schema)
    return content


def recorded_file(record: Path | str, name: str, sha256: str) -> Path:
    """Path of a file beside its record, after its bytes were compared with the record.

    Records of earlier versions hold no digest of some files; these are only looked for.

    Raises
    ------
    DamagedError
        If it is gone or has other bytes; the record is stale then, too.
    """
    path = Path(record).parent / name
    if not path.is_file():
        raise DamagedError(path, "no file", record)
    found = sha256_of(path)
    if sha256 and found != sha256:
        raise DamagedError(path, f"sha256 {found[:12]}... where {sha256[:12]}... was", record)
    return path


def refuse_newer(path: Path | str, found: object, known: int) -> None:
    """Refuse what a newer version of cordcohort wrote: its columns may mean something else.

    Raises
    ------
    SheetError
        Naming both versions.
    """
    if isinstance(found, int) and found <= known:
        return
    raise SheetError(
        path, f"schema {known} or older", f"schema {found!r}, written by a newer cordcohort",
        "use that version, or delete the results and run again",
    )  # fmt: skip


def refuse_no_file(path: Path | str, wanted: str, max_bytes: int | None = None) -> None:
    """Refuse what is no ordinary file (reading a pipe might never end) or is too large.

    Raises
    ------
    SheetError
        Naming the file.
    """
    # One call of the system: an index looks at a hundred thousand sidecars.
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno not in _NOT_THERE:
            raise
        way_out = "mend the path, or make the file again"
        raise SheetError(path, wanted, "no file", way_out) from error
    if not S_ISREG(found.st_mode):
        way_out = "mend the path, or make the file again"
        raise SheetError(path, wanted, "no ordinary file", way_out)
    if max_bytes is not None and found.st_size > max_bytes:
        came = f"{found.st_size}"
        raise SheetError(path, f"at most {max_bytes} bytes", came, "split or shorten it")


def read_yaml(path: Path | str) -> Any:
    """Read one YAML file with the safe loader, a size limit and an alias limit.

    Raises
    ------
    SheetError
        If the file is larger than 1 MB, holds more than 100 aliases, is nested deeper than 40
        levels or is not YAML.
    """
    path = Path(path)
    refuse_no_file(path, "a YAML file", MAX_YAML_BYTES)
    try:
        text = path.read_text(encoding="utf-8-sig")
        return yaml.load(text, _BoundedLoader)  # noqa: S506 - a safe loader, with limits
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SheetError(path, "a YAML file", str(error), "mend the line named") from error


def sha256_of(path: Path | str) -> str:
    """SHA-256 of a file's bytes as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as handle:
        while chunk := handle.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
