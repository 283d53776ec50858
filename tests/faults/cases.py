"""The faults: each is put into one run, at a moment or a place that its seed decides."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from study import ENGINE_MARK, JOB_MARK, Run, resumed, run, start, take_data_in

N_JOBS = 5  # of the study with T2w scans
LONGEST_DELAY_S = 2.0
POLL_S = 0.02


class MissedError(Exception):
    """The run had ended before the fault could be put into it."""


@dataclass(frozen=True)
class Case:
    """One fault.

    Attributes
    ----------
    name : str
        With a number that makes it unique.
    kind : str
        Which study: T2w or dwi.
    state : str
        How far the study has got before: new, segmented, measured, cohort, b0, tensor.
    inject : callable
        From the study's folder and a random generator to (what was done and where, exit status and
        words of the faulty run, exit status and words of the resumed one).
    """

    name: str
    inject: Callable[[Path, random.Random], Told]
    kind: str = "T2w"
    state: str = "new"


@dataclass
class Told:
    """What happened in a case."""

    done: str
    faulty: tuple[int, str]
    resumed: tuple[int, str]


def _wait_for(run_: Run, ready: Callable[[], bool]) -> None:
    while not ready():
        if run_.ended():
            raise MissedError
        time.sleep(POLL_S)


def _at_a_moment(study: Path, chance: random.Random) -> tuple[Run, str]:
    """Start a run and wait until a random job has begun and a random time has passed."""
    started = start(study)
    number = chance.randint(1, N_JOBS)
    delay_s = chance.uniform(0.0, LONGEST_DELAY_S)
    _wait_for(started, lambda: started.started() >= number)
    time.sleep(delay_s)
    if started.ended():
        raise MissedError
    return started, f"job {number} of {N_JOBS} + {delay_s:.2f} s"


def _living(started: Run, mark: bytes) -> list[int]:
    return [pid for pid, command in started.processes().items() if mark in command]


def kill_job(study: Path, chance: random.Random) -> Told:
    """SIGKILL of the process of one job."""
    started, moment = _at_a_moment(study, chance)
    _wait_for(started, lambda: bool(_living(started, JOB_MARK)))
    victims = _living(started, JOB_MARK)
    if not victims:
        raise MissedError
    started.kill(victims)
    return Told(f"SIGKILL of a job, {moment}", started.wait(), resumed(study))


def kill_engine(study: Path, chance: random.Random) -> Told:
    """SIGKILL of the scheduler alone: its jobs live on."""
    started, moment = _at_a_moment(study, chance)
    victims = _living(started, ENGINE_MARK)
    if not victims:
        raise MissedError
    started.kill(victims)
    return Told(f"SIGKILL of the scheduler, {moment}", started.wait(), resumed(study))


def kill_command(study: Path, chance: random.Random) -> Told:
    """SIGKILL of the command alone: the scheduler lives on."""
    started, moment = _at_a_moment(study, chance)
    started.kill([started.process.pid])
    return Told(f"SIGKILL of the command, {moment}", started.wait(), resumed(study))


def kill_all(study: Path, chance: random.Random) -> Told:
    """SIGKILL of every process of the run."""
    started, moment = _at_a_moment(study, chance)
    while living := list(started.processes()):
        started.kill(living)
    return Told(f"SIGKILL of all processes, {moment}", started.wait(), resumed(study))


def terminate(study: Path, chance: random.Random) -> Told:
    """SIGTERM to the command: nothing may be left running."""
    started, moment = _at_a_moment(study, chance)
    started.kill([started.process.pid], signal.SIGTERM)
    faulty = started.wait()
    left = started.processes()
    if left:
        faulty = (0, f"processes left: {list(left.values())}")  # which counts as not survived
    return Told(f"SIGTERM to the command, {moment}", faulty, resumed(study))


def full_disk(share: float) -> Callable[[Path, random.Random], Told]:
    """Disk of the study with room for a share of what a run writes."""

    def inject(study: Path, chance: random.Random) -> Told:
        needed = int(os.environ["CORDCOHORT_FAULTS_BYTES"])
        size = int(needed * share * chance.uniform(0.9, 1.1))
        with mounted(study, ["-t", "tmpfs", "-o", f"size={size}", "tmpfs"], keep=True):
            faulty = run(study)
            if faulty[0] == 0:  # it all fitted
                raise MissedError
            subprocess.run(["mount", "-o", "remount,size=64m", str(study)], check=True)
            again = resumed(study)
            kept = study.parent / "kept"
            subprocess.run(["cp", "-a", f"{study}/.", str(kept)], check=True)
        made = [f"{kept}/results", f"{kept}/.snakemake"]
        subprocess.run(["cp", "-a", *made, str(study)], check=True)
        return Told(f"full disk (tmpfs of {size // 1024} KiB)", faulty, again)

    return inject


@contextmanager
def mounted(place: Path, options: list[str], *, keep: bool = False) -> Iterator[None]:
    """Mount something on a folder; with ``keep`` what lies in the folder is copied into it."""
    content = place.parent / "content"
    if keep:
        subprocess.run(["cp", "-a", str(place), str(content)], check=True)
    subprocess.run(["mount", *options, str(place)], check=True)
    try:
        if keep:
            subprocess.run(["cp", "-a", f"{content}/.", str(place)], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make a folder read-only, for root as well."""
    with mounted(folder, ["--bind", str(folder)]):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield


