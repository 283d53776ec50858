"""Soft ground truth of the sessions of a batch of scans."""

import _bootstrap  # noqa: F401
from cordcohort.adapter import job
from cordcohort.images.derive_truth import make_soft_truths

with job(snakemake) as j:
    make_soft_truths(j.scans(), dict(j.params.options), dict(j.params.left_out))
