"""Training of one fold by nnU-Net, from its last checkpoint."""

import _bootstrap  # noqa: F401
from cordcohort.adapter import job
from cordcohort.nnunet.needed import require_nnunet
from cordcohort.segmentation.device import choose_device

with job(snakemake) as j:
    require_nnunet()
    from cordcohort.nnunet.declared import train_declared_fold

    device = choose_device(j.params.entry["device"])
    train_declared_fold(j.params.entry, j.params.fold, device, threads=j.threads)
