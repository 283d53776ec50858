"""What a study will cost, from the recorded seconds and memory of earlier jobs."""

from __future__ import annotations

import csv
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cordcohort.config import Config
from cordcohort.errors import CordcohortError
from cordcohort.files import read_json, write_json
from cordcohort.kept_scans import share_made
from cordcohort.level_plan import SPINAL
from cordcohort.nnunet.paths import NNUNET
from cordcohort.plan import MEASURE_KINDS, Plan

BENCHMARKS = Path("results") / "benchmarks"
KEPT = Path("results") / "logs" / "estimate.json"
HOUR_S = 3600.0
GB = 10**9
# A cluster job starts the engine twice before its payload.
ENGINE_S_PER_JOB = 4.6
_RESULT_FOLDERS = ("images", "segmentation", "measures", "report", "cohort")


@dataclass(frozen=True)
class PlannedJob:
    """A job of the plan: kind of work, its benchmark file, number of scans, whether on a GPU."""

    kind: str
    benchmark: str
    n_scans: int
    gpu: bool = False
    kept: str = ""
    """List of the scans that were left as they were (:mod:`cordcohort.kept_scans`)."""


@dataclass(frozen=True)
class Rate:
    """Cost of one kind of job: seconds a job and a scan (CPU and elapsed), peak memory in MB."""

    cpu_s_per_job: float
    cpu_s_per_scan: float
    wall_s_per_scan: float
    memory_mb: float


@dataclass(frozen=True)
class Record:
    """What a finished job took; of a job that is not ``whole``, for some of its scans only."""

    n_scans: int
    wall_s: float
    cpu_s: float
    memory_mb: float
    whole: bool = True


def planned_jobs(plan: Plan) -> list[PlannedJob]:
    """Every job that a study asks for if nothing of it is there yet.

    Models of one phase of an experiment are one kind: a seed takes what another one took.
    """
    config = plan.config
    gpu = config.segmentation.device == "cuda"
    n = len(plan.rows)
    kinds = {model: method for model, (method, _) in plan.seeds().items()}
    jobs = [
        PlannedJob(
            f"segmentation/{kinds.get(m, m)}",
            f"segmentation/{m}_{b.name}",
            len(b.scans),
            gpu,
            b.kept,
        )
        for m in config.segmentation.models
        for b in plan.segmentation_batches(m)
    ]
    jobs += [
        PlannedJob(f"segmentation/resampled_{kinds.get(m, m)}",
                   f"segmentation/resampled_{m}_{b.name}", len(b.outputs), gpu, b.kept)
        for m in config.segmentation.models
        for b in plan.resolution_batches(m)
    ]  # fmt: skip
    groups = [("images/mean_b0", plan.b0_batches()), ("images/tensor", plan.tensor_batches())]
    groups.append(("images/soft_truth", plan.soft_truth_batches()))
    groups.append(("segmentation/discs", plan.disc_batches()))
    if config.measures.level_kind == SPINAL:  # else nothing asks for them
        groups.append(("images/level_maps", plan.level_map_batches()))
    groups += [(f"measures/{kind}", plan.measure_batches(kind)) for kind in MEASURE_KINDS]
    groups.append(("measures/followup", plan.followup_batches()))
    groups.append(("report/pictures", plan.picture_batches()))
    jobs += [
        PlannedJob(k, f"{k}_{b.name}", len(b.scans), kept=b.kept)
        for k, found in groups
        for b in found
    ]
    jobs += [PlannedJob("statistics", f"statistics/{name}", n) for name in plan.analyses()]
    whole = ("cohort/cohort", "report/subject_pages", "report/report")
    jobs += [PlannedJob(name, name, n) for name in whole]
    return [*jobs, *_training_jobs(plan, kinds)]


