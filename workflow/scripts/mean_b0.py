"""Diffusion series without motion, and their mean b=0 images, of a batch of scans."""

import _bootstrap  # noqa: F401
from cordcohort.adapter import job
from cordcohort.images.derive import derive_mean_b0

with job(snakemake) as j:
    for scan in j.scans():
        derive_mean_b0(scan, dict(j.params.options))
