"""Estimates: right where the cost is known, honest where nothing was recorded."""

from __future__ import annotations

import pytest
import yaml
from cordcohort.cluster import estimate as costs
from cordcohort.cluster.estimate import PlannedJob, Record, planned_jobs, rate_of, read_records
from cordcohort.config import make_config
from cordcohort.plan import Plan
from hypothesis import given
from hypothesis import strategies as st
from unit.experiments.study import RECIPE, content, declared

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


@given(
    offset=st.floats(0, 100), slope=st.floats(0.1, 100),
    sizes=st.lists(st.integers(1, 200), min_size=3, max_size=20, unique=True),
)  # fmt: skip
def test_linear_cost_is_found_exactly(offset, slope, sizes):
    rate = rate_of([Record(n, 1.0, offset + slope * n, 1.0) for n in sizes])
    for n in (1, 1000):
        assert rate.cpu_s_per_job + rate.cpu_s_per_scan * n == pytest.approx(
            offset + slope * n, rel=1e-6, abs=1e-4
        )


@given(
    seconds=st.lists(st.floats(0.1, 1e4), min_size=1, max_size=10), n=st.integers(1, 100),
)  # fmt: skip
def test_jobs_of_one_size_are_told_right_and_larger_ones_never_half_of_what_they_cost(seconds, n):
    rate = rate_of([Record(8, s, s, 100.0) for s in seconds])
    mean = sum(seconds) / len(seconds)
    assert min(rate.cpu_s_per_job, rate.cpu_s_per_scan) >= 0
    assert rate.cpu_s_per_job + rate.cpu_s_per_scan * 8 == pytest.approx(mean)
    told = rate.cpu_s_per_job + rate.cpu_s_per_scan * 8 * n
    for cost in (mean, mean * n):  # all of it was the start, or nothing of it
        assert cost / 2 <= told <= cost * (n + 1) / 2 * (1 + 1e-9)


def test_jobs_that_grow_faster_than_their_scans_start_for_nothing():
    rate = rate_of([Record(1, 1, 1, 1), Record(2, 4, 4, 1), Record(3, 9, 9, 1)])
    assert rate.cpu_s_per_job == 0
    assert rate.cpu_s_per_scan == pytest.approx(14 / 6)


def _benchmark(study, name, seconds, cpu, memory):
    path = study / costs.BENCHMARKS / f"{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + f"{seconds}\t0:00:01\t{memory}\t0\t0\t0\t0\t0\t0\t{cpu}\n")


def test_records_are_read_by_kind_and_short_jobs_count_their_elapsed_time(tmp_path):
    _benchmark(tmp_path, "measures/shape_a_0000of0001", 10, 8, 300)
    _benchmark(tmp_path, "cohort/cohort", 0.5, "NA", "NA")
    jobs = [
        PlannedJob("measures/shape", "measures/shape_a_0000of0001", 4),
        PlannedJob("cohort/cohort", "cohort/cohort", 4),
        PlannedJob("report/report", "report/report", 4),
    ]
    records = read_records(tmp_path, jobs)
    assert records == {
        "measures/shape": [Record(4, 10.0, 8.0, 300.0)],
        "cohort/cohort": [Record(4, 0.5, 0.5, 0.0)],
    }


def test_a_training_takes_the_mean_of_what_other_seeds_of_its_phase_took(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "tiny.yaml").write_text(yaml.safe_dump(RECIPE))
    phase = declared()["phases"][:1]
    plans = [
        Plan(make_config(content(declared(seeds=seeds, phases=phase)), tmp_path, check=False), [])
        for seeds in ([7, 42], [50])
    ]
    jobs = [[j for j in planned_jobs(p) if j.kind.startswith("training/")] for p in plans]
    assert [job.benchmark for job in jobs[1]] == ["training/own-phase1-seed50"]
    for job, seconds in zip(jobs[0], (100, 300), strict=True):
        _benchmark(tmp_path, job.benchmark, seconds, seconds, 1000)
    rate = rate_of(read_records(tmp_path, jobs[0])[jobs[1][0].kind])
    assert rate.cpu_s_per_job + rate.cpu_s_per_scan == pytest.approx(200)
