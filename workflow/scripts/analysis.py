"""One declared analysis."""

import _bootstrap  # noqa: F401
from pathlib import Path

from cordcohort.adapter import job
from cordcohort.statistics.run import run_analysis, write_result
from cordcohort.table import read_parquet

with job(snakemake) as j:
    scores = read_parquet(j.input.scores)
    result = run_analysis(j.params.options, read_parquet(j.input.table), scores)
    write_result(result, Path(j.output.table).parent)
