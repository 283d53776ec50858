"""Status: counts from what the engine logged, whatever state the run is in."""

from __future__ import annotations

import functools
import re

import pandas as pd
import pytest
from cordcohort.bids.shards import write_shards
from cordcohort.cluster.status import (
    ENGINE_LOGS,
    STAGES,
    read_engine_log,
    rule_of_array,
    scans_by_site,
    status_lines,
)
from cordcohort.errors import CordcohortError
from cordcohort.model_uses import ModelUse
from cordcohort.plan import MEASURE_KINDS
from cordcohort.scan import SCANS, mask_record, measure_table
from cordcohort.table import write_parquet

LOG = """job                   count
------------------  -------
all                       1
cohort                    1
shape                     2
segment                   1
total                     5

[Sat Nov 21 11:17:07 2026]
rule segment:
    input: x
    jobid: 4
[Sat Nov 21 11:18:07 2026]
Finished jobid: 4 (Rule: segment)
rule shape:
    jobid: 2
rule shape:
    jobid: 3
Error in rule shape:
    message: None
    jobid: 3
"""


def test_every_planned_job_is_in_exactly_one_state():
    stages = read_engine_log(LOG.splitlines()).by_stage()
    assert stages["segmentation"] == {"done": 1, "running": 0, "failed": 0, "waiting": 0}
    assert stages["measures"] == {"done": 0, "running": 1, "failed": 1, "waiting": 0}
    assert stages["cohort"] == {"done": 0, "running": 0, "failed": 0, "waiting": 1}
    assert "all" not in stages


def test_every_kind_of_rule_belongs_to_a_stage(root):
    """A rule of no stage would stand as a stage of its own."""
    named = set(MEASURE_KINDS)
    for file in (root / "workflow" / "rules").glob("*.smk"):
        text = file.read_text()
        named |= set(re.findall(r"^rule (\w+):", text, re.MULTILINE))
        named |= set(re.findall(r'f"(\w+_)\{entry', text))
    assert len(named) > len(MEASURE_KINDS) + 4
    for rule in named - {"all"}:
        assert any(rule.startswith(prefix) for prefix in STAGES), rule


def test_a_job_that_is_tried_again_is_running_and_then_done():
    again = LOG + "rule shape:\n    jobid: 3\n"
    assert read_engine_log(again.splitlines()).by_stage()["measures"]["running"] == 2
    end = again + "Finished jobid: 3\n"
    assert read_engine_log(end.splitlines()).by_stage()["measures"]["failed"] == 0


ON_A_CLUSTER = """\
job                   count
------------------  -------
all                       1
analysis                  2
cohort                    1
total                     4

Job 2 has been submitted with SLURM jobid 678 (log: /s/.snakemake/slurm_logs/rule_cohort/678.log).
[Sat Nov 21 20:21:46 2026]
Finished jobid: 2 (Rule: cohort)
Job 8 has been submitted with SLURM jobid 679 (log: /s/.snakemake/slurm_logs/rule_analysis/x/9.log).
"""


def test_jobs_that_slurm_has_are_running_until_they_are_done():
    stages = read_engine_log(ON_A_CLUSTER.splitlines()).by_stage()
    assert stages["cohort"] == {"done": 1, "running": 0, "failed": 0, "waiting": 0}
    assert stages["statistics"] == {"done": 0, "running": 1, "failed": 0, "waiting": 1}
    failed = ON_A_CLUSTER + "Error in rule analysis:\n    message: SLURM\n    jobid: 8\n"
    stages = read_engine_log(failed.splitlines()).by_stage()
    assert stages["statistics"] == {"done": 0, "running": 0, "failed": 1, "waiting": 1}
    again = failed + ON_A_CLUSTER.splitlines()[-1]
    assert read_engine_log(again.splitlines()).by_stage()["statistics"]["running"] == 1
    end = failed + "Finished jobid: 8 (Rule: analysis)\nFinished jobid: 0 (Rule: all)\n"
    assert read_engine_log(end.splitlines()).by_stage()["statistics"]["done"] == 1


def test_jobs_of_an_array_are_running_once_a_task_of_it_has_begun(tmp_path):
    """The engine does not log what rule they are of; the folder of their logs tells it."""
    array = "Submitted array job with Snakemake IDs 8,9 and SLURM job ID 77. The individual ..."
    log = [*ON_A_CLUSTER.splitlines()[:-1], array]
    rule_of = functools.partial(rule_of_array, tmp_path)
    waiting = read_engine_log(log, rule_of).by_stage()["statistics"]
    assert waiting == {"done": 0, "running": 0, "failed": 0, "waiting": 2}
    task = tmp_path / ".snakemake/slurm_logs/rule_analysis/77_1.log"
    task.parent.mkdir(parents=True)
    task.touch()
    running = read_engine_log(log, rule_of).by_stage()["statistics"]
    assert running == {"done": 0, "running": 2, "failed": 0, "waiting": 0}


def test_an_empty_log_counts_nothing():
    assert read_engine_log([]).by_stage() == {}


def test_scans_are_counted_by_data_set_and_site(tmp_path):
    rows = [
        {"dataset": d, "site": "one", "folder": "sub-01/anat", "stem": "sub-01_T2w", "masks": ""}
        for d in ("a", "b")
    ]
    write_shards(rows, tmp_path)
    for path in (mask_record(rows[0], "m"), measure_table(rows[1], "shape")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert scans_by_site(tmp_path, [ModelUse("m")]) == {
        "a/one": {"scans": 1, "models done": 1, "tables done": 0},
        "b/one": {"scans": 1, "models done": 0, "tables done": 1},
    }


def test_status_tells_what_became_of_scans_as_the_report_does(tmp_path):
    row = {"dataset": "a", "site": "one", "folder": "f", "stem": "s", "masks": ""}
    write_shards([row], tmp_path)
    (tmp_path / ENGINE_LOGS).mkdir(parents=True)
    (tmp_path / ENGINE_LOGS / "1.snakemake.log").write_text(LOG)
    assert "report" not in "".join(status_lines(tmp_path, []))
    scans = pd.DataFrame({
        "dataset": "a", "site": ["one", "one", "two", ""], "n_values": [5, 3, 2, 0],
        "status": ["ok", "failed", "ok", "ok"], "failures": ["", "net: no cord", "net: x", ""],
    })  # fmt: skip
    write_parquet(tmp_path / SCANS, scans)
    told = [line.split("  ") for line in status_lines(tmp_path, [])[-5:]]
    told = [[cell.strip() for cell in line if cell.strip()] for line in told]
    assert told == [
        ["scans in the report", "measured", "failed", "not measured", "some method failed"],
        ["a/(no site)", "0", "0", "1", "0"], ["a/one", "1", "1", "0", "0"],
        ["a/two", "1", "0", "0", "1"], ["all", "2", "1", "1", "1"],
    ]  # fmt: skip


def test_a_study_never_run_says_how_to_start(tmp_path):
    with pytest.raises(CordcohortError, match="cordcohort run"):
        status_lines(tmp_path, [])
