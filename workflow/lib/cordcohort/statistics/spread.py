"""Mean, SD and coefficient of variation of groups, with the cases where they are undefined."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

MIN_VALUES = 2
REASON_FEW = "fewer than two values"
REASON_SIGNS = "values of both signs: the mean is no scale for the SD"
REASON_ZERO = "the mean is zero"


def grouped_spread(
    table: pd.DataFrame, by: Sequence[str], *, ddof: int, value: str = "value"
) -> pd.DataFrame:
    """Spread of the values of each group.

    Parameters
    ----------
    table : DataFrame
        With the columns ``by`` and ``value``.
    by : sequence of str
        Grouping columns; empty for one group.
    ddof : int
        1 for the sample SD, 0 for the population SD.
    value : str
        Column of the values.

    Returns
    -------
    DataFrame
        ``by``, ``n``, ``mean``, ``variance``, ``sd``, ``cov_percent`` (100 SD / abs(mean), NaN
        where undefined) and ``reason`` (why it is undefined, else empty).

    Examples
    --------
    >>> t = pd.DataFrame({"g": ["a", "a", "b"], "value": [9.0, 11.0, 5.0]})
    >>> out = grouped_spread(t, ["g"], ddof=0)
    >>> out["cov_percent"].tolist(), out["reason"].tolist()
    ([10.0, nan], ['', 'fewer than two values'])
    """
    keys = list(by) or ["_all"]
    # Sorted by value, so that neither the order nor the names of the groups' members move a bit.
    frame = table.assign(_all=0)[[*keys, value]].sort_values(value, kind="stable")
    groups = frame.groupby(keys, sort=True, observed=True)[value]
    out = groups.agg(["size", "mean", "min", "max"]).rename(columns={"size": "n"})
    out["variance"] = groups.var(ddof=ddof)
    out = out.reset_index()
    n_few = out["n"] < MIN_VALUES
    mixed = (out["min"] < 0) & (out["max"] > 0)
    zero = out["mean"] == 0
    out.loc[n_few, "variance"] = np.nan
    out["sd"] = np.sqrt(out["variance"])
    with np.errstate(divide="ignore", invalid="ignore"):
        cov = 100 * out["sd"].to_numpy() / np.abs(out["mean"].to_numpy())
    out["reason"] = np.select([n_few, mixed, zero], [REASON_FEW, REASON_SIGNS, REASON_ZERO], "")
    out["reason"] = out["reason"].astype("str")
    out["cov_percent"] = np.where(out["reason"] == "", cov, np.nan)
    columns = [*by, "n", "mean", "variance", "sd", "cov_percent", "reason"]
    return out[columns]


def cell_means(table: pd.DataFrame, by: Sequence[str], value: str = "value") -> pd.DataFrame:
    """Average the rows of each cell into one value (``by`` and ``value``)."""
    frame = table[[*by, value]].sort_values(value, kind="stable")
    return frame.groupby(list(by), sort=True, observed=True)[value].mean().reset_index()


def pooled_sd(variances: np.ndarray, n_values: np.ndarray, ddof: int) -> float:
    """Square root of the pooled variance of groups: sum of squares over summed ``n - ddof``.

    Examples
    --------
    >>> round(pooled_sd(np.array([1.0, 4.0]), np.array([2, 2]), 1) ** 2, 12)
    2.5
    """
    weights = np.asarray(n_values, dtype=float) - ddof
    total = float(weights.sum())
    if total <= 0:
        return float("nan")
    return float(np.sqrt(np.sum(np.asarray(variances, dtype=float) * weights) / total))


def is_constant(values: np.ndarray) -> bool:
    """Whether values differ by rounding only, whose ranks would be noise.

    Means of equal numbers in another order differ by some 1e-16 of them, which a thousand steps
    may let grow to 1e-13; no measure or score is known to nine digits.

    Examples
    --------
    >>> is_constant(np.array([4.141760623368529, 4.141760623368531]))
    True
    >>> is_constant(np.array([4.1417, 4.1418]))
    False
    """
    return bool(np.ptp(values) <= 1e-9 * np.max(np.abs(values)))
