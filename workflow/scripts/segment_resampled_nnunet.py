"""Masks of a batch of scans brought to other voxel sizes, by one nnU-Net model loaded once."""

import _bootstrap  # noqa: F401
from cordcohort.adapter import job
from cordcohort.model_uses import uses_of_params
from cordcohort.nnunet.needed import require_nnunet
from cordcohort.segmentation.device import choose_device
from cordcohort.segmentation.scans import segment_at_voxel_sizes

with job(snakemake) as j:
    scans = j.scans_or_end()
    require_nnunet()
    from cordcohort.nnunet.model import load_nnunet

    (use,) = uses_of_params([j.params.use])
    model = load_nnunet(j.params.model, choose_device(j.params.device))
    segment_at_voxel_sizes(scans, model, j.params.sizes_mm, use, mirror=j.params.mirror)
