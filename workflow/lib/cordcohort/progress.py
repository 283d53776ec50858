"""One line of progress from what the workflow engine prints."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TextIO

_PLAIN_EVERY_S = 10.0
_TERMINAL_EVERY_S = 0.5
_PAUSES = 20  # as long as it took to work the words out
_STEPS = re.compile(r"(\d+) of (\d+) steps")
_RULE = re.compile(r"^(?:local)?rule (\S+):")
_MINUTE_S = 60
_FAILED = re.compile(r"^Error in (?:local)?rule (\S+):")
# Stage and batch, which tell more than the rule.
_BATCH = re.compile(r"^    output: results/(?:batches|report)/(\S+_\d+of\d+)\.json$")
_RULER = re.compile(r"^={20,}$")
_MESSAGE = re.compile(r"^    message: (?!None$)(.+)")
_LOGFILE = re.compile(r"^Logfile (\S+):$")
_ENGINES_LOG = "/slurm_logs/"
# What matters of all that an engine, SLURM and its daemons say in the log of a cluster job.
_TELLING = re.compile(
    r"slurmstepd: error|DUE TO|[Oo]ut [Oo]f [Mm]emory|exceeded memory|output files are missing"
)
# To which the status that precedes it adds nothing.
_USELESS = re.compile(r"\.? *(Detailed failure reason|For further error details).*$")
_LAST_LINES = 6
_TAIL_LINES = 15
_MAX_CHARS = 300
_OWN = "cordcohort: "
_EMPTY_LOG = re.compile(r"^Logfile .*(empty file|not found\.)$")
_SILENT = "a job ended without a word: killed, or out of memory; run again"


class ScanCounts(NamedTuple):
    """Scans that a run has made anew, that stand as they were before it, and all scans."""

    anew: int
    kept: int
    total: int

    def text(self) -> str:
        """In words; where nothing was there before the run, all are new.

        Examples
        --------
        >>> ScanCounts(3, 0, 12).text(), ScanCounts(1, 10, 12).text()
        ('scans done 3/12', 'scans 1 anew + 10 as before, of 12')
        """
        if not self.kept:
            return f"scans done {self.anew}/{self.total}"
        return f"scans {self.anew} anew + {self.kept} as before, of {self.total}"


@dataclass
class Progress:
    """What the engine's output tells of a run.

    Parameters
    ----------
    count_scans : callable
        Gives the scans that are measured, or failed, so far.
    clock : callable
        Seconds.
    """

    count_scans: Callable[[], ScanCounts]
    clock: Callable[[], float] = time.monotonic
    rule: str = "starting"
    n_done: int = 0
    n_steps: int = 0
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    def read(self, line: str) -> None:
        """Take in one line of the engine's output."""
        steps = _STEPS.search(line)
        rule = _RULE.match(line)
        if steps:
            self.n_done, self.n_steps = int(steps[1]), int(steps[2])
        elif rule:
            self.rule = rule[1]

    @property
    def finished(self) -> bool:
        """Whether every step is done."""
        return 0 < self.n_steps == self.n_done

    def text(self) -> str:
        """One line: what runs, steps, scans, time left."""
        if not self.n_steps:
            return f"{self.rule} ..."
        left = "done" if self.finished else f"about {self._left()} left"
        steps = f"step {self.n_done}/{self.n_steps}"
        return f"{steps} | {self.count_scans().text()} | {left} | {self.rule}"

    def _left(self) -> str:
        elapsed_s = self.clock() - self.started
        left_s = elapsed_s * (self.n_steps - self.n_done) / max(self.n_done, 1)
        if left_s < _MINUTE_S:
            return f"{left_s:.0f} s"
        return f"{left_s / _MINUTE_S:.0f} min"


class Line:
    """A line that is rewritten in a terminal, and printed now and then elsewhere."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._is_terminal = stream.isatty()
        self._last = -float("inf")
        self._wait_s = self._every_s = _TERMINAL_EVERY_S if self._is_terminal else _PLAIN_EVERY_S
        self._width = 0
        self._shown = ""

    def show(self, words: str | Callable[[], str], *, force: bool = False) -> None:
        """Show the words unless the last ones were shown a moment ago.

        Words that have to be worked out are, where they are due, and take a twentieth of the time.
        """
        began = self._clock()
        if not force and began - self._last < self._wait_s:
            return
        text = words() if callable(words) else words
        self._last = self._clock()
        self._wait_s = max(self._every_s, _PAUSES * (self._last - began))
        if text == self._shown:
            return
        self._shown = text
        if self._is_terminal:
            self._stream.write("\r" + text.ljust(self._width))
            self._width = len(text)
        else:
            self._stream.write(text + "\n")
        self._stream.flush()

    def end(self) -> None:
        """Leave the line standing."""
        if self._is_terminal:
            self._stream.write("\n")


def fault_lines(output: Sequence[str]) -> list[str]:
    """What a person needs of the engine's output after a failure.

    Parameters
    ----------
    output : sequence of str
        Everything that the engine said.

    Returns
    -------
    list of str
        Each failed rule with the last lines of its log; the engine's own last lines if no rule
        failed (a lock, a missing file, a wrong flag).

    Examples
    --------
    >>> fault_lines(["Error in rule shape_a:", "Logfile x:", "=" * 80, "no space left", "=" * 80])
    ['shape_a failed:', '    no space left']
    """
    faults = _Faults()
    for line in output:
        faults.read(line)
    told = faults.told
    # What a job says of its own fault, where its log could not take it.
    own = list(dict.fromkeys(line for line in output if line.startswith(_OWN)))
    told += [line for line in own if not any(line.removeprefix(_OWN) in seen for seen in told)]
    if told and not own and any(_EMPTY_LOG.match(line) for line in output):
        told.append(f"cordcohort: {_SILENT}")
    return told or [line[:_MAX_CHARS] for line in output[-_TAIL_LINES:]]


class _Faults:
    """Each failed rule, why the cluster says it failed, and the end of its log."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._failed = 0  # where the rule that failed last is told
        self._log = ""
        self._section: list[str] | None = None  # lines of a log while the engine prints one

    def read(self, line: str) -> None:
        """Take in one line of the engine's output."""
        if self._section is None:
            self._read_engine(line)
        elif _RULER.match(line):
            self._end_section(self._section)
        else:
            self._section.append(line[:_MAX_CHARS])

    def _read_engine(self, line: str) -> None:
        failed, message, log = (p.match(line) for p in (_FAILED, _MESSAGE, _LOGFILE))
        if failed:
            self._failed = len(self.told)
            self.told.append(f"{failed[1]} failed:")
        elif self.told and (batch := _BATCH.match(line)):
            self.told[self._failed] = f"{batch[1]} failed:"
        elif self.told and message:
            self.told.append(f"    {_USELESS.sub('', message[1])[:_MAX_CHARS]}")
        elif self.told and line.startswith("sbatch: error"):
            self.told.append(f"    {line[:_MAX_CHARS]}")
        elif log:
            self._log = log[1]
        elif self.told and _RULER.match(line):
            self._section = []

    def _end_section(self, section: list[str]) -> None:
        if _ENGINES_LOG in self._log:
            section = list(dict.fromkeys(line for line in section if _TELLING.search(line)))
        self.told += [f"    {text}" for text in section[-_LAST_LINES:]]
        self._section, self._log = None, ""
