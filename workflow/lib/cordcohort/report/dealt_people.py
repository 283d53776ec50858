"""Who trained and who tested the models of a study, for its table of persons."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from cordcohort.cohort.persons import person_keys
from cordcohort.report.flow import by_value
from cordcohort.report.inputs import Inputs


def dealt_seed(inputs: Inputs) -> str:
    """Seed whose training and test are told: the first by value; empty where models have none."""
    if inputs.measures.empty:
        return ""
    trained = inputs.measures.loc[inputs.measures["split"] == "train", "seed"]
    return min(set(trained) - {""}, key=by_value, default="")


def splits_of(inputs: Inputs, persons: Sequence[str]) -> pd.Series:
    """What each person was to the models: to the first trained one, else as the sheets say."""
    if inputs.measures.empty:
        return pd.Series("", index=list(persons), dtype="str")
    rows = inputs.measures[inputs.measures["split"] != ""]
    rows = rows[rows["seed"].isin(["", dealt_seed(inputs)])]
    rows = rows.assign(key=person_keys(rows), trained=rows["split"].isin(("train", "test")))
    rows = rows.sort_values(["trained", "method", "seed"], ascending=[False, True, True])
    first = rows.drop_duplicates("key").set_index("key")["split"]
    return first.reindex(list(persons)).fillna("")
