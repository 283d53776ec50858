"""Start the workflow engine on a study, show one line of progress, and say what became of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cordcohort.cluster.profile import PROFILE_FLAGS, with_our_profiles
from cordcohort.engine_output import Kept
from cordcohort.errors import CordcohortError
from cordcohort.prepared import PREPARED_VARIABLE
from cordcohort.progress import Line, Progress, fault_lines
from cordcohort.root import workflow_root
from cordcohort.run_count import RunCount, begin_count, kept_line
from cordcohort.scan import SCANS
from cordcohort.signals import SignalError, end_group, ended_by_signals
from cordcohort.study_lock import StudyLock

if TYPE_CHECKING:
    import pandas as pd

LOG = Path("results") / "logs" / "run.log"
REPORT = Path("results") / "report" / "index.html"
_SIGNAL_STATUS = 128
_FULL_BYTES = 65_536  # less than the smallest table and its record take
# With these the engine itself should talk: it lists, draws, or prints, and runs nothing or little.
_TALKING = {
    "-n", "--dry-run", "--dryrun", "--lint", "--dag", "--rulegraph", "--filegraph", "--summary",
    "-D", "--detailed-summary", "--list", "-l", "--list-rules", "--unlock", "--report", "--help",
    "-h", "--version", "-v", "-S", "--verbose", "--quiet", "-q", "--printshellcmds", "-p",
    "--cleanup-metadata", "--cm", "--list-changes", "--lc", "--list-input-changes", "--li",
    "--list-params-changes", "--lp", "--conda-create-envs-only", "--touch", "-t",
}  # fmt: skip
_STILL_RUNNING = {"--quiet", "-q", "--verbose", "--printshellcmds", "-p"}
_PART_OF_THE_GRAPH = {"--until", "-U", "--omit-from", "-O", "--batch"}
# Short flags of the engine without a value, before another one or alone.
_TOGETHER = re.compile(r"-([hntkfFlSDvpa]+)([a-zA-Z].*)?")


def single_flags(flags: Sequence[str]) -> list[str]:
    """Flags of the engine one by one: whoever looks for one must see it.

    Examples
    --------
    >>> single_flags(["-pj4", "-np", "--cores", "2", "-j8"])
    ['-p', '-j4', '-n', '-p', '--cores', '2', '-j8']
    """
    found: list[str] = []
    for flag in flags:
        together = _TOGETHER.fullmatch(flag)
        found += [f"-{letter}" for letter in together[1]] if together else [flag]
        found += [f"-{together[2]}"] if together and together[2] else []
    return found


def engine_command(study: Path, flags: Sequence[str]) -> list[str]:
    """Command line of the engine for a study; the user's flags come last and win.

    The default profile is left out where the user names another one; a bare name is one of ours.
    """
    root = workflow_root()
    flags = with_our_profiles([flag for flag in flags if flag != "--"])
    profiles = root / "config" / "profiles"
    own = any(flag.split("=")[0] in PROFILE_FLAGS for flag in flags)
    profile = [] if own else ["--workflow-profile", str(profiles / "default")]
    return [
        sys.executable, "-m", "snakemake", "--snakefile", str(root / "Snakefile"),
        "--directory", str(study.resolve()), *profile, *flags,
    ]  # fmt: skip


def runs_jobs(flags: Sequence[str]) -> bool:
    """Whether the engine is asked to run jobs until the end, not to list or to draw.

    Examples
    --------
    >>> runs_jobs(["--cores", "4", "--quiet"]), runs_jobs(["-n"]), runs_jobs(["--until=cohort"])
    (True, False, False)
    """
    names = {flag.split("=")[0] for flag in flags}
    return not only_looks(flags) and not names & _PART_OF_THE_GRAPH


def only_looks(flags: Sequence[str]) -> bool:
    """Whether the engine is asked to list, draw or mend, and not to run a job.

    Examples
    --------
    >>> only_looks(["-n"]), only_looks(["--unlock"]), only_looks(["--until=cohort", "-p"])
    (True, True, False)
    """
    return bool({flag.split("=")[0] for flag in flags} & (_TALKING - _STILL_RUNNING))


def run_study(
    study: Path, flags: Sequence[str], lock: StudyLock | None = None, prepared: str = ""
) -> int:
    """Run the engine on a study.

    Parameters
    ----------
    study : Path
        Folder of the study.
    flags : sequence of str
        Flags of the engine.
    lock : StudyLock, optional
        Held by the command; the engine then holds it as well.
    prepared : str
        Digest of the configuration whose index the command has just kept (:attr:`Config.digest`);
        with the same configuration the engine need not walk the data again.

    Returns
    -------
    int
        Exit status of the engine: 0 also where scans failed, which the last lines tell. After a
        signal 128 and its number, as shells count.
    """
    command = engine_command(study, flags)
    environment = os.environ | {"PYTHONUNBUFFERED": "1", PREPARED_VARIABLE: prepared}
    options: dict[str, Any] = {"env": environment, "pass_fds": [lock.descriptor] if lock else []}
    count = None if only_looks(flags) else _counted(study)
    if count is None or only_talks(flags):
        status = subprocess.run(command, check=False, **options).returncode
    else:
        status = _run_quietly(command, study, options, count)
    if lock is not None:
        lock.engine_ended(status)
    if status < 0:
        status = _SIGNAL_STATUS - status
        sys.stderr.write(
            f"cordcohort: ended by signal {status - _SIGNAL_STATUS}; "
            f"go on with `cordcohort run {study}`\n"
        )
    if status == 0 and (study / REPORT).is_file():
        sys.stdout.write("\n".join(outcome_lines(study, count)) + "\n")
    return status


def _counted(study: Path) -> RunCount:
    """The count of the scans of a run that begins now."""
    from cordcohort.bids.index import read_index, rows_of  # noqa: PLC0415 - pandas is slow to load

    return begin_count(study, rows_of(read_index(study).scans), study / LOG)


def only_talks(flags: Sequence[str]) -> bool:
    """Whether the engine lists, draws or prints and the user wants to read it."""
    return bool(_TALKING & {flag.split("=")[0] for flag in flags})


def _run_quietly(
    command: list[str], study: Path, options: Mapping[str, Any], count: RunCount
) -> int:
    """Run with one line of progress; all that the engine says goes to the log.

    Gives the engine's exit status, negative where a signal ended it or the command.
    """
    progress = Progress(count.measured)
    shown = Line(sys.stderr)
    ended_by = 0
    with (
        Kept(study / LOG) as kept,
        ended_by_signals(),
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            process_group=0, **options,
        ) as engine,
    ):  # fmt: skip
        try:
            for text in engine.stdout or ():
                kept.write(text)
                progress.read(text)
                shown.show(progress.text, force=progress.finished)
        except SignalError as signalled:
            ended_by = signalled.number
            end_group(engine)
    shown.end()
    if ended_by:
        return -ended_by
    if engine.returncode > 0:
        _tell_fault(study, kept)
    return engine.returncode


def _tell_fault(study: Path, kept: Kept) -> None:
    """Say what stopped a run; on a full disk nothing else matters."""
    if shutil.disk_usage(study).free < _FULL_BYTES:
        sys.stderr.write(
            f"cordcohort: {study}: no space left on its disk; free some and run again\n"
        )
        return
    sys.stderr.write("\n".join(fault_lines(kept.lines())) + "\n")
    sys.stderr.write(f"cordcohort: the run stopped; everything it said is in {kept.path}\n")


def outcome_lines(study: Path, count: RunCount | None = None) -> list[str]:
    """What a finished run should say last: what became of the scans, and where the report is.

    With the ``count`` of a run also how many scans it left as they were.
    """
    from cordcohort.cohort.scans import (  # noqa: PLC0415 - pandas is slow to load
        failed_in_part,
        read_outcomes,
    )

    scans = read_outcomes(study)
    if scans is None:
        raise CordcohortError(
            f"{study / SCANS}: expected the table of scans; run `cordcohort run {study}`"
        )
    kept = kept_line(count.worked_out()) if count else ""
    told = [*_told(scans, int(failed_in_part(scans).sum())), *([kept] if kept else [])]
    return [*told, f"report: {(study / REPORT).resolve()}"]


def _told(scans: pd.DataFrame, n_in_part: int) -> Iterable[str]:
    counts = {str(state): int(n) for state, n in scans["state"].value_counts().items()}
    always = {"measured": 0, "failed": 0}
    words = [f"{n} {state.replace('_', ' ')}" for state, n in (always | counts).items()]
    yield f"{len(scans)} scans: {', '.join(words)}"
    if n_in_part:
        ending = "s" if n_in_part > 1 else ""
        yield f"{n_in_part} scan{ending} on which some of several methods failed"
    if n_in_part or counts.get("failed"):
        yield "the report says who failed, on what, and why"
