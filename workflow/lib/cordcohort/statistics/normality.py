"""Normality of a measure: D'Agostino-Pearson, with skewness and kurtosis."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy import stats

from cordcohort.statistics.boundary import statistic_and_p
from cordcohort.statistics.registry import Outcome, Parameters, analysis
from cordcohort.statistics.select import Selection
from cordcohort.statistics.spread import cell_means

MIN_VALUES = 8  # below, the test of skewness is not defined
MIN_RELIABLE = 20  # below, the test of kurtosis is rough
COLUMNS = [
    "n", "k2", "p", "skewness", "excess_kurtosis", "shapiro_w", "shapiro_p", "flag", "reason",
]  # fmt: skip
PARAMETERS = {
    "unit": {
        "enum": ["person", "scan"],
        "default": "person",
        "description": "one observation: the mean over a person's rows, or each scan",
    },
}
_SCAN = ["person_key", "site", "session", "acquisition", "run", "contrast"]


@analysis("normality", headline="k2", columns=COLUMNS, parameters=PARAMETERS)
def normality(selection: Selection, p: Parameters) -> Outcome:
    """D'Agostino-Pearson omnibus test of each stratum, Shapiro-Wilk beside it.

    Parameters
    ----------
    selection : Selection
        Rows of the long table.
    p : mapping
        ``unit``.

    Returns
    -------
    Outcome
        ``k2`` (chi-square with 2 degrees of freedom), ``p``, skewness and excess kurtosis.
    """
    key = ["person_key"] if p["unit"] == "person" else _SCAN
    rows = [
        {**stratum, **normality_row(cell_means(part, key)["value"].to_numpy(dtype=float))}
        for stratum, part in selection.groups()
    ]
    text = (
        f"Normality over {p['unit']}s by the D'Agostino-Pearson omnibus test (skewness and "
        "kurtosis), with Shapiro-Wilk beside it; a large p is no proof of normality."
    )
    return Outcome(pd.DataFrame(rows), text, str(p["unit"]))


def normality_row(values: np.ndarray) -> dict[str, object]:
    """Both tests of one sample, or the reason why there is none.

    Examples
    --------
    >>> normality_row(np.arange(5.0))["reason"]
    '5 values: needs 8'
    """
    n = len(values)
    if n < MIN_VALUES:
        return {"n": n, "flag": "undefined", "reason": f"{n} values: needs {MIN_VALUES}"}
    if np.ptp(values) == 0:
        return {"n": n, "flag": "undefined", "reason": "all values are equal"}
    k2, p = statistic_and_p(stats.normaltest(values))
    w, shapiro_p = statistic_and_p(stats.shapiro(values))
    small = n < MIN_RELIABLE
    return {
        "n": n, "k2": k2, "p": p, "skewness": float(str(stats.skew(values))),
        "excess_kurtosis": float(str(stats.kurtosis(values))), "shapiro_w": w,
        "shapiro_p": shapiro_p if math.isfinite(shapiro_p) else math.nan,
        "flag": "warning" if small else "",
        "reason": f"fewer than {MIN_RELIABLE} values: rough" if small else "",
    }  # fmt: skip
