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
_TARGETS, _LATENCY = "--target-jobs", "--latency-wait"
_WILDCARD = "batch="
_NUMBERED = re.compile(r"_(\d+)of(\d+)$")


@dataclass(frozen=True)
class Batch:
    """The scans of one job.

    Attributes
    ----------
    name : str
        Unique within a stage: data set and number.
    scans : list of str
        Identifiers (:func:`cordcohort.scan.scan_id`).
    inputs, outputs : list of str
        Files that the job reads and the record or table that it must write for every scan.
    record : str
        What the workflow sees of the outputs: written last, it lists them
        (:mod:`cordcohort.batch_record`); unique in a study.
    identity : str
        Digest of what the index says of the scans and their masks: a mask that gets another method
        or status reruns the job although its path stays.
    largest_image_bytes : int
        Size on disk of the largest image, which decides the job's memory.
    spans : str
        Of every scan the places of its files in ``inputs`` and the number of its ``outputs``, as
        short text: a plan holds a hundred thousand scans in every stage.
    """

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
        Folder of the records.
    scans : iterable of index rows
        What to do.
    size : int
        Wanted number of scans a job.
    inputs, outputs : callable
        From a row to its files.
    only : collection of str
        Names of the batches that are wanted, where a job on a node needs its own only; it may then
        know the scans of these only, and the number of batches is read from the names.
    """
    return [
        _batch(stage, name, named, inputs, outputs)
        for name, named in _all_dealt(scans, size, only=only)
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
        name=name,
        scans=[scan for scan, _ in named],
        inputs=list(places),
        outputs=made,
        record=record_of(stage, name),
        identity=_identity([row for _, row in named]),
        largest_image_bytes=max(int(row.get("image_size") or 0) for _, row in named),
        spans=";".join(spans),
    )


def batch_records(stage: str, scans: Iterable[Row], size: int) -> list[str]:
    """Records of the batches that :func:`batches` makes of the scans of a whole study."""
    return [record_of(stage, name) for name, _ in _all_dealt(scans, size, only=())]


def record_of(stage: str, name: str) -> str:
    """Record of a batch.

    Examples
    --------
    >>> record_of("shape", "a_0003of0016")
    'results/batches/shape/a_0003of0016.json'
    """
    return f"{RESULTS}/batches/{stage}/{name}.json"


def _all_dealt(
    scans: Iterable[Row], size: int, *, only: Collection[str]
) -> list[tuple[str, list[tuple[str, Row]]]]:
    """Batches of all data sets as (name, members)."""
    by_dataset: dict[str, list[tuple[str, Row]]] = {}
    for row in scans:
        by_dataset.setdefault(str(row["dataset"]), []).append((scan_id(row), row))
    return [
        one
        for dataset in sorted(by_dataset)
        for one in _dealt(dataset, sorted(by_dataset[dataset], key=_name_of), size, only=only)
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
    dataset: str, members: Sequence[tuple[str, Row]], size: int, *, only: Collection[str]
) -> list[tuple[str, list[tuple[str, Row]]]]:
    """Batches of one data set as (name, members)."""
    if only:
        wanted = [(f"{dataset}_{number:04d}of{n:04d}", number, n) for number, n in numbers_of(only)]
        found = [
            (name, [m for m in members if bucket_of(m[0], n) == number])
            for name, number, n in wanted
            if name in only
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


def numbers_of(names: Iterable[str]) -> list[tuple[int, int]]:
    """Batch number and number of batches that the names of batches tell.

    Examples
    --------
    >>> numbers_of(["a_0003of0016"])
    [(3, 16)]
    """
    found = [match for name in names if (match := _NUMBERED.search(name))]
    return sorted({(int(match[1]), int(match[2])) for match in found})


def jobs_of_node(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """What a job on a node runs, from the command line that the engine gave it.

    Returns
    -------
    list of (str, str)
        Rule and name of the batch; no name where a rule has no batches.

    Examples
    --------
    >>> jobs_of_node(["--target-jobs", "segment:model=m,batch=a_3of16", "cohort:", "--cores", "1"])
    [('segment', 'a_3of16'), ('cohort', '')]
    """
    if _TARGETS not in arguments:
        return []
    following = arguments[arguments.index(_TARGETS) + 1 :]
    told = [entry.partition(":") for entry in itertools.takewhile(_is_no_flag, following)]
    return [(rule, _batch_in(wildcards)) for rule, _, wildcards in told]


def _batch_in(wildcards: str) -> str:
    named = [word for word in wildcards.split(",") if word.startswith(_WILDCARD)]
    return named[0].removeprefix(_WILDCARD) if named else ""


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
