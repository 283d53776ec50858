"""A small coverage-guided fuzzer for the image reader: it keeps what reaches new lines.

Files that reach a line, or a pair of lines in turn, that none reached before are kept and mutated
further, so that the search goes where blind mutations do not.
"""

from __future__ import annotations

import gzip
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import cordcohort
import nibabel
from cordcohort.nifti import read_image, read_mask
from mutate import seeds
from watch import Tally

_OURS = (str(Path(cordcohort.__file__).parent), str(Path(nibabel.__file__).parent))
_MAX_BYTES = 4000


def guided(seconds: float, seed: int, folder: Path) -> Tally:
    """Fuzz for a time.

    Parameters
    ----------
    seconds : float
        How long.
    seed : int
        Of the mutations; the time decides how many of them there are.
    folder : Path
        For the file that is read.
    """
    chance = random.Random(seed)
    pool = [good.raw for good in seeds()]
    tally, reached = Tally(), set[Any]()
    end = time.monotonic() + seconds
    readers = (read_image, read_mask)
    while time.monotonic() < end:
        raw = _changed(chance.choice(pool), chance, pool)
        path = folder / chance.choice(("x.nii", "x.nii.gz"))
        path.write_bytes(gzip.compress(raw, 1, mtime=0) if path.suffix == ".gz" else raw)
        reader = chance.choice(readers)
        new: set[Any] = set()
        tally.call(f"{reader.__name__} of {raw[:348].hex()}", _traced(reader, path, new))
        if new - reached:
            reached |= new
            pool.append(raw)
    tally.outcomes[f"(steps between lines reached: {len(reached)}, files kept: {len(pool)})"] = 0
    return tally


def _traced(reader: Callable[[Path], Any], path: Path, new: set[Any]) -> Callable[[], Any]:
    def call() -> Any:
        last: dict[int, int] = {}

        def line(frame: FrameType, event: str, _: Any) -> Any:
            code = id(frame.f_code)
            new.add((code, last.get(code, 0), frame.f_lineno))
            last[code] = frame.f_lineno
            return line

        def enter(frame: FrameType, event: str, _: Any) -> Any:
            return line if frame.f_code.co_filename.startswith(_OURS) else None

        sys.settrace(enter)
        try:
            return reader(path)
        finally:
            sys.settrace(None)

    return call


def _changed(raw: bytes, chance: random.Random, pool: list[bytes]) -> bytes:
    content = bytearray(raw[:_MAX_BYTES])
    for _ in range(chance.choice((1, 1, 2, 4))):
        # The header is where a reader decides; four of five changes go there.
        end = min(len(content), 352) if chance.random() < 0.8 else len(content)
        place = chance.randrange(max(end, 1))
        how = chance.randrange(5)
        if how == 0 and content:
            content[place % len(content)] ^= 1 << chance.randrange(8)
        elif how == 1:
            content[place : place + 2] = chance.choice((0, 1, 4, 7, 255, 256, 32767)).to_bytes(
                2, "little"
            )
        elif how == 2:
            content[place : place + 4] = chance.randbytes(4)
        elif how == 3:
            other = chance.choice(pool)
            content[place : place + 16] = other[place : place + 16]
        else:
            del content[place : place + chance.randrange(1, 64)]
    return bytes(content)
