"""Pictures of the masks of a batch of scans."""

import _bootstrap  # noqa: F401
from cordcohort.adapter import job
from cordcohort.files import write_json
from cordcohort.report.build import subject_pictures

with job(snakemake) as j:
    subject_pictures(".", j.config, j.scans())
    write_json(str(j.output[0]), {"scans": list(j.params.scans)})
