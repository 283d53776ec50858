"""What became of every corrected mask of a phase."""

import _bootstrap  # noqa: F401
from cordcohort.adapter import job
from cordcohort.bids.shards import read_rows
from cordcohort.experiments.corrected_table import write_corrected
from cordcohort.experiments.declared import experiment_of

with job(snakemake) as j:
    asked = j.params.job
    rows = read_rows(list(asked["scans"]))
    write_corrected(experiment_of(asked["experiment"]), int(asked["phase"]), rows)
