"""What every adapter in ``workflow/scripts`` shares: log, scans of the batch, one-line errors.

The adapter hands over the workflow engine's job object; it is used by its attributes only
(``input, output, params, threads, log``), so this module imports no engine.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cordcohort import kept_scans
from cordcohort.batch_record import write_batch_record
from cordcohort.bids.unchanged import check_unchanged
from cordcohort.errors import CordcohortError, DamagedError, machine_fault
from cordcohort.kept_scans import Work, works_of
from cordcohort.scan import scan_id
from cordcohort.study_lock import job_at_work


class _NoScanError(Exception):
    """No scan of the batch needs work."""


class Job:
    """A running job: its parameters and the scans of its batch.

    Parameters
    ----------
    engine_job : object
        The engine's job object.
    """

    def __init__(self, engine_job: Any) -> None:
        self.input = engine_job.input
        self.output = engine_job.output
        self.params = engine_job.params
        self.threads = int(engine_job.threads)
        self.config: dict[str, Any] = engine_job.config
        self._rows: list[dict[str, Any]] = []
        self._works: list[Work] = []
        self._to_make: set[str] = set()

    def unnamed_inputs(self) -> list[str]:
        """Inputs that the rule gives no name, in its order."""
        named = {name for _, value in self.input.items() for name in _listed(value)}
        return [str(path) for path in self.input if str(path) not in named]

    def scans(self, **asked: Any) -> list[dict[str, Any]]:
        """Rows of the index that need work, in the order of ``params.scans``.

        Scans of the batch that are as an earlier job left them, and are made from the very same,
        are not among them. The files of the others are taken away.

        Parameters
        ----------
        **asked
            ``unit``, ``also`` and ``made`` of :func:`cordcohort.kept_scans.works_of`.
        """
        from cordcohort.bids.shards import read_rows  # noqa: PLC0415 - not every job has scans

        self._rows = read_rows(list(self.params.scans))
        check_unchanged(self._rows)
        params = dict(self.params.items())
        shared = [name for _, value in self.input.items() for name in _listed(value)]
        self._works = works_of(self._rows, params, shared, **asked)
        self._to_make = kept_scans.start(self.params.each["list"], self._works)
        n_kept = len(self._rows) - len(self._to_make)
        logging.getLogger("cordcohort").info(
            "scans kept as they are: %d, to work out: %d", n_kept, len(self._to_make)
        )
        return [row for row in self._rows if scan_id(row) in self._to_make]

    def scans_or_end(self, **asked: Any) -> list[dict[str, Any]]:
        """As :meth:`scans`; where there are none the job ends here, before it loads a network."""
        found = self.scans(**asked)
        if not found:
            raise _NoScanError
        return found

    def check_inputs(self) -> None:
        """Refuse images and masks that changed or vanished while the job ran."""
        check_unchanged(self._rows)

    def tell_done(self) -> None:
        """Note what was made of each scan, and write the record of a batch, last of all."""
        if self._works:
            known = self.params.each["list"], self._works, self._to_make
            kept_scans.finish(*known, str(self.output[0]))
        files = self.params.get("files")
        if files is not None:
            write_batch_record(str(self.output[0]), list(files))


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(item) for item in value]


@contextmanager
def job(engine_job: Any) -> Generator[Job]:
    """Run the body of an adapter: log to the rule's log, fail with one line.

    The engine sets the thread count of the numerical libraries from the rule's ``threads`` before
    the process starts; every rule fixes it, so a busy and an idle machine give the same numbers.
    """
    log = Path(str(engine_job.log[0]))
    try:
        _start_log(log)
        with job_at_work(Path()):
            running = Job(engine_job)
            with contextlib.suppress(_NoScanError):
                yield running
            running.check_inputs()
            running.tell_done()
    except DamagedError as error:
        for path in error.stale:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        _note_line(str(error))
        sys.exit(f"cordcohort: {error}")
    except CordcohortError as error:
        _note_line(str(error))
        sys.exit(f"cordcohort: {error}")
    except OSError as error:
        _note_traceback(log)
        _note_line(machine_fault(error))
        sys.exit(f"cordcohort: {machine_fault(error)}")
    except Exception as error:
        _note_traceback(log)
        sys.exit(f"cordcohort: {type(error).__name__}: {error} (traceback in {log})")


def _start_log(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    # A log that cannot be written, on a full disk for one, must not cost the job its own error.
    logging.raiseExceptions = False
    logging.basicConfig(
        filename=log, filemode="w", level=logging.INFO, format="%(levelname)s %(name)s: %(message)s"
    )
    logging.captureWarnings(capture=True)


def _note_line(text: str) -> None:
    logging.getLogger("cordcohort").error(text)


def _note_traceback(log: Path) -> None:
    with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as handle:
        traceback.print_exc(file=handle)
