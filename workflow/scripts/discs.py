"""Intervertebral discs of a batch of scans by the shipped detector, loaded once."""

import _bootstrap  # noqa: F401
from cordcohort.adapter import job
from cordcohort.level_choice import DISC_MODEL
from cordcohort.segmentation.discs import detect_scans
from cordcohort.segmentation.registry import load_model

with job(snakemake) as j:
    scans = j.scans_or_end()
    detect_scans(scans, load_model(DISC_MODEL), list(j.params.models))