def _training_jobs(plan: Plan, kinds: Mapping[str, str]) -> Iterator[PlannedJob]:
    """Trainings and what experiments do between them; their cost is by job, not by scan."""
    for entry in plan.trainings():
        name = f"training/{entry['name']}"
        kind = f"training/{kinds.get(entry['name'], entry['name'])}"
        yield PlannedJob(kind, name, 1, entry["device"] == "cuda")
    for entry in plan.trainings(NNUNET):
        name = f"training/{entry['name']}"
        kind = f"training/{kinds.get(entry['name'], entry['name'])}"
        for fold in range(len(plan.nnunet_folds(entry))):
            gpu = entry["device"] == "cuda"
            yield PlannedJob(f"{kind}_fold", f"{name}_fold{fold}", 1, gpu)
        for step in ("prepare", "publish"):
            yield PlannedJob(f"{kind}_{step}", f"{name}_{step}", 1)
    for job in (*plan.ranking_jobs(), *plan.corrected_jobs()):
        kind = job.rule.partition("_")[0]
        yield PlannedJob(f"experiments/{kind}", f"experiments/{job.rule}", 1)


def count_jobs(config: Config, rows: list[dict[str, Any]]) -> int:
    """Jobs that a study asks for if nothing of it is there yet."""
    return len(planned_jobs(Plan(config, rows)))


def read_records(study: Path, jobs: Iterable[PlannedJob]) -> dict[str, list[Record]]:
    """Benchmarks of the jobs that have run, by kind of job."""
    found: dict[str, list[Record]] = {}
    for job in jobs:
        path = study / BENCHMARKS / f"{job.benchmark}.tsv"
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as handle:
                rows = list(csv.DictReader(handle, delimiter="\t"))
            share = share_made(study / job.kept) if job.kept else 1.0
            if share:  # a job that made no scan tells nothing
                found.setdefault(job.kind, []).extend(_record(row, job, share) for row in rows)
    return found


def _record(row: dict[str, str], job: PlannedJob, share: float) -> Record:
    wall_s = _number(row.get("s"))
    # Jobs shorter than the engine's sampling have no CPU time or memory.
    return Record(
        max(1, round(share * job.n_scans)),
        wall_s,
        _number(row.get("cpu_time")) or wall_s,
        _number(row.get("max_rss")),
        whole=share == 1,
    )


def _number(text: str | None) -> float:
    try:
        value = float(text or 0)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0


def rate_of(records: Sequence[Record]) -> Rate:
    """Cost a job and a scan: the least-squares line through the records, no part negative.

    Jobs of one size do not tell what it costs to start one. Half of what they took then counts as
    the start: jobs of ``k`` times their size are told at most ``2 k / (k + 1)`` times too low, less
    than twice, and at most ``(k + 1) / 2`` times too high.

    Examples
    --------
    >>> rate_of([Record(1, 3, 3, 100), Record(2, 5, 5, 120), Record(4, 9, 9, 110)])
    Rate(cpu_s_per_job=1.0, cpu_s_per_scan=2.0, wall_s_per_scan=2.5, memory_mb=120)
    """
    n = len(records)
    mean_x = sum(r.n_scans for r in records) / n
    mean_y = sum(r.cpu_s for r in records) / n
    spread = sum((r.n_scans - mean_x) ** 2 for r in records)
    together = sum((r.n_scans - mean_x) * (r.cpu_s - mean_y) for r in records)
    slope = together / spread if spread else 0.0
    offset = mean_y - slope * mean_x
    if slope <= 0:  # too alike, or too noisy, for a line
        slope, offset = mean_y / mean_x / 2, mean_y / 2
    elif offset < 0:
        slope, offset = mean_y / mean_x, 0.0
    return Rate(
        cpu_s_per_job=offset,
        cpu_s_per_scan=slope,
        wall_s_per_scan=statistics.median(r.wall_s / r.n_scans for r in records),
        memory_mb=max(r.memory_mb for r in records),
    )


