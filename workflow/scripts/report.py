"""The index page of the report."""

import _bootstrap  # noqa: F401
from cordcohort.adapter import job
from cordcohort.report.build import build_index_page

with job(snakemake) as j:
    build_index_page(".", j.config, list(j.params.exclusions))
