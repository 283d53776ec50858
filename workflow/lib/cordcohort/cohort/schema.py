"""What every long table promises, checked by pandera before anything is computed from it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.errors
import pandera.pandas as pa

from cordcohort.errors import SheetError
from cordcohort.table import FLAGS, LONG_COLUMNS, STRING_COLUMNS

NEVER_EMPTY = ("dataset", "subject", "measure")
_VALUELESS = ("failed", "undefined")


@cache
def long_schema() -> pa.DataFrameSchema:
    """Schema of the long table: closed columns in order, text never missing, five flags."""
    columns: dict[str, pa.Column] = {}
    for name in LONG_COLUMNS:
        if name in STRING_COLUMNS:
            checks = [pa.Check.isin(FLAGS)] if name == "flag" else []
            checks += [pa.Check.ne("")] if name in NEVER_EMPTY else []
            columns[name] = pa.Column(str, checks, nullable=False)
        elif name == "value":
            columns[name] = pa.Column("float64", pa.Check(_finite_or_missing), nullable=True)
        else:
            columns[name] = pa.Column("Int64", pa.Check.ge(0), nullable=True)
    return pa.DataFrameSchema(columns, strict=True, ordered=True)


def _finite_or_missing(values: pd.Series) -> pd.Series:
    return pd.Series(~np.isinf(values.to_numpy(dtype=float)), index=values.index)


def check_long(table: pd.DataFrame, where: Path | str = "long table") -> pd.DataFrame:
    """Check a long table against its schema.

    Returns
    -------
    DataFrame
        The same table.

    Raises
    ------
    SheetError
        Naming the column, the check and the first offending value; also when a row flagged
        ``failed`` or ``undefined`` holds a value, or an unflagged row holds none.
    """
    try:
        long_schema().validate(table)
    except pandera.errors.SchemaError as error:
        came = f"{str(error).splitlines()[0]}"
        raise SheetError(where, "a valid long table", came, "repair the rows named") from error
    missing = table["value"].isna()
    valueless = table["flag"].isin(_VALUELESS)
    wrong = (valueless & ~missing) | (missing & table["flag"].isin(("", "warning")))
    if wrong.any():
        row = table.iloc[int(np.argmax(wrong))]
        came = (
            f"value {row['value']} with flag {row['flag']!r} ({row['subject']}, {row['measure']})"
        )
        expected = "a value where the flag is '' or warning, none where it is failed or undefined"
        raise SheetError(where, expected, came, "set the flag where the row is made")
    return table
