"""One line of progress from what the workflow engine prints."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TextIO

_PLAIN_EVERY_S = 10.0
_TERMINAL_EVERY_S = 0.5
_STEPS = re.compile(r"(\d+) of (\d+) steps")
_RULE = re.compile(r"^(?:local)?rule (\S+):")
_MINUTE_S = 60
_FAILED = re.compile(r"^Error in (?:local)?rule (\S+):")
_RULER = re.compile(r"^={20,}$")
_LAST_LINES = 6
_TAIL_LINES = 15
_MAX_CHARS = 300
_OWN = "cordcohort: "
_EMPTY_LOG = re.compile(r"^Logfile .*(empty file|not found\.)$")
_SILENT = "a job ended without a word: killed, or out of memory; run again"


@dataclass
class Progress:
    """What the engine's output tells of a run.

    Parameters
    ----------
    count_scans : callable
        Gives the number of scans measured so far and of all scans.
    clock : callable
        Seconds.
    """

    count_scans: Callable[[], tuple[int, int]]
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
        done, total = self.count_scans()
        left = "done" if self.finished else f"about {self._left()} left"
        steps = f"step {self.n_done}/{self.n_steps}"
        return f"{steps} | scans measured {done}/{total} | {left} | {self.rule}"

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
        self._width = 0
        self._shown = ""

    def show(self, text: str, *, force: bool = False) -> None:
        """Show the text unless the last one was shown a moment ago."""
        wait_s = _TERMINAL_EVERY_S if self._is_terminal else _PLAIN_EVERY_S
        if text == self._shown or (not force and self._clock() - self._last < wait_s):
            return
        self._shown = text
        self._last = self._clock()
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
    told: list[str] = []
    section: list[str] | None = None
    for line in output:
        failed = _FAILED.match(line)
        if failed:
            told.append(f"{failed[1]} failed:")
        elif _RULER.match(line) and told:
            if section is not None:
                told += [f"    {text}" for text in section[-_LAST_LINES:]]
            section = None if section is not None else []
        elif section is not None:
            section.append(line[:_MAX_CHARS])
    # What a job says of its own fault, where its log could not take it.
    own = [line for line in output if line.startswith(_OWN)]
    told += [line for line in own if not any(line.removeprefix(_OWN) in seen for seen in told)]
    if told and not own and any(_EMPTY_LOG.match(line) for line in output):
        told.append(f"cordcohort: {_SILENT}")
    return told or [line[:_MAX_CHARS] for line in output[-_TAIL_LINES:]]
