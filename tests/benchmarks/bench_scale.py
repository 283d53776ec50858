"""CPU time and memory of planning a cohort of any size, and how they grow with it.

For every size: index, dry run, second run of a finished tree, parse in a job, cohort table. Prints
figures, their ratio to the budgets at 10,000 subjects, and the exponent of growth. A step that did
not do what it is measured for is told so (FAILED); the program itself never fails.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from cohort_tree import make_study

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "workflow" / "lib"
# The batch size that docs/scale.md recommends for such cohorts.
BATCHES = (
    "segmentation: {models: [cord-v1], device: cpu, batch_size: 100}",
    "measures: {reference: manual, batch_size: 100}",
)
BUDGET_CPU_S = {"index": 20.0, "dry run": 80.0, "job parse": 1.5}
BUDGET_MB = {"dry run": 1200.0}
BUDGET_EXPONENT = 1.05
# Whether the engine has to list jobs: a second run that lists some is not the one that is meant.
LISTS_JOBS = {"dry run": True, "second, no-op run": False}
JOB_LIST = b"Job stats"
BUDGETED_GROWTH = ("index", "dry run", "job parse", "second, no-op run", "cohort table")
BUDGETED_SUBJECTS = 10_000
INDEX_CODE = """
from cordcohort.bids.prepare import prepare
prepare('.')
"""
# Every output as a finished run leaves it, in the order of the stages, without running anything;
# of the engine's records there are none, so that only times and presence are compared.
FINISH_CODE = """
from pathlib import Path
from cordcohort import scan as paths
from cordcohort.batch_record import write_batch_record
from cordcohort.plan import MEASURE_KINDS, load_plan, read_content
plan = load_plan(read_content('.'), refresh=True)
models = plan.config.segmentation.models
groups = [plan.b0_batches(), *(plan.segmentation_batches(m) for m in models)]
groups += [plan.disc_batches(), plan.tensor_batches()]
groups += [plan.measure_batches(k) for k in MEASURE_KINDS]
def put(files):
    for path in map(Path, files):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'{}')
for batch in (batch for group in groups for batch in group):
    put(batch.outputs)
    write_batch_record(batch.record, batch.outputs)
put(name for batch in plan.picture_batches() for name in batch.outputs)
files = [paths.COHORT, paths.COHORT.replace('.parquet', '.tsv'), paths.SCANS]
files += [f'results/statistics/{n}{e}' for n in plan.analyses()
          for e in ('.tsv', '.counts.tsv', '.json')]
put(files)
Path('results/report/subjects').mkdir(parents=True)
Path('results/report/subjects/.snakemake_timestamp').touch()
Path('results/report/index.html').touch()
"""
# The small tables of all scans, as real ones but for the numbers: one is written as the rules
# do, and the others take its bytes with another scan (a tenth of the time of making each anew).
TABLES_CODE = """
import io
from pathlib import Path
import pyarrow as pa
import pyarrow.parquet as pq
from cordcohort.bids.shards import all_rows
from cordcohort.scan import SCAN_KEY, measure_table
from cordcohort.seal import EMPTY_SEAL, sealed
from cordcohort.table import long_table, parquet_bytes
rows = all_rows('.')
values = [{'measure': 'csa_mm2', 'value': 80.0 + i, 'slice': i, 'method': 'cord-v1',
           'structure': 'cord', 'unit': 'mm2'} for i in range(20)]
one = pq.read_table(io.BytesIO(parquet_bytes(long_table(values, rows[0]))))
one = one.replace_schema_metadata(one.schema.metadata | EMPTY_SEAL)
for row in rows:
    table = one
    for column in SCAN_KEY:
        place, text = one.schema.get_field_index(column), one.schema.field(column)
        same = pa.array([str(row[column])] * len(one), text.type)
        table = table.set_column(place, text, same)
    written = io.BytesIO()
    pq.write_table(table, written, compression='none')
    path = Path(measure_table(row, 'shape'))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(sealed(written.getvalue()))
