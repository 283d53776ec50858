"""Damaged and strange NIfTI files, and a second reader that says what numbers a file holds."""

from __future__ import annotations

import gzip
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

SHAPE = (6, 5, 4)
HEADER_1, HEADER_2 = 348, 540
# name, offset and struct code of the fields of a NIfTI-1 header that a reader looks at
FIELDS = (
    ("sizeof_hdr", 0, "i"), ("dim", 40, "8h"), ("datatype", 70, "h"), ("bitpix", 72, "h"),
    ("pixdim", 76, "8f"), ("vox_offset", 108, "f"), ("scl_slope", 112, "f"),
    ("scl_inter", 116, "f"), ("xyzt_units", 123, "B"), ("qform_code", 252, "h"),
    ("sform_code", 254, "h"), ("quatern", 256, "6f"), ("srow", 280, "12f"), ("magic", 344, "4B"),
)  # fmt: skip
EDGES = {
    "h": (-32768, -1, 0, 1, 2, 3, 4, 7, 8, 16, 32, 64, 128, 256, 512, 1024, 1536, 2304, 32767),
    "i": (0, 1, 348, 540, 1543569408, 2147483647, -1),
    "f": (0.0, -0.0, 1.0, -1.0, 0.5, 1e-38, 1e30, 352.0, 351.0, float("nan"), float("inf"),
          float("-inf"), 3.4e38),
    "B": (0, 1, 2, 3, 7, 10, 18, 43, 110, 255),
}  # fmt: skip
# NIfTI data type codes of real numbers; the others are refused by name.
TYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8",
    1280: "u8",
}  # fmt: skip


@dataclass(frozen=True)
class Seed:
    """A good file to start from.

    Attributes
    ----------
    name : str
        File name, whose ending says whether it is compressed.
    raw : bytes
        The file's content before compression.
    """

    name: str
    raw: bytes

    @property
    def packed(self) -> bytes:
        """Bytes on disk."""
        return gzip.compress(self.raw, 6, mtime=0) if self.name.endswith(".gz") else self.raw


@dataclass(frozen=True)
class Mutation:
    """A file made of a seed.

    Attributes
    ----------
    what : str
        Kind of mutation.
    name : str
        File name.
    content : bytes
        Bytes on disk.
    same : bool
        Whether numbers and affine must be those of the seed where the file is accepted: the damage
        lies in the compressed stream, whose checksum tells, or in what holds neither. Else the
        numbers must be those that the second reader finds in the file.
    seed : Seed
    """

    what: str
    name: str
    content: bytes
    same: bool
    seed: Seed


def seeds() -> list[Seed]:
    """Good files: three number types, scaled, four dimensions, both versions, with an extension."""
    rng = np.random.default_rng(0)
    affine = np.array([[0.5, 0, 0, -10], [0, 0.7, 0, 5], [0, 0, 3.0, 40], [0, 0, 0, 1]])
    noise = rng.normal(size=SHAPE).astype(np.float32)
    mask = (rng.random(SHAPE) > 0.5).astype(np.uint8)
    images = [
        nib.Nifti1Image(noise, affine), nib.Nifti1Image(mask, affine),
        nib.Nifti1Image((100 * noise).astype(np.int16), affine), nib.Nifti2Image(noise, affine),
        nib.Nifti1Image(rng.normal(size=(*SHAPE, 3)).astype(np.float32), affine),
        nib.Nifti1Image(noise, affine),
    ]  # fmt: skip
    images[5].header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"a note"))
    for image in images:
        image.set_sform(affine, 1)
        image.set_qform(affine, 1)
    raws = [image.to_bytes() for image in images]
    raws[2] = raws[2][:112] + struct.pack("<2f", 0.25, -3.0) + raws[2][120:]
    return [
        Seed(f"{number}{ending}", raw)
        for number, raw in enumerate(raws)
        for ending in (".nii.gz", ".nii")
    ]


def mutations(seed: int, count: int) -> list[Mutation]:
    """Give a number of mutations, the same for the same seed."""
    chance = random.Random(seed)
    good = seeds()
    return [chance.choice(KINDS)(chance.choice(good), chance) for _ in range(count)]


def _flips(seed: Seed, chance: random.Random) -> Mutation:
    content = bytearray(seed.packed)
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return Mutation("bit flips", seed.name, bytes(content), _packed(seed), seed)


def _cut(seed: Seed, chance: random.Random) -> Mutation:
    content = seed.packed[: chance.randrange(len(seed.packed))]
    return Mutation("truncation", seed.name, content, same=True, seed=seed)


def _spliced(seed: Seed, chance: random.Random) -> Mutation:
    content, noise = seed.packed, chance.randbytes(chance.randint(1, 40))
    place = chance.randrange(len(content))
    drop = chance.choice((0, len(noise)))
    content = content[:place] + noise + content[place + drop :]
    return Mutation("bytes put in or over", seed.name, content, _packed(seed), seed)


def _tail(seed: Seed, chance: random.Random) -> Mutation:
    tail = chance.choice((b"\0" * 17, chance.randbytes(9), seed.packed, gzip.compress(b"")))
    return Mutation("appended bytes", seed.name, seed.packed + tail, same=True, seed=seed)


