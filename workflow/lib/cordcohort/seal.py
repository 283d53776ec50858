"""A seal on Parquet tables: the SHA-256 of the file, kept inside the file.

Parquet checks nothing: one flipped bit can give another number or another column without an error.
So the footer of every table that we write holds a field of 64 digits. It is blank while the file is
hashed, and then filled with the digest, which moves no other byte. Other programs read the table
as if the field were not there.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from cordcohort.errors import DamagedError

_KEY = b"cordcohort_sha256"
_BLANK = b"0" * 64
EMPTY_SEAL = {_KEY: _BLANK}
# In the footer (Thrift, compact protocol) the key is followed by the header of a text field and the
# length of the text, 64.
_FIELD = re.compile(re.escape(_KEY) + rb"\x18\x40(.{64})", re.DOTALL)
_END_BYTES = 8  # length of the footer, and the magic number
_MAGIC = b"PAR1"
_CHUNK_BYTES = 1 << 20


def sealed(content: bytes) -> bytes:
    """Fill the blank seal of a Parquet file.

    Parameters
    ----------
    content : bytes
        A whole file, written with :data:`EMPTY_SEAL` among its metadata.

    Raises
    ------
    ValueError
        If it has no blank seal.
    """
    start = _place(content[_footer_start(content) :])
    if start is None:
        raise ValueError("a Parquet file without a blank seal")
    start += _footer_start(content)
    digest = hashlib.sha256(content).hexdigest().encode()
    return content[:start] + digest + content[start + len(digest) :]


def check_seal(path: Path | str) -> None:
    """Compare a table with its seal, in a few MB of memory whatever its size.

    A table without a seal is one of an earlier version, or one whose very seal was hit and all else
    is as it was; both are let through.

    Raises
    ------
    DamagedError
        If the file is gone, cut or changed.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as handle:
            handle.seek(max(0, size - _END_BYTES))
            end = handle.read(_END_BYTES)
            footer_bytes = int.from_bytes(end[:4], "little") + _END_BYTES
            if size < _END_BYTES or end[4:] != _MAGIC or footer_bytes > size:
                raise DamagedError(path, f"no Parquet table ({size} bytes)")
            handle.seek(size - footer_bytes)
            footer = handle.read()
            start = _place(footer)
            if start is None:
                return
            wanted = footer[start : start + len(_BLANK)]
            blank = footer[:start] + _BLANK + footer[start + len(_BLANK) :]
            digest = hashlib.sha256()
            handle.seek(0)
            left = size - footer_bytes
            while left > 0 and (chunk := handle.read(min(left, _CHUNK_BYTES))):
                digest.update(chunk)
                left -= len(chunk)
            digest.update(blank)
    except FileNotFoundError as error:
        raise DamagedError(path, "no file") from error
    if digest.hexdigest().encode() != wanted:
        raise DamagedError(path, "a table that does not match its seal")


def _footer_start(content: bytes) -> int:
    return len(content) - _END_BYTES - int.from_bytes(content[-_END_BYTES:-4], "little")


def _place(footer: bytes) -> int | None:
    """Where in the footer the 64 digits of the seal start."""
    found = _FIELD.search(footer)
    return found.start(1) if found else None
