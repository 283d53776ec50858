"""A study's labels as nnU-Net data set with its plan, preprocessed."""

import _bootstrap  # noqa: F401
from cordcohort.adapter import job
from cordcohort.bids.shards import all_rows
from cordcohort.nnunet.needed import require_nnunet

with job(snakemake) as j:
    require_nnunet()
    from cordcohort.nnunet.declared import prepare_declared

    prepare_declared(j.params.entry, all_rows(), threads=j.threads)
