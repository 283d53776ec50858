"""The bytes of a NIfTI file: read to the end, checksum verified, claims held against the size."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from cordcohort.errors import ImageError

HEADER_BYTES = 540  # NIfTI-2; a NIfTI-1 header takes 348
POINTER_BYTES = 1024  # git-annex pointers are about 105 bytes of text
MAX_DEFLATE_RATIO = 1040  # deflate cannot expand more than 1032 : 1
# Series of scanners shrink three- to tenfold; only masks shrink a hundredfold, and they are small.
BIG_BYTES = 2_000_000_000
MAX_BIG_RATIO = 100
MAX_VOXELS = 4_000_000_000
COPY = "copy or export the file again"
_CHUNK_BYTES = 1 << 20


def read_verified(path: Path) -> bytes:
    """All bytes of the file, unpacked, after the cheap checks that need no allocation."""
    if not path.exists():
        came = "a broken link" if path.is_symlink() else "no such file"
        raise ImageError(
            path, "missing", "a file", came, "fetch it (git annex get) or mend the path"
        )
    if not path.is_file():  # reading a pipe or a device might never end
        raise ImageError(path, "unreadable", "a file", "a folder, pipe or device", "remove it")
    try:
        size = path.stat().st_size
        with path.open("rb") as handle:
            start = handle.read(POINTER_BYTES)
            if size < POINTER_BYTES and b"annex/objects" in start:
                raise ImageError(
                    path, "pointer", "an image", "an unfetched git-annex pointer",
                    "fetch it: git annex get",
                )  # fmt: skip
            if size == 0:
                raise ImageError(path, "empty", "an image", "a file of 0 bytes", COPY)
            handle.seek(0)
            if start[:2] == b"\x1f\x8b":
                return _gunzip(path, handle, size)
            limit = check_claim(path, start, size)
            if size > limit:
                raise ImageError(path, "size", f"at most {limit} bytes", f"{size}", COPY)
            return handle.read()
    except OSError as error:
        raise ImageError(path, "unreadable", "a readable file", str(error), COPY) from error


def _gunzip(path: Path, handle: io.BufferedReader, size: int) -> bytes:
    """Unpack a gzip file to its end; zlib verifies checksum and length of every member."""
    out = bytearray()
    limit = -1
    most = min(size * MAX_DEFLATE_RATIO, max(BIG_BYTES, size * MAX_BIG_RATIO))
    inflate = zlib.decompressobj(wbits=31)
    try:
        while chunk := handle.read(_CHUNK_BYTES):
            while chunk:
                out += inflate.decompress(chunk, _CHUNK_BYTES * 8)
                chunk = inflate.unconsumed_tail
                if limit < 0 and len(out) >= HEADER_BYTES:
                    limit = check_claim(path, bytes(out[:HEADER_BYTES]), most)
                if 0 <= limit < len(out):
                    came = f"more than {limit} bytes of content"
                    raise ImageError(path, "size", f"{limit} bytes", came, COPY)
                if inflate.eof:
                    chunk = inflate.unused_data.lstrip(b"\0")
                    inflate = zlib.decompressobj(wbits=31)
    except zlib.error as error:
        raise ImageError(path, "checksum", "an intact gzip file", str(error), COPY) from error
    # A fresh inflater means that the last member ended as it should.
    if inflate.unconsumed_tail or not _is_fresh(inflate):
        raise ImageError(
            path, "truncated", "a whole gzip file", f"an early end at {size} bytes", COPY
        )
    return bytes(out)


def _is_fresh(inflate: Any) -> bool:
    """Whether an inflater stands at the start of a member."""
    probe = inflate.copy()
    try:
        probe.decompress(gzip.compress(b"", mtime=0))
    except zlib.error:
        return False
    return bool(probe.eof)


def header_of(path: Path, start: bytes) -> Any:
    """Parse a NIfTI-1 or NIfTI-2 header."""
    for kind in (nib.Nifti1Header, nib.Nifti2Header):
        try:
            header = kind(start[: kind.sizeof_hdr], check=False)  # reads no extension
            if int(header["sizeof_hdr"]) == kind.sizeof_hdr:
                return header
        except Exception:  # noqa: S112 - nibabel raises many types on arbitrary bytes
            continue
    raise ImageError(path, "header", "a NIfTI header", f"bytes {start[:4].hex(' ')}", COPY)


def check_claim(path: Path, start: bytes, available_bytes: int) -> int:
    """Compare what the header claims with what the file can hold; give the claimed size."""
    header = header_of(path, start)
    try:
        # The number of bytes is computed with Python integers, which cannot overflow.
        n_dims = int(header["dim"][0])
        shape = [int(n) for n in header["dim"][1 : n_dims + 1]]
        item_bytes = int(header.get_data_dtype().itemsize)
        offset = int(header["vox_offset"])
    except Exception as error:
        raise ImageError(path, "header", "a NIfTI header", str(error), COPY) from error
    n_voxels = int(np.prod([max(n, 0) for n in shape], dtype=object)) if shape else 0
    if not 1 <= n_dims <= 7 or min(shape, default=0) < 1 or n_voxels > MAX_VOXELS:  # noqa: PLR2004
        raise ImageError(path, "dimensions", "1 to 7 positive dimensions", f"{shape}", COPY)
    claimed = max(offset, 0) + n_voxels * item_bytes
    if claimed > available_bytes:
        came = f"at most {available_bytes}"
        raise ImageError(path, "truncated", f"{claimed} bytes as the header claims", came, COPY)
    return claimed + _CHUNK_BYTES  # some writers pad the end
