"""One run at a time in the folder of a study, and what a killed run left behind.

The engine has a lock of its own, but it outlives a kill, and it does not cover the index, which is
written before the engine starts. So the command holds a lock of the operating system on a small
file: it ends with the processes that hold it, however they end. The engine inherits it, so a run
whose command was killed still counts as running. What the file says tells whether the last run
ended by itself; if not, its leavings are removed before the next one starts.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import getpass
import os
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from cordcohort.errors import CordcohortError

FOLDER = Path(".snakemake")
RUN_LOCK = "cordcohort.lock"
JOBS_LOCK = "cordcohort.jobs"
ENGINE_LOCKS = FOLDER / "locks"
RESULTS = Path("results")
_HELD_BY_ANOTHER = (errno.EAGAIN, errno.EACCES)


@dataclass
class StudyLock:
    """The lock of a study, held.

    Attributes
    ----------
    study : Path
        Its folder.
    descriptor : int
        File descriptor to pass on to the engine, which then holds the lock as well.
    clean : bool
        Whether nothing is left behind when the lock is given up.
    """

    study: Path
    descriptor: int
    clean: bool = True

    def engine_ended(self, status: int) -> None:
        """Take note of how the engine ended: killed, or without giving up its own lock."""
        locks = self.study / ENGINE_LOCKS
        if status < 0 or (locks.is_dir() and any(locks.iterdir())):
            self.clean = False


@contextlib.contextmanager
def study_lock(study: Path) -> Generator[StudyLock]:
    """Hold a study, and clean up after a run that was killed.

    Raises
    ------
    CordcohortError
        If another run, or a job that outlived its run, is at work in the folder.
    """
    folder = study / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with _opened(folder / RUN_LOCK) as handle:
        certain = _locked(handle.fileno(), fcntl.LOCK_EX)
        handle.seek(0)
        told = handle.read().strip()
        if certain is False or not handle.writable():
            raise CordcohortError(
                f"{study}: another run is at work here ({told or 'it has just begun'}); wait for it"
            )
        if told and certain:
            _refuse_living_jobs(study)
            clean_up(study)
        _say(handle.fileno(), f"process {os.getpid()} of user {_user()} on {os.uname().nodename}")
        lock = StudyLock(study, handle.fileno())
        try:
            yield lock
        finally:
            if lock.clean:
                _say(handle.fileno(), "")


@contextlib.contextmanager
def lock_if_free(study: Path) -> Generator[StudyLock | None]:
    """Hold a study if nobody else does; ``None`` where another run is at work or nothing can be
    written, so that one may look at a study while it runs.
    """  # noqa: D205
    with contextlib.ExitStack() as stack:
        try:
            held = stack.enter_context(study_lock(study))
        except (CordcohortError, OSError):
            held = None
        yield held


@contextlib.contextmanager
def job_at_work(study: Path) -> Generator[None]:
    """Tell later runs that a job is at work, for as long as its process lives."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            handle = stack.enter_context((study / FOLDER / JOBS_LOCK).open("a"))
            _locked(handle.fileno(), fcntl.LOCK_SH)
        yield


def clean_up(study: Path) -> None:
    """Remove the engine's lock and half-written files of a run that was killed."""
    for left in (study / ENGINE_LOCKS).glob("*.lock"):
        left.unlink(missing_ok=True)
    for left in (study / RESULTS).rglob(".tmp-*"):
        left.unlink(missing_ok=True)


def _refuse_living_jobs(study: Path) -> None:
    with (study / FOLDER / JOBS_LOCK).open("a") as handle:
        if _locked(handle.fileno(), fcntl.LOCK_EX) is False:
            raise CordcohortError(
                f"{study}: jobs of a run that was killed are still at work; wait until they end, "
                "then run again"
            )


def _opened(path: Path) -> TextIO:
    """Open the lock's file; where another user's may only be read, that tells whether it is held.

    Raises
    ------
    CordcohortError
        If nobody holds it, and it is not ours to hold.
    """
    try:
        return path.open("a+", encoding="utf-8")
    except PermissionError as error:
        handle = path.open("r", encoding="utf-8")
        if _locked(handle.fileno(), fcntl.LOCK_SH) is False:
            return handle
        handle.close()
        raise CordcohortError(
            f"{path}: it belongs to user {path.owner()}; work in one folder as one user, or give "
            "your group the right to write there"
        ) from error


def _locked(descriptor: int, kind: int) -> bool | None:
    """Whether the lock was had; ``None`` on a file system that knows no locks."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in _HELD_BY_ANOTHER else None
    return True


def _say(descriptor: int, text: str) -> None:
    """Replace what the file says; a full disk must not stop a run here."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
