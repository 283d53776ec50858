"""Masks of a batch of scans brought to other voxel sizes, by one model loaded once."""

import _bootstrap  # noqa: F401
from cordcohort.adapter import job
from cordcohort.model_uses import uses_of_params
from cordcohort.segmentation.device import choose_device
from cordcohort.segmentation.registry import load_model
from cordcohort.segmentation.scans import segment_at_voxel_sizes

with job(snakemake) as j:
    scans = j.scans_or_end()
    (use,) = uses_of_params([j.params.use])
    model = load_model(j.params.model, choose_device(j.params.device))
    segment_at_voxel_sizes(scans, model, j.params.sizes_mm, use, mirror=j.params.mirror)
