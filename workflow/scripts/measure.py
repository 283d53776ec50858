"""Small tables of one kind of measure for a batch of scans."""

import _bootstrap  # noqa: F401
from cordcohort.adapter import job
from cordcohort.measures.kinds import measure
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.tasks import measuring_task
from cordcohort.model_uses import uses_of_params
from cordcohort.scan import scan_id, soft_truth_record
from cordcohort.table import write_parquet

with job(snakemake) as j:
    options = MeasureOptions.of(j.params.options)
    models = uses_of_params(j.params.models)
    for scan in j.scans():
        left = j.params.not_drawn.get(scan_id(scan), ())
        drawn = [use for use in models if use.name not in left]
        # A record may be left of when the study made soft truths; the batch names it no more.
        truth = soft_truth_record(scan) in j.params.each["read"]
        task = measuring_task(j.params.kind, scan, drawn, soft_truth=truth)
        write_parquet(task.output, measure(j.params.kind, task, options))