"""
# As the rule does, into a folder of its own.
COHORT_CODE = """
from pathlib import Path
from cordcohort.bids.shards import all_rows
from cordcohort.cohort import build_cohort, scans_table
from cordcohort.scan import INDEX, measure_table
from cordcohort.table import read_parquet, write_parquet, write_tsv
folder = Path('results/bench')
folder.mkdir(exist_ok=True)
index = read_parquet(INDEX)
table = build_cohort([measure_table(row, 'shape') for row in all_rows('.')], index, [], [])
write_parquet(folder / 'measures.parquet', table)
write_tsv(folder / 'measures.tsv', table)
write_parquet(folder / 'scans.parquet', scans_table(index, table, []))
"""


def measured(
    words: list[str], folder: Path, lists_jobs: bool | None = None
) -> tuple[float, float, str]:
    """CPU seconds and peak memory in MB of a command with its children, and what went wrong."""
    environment = os.environ | {"PYTHONPATH": str(LIBRARY), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(words, cwd=folder, env=environment, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        jobs = JOB_LIST in said.read()
    problem = "" if lists_jobs in (None, jobs) else f"lists {'jobs' if jobs else 'no job'}"
    if process.returncode:
        problem = f"ended with {process.returncode}"
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, problem


def engine(folder: Path, *flags: str) -> list[str]:
    """Return the engine's command line for a study."""
    return [
        sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"),
        "--directory", str(folder), "--workflow-profile", str(ROOT / "config/profiles/default"),
        "--quiet", "all", *flags,
    ]  # fmt: skip


def job_parse(folder: Path) -> list[str]:
    """Return the command line with which a node starts one batch of measures."""
    code = (
        "from cordcohort.plan import load_plan, read_content;"
        "plan = load_plan(read_content('.'), refresh=True);"
        "print(plan.measure_batches('shape')[0].name)"
    )
    batch = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(LIBRARY)},
    ).stdout.strip()  # fmt: skip
    return engine(
        folder, "-n", "--nolock", "--mode", "remote", "--target-jobs", f"shape:batch={batch}",
        "--allowed-rules", "shape", "--cores", "1", "-F", "--rerun-triggers", "mtime",
    )  # fmt: skip


def make_cohort(folder: Path, n_subjects: int) -> None:
    """Write data and config of a study, with the batches of large cohorts."""
    make_study(folder, n_subjects)
    path = folder / "config" / "config.yaml"
    kept = [
        line
        for line in path.read_text().splitlines()
        if not line.startswith(("segmentation", "measures"))
    ]
    path.write_text("\n".join([*kept, *BATCHES]) + "\n")


def steps(folder: Path) -> dict[str, Callable[[], list[str]]]:
    """Command line of every step, worked out when it is its turn."""
    python = [sys.executable, "-c"]
    return {
        "index": lambda: [*python, INDEX_CODE],
        "dry run": lambda: engine(folder, "-n"),
        "job parse": lambda: job_parse(folder),
        "(finish all)": lambda: [*python, FINISH_CODE],
        "second, no-op run": lambda: engine(folder, "-n"),
        "(make tables)": lambda: [*python, TABLES_CODE],
        "cohort table": lambda: [*python, COHORT_CODE],
    }


def note(n_subjects: int, step: str, cpu_s: float, memory_mb: float, problem: str) -> str:
    """How a figure compares with its budget, and what went wrong."""
    judged = n_subjects == BUDGETED_SUBJECTS or step == "job parse"
    budget = BUDGET_CPU_S.get(step) if judged else None
    said = f", {cpu_s / budget:.2f} of the budget" if budget else ""
    memory_budget = BUDGET_MB.get(step) if n_subjects == BUDGETED_SUBJECTS else None
    said += f", memory {memory_mb / memory_budget:.2f}" if memory_budget else ""
    return said + (f", FAILED: {problem}" if problem else "")


def bench(folder: Path, n_subjects: int, only: str) -> dict[str, float]:
    """Measure and print steps on a cohort of one size; CPU seconds of each."""
    if not folder.is_dir():
        make_cohort(folder, n_subjects)
    found: dict[str, float] = {}
    for step, command in steps(folder).items():
        if re.search(only, step):
            cpu_s, memory_mb, problem = measured(command(), folder, LISTS_JOBS.get(step))
            told = note(n_subjects, step, cpu_s, memory_mb, problem)
            figures = f"{cpu_s:8.2f} CPU s {memory_mb:7.0f} MB"
            print(f"{n_subjects:6d} {step:20s} {figures}{told}", flush=True)
            found[step] = cpu_s
    return found


def main() -> None:
    """Print one line a step and size, then exponents."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--only", default="", help="regular expression on the names of steps")
    parser.add_argument("--folder", type=Path, help="where cohorts are, and stay for other steps")
    arguments = parser.parse_args()
    sizes = arguments.sizes
    results: dict[int, dict[str, float]] = {}
    for n_subjects in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            folder = (arguments.folder or Path(scratch)).resolve() / f"subjects-{n_subjects}"
            results[n_subjects] = bench(folder, n_subjects, arguments.only)
    for step in BUDGETED_GROWTH:
        known = [n for n in sizes if step in results[n]]
        if len(known) > 1:
            small, large = known[-2:]
            ratio = results[large][step] / results[small][step]
            grown = math.log(ratio) / math.log(large / small)
            print(f"exponent {step:20s} {grown:.2f} (budget {BUDGET_EXPONENT})")


if __name__ == "__main__":
    main()
