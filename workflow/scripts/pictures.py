"""Pictures of the masks of a batch of scans."""

import _bootstrap  # noqa: F401
from cordcohort.adapter import job
from cordcohort.files import write_json
from cordcohort.report.build import subject_pictures
from cordcohort.report.inputs import report_folder
from cordcohort.report.links import picture_record
from cordcohort.report.palette import declared_methods, undrawn_models


def _record(scan):
    return [str(report_folder(".") / picture_record(scan))]


with job(snakemake) as j:
    shown = [declared_methods(j.config), sorted(undrawn_models(j.config))]
    subject_pictures(".", j.config, j.scans(also=lambda scan: shown, made=_record))
    write_json(str(j.output[0]), {"scans": list(j.params.scans)})
