"""Model folder of a training by nnU-Net."""

import _bootstrap  # noqa: F401
from cordcohort.adapter import job
from cordcohort.nnunet.needed import require_nnunet

with job(snakemake) as j:
    require_nnunet()
    from cordcohort.nnunet.declared import publish_declared

    publish_declared(j.params.entry)
