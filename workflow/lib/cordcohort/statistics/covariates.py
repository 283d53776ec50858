"""Covariates of persons (age, sex, site ...) as numbers for partial correlations and models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

COVARIATES_PARAMETER = {
    "type": "array",
    "items": {"type": "string"},
    "uniqueItems": True,
    "default": [],
    "description": "columns or score variables to adjust for; text becomes categories",
}


def covariate_table(rows: pd.DataFrame, covariates: Sequence[str]) -> pd.DataFrame:
    """One row a person: numbers averaged over the person's rows, text taken where it is unique.

    A covariate is a number when every value that is not empty reads as one. A person whose text
    differs between rows (two sites) has none, and is incomplete.

    Returns
    -------
    DataFrame
        ``person_key`` and the covariates; missing is missing.
    """
    out = pd.DataFrame({"person_key": sorted(set(rows["person_key"]))})
    for covariate in covariates:
        text = rows[covariate].astype("str")
        known = rows.loc[text != "", ["person_key"]].assign(value=text[text != ""])
        number = pd.to_numeric(known["value"], errors="coerce")
        if number.notna().all():
            values = known.assign(value=number.astype("float64")).groupby("person_key")["value"]
            column = values.mean()
        else:
            distinct = known.drop_duplicates()
            column = distinct.drop_duplicates("person_key", keep=False).set_index("person_key")
            column = column["value"]
        out[covariate] = out["person_key"].map(column)
    return out


def design_of(table: pd.DataFrame) -> pd.DataFrame:
    """Numeric design of complete covariates: numbers as they are, categories as indicators.

    The first category (in order of the labels) is the baseline.

    Examples
    --------
    >>> t = pd.DataFrame({"age": [30.0, 40.0, 50.0], "sex": ["F", "M", "F"]})
    >>> design_of(t).to_dict("list")
    {'age': [30.0, 40.0, 50.0], 'sex[M]': [0.0, 1.0, 0.0]}
    """
    columns: dict[str, np.ndarray] = {}
    for name in table.columns:
        if pd.api.types.is_numeric_dtype(table[name]):
            columns[str(name)] = table[name].to_numpy(dtype=float)
            continue
        for label in sorted(set(table[name]))[1:]:
            columns[f"{name}[{label}]"] = (table[name] == label).to_numpy(dtype=float)
    return pd.DataFrame(columns, index=table.index)
