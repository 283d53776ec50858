"""CPU time and memory of the statistics of a large cohort: cohort table, analyses, index page.

Makes 10,000 scans of 200 values each as the small tables that the measures leave, then does what
the jobs of the demo study's config do, each in a process of its own: the cohort table, every
declared analysis, the index page. Prints CPU seconds and memory, and their ratio to the budget of
60 s and 4 GB. Never fails.

    python tests/benchmarks/bench_statistics.py [--scans 10000] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "workflow" / "lib"))

from cordcohort.bids.index import INDEX_COLUMNS  # noqa: E402
from cordcohort.measures.catalogue import CATALOGUE  # noqa: E402
from cordcohort.scan import SCAN_KEY, measure_table  # noqa: E402
from cordcohort.table import as_long, write_parquet  # noqa: E402

FILES = "small_tables.txt"
BUDGET_CPU_S = 60.0
BUDGET_GB = 4.0
VALUES_PER_SCAN = 200
VISITS = (("1", "T1w"), ("1", "T2w"), ("1", "T2starw"), ("1", "dwi"), ("2", "T2w"))
SITES = {"amsterdam": "Siemens", "boston": "GE", "cordoba": "Philips"}
SITES_PER_DATASET = 10
LEVELS = ["", "C2", "C3", "C4", "C5", "C6", "C7", "C2-C3"]
SHAPE = ["csa_mm2", "diameter_ap_mm", "diameter_rl_mm", "eccentricity", "solidity",
         "orientation_deg", "angle_ap_deg", "csa_uncorrected_mm2"]  # fmt: skip
OVERLAP = ["dice", "precision", "recall", "rve_percent", "hd95_mm", "asd_mm", "iou"]
TENSOR = ["fa", "md_mm2_per_s", "ad_mm2_per_s", "rd_mm2_per_s"]
REGIONS = ["left_dorsal_wm", "right_dorsal_wm", "left_lateral_wm", "right_lateral_wm", "cord"]

COHORT_CODE = """
import json, sys
from cordcohort.cohort import build_cohort, scans_table
from cordcohort.table import read_parquet, write_parquet, write_tsv
from pathlib import Path
files = Path(sys.argv[1]).read_text().split()
index = read_parquet('results/bids/index.parquet')
table = build_cohort(files, index, [], [])
write_parquet('results/cohort/measures.parquet', table)
write_tsv('results/cohort/measures.tsv', table)
write_parquet('results/cohort/scans.parquet', scans_table(index, table, []))
"""
ANALYSIS_CODE = """
import json, sys
from cordcohort.files import sha256_of
from cordcohort.statistics.run import run_analysis, write_result
from cordcohort.statistics.read import read_cohort
from cordcohort.table import read_parquet
spec = json.loads(sys.argv[1])
scores = read_parquet('results/bids/scores.parquet')
cohort = read_cohort("results/cohort/measures.parquet", spec)
result = run_analysis(spec, cohort, scores)
write_result(result, 'results/statistics',
             {'measures_sha256': sha256_of('results/cohort/measures.parquet')})
"""
PAGE_CODE = """
from cordcohort.plan import read_content
from cordcohort.config import make_config
from cordcohort.report.build import build_index_page
build_index_page('.', make_config(read_content('.'), '.', check=False).as_dict())
"""


def main() -> None:
    """Make the cohort, run the steps, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="keep the study here")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="bench_statistics_"))
    content = demo_config()
    if not (folder / FILES).is_file():
        make_cohort(folder, options.scans, content)
    steps = {"cohort table": (COHORT_CODE, [FILES])}
    for analysis in content["analyses"]:
        steps[f"analysis {analysis['name']}"] = (ANALYSIS_CODE, [json.dumps(analysis)])
    steps["index page"] = (PAGE_CODE, [])
    total, peak = 0.0, 0.0
    for name, (code, arguments) in steps.items():
        seconds, gigabytes = measured(folder, code, arguments)
        total, peak = total + seconds, max(peak, gigabytes)
        sys.stdout.write(f"{name:40} {seconds:7.1f} CPU s {gigabytes:6.2f} GB\n")
        sys.stdout.flush()
    rows = options.scans * VALUES_PER_SCAN
    sys.stdout.write(
        f"{rows:,} rows: {total:.1f} CPU s ({total / BUDGET_CPU_S:.2f} of the budget), "
        f"{peak:.2f} GB ({peak / BUDGET_GB:.2f})\n"
    )


def measured(folder: Path, code: str, arguments: list[str]) -> tuple[float, float]:
    """CPU seconds and peak memory (GB) of some code in a process of its own."""
    env = os.environ | {"PYTHONPATH": str(ROOT / "workflow" / "lib"), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=folder, env=env) as job:
        _, status, used = os.wait4(job.pid, 0)
        job.returncode = os.waitstatus_to_exitcode(status)
    if job.returncode:
        sys.stdout.write(f"failed with {job.returncode}\n")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1e6


def demo_config() -> dict[str, Any]:
    """The demo study's config."""
    return yaml.safe_load((ROOT / "config" / "config.yaml").read_text())


