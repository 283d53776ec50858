"""Soft ground truth of the sessions of a batch of scans."""

import _bootstrap  # noqa: F401
from cordcohort.adapter import job
from cordcohort.images.derive_truth import make_soft_truths
from cordcohort.scan import session_id

with job(snakemake) as j:
    scans = j.scans(unit=session_id)
    make_soft_truths(scans, dict(j.params.options), dict(j.params.left_out))
