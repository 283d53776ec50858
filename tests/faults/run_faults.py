"""Put faults into runs of a small study and compare what comes out with an undisturbed run.

    python tests/faults/run_faults.py --out FOLDER --seed 0

A case is survived if the resumed run gives the same final tables and masks to the byte, and the
faulty run either ended well or failed with a line that names the fault and is no traceback. Cases
that are in FOLDER/outcomes.tsv already are not repeated. Needs Linux and the right to mount.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from cases import Case, MissedError, Told, all_cases
from study import difference, results_of, run, write_base

MAX_TRIES = 4
COLUMNS = ("case", "seed", "fault", "faulty_run", "outcome")


def stage_targets(kind: str) -> dict[str, list[str]]:
    """Files that a study holds when it has got so far: records of its only batch."""
    stages = {
        "T2w": {"segmented": ["segment_cord-v1"], "measured": ["shape", "agreement"]},
        "dwi": {"b0": ["mean_b0"], "tensor": ["tensor"]},
    }[kind]
    found = {
        state: [f"results/batches/{stage}/north_0000of0001.json" for stage in made]
        for state, made in stages.items()
    }
    return found | ({"cohort": ["results/cohort/measures.parquet"]} if kind == "T2w" else {})


def prepare(out: Path, kind: str) -> dict[str, bytes]:
    """Make the undisturbed study, keep every state on the way, and give its results."""
    base = write_base(out / f"base-{kind}", kind)
    stages: dict[str, list[str]] = {"new": []} | stage_targets(kind) | {"end": []}
    before = base
    for state, targets in stages.items():
        folder = out / f"{state}-{kind}"
        if not folder.is_dir():
            half = out / f"{state}-{kind}.half"
            shutil.rmtree(half, ignore_errors=True)
            part = "config" if before == base else "."
            copy(before / part, half / part)
            if state != "new":
                status, said = run(half, *targets)
                if status:
                    raise SystemExit(f"the undisturbed run failed ({status}):\n{said}")
            # The engine's state holds no path of the study, so that it may be moved.
            half.rename(folder)
        before = folder
    return results_of(before)


def copy(source: Path, target: Path) -> None:
    """Copy a study with all its time stamps."""
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-aT", str(source), str(target)], check=True)


def attempt(case: Case, out: Path, seed: int) -> tuple[Told, Path]:
    """Put the fault in; where the run was over too early, once more with another moment."""
    for number in range(MAX_TRIES):
        folder = out / "cases" / case.name
        shutil.rmtree(folder, ignore_errors=True)
        copy(out / f"{case.state}-{case.kind}", folder / "study")
        chance = random.Random(f"{seed} {case.name} {number}")
        try:
            return case.inject(folder / "study", chance), folder / "study"
        except MissedError:
            continue
    raise MissedError


def verdict(told: Told, study: Path, wanted: dict[str, bytes]) -> tuple[str, str]:
    """How the faulty run ended, and what is to be said of the case."""
    status, said = told.faulty
    named = named_line(said) if status else ""
    faulty = f"exit {status}: {named}" if status else "ended well"
    if "Traceback (most recent call last)" in said:
        return faulty, "LOST: a traceback"
    if status > 0 and not named:
        return faulty, "LOST: a failure without a name"
    if told.resumed[0]:
        return faulty, f"LOST: the resumed run failed: {named_line(told.resumed[1])}"
    differs = difference(study, wanted)
    return faulty, f"LOST: {differs}" if differs else "survived"


def named_line(said: str) -> str:
    """The line that names the fault: the last one of the command that tells more than a log."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [li for li in lines if "cordcohort: " in li and "everything it" not in li]
    others = [li for li in lines if re.search(r"without a word|processes left|hung", li)]
    return (telling or others or [""])[-1][:300]


def one(case: Case, out: Path, seed: int, wanted: dict[str, bytes]) -> list[str]:
    """Carry out one case."""
    try:
        told, study = attempt(case, out, seed)
    except MissedError:
        return [case.name, str(seed), "none", "", f"MISSED: the run was over, {MAX_TRIES} times"]
    faulty, outcome = verdict(told, study, wanted)
    if outcome == "survived":
        shutil.rmtree(study.parent)
    return [case.name, str(seed), told.done, faulty.replace(str(study), "STUDY"), outcome]


def may_mount() -> bool:
    """Whether this user may mount (cases that need it are left out where not, and counted)."""
    probe = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    return probe.returncode == 0 and os.geteuid() == 0


def main() -> int:
    """Run the cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="regular expression on the names of cases")
    parser.add_argument("--jobs", type=int, default=1, help="cases at a time")
    options = parser.parse_args()
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    record = out / "outcomes.tsv"
    record.touch()
    done = {line.split("\t")[0] for line in record.read_text().splitlines()}
    cases = [case for case in all_cases() if re.search(options.only, case.name)]
    mounting = re.compile("full-disk|read-only")
    left_out = [] if may_mount() else [case for case in cases if mounting.search(case.name)]
    waiting = [case for case in cases if case.name not in done and case not in left_out]
    kinds = sorted({case.kind for case in waiting}, reverse=True)
    wanted = {kind: prepare(out, kind) for kind in kinds}
    if "T2w" in kinds:
        command = ["du", "-sB1", str(out / "end-T2w")]
        size = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        os.environ["CORDCOHORT_FAULTS_BYTES"] = size.split()[0]
    began = time.monotonic()
    with ThreadPoolExecutor(options.jobs) as pool, record.open("a") as kept:
        begun = [pool.submit(one, c, out, options.seed, wanted[c.kind]) for c in waiting]
        for row in (done_case.result() for done_case in as_completed(begun)):
            kept.write("\t".join(row) + "\n")
            kept.flush()
            print(" | ".join(row), flush=True)
    rows = [line.split("\t") for line in record.read_text().splitlines()]
    n_survived = sum(row[-1] == "survived" for row in rows)
    print(
        f"{n_survived} of {len(rows)} faults survived; {len(left_out)} cases left out for want of "
        f"mount rights; {time.monotonic() - began:.0f} s now"
    )
    return int(n_survived < len(rows))


if __name__ == "__main__":
    sys.exit(main())