def estimate(plan: Plan, study: Path, source: Path, source_plan: Plan) -> dict[str, Any]:
    """Estimate the cost of a study from the records of a source study (which may be itself).

    Returns
    -------
    dict
        ``jobs``, ``cpu_hours``, ``gpu_hours``, ``memory_mb``, ``disk_gb``,
        ``kinds_without_record`` ...

    Raises
    ------
    CordcohortError
        If the source has no records.
    """
    records = read_records(source, planned_jobs(source_plan))
    if not records:
        raise CordcohortError(
            f"{source / BENCHMARKS}: no recorded job to estimate from; run a few subjects first "
            "and name that study with --records"
        )
    rates = {kind: rate_of(found) for kind, found in records.items()}
    jobs = planned_jobs(plan)
    known = [(job, rates[job.kind]) for job in jobs if job.kind in rates]
    cpu_s = sum(r.cpu_s_per_job + r.cpu_s_per_scan * j.n_scans for j, r in known)
    gpu_s = sum(r.wall_s_per_scan * j.n_scans for j, r in known if j.gpu)
    disk = disk_bytes(source) / max(1, len(source_plan.rows)) * len(plan.rows)
    result = {
        "jobs": len(jobs),
        "cpu_hours": cpu_s / HOUR_S,
        "engine_cpu_hours_on_a_cluster": len(jobs) * ENGINE_S_PER_JOB / HOUR_S,
        "gpu_hours": gpu_s / HOUR_S,
        "memory_mb": max((r.memory_mb for _, r in known), default=0.0),
        "disk_gb": disk / GB,
        "kinds_without_record": sorted({job.kind for job in jobs} - set(rates)),
    }
    write_json(study / KEPT, result)
    return result


def disk_bytes(study: Path) -> int:
    """Size of the results that grow with the number of scans."""
    folders = [study / "results" / name for name in _RESULT_FOLDERS]
    return sum(p.stat().st_size for f in folders for p in f.rglob("*") if p.is_file())


def actual(plan: Plan, study: Path) -> dict[str, float]:
    """CPU hours and peak memory of the jobs that have run, and how many of the planned did."""
    jobs = planned_jobs(plan)
    found = [r for records in read_records(study, jobs).values() for r in records if r.whole]
    return {
        "jobs": len(found),
        "planned": len(jobs),
        "cpu_hours": sum(r.cpu_s for r in found) / HOUR_S,
        "memory_mb": max((r.memory_mb for r in found), default=0.0),
    }


def error_line(plan: Plan, study: Path) -> str:
    """One line on how far off the kept estimate was; empty where there is nothing to compare."""
    if not (study / KEPT).is_file():
        return ""
    kept = read_json(study / KEPT)
    took = actual(plan, study)
    if took["jobs"] < took["planned"] or not took["cpu_hours"]:
        return ""
    ratio = kept["cpu_hours"] / took["cpu_hours"]
    return (
        f"estimated {kept['cpu_hours']:.2f} CPU hours, took {took['cpu_hours']:.2f} "
        f"(estimate / actual {ratio:.2f})"
    )


def estimate_lines(result: dict[str, Any], config: Config) -> list[str]:
    """Lines that ``cordcohort estimate`` prints."""
    on_gpu = config.segmentation.device == "cuda"
    gpu_note = "" if on_gpu else " (segmentation.device is not cuda)"
    lines = [
        f"jobs       {result['jobs']}",
        f"CPU hours  {result['cpu_hours']:.2f} "
        f"(and {result['engine_cpu_hours_on_a_cluster']:.2f} to start them on a cluster)",
        f"GPU hours  {result['gpu_hours']:.2f}{gpu_note}",
        f"memory     {result['memory_mb']:.0f} MB for the largest job",
        f"disk       {result['disk_gb']:.3f} GB of results",
    ]
    missing = result["kinds_without_record"]
    return lines + ([f"no record, left out: {', '.join(missing)}"] if missing else [])