def make_cohort(folder: Path, n_scans: int, content: dict[str, Any]) -> None:
    """Write index, scores, config and small tables."""
    (folder / "config").mkdir(parents=True, exist_ok=True)
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(content))
    rng = np.random.default_rng(20240229)
    scans = [scan for i in range(n_scans // len(VISITS)) for scan in scans_of(i)]
    index = pd.DataFrame(scans).reindex(columns=INDEX_COLUMNS)
    for column in index.columns:
        numeric = column in ("image_size", "image_mtime_ns")
        index[column] = (
            index[column].astype("Int64") if numeric else index[column].fillna("").astype("str")
        )
    write_parquet(folder / "results" / "bids" / "index.parquet", index)
    write_parquet(folder / "results" / "bids" / "scores.parquet", scores_of(index, rng))
    templates = {
        dwi: {kind: pa.Table.from_pandas(rows) for kind, rows in template(dwi=dwi).items()}
        for dwi in (False, True)
    }
    files: list[str] = []
    for scan in scans:
        for kind, table in templates[scan["contrast"] == "dwi"].items():
            path = measure_table(scan, kind)
            files.append(path)
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            noise = rng.normal(1.0, 0.05, table.num_rows)
            pq.write_table(filled(table, scan, noise), folder / path, compression="none")
    (folder / FILES).write_text("\n".join(files))


def filled(table: pa.Table, scan: dict[str, Any], noise: np.ndarray) -> pa.Table:
    """A template with the scan's key and values of its own (many times faster than pandas)."""
    for column in SCAN_KEY:
        key = pa.array([scan[column]] * table.num_rows, pa.large_string())
        table = table.set_column(table.column_names.index(column), column, key)
    values = pa.array(table["value"].to_numpy() * noise)
    return table.set_column(table.column_names.index("value"), "value", values)


def scans_of(number: int) -> list[dict[str, Any]]:
    """The scans of one person, as the index has them."""
    dataset = list(SITES)[number % len(SITES)]
    site = f"{dataset}{number // len(SITES) % SITES_PER_DATASET:02d}"
    subject = f"{number:05d}"
    rows = []
    for session, contrast in (
        ("1", "T1w"),
        ("1", "T2w"),
        ("1", "T2starw"),
        ("1", "dwi"),
        ("2", "T2w"),
    ):
        datatype = "dwi" if contrast == "dwi" else "anat"
        stem = f"sub-{subject}_ses-{session}_{contrast}"
        rows.append({
            "dataset": dataset, "subject": subject, "session": session, "acquisition": "",
            "run": "", "contrast": contrast, "site": site, "vendor": SITES[dataset],
            "person": subject, "datatype": datatype, "suffix": contrast, "stem": stem,
            "folder": f"sub-{subject}/ses-{session}/{datatype}", "status": "ok", "masks": "[]",
            "image": f"/data/{dataset}/sub-{subject}/ses-{session}/{datatype}/{stem}.nii.gz",
        })  # fmt: skip
    return rows


def scores_of(index: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Age, group and a motor score of everyone."""
    people = index.drop_duplicates(["dataset", "subject"])[["dataset", "subject", "person"]]
    n = len(people)
    drawn = {
        "age": ("", rng.integers(20, 80, n)), "group": ("", rng.choice(["HC", "SCI"], n)),
        "lems": ("baseline", rng.integers(0, 50, n)), "sex": ("", rng.choice(["F", "M"], n)),
    }  # fmt: skip
    parts = [
        people.assign(session="", time_point=when, variable=name, value=values.astype(str))
        for name, (when, values) in drawn.items()
    ]
    columns = ["dataset", "subject", "person", "session", "time_point", "variable", "value"]
    return pd.concat(parts, ignore_index=True)[columns].astype("str")


def template(*, dwi: bool) -> dict[str, pd.DataFrame]:
    """Small tables of one scan, by kind, ``VALUES_PER_SCAN`` rows together."""
    shape = [
        {"method": method, "structure": "cord", "level": level, "measure": measure,
         "level_kind": "vertebral" if level else "", "statistic": "mean", "value": 10.0 + i}
        for method in ("manual", "cord-v1") for level in LEVELS for i, measure in enumerate(SHAPE)
    ]  # fmt: skip
    overlap = [
        {"method": "cord-v1", "reference": "manual", "structure": "cord", "measure": m,
         "value": 0.9} for m in OVERLAP
    ]  # fmt: skip
    regions = [
        {"method": "manual", "structure": s, "measure": m, "level": level, "statistic": "mean",
         "level_kind": "vertebral" if level else "", "value": 0.5}
        for s in REGIONS for m in TENSOR for level in LEVELS
    ]  # fmt: skip
    kinds = {"agreement": overlap, "shape": shape}
    if dwi:
        kinds = {"regions": regions, "agreement": overlap, "shape": shape}
    room = VALUES_PER_SCAN - sum(len(rows) for rows in kinds.values())
    kinds["shape"] += [  # slices fill the rest, or levels of regions make room
        {"method": "manual", "structure": "cord", "measure": "csa_mm2", "slice": i, "value": 70.0}
        for i in range(room)
    ]  # fmt: skip
    kinds["shape"] = kinds["shape"][: len(kinds["shape"]) + min(room, 0)]
    return {kind: _typed(rows) for kind, rows in kinds.items()}


def _typed(rows: list[dict[str, Any]]) -> pd.DataFrame:
    units = [{"unit": CATALOGUE[r["measure"]].unit} | r for r in rows]
    return as_long(pd.DataFrame(units))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
