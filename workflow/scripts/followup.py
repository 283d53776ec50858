"""Small tables of the lesions that a batch of scans shares with the session before."""

import _bootstrap  # noqa: F401
from cordcohort.adapter import job
from cordcohort.bids.shards import read_rows
from cordcohort.measures.followup_rows import FollowupOptions, measure_followup
from cordcohort.measures.tasks import measuring_task
from cordcohort.model_uses import uses_of_params
from cordcohort.scan import scan_id, subject_of
from cordcohort.table import write_parquet


def _before(scan):
    return read_rows([snakemake.params.before[scan_id(scan)]])[0]


def _person(scan):
    return subject_of(scan_id(scan))


with job(snakemake) as j:
    options = FollowupOptions.of(j.params.options)
    models = uses_of_params(j.params.models)
    for scan in j.scans(unit=_person, also=_before):
        tasks = [measuring_task("followup", one, models) for one in (_before(scan), scan)]
        write_parquet(tasks[1].output, measure_followup(*tasks, options))
