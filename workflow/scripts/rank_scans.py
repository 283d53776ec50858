"""Scans of a phase ranked for correction, the chosen ones exported."""

import _bootstrap  # noqa: F401
from cordcohort.adapter import job
from cordcohort.bids.shards import read_rows
from cordcohort.experiments.declared import experiment_of
from cordcohort.experiments.export import export_for_correction

with job(snakemake) as j:
    asked = j.params.job
    rows = read_rows(list(asked["scans"]))
    export_for_correction(experiment_of(asked["experiment"]), int(asked["phase"]), rows)
