"""Batches of scans: which scan belongs to which job, decided by the name of its subject."""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cordcohort.scan import RESULTS, Row, scan_id, subject_of

_IDENTIFYING = ("status", "reason", "masks")
_ALLOWED, _LATENCY = "--allowed-rules", "--latency-wait"
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
    record : str
        What the workflow sees of the outputs: written last, it lists them
        (:mod:`cordcohort.batch_record`).
    identity : str
        Digest of what the index says of the scans and their masks: a mask that gets another method
        or status reruns the job although its path stays.
    largest_image_bytes : int
        Size on disk of the largest image, which decides the job's memory.
    spans : str
        Of every scan the places of its files in ``inputs`` and the number of its ``outputs``, as
        short text: a plan holds a hundred thousand scans in every stage.
    """

    rule: str
    name: str
    scans: list[str]
    inputs: list[str]
    outputs: list[str]
    record: str = ""
    identity: str = ""
    largest_image_bytes: int = 0
    spans: str = ""

    @property
    def kept(self) -> str:
        """List of scans that need not be made again (:mod:`cordcohort.kept_scans`)."""
        return self.record.removesuffix(".json") + ".scans.json"

    def each_scan(self) -> dict[str, Any]:
        """The list and the files of every scan, as plain values for a job."""
        return {"list": self.kept, "read": self.inputs, "spans": self.spans}


def batches(
    stage: str,
    scans: Iterable[Row],
    size: int,
    inputs: Callable[[Row], Sequence[str]],
    outputs: Callable[[Row], Sequence[str]],
    *,
    only: Collection[str] = (),
) -> list[Batch]:
    """Split scans into batches that stay the same when scans are added elsewhere.

    A scan's batch follows from its subject's name: within a data set, ``2**k`` batches are the
    fewest that keep the mean at or below ``size``. A new scan therefore changes one batch, not all
    after it; only a doubling of the data set deals anew. The scans of a subject stay together, in
    all stages, so that a batch follows from one or two batches of each stage before it.

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
    """
    return [
        _batch(stage, name, named, inputs, outputs)
        for name, named in _all_dealt(stage, scans, size, only=only)
    ]


def _batch(
    stage: str,
    name: str,
    named: Sequence[tuple[str, Row]],
    inputs: Callable[[Row], Sequence[str]],
    outputs: Callable[[Row], Sequence[str]],
) -> Batch:
    places: dict[str, int] = {}
    made: list[str] = []
    spans: list[str] = []
    for _, row in named:
        read = " ".join([str(places.setdefault(f, len(places))) for f in inputs(row)])
        own = outputs(row)
        made += own
        spans.append(f"{read}/{len(own)}")
    return Batch(
        rule=f"{stage}_{name}",
        name=name,
        scans=[scan for scan, _ in named],
        inputs=list(places),
        outputs=made,
        record=_record(stage, name),
        identity=_identity([row for _, row in named]),
        largest_image_bytes=max(int(row.get("image_size") or 0) for _, row in named),
        spans=";".join(spans),
    )


def batch_records(stage: str, scans: Iterable[Row], size: int) -> list[str]:
    """Records of the batches that :func:`batches` makes of the scans of a whole study."""
    dealt = _all_dealt(stage, scans, size, only=())
    return [_record(stage, name) for name, _ in dealt]


def _record(stage: str, name: str) -> str:
    return f"{RESULTS}/batches/{stage}/{name}.json"


def _all_dealt(
    stage: str,
    scans: Iterable[Row],
    size: int,
    *,
    only: Collection[str],
) -> list[tuple[str, list[tuple[str, Row]]]]:
    """Batches of all data sets as (name, members)."""
    by_dataset: dict[str, list[tuple[str, Row]]] = {}
    for row in scans:
        by_dataset.setdefault(str(row["dataset"]), []).append((scan_id(row), row))
    return [
        one
        for dataset in sorted(by_dataset)
        for one in _dealt(
            stage, dataset, sorted(by_dataset[dataset], key=_name_of), size, only=only
        )
    ]


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
) -> list[tuple[str, list[tuple[str, Row]]]]:
    """Batches of one data set as (name, members)."""
    if only:
        wanted = [(f"{dataset}_{number:04d}of{n:04d}", number, n) for number, n in numbers_of(only)]
        found = [
            (name, [m for m in members if bucket_of(m[0], n) == number])
            for name, number, n in wanted
            if f"{stage}_{name}" in only
        ]
        return [(name, rows) for name, rows in found if rows]
    n_buckets = 2 ** max(0, math.ceil(math.log2(len(members) / size)))
    buckets: dict[int, list[tuple[str, Row]]] = {}
    for member in members:
        buckets.setdefault(bucket_of(member[0], n_buckets), []).append(member)
    return [(f"{dataset}_{b:04d}of{n_buckets:04d}", buckets[b]) for b in sorted(buckets)]


def bucket_of(scan: str, n_buckets: int) -> int:
    """Number of the batch that a scan belongs to, of ``n_buckets``.

    Examples
    --------
    >>> bucket_of("a/sub-01/anat/sub-01_T2w", 1)
    0
    """
    return _number_of(subject_of(scan)) % n_buckets


@functools.lru_cache(maxsize=1 << 15)
def _number_of(subject: str) -> int:
    return int.from_bytes(hashlib.sha256(subject.encode()).digest()[:8], "big")


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


def latency_of_job(arguments: Sequence[str]) -> float:
    """Seconds that a job on a node waits for files of others, from the engine's command line.

    Examples
    --------
    >>> latency_of_job(["--latency-wait", "60", "--cores", "1"])
    60.0
    """
    if _LATENCY not in arguments:
        return 0.0
    return float(arguments[arguments.index(_LATENCY) + 1])


def _is_no_flag(argument: str) -> bool:
    return not argument.startswith("-")
