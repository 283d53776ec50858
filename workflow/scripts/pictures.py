"""Pictures of the masks of a batch of scans."""

import _bootstrap  # noqa: F401
from cordcohort.adapter import job
from cordcohort.files import write_json
from cordcohort.report.build import subject_pictures
from cordcohort.report.inputs import report_folder
from cordcohort.report.links import picture_record


def _record(scan):
    return [str(report_folder(".") / picture_record(scan))]


def _settings(scan):
    return snakemake.config


with job(snakemake) as j:
    subject_pictures(".", j.config, j.scans(also=_settings, made=_record))
    write_json(str(j.output[0]), {"scans": list(j.params.scans)})
