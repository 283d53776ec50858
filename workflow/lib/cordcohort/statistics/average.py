"""Values of one scan averaged over the seeds of an experiment, or over its repeated runs.

A scan that several seeds measured is one observation, not several. The published tables average
over the seeds in which the person was tested (``select: {split: test}``) before anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.cohort.gather import IDENTITY_COLUMNS
from cordcohort.errors import ConfigError

Codes = Callable[[pd.DataFrame, Sequence[str]], np.ndarray]
KEPT_APART = "split"


def averaged(rows: pd.DataFrame, over: Sequence[str], codes: Codes) -> pd.DataFrame:
    """Average the usable values of each scan over some columns.

    Parameters
    ----------
    rows : DataFrame
        Long-table columns and ``usable``.
    over : sequence of str
        Columns whose values are averaged; they are empty afterwards. Rows of persons whom one seed
        trained on and another tested stay apart by ``split``.
    codes : callable
        Numbers the combinations of the values of some columns.

    Returns
    -------
    DataFrame
        One row for each combination of the other columns that identify a value. Where some have a
        value and others have none, the mean of those with one, flagged ``warning`` with the count.
    """
    if not over or rows.empty:
        return rows
    key = codes(rows, [*(c for c in IDENTITY_COLUMNS if c not in over), KEPT_APART])
    usable = rows["usable"].to_numpy(dtype=bool)
    n_keys = int(key.max()) + 1
    n_rows = np.bincount(key, minlength=n_keys)
    n_used = np.bincount(key[usable], minlength=n_keys)
    total = np.bincount(key[usable], rows["value"].to_numpy(dtype=float)[usable], n_keys)
    warned = (rows["flag"] == "warning").to_numpy(dtype=bool) & usable
    is_warned = np.bincount(key, warned, n_keys) > 0
    # The first usable row of each, else the first: its flag and reason stand where none is usable.
    order = np.lexsort((np.arange(len(rows)), ~usable, key))
    first = order[np.flatnonzero(np.r_[True, np.diff(key[order]) > 0])]
    out = rows.iloc[first].reset_index(drop=True)
    some = n_used > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        out["value"] = np.where(some, total / n_used, np.nan)
    lacking = some & (n_used < n_rows)
    out.loc[some, ["flag", "reason"]] = ""
    out.loc[some & is_warned, "flag"] = "warning"
    out.loc[lacking, "flag"] = "warning"
    told = [f"{n - u} of {n} without a value" for n, u in zip(n_rows, n_used, strict=True)]
    out.loc[lacking, "reason"] = np.array(told, dtype=object)[lacking]
    return out.assign(**dict.fromkeys(over, ""))


def refuse_average(spec: Mapping[str, Any], merged: Sequence[str], where: str) -> None:
    """Refuse to average over what the analysis tells apart, and over objects.

    Raises
    ------
    ConfigError
    """
    over = list(spec.get("average_over", ()))
    told = {*spec.get("split_by", ()), *merged, *map(str, filter(None, [spec.get("over")]))}
    both = sorted(told & set(over))
    if both:
        raise ConfigError(f"{where}.average_over", both, "columns that the analysis does not tell "
                          "apart", "leave them out here or there")  # fmt: skip
    if over and "object" in spec.get("per", ()):
        way_out = "leave out `per: [object]`: lesion 1 of one seed is not that of another"
        raise ConfigError(f"{where}.average_over", over, "no rows of single objects", way_out)
