"""Signals that end a run: passed on to the engine and all its jobs, so that none goes on alone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Generator
from types import FrameType
from typing import NoReturn

PATIENCE_S = 30.0
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SignalError(Exception):
    """A signal that asks the command to end.

    Parameters
    ----------
    number : int
        Number of the signal.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"signal {number}")


@contextlib.contextmanager
def ended_by_signals() -> Generator[None]:
    """Raise :class:`SignalError` in the block where a signal asks for the end.

    Outside of a program's main thread, where signals cannot be caught, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _raise) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_group(engine: subprocess.Popen[str], patience_s: float = PATIENCE_S) -> None:
    """End the engine, which leads a process group of its own, with all its jobs.

    It is interrupted, as from a keyboard, so that it removes what its jobs had begun; if it does
    not end in time, it is killed.
    """
    _send(engine, signal.SIGINT)
    try:
        engine.communicate(timeout=patience_s)
    except (subprocess.TimeoutExpired, SignalError):  # too slow, or asked again
        _send(engine, signal.SIGKILL)
        engine.wait()


def _send(engine: subprocess.Popen[str], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(engine.pid, number)


def _raise(number: int, _frame: FrameType | None) -> NoReturn:
    raise SignalError(number)