def _members(seed: Seed, chance: random.Random) -> Mutation:
    place = chance.randrange(len(seed.raw))
    parts = [gzip.compress(seed.raw[:place], mtime=0), gzip.compress(seed.raw[place:], mtime=0)]
    what = chance.choice(("whole", "swapped", "lost", "damaged"))
    if what == "swapped":
        parts.reverse()
    elif what == "lost":
        parts.pop(chance.randrange(2))
    elif what == "damaged":
        part = bytearray(parts[1])
        part[chance.randrange(len(part))] ^= 1 << chance.randrange(8)
        parts[1] = bytes(part)
    name = seed.name.removesuffix(".gz") + ".gz"
    return Mutation(f"gzip members {what}", name, b"".join(parts), what != "swapped", seed)


def _field(seed: Seed, chance: random.Random) -> Mutation:
    raw = bytearray(seed.raw)
    if len(raw) > 4 and struct.unpack("<i", raw[:4])[0] == HEADER_1:
        _, offset, code = chance.choice(FIELDS)
        count, letter = (int(code[:-1] or 1), code[-1])
        place = offset + chance.randrange(count) * struct.calcsize("<" + letter)
        value = struct.pack("<" + letter, chance.choice(EDGES[letter]))
        value = chance.choice((value, chance.randbytes(len(value))))
    else:
        place, value = chance.randrange(HEADER_2), chance.randbytes(chance.choice((1, 2, 4, 8)))
    raw[place : place + len(value)] = value
    changed = Seed(seed.name, bytes(raw))
    return Mutation("header field", seed.name, changed.packed, same=False, seed=changed)


def _extension(seed: Seed, chance: random.Random) -> Mutation:
    if struct.unpack("<i", seed.raw[:4])[0] != HEADER_1:
        return _field(seed, chance)
    size = 16 * chance.randint(1, 6)
    told = chance.choice((size, size, 0, -16, 8, size + 16, 2**31 - 1))
    body = struct.pack("<2i", told, chance.choice((0, 2, 4, 6, 99))) + chance.randbytes(size - 8)
    head = bytearray(seed.raw[:HEADER_1])
    start = struct.unpack_from("<f", head, 108)[0]
    struct.pack_into("<f", head, 108, start + size)
    tail = seed.raw[HEADER_1 + 4 :]
    raw = bytes(head) + bytes((1, 0, 0, 0)) + body + tail
    changed = Seed(seed.name, raw)
    return Mutation("extension", seed.name, changed.packed, same=True, seed=seed)


def _packed(seed: Seed) -> bool:
    return seed.name.endswith(".gz")


KINDS: tuple[Callable[[Seed, random.Random], Mutation], ...] = (
    _flips, _flips, _cut, _spliced, _tail, _members, _field, _field, _extension,
)  # fmt: skip


def plain_numbers(content: bytes, *, packed: bool) -> NDArray[np.float32] | None:
    """What the bytes of a file say, by the standard's text alone; ``None`` where they say nothing.

    A second implementation of the reading of voxel values: struct and numpy, no nibabel.
    """
    try:
        raw = gzip.decompress(content) if packed else content
    except (OSError, EOFError, ValueError):
        return None
    for order in "<>":
        size = struct.unpack_from(f"{order}i", raw)[0] if len(raw) >= HEADER_1 else 0
        if size in (HEADER_1, HEADER_2):
            return _numbers(raw, order, 1 if size == HEADER_1 else 2)
    return None


def plain_affine(raw: bytes) -> NDArray[np.float64]:
    """Affine of a seed, from the sform of its header: all seeds are little-endian and have one."""
    if struct.unpack_from("<i", raw)[0] == HEADER_1:
        rows = struct.unpack_from("<12f", raw, 280)
    else:
        rows = struct.unpack_from("<12d", raw, 400)
    return np.array([*rows, 0, 0, 0, 1], np.float64).reshape(4, 4)


def _numbers(raw: bytes, order: str, version: int) -> NDArray[np.float32] | None:
    try:
        if version == 1:
            dim = struct.unpack_from(f"{order}8h", raw, 40)
            code = struct.unpack_from(f"{order}h", raw, 70)[0]
            offset, slope, inter = struct.unpack_from(f"{order}3f", raw, 108)
        else:
            dim = struct.unpack_from(f"{order}8q", raw, 16)
            code = struct.unpack_from(f"{order}h", raw, 12)[0]
            offset = struct.unpack_from(f"{order}q", raw, 168)[0]
            slope, inter = struct.unpack_from(f"{order}2d", raw, 176)
        shape = dim[1 : dim[0] + 1]
        kind = np.dtype(order + TYPES[code])
        stored = np.frombuffer(raw, kind, int(np.prod(shape, dtype=object)), int(offset))
    except (struct.error, ValueError, KeyError, OverflowError, TypeError):
        return None
    values = stored.reshape(shape, order="F").astype(np.float64)
    with np.errstate(all="ignore"):
        if np.isfinite(slope) and slope != 0:
            values = values * np.float64(slope) + np.float64(inter)
        result = values.astype(np.float32)
    while result.ndim > 3 and result.shape[-1] == 1:
        result = result[..., 0]
    return result
