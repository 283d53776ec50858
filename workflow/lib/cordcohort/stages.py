"""Stages of the workflow: one rule with many batches, which its jobs find by their wildcards.

A rule hands methods of its stage to the engine; the engine calls them with the wildcards of a job,
of which only the values are used. Jobs of one rule can go to SLURM as one array.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from cordcohort.batch_record import wait_for_files, withdraw_stale
from cordcohort.batches import Batch, record_of
from cordcohort.cluster.memory import job_memory_mb

T = TypeVar("T")
Wildcards = Mapping[str, str]
OfJob = Callable[[Wildcards], Any]


class _Planned(NamedTuple):
    """A batch, and what the engine is told that it waits for."""

    batch: Batch
    waits_for: list[str]


class _Needs(NamedTuple):
    """What memory and time of a job follow from."""

    image_bytes: int
    scans: int
    files: int


class Stages:
    """What the rules defined so far make.

    Parameters
    ----------
    whole : bool
        Whether the whole study is planned, by the main process: all is then asked for at once,
        since the scans are forgotten before the engine builds its graph. A job on a node knows its
        own batch only, and asks for it when it is wanted.
    patience_s : float
        How long a job on a node waits for files that a network disk shows late.
    in_array : callable, optional
        Whether jobs of a rule may go to SLURM as one array; asked when a job is made, since the
        engine does not know it while it reads the rules. Without it none do.
    """

    def __init__(
        self,
        *,
        whole: bool,
        patience_s: float = 0.0,
        in_array: Callable[[str], bool] = lambda rule: False,
    ) -> None:
        self.whole = whole
        self.in_array = in_array
        self._patience_s = patience_s
        self._batches: list[Batch] = []
        self._inputs: list[list[str]] = []

    def known(self, ask: Callable[..., T], *words: Any) -> Callable[[], T]:
        """What the plan answers to a question, asked once: now, or when a job wants it."""
        answer = functools.cache(functools.partial(ask, *words))
        if self.whole:
            answer()
        return answer

    def inputs(self, ask: Callable[..., Iterable[str]], *words: Any) -> OfJob:
        """Input of a rule without batches: the files that the plan names."""
        files = self.known(self._noted, ask, *words)

        def of_job(wildcards: Wildcards) -> list[str]:
            return self.seen(files())

        return of_job

    def _noted(self, ask: Callable[..., Iterable[str]], *words: Any) -> list[str]:
        files = list(ask(*words))
        self._inputs.append(files)
        return files

    def seen(self, files: list[str]) -> list[str]:
        """Inputs of a job; on a node, once they can be seen there."""
        if not self.whole:
            wait_for_files(files, self._patience_s)
        return files

    def take(self, planned: Iterable[Batch], *, recorded: bool) -> dict[str, _Planned]:
        """Batches of a rule by their record; ``recorded`` where the engine sees nothing else."""
        found = {batch.record: _Planned(batch, list(batch.inputs)) for batch in planned}
        self._inputs.extend(one.waits_for for one in found.values())
        if recorded:
            self._batches.extend(one.batch for one in found.values())
        return found

    def close(self, *, may_change: bool) -> str:
        """Settle what waits for what, once all rules are defined.

        In the main process jobs wait for the records of batches instead of their files, and stale
        records go (:func:`cordcohort.batch_record.withdraw_stale`); a job on a node knows no other
        rule and sees the files themselves.

        Returns
        -------
        str
            What who only looks at the plan should know.
        """
        told = ""
        if self.whole:
            told = withdraw_stale(self._batches, may_change=may_change)
            records = {file: b.record for b in self._batches for file in b.outputs}
            for files in self._inputs:
                files[:] = dict.fromkeys(records.get(name, name) for name in files)
        self._inputs.clear()
        self._batches.clear()
        return told


class Stage:
    """The batches of one rule.

    Parameters
    ----------
    stages : Stages
    name : str
        Folder of the records below ``results/batches``, with a wildcard where several share a rule
        (``segment_{model}``).
    ask : callable
        Gives the batches; one name at a time where there are ``names``.
    names : sequence of str, optional
        Values of that wildcard.
    record : str, optional
        Pattern of what a job makes, where this is no record of a batch.
    of_rule : str, optional
        Name of the rule, where it is not that of the folder.
    """

    def __init__(
        self,
        stages: Stages,
        name: str,
        ask: Callable[..., Sequence[Batch]],
        names: Sequence[str] | None = None,
        *,
        record: str = "",
        of_rule: str = "",
    ) -> None:
        self._rule = of_rule or name
        self._key = record_of(name, "{batch}")
        self.record = record or self._key
        self._stages = stages
        self._batches = stages.known(self._planned, ask, names)

    def _planned(
        self, ask: Callable[..., Sequence[Batch]], names: Sequence[str] | None
    ) -> dict[str, _Planned]:
        found = ask() if names is None else (b for name in names for b in ask(name))
        return self._stages.take(found, recorded=self.record == self._key)

    def batch(self, wildcards: Wildcards) -> Batch:
        """Batch of a job."""
        return self._batches()[self._key.format(**wildcards)].batch

    def inputs(self, wildcards: Wildcards) -> list[str]:
        """Files that a job waits for; on a node, once they can be seen there."""
        return self._stages.seen(self._batches()[self._key.format(**wildcards)].waits_for)

    def scans(self, wildcards: Wildcards) -> list[str]:
        """Scans of a job."""
        return self.batch(wildcards).scans

    def files(self, wildcards: Wildcards) -> list[str]:
        """Files that a job must make, besides its record."""
        return self.batch(wildcards).outputs

    def identity(self, wildcards: Wildcards) -> str:
        """What the index says of the scans of a job."""
        return self.batch(wildcards).identity

    def of_each(self, ask: Callable[[Batch], Any]) -> OfJob:
        """What the plan says of every batch besides."""
        answers = self._stages.known(self._asked_of_each, ask)

        def of_batch(wildcards: Wildcards) -> Any:
            return answers()[self._key.format(**wildcards)]

        return of_batch

    def _asked_of_each(self, ask: Callable[[Batch], Any]) -> dict[str, Any]:
        return {record: ask(one.batch) for record, one in self._batches().items()}

    def memory_mb(self, kind: str) -> Callable[[Wildcards, int], int]:
        """Memory: of the voxels of the largest image, doubled with every attempt.

        Tasks of a SLURM array get what the first of them asks for, so the batches of a rule that
        goes as arrays all ask for what the largest of them needs; so with their time. Else each
        asks for what it needs itself.
        """

        def asked_for(wildcards: Wildcards, attempt: int) -> int:
            return job_memory_mb(kind, self._needs(wildcards).image_bytes, attempt)

        return asked_for

    def minutes(
        self, first: int, *, per_scan: int = 0, per_file: int = 0
    ) -> Callable[[Wildcards, int], int]:
        """Time: of the most scans or files of a batch, and longer with every attempt."""

        def asked_for(wildcards: Wildcards, attempt: int) -> int:
            needs = self._needs(wildcards)
            return (first + per_scan * needs.scans + per_file * needs.files) * attempt

        return asked_for

    def _needs(self, wildcards: Wildcards) -> _Needs:
        """Of a job, or of all that may share its request."""
        if self._stages.in_array(self._rule):
            return self._most
        return _needs_of([self.batch(wildcards)])

    @functools.cached_property
    def _most(self) -> _Needs:
        return _needs_of([one.batch for one in self._batches().values()])


def _needs_of(batches: Sequence[Batch]) -> _Needs:
    return _Needs(
        max(batch.largest_image_bytes for batch in batches),
        max(len(batch.scans) for batch in batches),
        max(len(batch.outputs) for batch in batches),
    )
