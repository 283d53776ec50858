"""Tensor maps of a batch of diffusion scans."""

import _bootstrap  # noqa: F401
from cordcohort.adapter import job
from cordcohort.images.derive import derive_tensor

with job(snakemake) as j:
    for scan in j.scans():
        derive_tensor(scan, list(j.params.models), dict(j.params.options))
