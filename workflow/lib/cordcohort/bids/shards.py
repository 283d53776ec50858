"""The rows of the index in small files, so that a job reads the scans of its batch and no others.

A scan's file follows from its subject's name, as its batch does. The main process writes them
beside the index; a job on a node needs neither pandas nor the whole index to know what it works on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cordcohort.batches import bucket_of
from cordcohort.errors import DamagedError, SheetError
from cordcohort.files import write_if_changed
from cordcohort.scan import scan_id

SHARDS = "results/bids/shards"
# A power of two, as the number of batches is: a batch lies in one shard, or is made of whole ones.
N_SHARDS = 256

IndexRow = dict[str, Any]


def write_shards(rows: Iterable[IndexRow], study_dir: Path | str = ".") -> None:
    """Keep the rows of the index in shards; one whose content is the same is left untouched.

    Parameters
    ----------
    rows : iterable of dict
        All rows of the index.
    study_dir : path
        Folder of the study.
    """
    folder = Path(study_dir) / SHARDS
    shards: dict[int, dict[str, IndexRow]] = {}
    for row in rows:
        name = scan_id(row)
        shards.setdefault(bucket_of(name, N_SHARDS), {})[name] = row
    for number, shard in shards.items():
        text = _text(shard)
        content = f'{{"rows":{text},"sha256":"{_digest(text)}"}}'
        write_if_changed(_shard_path(folder, number), content.encode("utf-8"))
    wanted = {_shard_path(folder, number) for number in shards}
    for stale in set(folder.glob("*.json")) - wanted:
        stale.unlink()


def rows_of_batches(
    numbers: Iterable[tuple[int, int]], study_dir: Path | str = "."
) -> list[IndexRow]:
    """Rows of some batches, given as (number, number of batches), of all data sets.

    Raises
    ------
    SheetError
        If no main process has written the shards.
    """
    folder = Path(study_dir) / SHARDS
    if not folder.is_dir():
        raise SheetError(folder, "the index in parts", "no folder", "run `cordcohort run` first")
    wanted = list(numbers)
    shards = {
        shard for number, n in wanted for shard in range(number % min(n, N_SHARDS), N_SHARDS, n)
    }
    rows = {name: row for shard in sorted(shards) for name, row in _read(folder, shard).items()}
    return [
        row
        for name, row in rows.items()
        if any(bucket_of(name, n) == number for number, n in wanted)
    ]


def all_rows(study_dir: Path | str = ".") -> list[IndexRow]:
    """All rows of the index, sorted by name; none where nothing was ever run."""
    folder = Path(study_dir) / SHARDS
    rows = {name: row for path in folder.glob("*.json") for name, row in _checked(path).items()}
    return [rows[name] for name in sorted(rows)]


def read_rows(scan_ids: Iterable[str], study_dir: Path | str = ".") -> list[IndexRow]:
    """Rows by :func:`cordcohort.scan.scan_id`, in the order asked for.

    Raises
    ------
    SheetError
        If the index has no such scan.
    """
    folder = Path(study_dir) / SHARDS
    wanted = list(scan_ids)
    rows: dict[str, IndexRow] = {}
    for shard in sorted({bucket_of(name, N_SHARDS) for name in wanted}):
        rows |= _read(folder, shard)
    missing = [name for name in wanted if name not in rows]
    if missing:
        raise SheetError(
            folder, f"scan {missing[0]}", "an index without it",
            "run `cordcohort check` and start again",
        )  # fmt: skip
    return [rows[name] for name in wanted]


def _shard_path(folder: Path, number: int) -> Path:
    return folder / f"{number:02x}.json"


def _read(folder: Path, number: int) -> Mapping[str, IndexRow]:
    path = _shard_path(folder, number)
    return _checked(path) if path.is_file() else {}


def _text(shard: Mapping[str, IndexRow]) -> str:
    return json.dumps(shard, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _checked(path: Path) -> dict[str, IndexRow]:
    """Rows of one shard, as they were written."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows: dict[str, IndexRow] = content["rows"]
        intact = _digest(_text(rows)) == content["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError(path, f"a damaged part of the index ({error})") from error
    if not intact:
        raise DamagedError(path, "a part of the index that does not match its digest")
    return rows
