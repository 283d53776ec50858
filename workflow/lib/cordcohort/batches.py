"""Batches of scans: which scan belongs to which job, decided by the scan's own name."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from cordcohort.scan import Row, scan_id

_IDENTIFYING = ("status", "reason", "masks")
_ALLOWED = "--allowed-rules"
_NUMBERED = re.compile(r"_(\d+)of(\d+)$")


@dataclass(frozen=True)
class Batch:
    """The scans of one job.

    Attributes
    ----------
    rule : str
        Name of the rule that is made for it, unique in a study.
    name : str
        Unique within a stage: data set and number.
    scans : list of str
        Identifiers (:func:`cordcohort.scan.scan_id`).
    inputs, outputs : list of str
        Files that the job reads and the record or table that it must write for every scan.
    identity : str
        Digest of what the index says of the scans and their masks: a mask that gets another method
        or status reruns the job although its path stays.
    largest_image_bytes : int
        Size on disk of the largest image, which decides the job's memory.
    """

    rule: str
    name: str
    scans: list[str]
    inputs: list[str]
    outputs: list[str]
    identity: str = ""
    largest_image_bytes: int = 0


def batches(
    stage: str,
    scans: Iterable[Row],
    size: int,
    inputs: Callable[[Row], Sequence[str]],
    outputs: Callable[[Row], Sequence[str]],
    *,
    only: Collection[str] = (),
    by: Callable[[Row], str] = scan_id,
) -> list[Batch]:
    """Split scans into batches that stay the same when scans are added elsewhere.

    A scan's batch follows from its own name: within a data set, ``2**k`` batches are the fewest
    that keep the mean at or below ``size``. A new scan therefore changes one batch, not all after
    it; only a doubling of the data set deals anew.

    Parameters
    ----------
    stage : str
        First part of the names of the rules.
    scans : iterable of index rows
        What to do.
    size : int
        Wanted number of scans a job.
    inputs, outputs : callable
        From a row to its files.
    only : collection of str
        Rules that are wanted, where a job on a node needs its own only; it may then know the scans
        of these batches only, and the number of batches is read from the rules' names.
    by : callable
        What decides a scan's batch: its name, or what scans have in common that must stay together.
    """
    by_dataset: dict[str, list[tuple[str, Row]]] = {}
    for row in scans:
        by_dataset.setdefault(str(row["dataset"]), []).append((scan_id(row), row))
    result: list[Batch] = []
    for dataset in sorted(by_dataset):
        members = sorted(by_dataset[dataset], key=_name_of)
        for name, named in _dealt(stage, dataset, members, size, only=only, by=by):
            rows = [row for _, row in named]
            result.append(
                Batch(
                    rule=f"{stage}_{name}",
                    name=name,
                    scans=[scan for scan, _ in named],
                    inputs=list(dict.fromkeys(f for row in rows for f in inputs(row))),
                    outputs=[f for row in rows for f in outputs(row)],
                    identity=_identity(rows),
                    largest_image_bytes=max(int(row.get("image_size") or 0) for row in rows),
                )
            )
    return result


def _identity(rows: Iterable[Row]) -> str:
    text = "\x1e".join(
        "\x1f".join((scan_id(row), *(str(row.get(key, "")) for key in _IDENTIFYING)))
        for row in rows
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _name_of(member: tuple[str, Row]) -> str:
    return member[0]


def _dealt(
    stage: str,
    dataset: str,
    members: Sequence[tuple[str, Row]],
    size: int,
    *,
    only: Collection[str],
    by: Callable[[Row], str],
) -> list[tuple[str, list[tuple[str, Row]]]]:
    """Batches of one data set as (name, members)."""
    if only:
        wanted = [(f"{dataset}_{number:04d}of{n:04d}", number, n) for number, n in numbers_of(only)]
        found = [
            (name, [m for m in members if bucket_of(by(m[1]), n) == number])
            for name, number, n in wanted
            if f"{stage}_{name}" in only
        ]
        return [(name, rows) for name, rows in found if rows]
    n_buckets = 2 ** max(0, math.ceil(math.log2(len(members) / size)))
    buckets: dict[int, list[tuple[str, Row]]] = {}
    for member in members:
        buckets.setdefault(bucket_of(by(member[1]), n_buckets), []).append(member)
    return [(f"{dataset}_{b:04d}of{n_buckets:04d}", buckets[b]) for b in sorted(buckets)]


def bucket_of(scan: str, n_buckets: int) -> int:
    """Number of the batch that a scan belongs to, of ``n_buckets``.

    Examples
    --------
    >>> bucket_of("a/sub-01/anat/sub-01_T2w", 1)
    0
    """
    return int.from_bytes(hashlib.sha256(scan.encode()).digest()[:8], "big") % n_buckets


def numbers_of(rules: Iterable[str]) -> list[tuple[int, int]]:
    """Batch number and number of batches that the names of rules tell; other rules tell none.

    Examples
    --------
    >>> numbers_of(["shape_a_0003of0016", "cohort"])
    [(3, 16)]
    """
    found = [match for rule in rules if (match := _NUMBERED.search(rule))]
    return sorted({(int(match[1]), int(match[2])) for match in found})


def rules_of_job(arguments: Sequence[str]) -> frozenset[str]:
    """Rules that a job on a node may run, from the command line that the engine gave it.

    Examples
    --------
    >>> sorted(rules_of_job(["--allowed-rules", "all", "shape_a_0003of0016", "--cores", "1"]))
    ['all', 'shape_a_0003of0016']
    """
    if _ALLOWED not in arguments:
        return frozenset()
    following = arguments[arguments.index(_ALLOWED) + 1 :]
    return frozenset(itertools.takewhile(_is_no_flag, following))


def _is_no_flag(argument: str) -> bool:
    return not argument.startswith("-")
