"""How far a run is: jobs by stage and scans by site, from what the engine itself wrote down.

Read while a run goes on and after it. Nothing is asked of the scheduler and nothing is locked.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cordcohort import scan as paths
from cordcohort.bids.shards import all_rows
from cordcohort.errors import CordcohortError
from cordcohort.model_uses import ModelUse

ENGINE_LOGS = Path(".snakemake") / "log"
STATES = ("done", "running", "failed", "waiting")
WORK = ("scans", "models done", "tables done")
ALWAYS = (*WORK, "measured", "failed")
IN_PART = "some method failed"
OUTCOMES = ("measured", "failed", "excluded", "no image", "not measured", IN_PART)
_PLANNED = re.compile(r"^(\w[\w.-]*)\s+(\d+)$")
_RULE = re.compile(r"^(?:local)?rule (\S+):")
_JOB_ID = re.compile(r"^\s+jobid: (\d+)")
_FINISHED = re.compile(r"^Finished jobid: (\d+)(?: \(Rule: (\S+)\))?")
# Of a job that it submits the engine logs no rule, only this.
_SUBMITTED = re.compile(r"^Job (\d+) has been submitted .*/slurm_logs/rule_([^/]+)/")
_FAILED = re.compile(r"^Error in rule ([^\s,:]+)")
_ARRAY = re.compile(r"^Submitted array job with Snakemake IDs ([\d,]+) and SLURM job ID (\w+)")
_SLURM_LOGS = Path(".snakemake") / "slurm_logs"


@dataclass
class JobCounts:
    """Jobs of the last run, by rule.

    Attributes
    ----------
    planned : dict
        Rule to number of jobs, as the engine announced them.
    done, started, failed : dict
        Job number to rule.
    """

    planned: dict[str, int] = field(default_factory=dict)
    started: dict[int, str] = field(default_factory=dict)
    done: dict[int, str] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)

    def by_stage(self, stages: Mapping[str, str] | None = None) -> dict[str, dict[str, int]]:
        """Done, running, failed and waiting jobs by stage."""
        total: Counter[str] = Counter()
        for rule, number in self.planned.items():
            total[_stage(rule, stages)] += number
        done = Counter(_stage(rule, stages) for rule in self.done.values())
        failed_ids = set(self.failed) - set(self.done)
        failed = Counter(_stage(self.failed[job], stages) for job in failed_ids)
        live_ids = set(self.started) - set(self.done) - failed_ids
        live = Counter(_stage(self.started[job], stages) for job in live_ids)
        return {
            stage: {
                "done": done[stage],
                "running": live[stage],
                "failed": failed[stage],
                "waiting": max(0, n - done[stage] - live[stage] - failed[stage]),
            }
            for stage, n in total.items()
        }


def _stage(rule: str, stages: Mapping[str, str] | None) -> str:
    return next((s for prefix, s in (stages or STAGES).items() if rule.startswith(prefix)), rule)


STAGES = {
    "mean_b0": "images", "soft_truth": "images", "tensor": "images", "level_maps": "images",
    "train": "training", "nnunet": "training", "rank": "experiments", "corrected": "experiments",
    "segment": "segmentation", "discs": "segmentation", "shape": "measures",
    "agreement": "measures", "regions": "measures", "lesion": "measures", "spinal": "measures",
    "threshold": "measures", "resolution": "measures", "followup": "measures", "cohort": "cohort",
    "analysis": "statistics", "pictures": "report", "subject_pages": "report", "report": "report",
}  # fmt: skip


def read_engine_log(
    lines: Iterable[str], rule_of_array: Callable[[str], str] = lambda _: ""
) -> JobCounts:
    """Count jobs in what the engine logged of one run.

    Parameters
    ----------
    lines : iterable of str
    rule_of_array : callable
        From the number of a SLURM array to its rule, empty where no task of it has begun: the
        engine logs only which jobs it has submitted as an array.

    Examples
    --------
    >>> counts = read_engine_log(["rule cohort:", "    jobid: 3", "Finished jobid: 3"])
    >>> counts.done
    {3: 'cohort'}
    """
    counts = JobCounts()
    rule = ""
    heading = {}  # the table or the list of jobs that following lines belong to
    for line in lines:
        if line.startswith("job ") and "count" in line:
            heading = counts.planned
            heading.clear()
        elif heading is counts.planned and (planned := _PLANNED.match(line)):
            if planned[1] in {"total", "all"}:
                continue
            counts.planned[planned[1]] = int(planned[2])
        elif begun := _RULE.match(line):
            rule, heading = begun[1], counts.started
        elif error := _FAILED.match(line):
            rule, heading = error[1], counts.failed
        elif rule and (job := _JOB_ID.match(line)):
            _note(int(job[1]), rule, heading, counts)
            rule = ""
        else:
            _note_job(line, counts, rule_of_array)
    return counts


def _note_job(line: str, counts: JobCounts, rule_of_array: Callable[[str], str]) -> None:
    """Take in a line that says all of a job at once: submitted to a cluster, or finished."""
    if submitted := _SUBMITTED.match(line):
        _note(int(submitted[1]), submitted[2], counts.started, counts)
    elif (array := _ARRAY.match(line)) and (rule := rule_of_array(array[2])):
        for number in array[1].split(","):
            _note(int(number), rule, counts.started, counts)
    elif finished := _FINISHED.match(line):
        number = int(finished[1])
        rule = finished[2] or counts.started.get(number, "all")
        if rule != "all":
            counts.done[number] = rule


def _note(number: int, rule: str, where: dict[Any, Any], counts: JobCounts) -> None:
    if rule == "all":
        return
    where[number] = rule
    if where is counts.started:
        counts.failed.pop(number, None)  # tried again


def rule_of_array(study: Path, number: str) -> str:
    """Rule of a SLURM array, from where its tasks log; empty where none has begun."""
    found = next((study / _SLURM_LOGS).glob(f"rule_*/{number}_*.log"), None)
    return found.parent.name.removeprefix("rule_") if found else ""


def newest_log(study: Path) -> Path:
    """Engine's log of the last run.

    Raises
    ------
    CordcohortError
        If nothing was ever run here.
    """
    found = sorted((study / ENGINE_LOGS).glob("*.snakemake.log"))
    if not found:
        raise CordcohortError(f"{study}: no run yet; start one with `cordcohort run {study}`")
    return found[-1]


def scans_by_site(study: Path, models: Sequence[ModelUse]) -> dict[str, dict[str, int]]:
    """How far the work on scans is, by site: all, with a record of every model, with numbers.

    A record and a table are there of a scan that failed, too: they say so.
    """
    counts: dict[str, Counter[str]] = {}
    for row in all_rows(study):
        site = counts.setdefault(_site_name(row), Counter())
        site["scans"] += 1
        wanted = [study / record for use in models if use.takes(row) for record in use.records(row)]
        site["models done"] += all(record.is_file() for record in wanted)
        site["tables done"] += (study / paths.measure_table(row, "shape")).is_file()
    return {site: dict(count) for site, count in sorted(counts.items())}


def outcomes_by_site(study: Path) -> dict[str, dict[str, int]]:
    """What became of the scans, by site, as the report of the last run counts them."""
    from cordcohort.cohort.scans import (  # noqa: PLC0415 - pandas is slow to load
        failed_in_part,
        read_outcomes,
    )

    scans = read_outcomes(study)
    if scans is None:
        return {}
    counts: dict[str, Counter[str]] = {}
    told = scans[["dataset", "site", "state"]].assign(in_part=failed_in_part(scans))
    for row in told.to_dict("records"):
        site = counts.setdefault(_site_name(row), Counter())
        site[str(row["state"]).replace("_", " ")] += 1
        site[IN_PART] += row["in_part"]
    return {site: dict(count) for site, count in sorted(counts.items())}


def _site_name(row: Mapping[Any, Any]) -> str:
    return f"{row['dataset']}/{row['site'] or '(no site)'}"


def status_lines(study: Path, models: Sequence[ModelUse]) -> list[str]:
    """Lines that `cordcohort status` prints: jobs by stage, then scans by site."""
    log = newest_log(study)
    text = log.read_text(encoding="utf-8", errors="replace")
    rule_of = functools.partial(rule_of_array, study)
    stages = read_engine_log(text.splitlines(), rule_of).by_stage()
    rows = [[stage, *(str(count[state]) for state in STATES)] for stage, count in stages.items()]
    lines = _columns(["jobs of the last run", *STATES], rows)
    if not stages:
        lines.append("nothing had to be done")
    lines += ["", *_by_site("site", scans_by_site(study, models), WORK)]
    outcomes = outcomes_by_site(study)
    if outcomes:
        lines += ["", *_by_site("scans in the report", outcomes, OUTCOMES)]
    return lines


def _by_site(title: str, sites: Mapping[str, Mapping[str, int]], kinds: Sequence[str]) -> list[str]:
    shown = [k for k in kinds if k in ALWAYS or any(count.get(k) for count in sites.values())]
    rows = [[site, *(str(count.get(k, 0)) for k in shown)] for site, count in sites.items()]
    if len(sites) > 1:
        rows.append(["all", *(str(sum(c.get(k, 0) for c in sites.values())) for k in shown)])
    return _columns([title, *shown], rows)


def _columns(head: list[str], rows: list[list[Any]]) -> list[str]:
    widths = [max(len(str(row[i])) for row in (head, *rows)) for i in range(len(head))]
    return [
        "  ".join(str(cell).ljust(w) if i == 0 else str(cell).rjust(w)
                  for i, (cell, w) in enumerate(zip(row, widths, strict=True)))
        for row in (head, *rows)
    ]  # fmt: skip
