"""The same bytes for the same inputs, and what another number of threads or a GPU changes.

    python tests/faults/same_bytes.py --out FOLDER

Runs the small study with both kinds of scans twice with one thread a job and once with two, and
prints in what they differ. The bounds are those of docs/integrity.md.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from cordcohort.nifti import read_mask
from cordcohort.table import read_parquet
from run_faults import copy
from study import TARGET, results_of, run, write_base

MOST_OTHER_VOXELS = 1e-4
MOST_OTHER_AREA = 1e-3
MODEL = "cord-v1"
KINDS = ("T2w", "dwi")
IDENTITY = ("subject", "contrast", "structure", "level", "slice", "measure", "statistic")


def with_two_threads(study: Path) -> list[str]:
    """Flags that give every rule of the study two threads."""
    status, said = run(study, "--list-rules")
    if status:
        raise SystemExit(said)
    rules = [line.strip() for line in said.splitlines() if re.fullmatch(r"\s*[\w.-]+\s*", line)]
    return [TARGET, "--set-threads", *(f"{rule}=2" for rule in rules if rule != "all")]


def made(out: Path, name: str, kind: str, *, threads: int) -> Path:
    """Run a fresh copy of the study."""
    base = write_base(out / f"base-{kind}", kind)
    study = out / f"{name}-{kind}"
    shutil.rmtree(study, ignore_errors=True)
    copy(base / "config", study / "config")
    flags = with_two_threads(study) if threads > 1 else []
    status, said = run(study, *flags)
    if status:
        raise SystemExit(f"{study}: the run failed:\n{said}")
    used = threads_used(study)
    if used != {threads}:
        raise SystemExit(f"{study}: expected jobs with {threads} threads, found {sorted(used)}")
    return study


def threads_used(study: Path) -> set[int]:
    """Threads of the engine's jobs, from its log; a job with one thread does not say so."""
    log = (study / "results" / "logs" / "run.log").read_text()
    jobs = re.split(r"^(?:local)?rule (?!all:)", log, flags=re.MULTILINE)[1:]
    told = [re.search(r"^\s+threads: (\d+)$", job.split("\n\n")[0], re.MULTILINE) for job in jobs]
    return {int(found[1]) if found else 1 for found in told}


def other_voxels(one: Path, other: Path) -> tuple[int, int]:
    """Voxels of the model's masks that differ, and all voxels."""
    n_other = n_all = 0
    for path in sorted((one / "results" / "segmentation").rglob("*label-SC_seg.nii.gz")):
        a = read_mask(path).data
        b = read_mask(other / path.relative_to(one)).data
        n_other, n_all = n_other + int((a != b).sum()), n_all + a.size
    return n_other, n_all


def table_of(study: Path, *, of_model: bool) -> pd.DataFrame:
    """Rows of the long table that a network touched, or that none did."""
    table = read_parquet(study / "results" / "cohort" / "measures.parquet")
    touched = (table["method"] == MODEL) | (table["reference"] == MODEL)
    # The tensor is fitted in the union of all masks; a map outside of a mask is in no row of it,
    # so that rows of manual masks are the same whatever the network drew.
    return table[touched if of_model else ~touched].reset_index(drop=True)


def largest_area_change(one: Path, other: Path) -> float:
    """Largest relative difference of a cross-sectional area of the model's masks."""
    a, b = (table_of(s, of_model=True) for s in (one, other))
    both = a.merge(b, on=[*IDENTITY, "method"], suffixes=("_a", "_b"))
    area = both[both["measure"] == "csa_mm2"].dropna(subset=["value_a", "value_b"])
    if area.empty:
        raise SystemExit("no area to compare")
    return float(np.abs(area["value_b"] / area["value_a"] - 1).max())


def main() -> int:
    """Run and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for kind in KINDS:
        first, again = (made(out, name, kind, threads=1) for name in ("first", "again"))
        two = made(out, "two", kind, threads=2)
        a, b = results_of(first), results_of(again)
        n_same = sum(a[name] == b.get(name) for name in a)
        n_other, n_all = other_voxels(first, two)
        untouched = table_of(first, of_model=False).equals(table_of(two, of_model=False))
        change = largest_area_change(first, two)
        print(
            f"{kind}: twice with 1 thread: {n_same} of {len({*a, *b})} tables and images are the "
            f"same to the byte; 1 and 2 threads: {n_other} of {n_all} voxels of masks differ, "
            f"area by at most {100 * change:.4f} %, rows that no network touched "
            f"{'the same' if untouched else 'OTHER'}",
            flush=True,
        )
        wrong += a != b or not untouched
        wrong += n_other > MOST_OTHER_VOXELS * n_all or change > MOST_OTHER_AREA
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
