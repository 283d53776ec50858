"""Models of experiments in the report: one value a scan over the seeds that tested its person.

A seed tests other persons than the next. What a seed says of persons whom it trained on is no
result, so figures and pages show what a method says of persons that it has not seen, as the mean
over the seeds that tested them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from cordcohort.report.inputs import Inputs
from cordcohort.statistics.average import averaged
from cordcohort.statistics.select import combination_codes

SEEN = ("train", "validation")


def unseen_once(measures: pd.DataFrame) -> pd.DataFrame:
    """Values of experiments' methods of persons that they have not seen, as means over the seeds.

    Parameters
    ----------
    measures : DataFrame
        Long table.

    Returns
    -------
    DataFrame
        Rows without a seed as they are; the others averaged, without those of persons whom the seed
        was trained or validated on.
    """
    of_seed = (measures["seed"] != "").to_numpy(dtype=bool)
    if not of_seed.any():
        return measures
    rows = measures[of_seed & ~measures["split"].isin(SEEN).to_numpy(dtype=bool)]
    usable = rows["flag"].isin(("", "warning")) & np.isfinite(rows["value"])
    mean = averaged(rows.assign(usable=usable), ["seed"], combination_codes)
    kept = mean.drop(columns="usable", errors="ignore").astype(measures.dtypes.to_dict())
    return pd.concat([measures[~of_seed], kept], ignore_index=True)


def of_tested(inputs: Inputs) -> Inputs:
    """The tables of a study with :func:`unseen_once` values."""
    return replace(inputs, measures=unseen_once(inputs.measures))
