"""A page for every subject."""

import _bootstrap  # noqa: F401
from cordcohort.adapter import job
from cordcohort.report.build import build_subject_pages

with job(snakemake) as j:
    build_subject_pages(".", j.config)
