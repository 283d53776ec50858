"""Training of one model that the study declares."""

import _bootstrap  # noqa: F401
from cordcohort.adapter import job
from cordcohort.bids.shards import all_rows
from cordcohort.training.declared import train_declared

with job(snakemake) as j:
    train_declared(j.params.entry, all_rows(), threads=j.threads)
