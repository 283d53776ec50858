"""Maps of spinal levels of a batch of scans."""

import _bootstrap  # noqa: F401
from cordcohort.adapter import job
from cordcohort.images.level_maps import make_level_map
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.tasks import measuring_task
from cordcohort.model_uses import uses_of_params

with job(snakemake) as j:
    options = MeasureOptions.of(j.params.options)
    models = uses_of_params(j.params.models)
    for scan in j.scans():
        make_level_map(scan, measuring_task("spinal", scan, models).masks, options)
