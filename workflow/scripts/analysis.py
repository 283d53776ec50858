"""One declared analysis."""

import _bootstrap  # noqa: F401
from pathlib import Path

from cordcohort import __version__
from cordcohort.adapter import job
from cordcohort.cohort import with_external_scores
from cordcohort.files import sha256_of
from cordcohort.statistics.read import read_cohort
from cordcohort.statistics.run import run_analysis, write_result
from cordcohort.table import read_parquet

with job(snakemake) as j:
    cohort = read_cohort(j.input.table, j.params.options)
    scores = with_external_scores(read_parquet(j.input.scores), list(j.params.external), cohort)
    result = run_analysis(j.params.options, cohort, scores)
    provenance = {
        "cordcohort": __version__,
        "science": j.params.science,
        "measures_sha256": sha256_of(j.input.table),
        "scores_sha256": sha256_of(j.input.scores),
    }
    write_result(result, Path(j.output.table).parent, provenance)
