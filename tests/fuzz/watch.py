"""Call a function on a hostile file, and see what it does: time, memory, files, exceptions."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cordcohort.errors import CordcohortError, ImageError

HANG_S = 10
MEMORY_BYTES = 1 << 30
# Address space is no memory: Arrow reserves a GiB and uses little. It only ends what runs away;
# the memory that was really used is looked at in the end.
_ADDRESSES_BYTES = 8 << 30
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
# Events by which a process changes something outside of itself.
_ACTS = frozenset(
    "os.system os.exec os.posix_spawn os.fork subprocess.Popen socket.connect os.remove os.rename "
    "os.mkdir os.rmdir os.link os.symlink shutil.rmtree".split()
)


class HangError(BaseException):
    """A call that took longer than it may; no handler of the product should catch it."""


@dataclass
class Tally:
    """What a fuzzing found.

    Attributes
    ----------
    outcomes : Counter
        How often each outcome was seen.
    wrong : list of str
        Every case that must not be: a traceback, a hang, wrong numbers, a file elsewhere.
    slowest_s, slowest : float, str
        The slowest case.
    peak_bytes : int
        The most memory that the process had at any moment of the fuzzing.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    slowest: str = ""

    @property
    def peak_bytes(self) -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def call(self, what: str, function: Callable[[], Any]) -> Any:
        """Call a function; a named error is an outcome, any other is wrong."""
        began = time.perf_counter()
        result = None
        try:
            with _limited():
                result = function()
            outcome = "accepted"
        except CordcohortError as error:
            outcome = f"[{error.code}]" if isinstance(error, ImageError) else type(error).__name__
            if "\n" in str(error):
                self.wrong.append(f"{what}: an error of several lines: {error!r}")
        except HangError:
            outcome = "HANG"
            self.wrong.append(f"{what}: longer than {HANG_S} s")
        except Exception as error:  # the very thing looked for
            outcome = f"TRACEBACK {type(error).__name__}"
            self.wrong.append(f"{what}: {type(error).__name__}: {error}")
        took = time.perf_counter() - began
        if took > self.slowest_s:
            self.slowest_s, self.slowest = took, what
        self.outcomes[outcome] += 1
        return result

    def lines(self) -> list[str]:
        """Counts by outcome, memory and time."""
        total = sum(self.outcomes.values())
        counts = [f"  {number:7d}  {outcome}" for outcome, number in self.outcomes.most_common()]
        bounds = (
            f"  {total} calls, {len(self.wrong)} wrong; slowest {1000 * self.slowest_s:.0f} ms "
            f"({self.slowest}); peak memory {self.peak_bytes / 2**20:.0f} MiB"
        )
        return [*counts, bounds, *(f"  WRONG {text}" for text in self.wrong[:20])]


@contextmanager
def _limited():
    """At most ten seconds, and an end to what asks for memory without end."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGALRM, _ring)
    resource.setrlimit(resource.RLIMIT_AS, (held + _ADDRESSES_BYTES, before[1]))
    signal.alarm(HANG_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)


def _ring(*_: object) -> None:
    raise HangError


def _whole_path(event: str, arguments: tuple[Any, ...]) -> str:
    """Path that an event names, also where it is relative to an open folder."""
    path = os.fspath(arguments[0]) if not isinstance(arguments[0], int) else ""
    opened = arguments[2] if event == "os.rename" else arguments[-1]
    if isinstance(opened, int) and opened >= 0 and not os.path.isabs(path):
        return os.path.join(os.readlink(f"/proc/self/fd/{opened}"), path)
    return str(path)


class Acts:
    """What the process did to the world outside of one folder, from the moment this is made."""

    def __init__(self, folder: Path) -> None:
        self.seen: list[str] = []
        self._folder = f"{folder.resolve()}{os.sep}"
        self.watching = True
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.watching:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = bool((flags or 0) & _WRITING) or any(c in (mode or "") for c in "wax+")
            if writes and isinstance(path, str) and not path.startswith(self._folder):
                self.seen.append(f"wrote {path}")
        elif event in _ACTS and not _whole_path(event, arguments).startswith(self._folder):
            self.seen.append(f"{event} {arguments[0]}")