def results_read_only(study: Path, chance: random.Random) -> Told:
    """The folder of results turns read-only in the middle of a run."""
    started, moment = _at_a_moment(study, chance)
    with read_only(study / "results"):
        faulty = started.wait()
    return Told(f"results read-only from {moment}", faulty, resumed(study))


def study_read_only(study: Path, chance: random.Random) -> Told:
    """The whole study is read-only from the start."""
    with read_only(study):
        faulty = run(study)
    return Told("study read-only from the start", faulty, resumed(study))


def data_read_only(study: Path, chance: random.Random) -> Told:
    """The data are read-only, as they should be: nothing may happen."""
    take_data_in(study)
    with read_only(study / "data"):
        return Told("data read-only", run(study), resumed(study))


def vanish(name: str) -> Callable[[Path, random.Random], Told]:
    """Make a folder vanish in the middle of a run, as a lost network disk does, and come back."""

    def inject(study: Path, chance: random.Random) -> Told:
        if name == "data":
            take_data_in(study)
        folder = study / name
        away = study.parent / f"{name}.away"
        folder.mkdir(exist_ok=True)
        started, moment = _at_a_moment(study, chance)
        folder.rename(away)
        folder.mkdir()
        faulty = started.wait()
        subprocess.run(["rm", "-r", str(folder)], check=True)
        away.rename(folder)
        return Told(f"{name} gone from {moment}", faulty, resumed(study))

    return inject


def damage(pattern: str, how: str) -> Callable[[Path, random.Random], Told]:
    """Damage an intermediate file and let its time stamp be, so that only its bytes tell."""

    def inject(study: Path, chance: random.Random) -> Told:
        path = sorted(study.glob(pattern))[0]
        before, content = path.stat(), bytearray(path.read_bytes())
        place = chance.randrange(len(content))
        if how == "cut":
            content = content[:place]
        else:
            content[place] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        what = f"{how} at byte {place} of {before.st_size}"
        return Told(f"{path.name}: {what}", run(study), resumed(study))

    return inject


MASK = "results/segmentation/*/*/*/*/*/*_label-SC_seg.nii.gz"
SOFT = MASK.replace("_seg.nii", "_softseg.nii")
RECORD = MASK.replace(".nii.gz", ".json")
B0 = "results/images/*/*/*/*/*desc-b0_dwi.nii.gz"
MAP = "results/images/*/*/*/*/*desc-fa_dwi.nii.gz"
BATCH = "results/batches/segment_cord-v1/*.json"
SHAPE = "results/measures/shape/*/*/*/*/*.parquet"
TABLE = "results/cohort/measures.parquet"


def _damages() -> list[Case]:
    return [
        Case("damage-mask-flip", damage(MASK, "flip"), state="segmented"),
        Case("damage-table-flip", damage(SHAPE, "flip"), state="measured"),
        Case("damage-cohort-flip", damage(TABLE, "flip"), state="cohort"),
        Case("damage-mask-cut", damage(MASK, "cut"), state="segmented"),
        Case("damage-table-cut", damage(SHAPE, "cut"), state="measured"),
        Case("damage-record-flip", damage(RECORD, "flip"), state="segmented"),
        Case("damage-soft-flip", damage(SOFT, "flip"), state="segmented"),
        Case("damage-cohort-cut", damage(TABLE, "cut"), state="cohort"),
        Case("damage-index-flip", damage("results/bids/index.parquet", "flip"), state="measured"),
        Case("damage-shard-cut", damage("results/bids/shards/*.json", "cut"), state="segmented"),
        Case("damage-map-flip", damage(MAP, "flip"), "dwi", "tensor"),
        Case("damage-b0-flip", damage(B0, "flip"), "dwi", "b0"),
        Case("damage-batch-flip", damage(BATCH, "flip"), state="segmented"),
        Case("damage-batch-cut", damage(BATCH, "cut"), state="segmented"),
        Case(
            "damage-tables-batch-flip",
            damage(BATCH.replace("segment_cord-v1", "shape"), "flip"),
            state="measured",
        ),
    ]


def all_cases() -> list[Case]:
    """Every case, the kinds mixed, so that a list that is broken off has seen them all."""
    kills = [Case("kill-job", kill_job), Case("kill-scheduler", kill_engine),
             Case("kill-all", kill_all), Case("terminate", terminate),
             Case("kill-command", kill_command)]  # fmt: skip
    others = [
        Case("full-disk-late", full_disk(0.65)), Case("vanish-results", vanish("results")),
        Case("vanish-data", vanish("data")), Case("read-only-results", results_read_only),
        Case("full-disk-early", full_disk(0.3)), Case("read-only-study", study_read_only),
        Case("full-disk-middle", full_disk(0.5)), Case("read-only-data", data_read_only),
    ]  # fmt: skip
    damages = _damages()
    cases: list[Case] = []
    for turn in range(4):
        cases += kills if turn < 2 else kills[:3]
        cases += others[2 * turn : 2 * turn + 2] + damages[4 * turn : 4 * turn + 4]
    return [
        Case(f"{number:02d}-{case.name}", case.inject, case.kind, case.state)
        for number, case in enumerate(cases, 1)
    ]
