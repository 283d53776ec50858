"""Agreement with a reference method: scores summarised, values compared in pairs, by site."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from cordcohort.statistics.intervals import (
    CONFIDENCE,
    NO_INTERVAL,
    bootstrap_interval,
    mean_interval,
    means_of_resamples,
)
from cordcohort.statistics.pairs import form_pairs, pair_key
from cordcohort.statistics.registry import Outcome, Parameters, analysis
from cordcohort.statistics.select import Selection

LIMIT_SD = 1.96  # limits of agreement hold 95 % of normal differences
MIN_FOR_LIMITS = 3
ALL_SITES = "all"
COLUMNS = [
    "quantity", "site", "n_scans", "n_persons", "n_only_method", "n_only_reference", "mean",
    "ci_low", "ci_high", "ci_method", "sd", "ddof", "median", "q25", "q75", "min", "max", "n_zero",
    "mean_absolute", "mean_percent", "mean_reference", "loa_low", "loa_high", "loa_low_ci_low",
    "loa_low_ci_high", "loa_high_ci_low", "loa_high_ci_high", "flag", "reason",
]  # fmt: skip
PARAMETERS = {
    "reference": {
        "type": "string",
        "default": "manual",
        "description": "method that the others are compared with",
    },
    "methods": {
        "type": "array",
        "items": {"type": "string"},
        "uniqueItems": True,
        "default": [],
        "description": "methods compared; empty: all that occur",
    },
    "unit": {
        "enum": ["scan", "person"],
        "default": "scan",
        "description": "one observation: a scan, or the mean over a person's scans at a site",
    },
    "by_site": {"type": "boolean", "default": True, "description": "also one row a site"},
    "ddof": {"enum": [0, 1], "default": 1, "description": "1: sample SD; 0: population SD"},
}
_KEY = ["person_key", "site", "session", "acquisition", "run", "contrast"]


def _merged(_: Parameters) -> Sequence[str]:
    return ("method", "reference")


@analysis("agreement", columns=["method", "reference", *COLUMNS], parameters=PARAMETERS,
          merged=_merged)  # fmt: skip
def agreement(selection: Selection, p: Parameters) -> Outcome:
    """Agreement of every method with a reference method, over all sites and by site.

    Measures that were computed against the reference (Dice, precision, RVE ...: rows with a
    ``reference``) are summarised as ``score``. Measures of single methods (CSA, FA ...) are paired
    with the reference's value of the same scan; the ``difference`` is method minus reference, with
    bias, SD and 95 % limits of agreement (bias +- 1.96 SD) and their intervals.

    Parameters
    ----------
    selection : Selection
        Rows of the long table.
    p : mapping
        ``reference``, ``methods``, ``unit``, ``by_site``, ``ddof``.

    References
    ----------
    Bland JM, Altman DG. Lancet 1986;327:307-310.
    """
    rows: list[dict[str, object]] = []
    used: list[pd.Index] = [selection.rows.index[:0]]
    for stratum, part in selection.groups():
        inside = _stratum_rows(selection, stratum)
        for method in _methods(inside, p):
            head = {**stratum, "method": method, "reference": p["reference"], "ddof": p["ddof"]}
            scores = (inside["reference"] == p["reference"]).any()
            values = _score_values if scores else _difference_values
            table, missing, rows_used = values(part, method, p)
            used.append(rows_used)
            by_site = bool(p["by_site"]) and "site" not in stratum
            rows += [{**row, **head} for row in _summaries(table, missing, p, by_site=by_site)]
    facts = {"ddof": p["ddof"], "limits_of_agreement": f"bias +- {LIMIT_SD} SD",
             "difference": "method - reference", "reference": p["reference"]}  # fmt: skip
    return Outcome(
        table=pd.DataFrame(rows), method_text=_method_text(p), unit=str(p["unit"]),
        used=used[0].append(used[1:]).unique(), count_by=["method"], facts=facts,
    )  # fmt: skip


def _stratum_rows(selection: Selection, stratum: dict[str, str]) -> pd.DataFrame:
    keep = np.ones(len(selection.rows), dtype=bool)
    for column, label in stratum.items():
        keep &= (selection.rows[column] == label).to_numpy(dtype=bool)
    return selection.rows[keep]


def _methods(rows: pd.DataFrame, p: Parameters) -> list[str]:
    found = sorted(set(rows["method"]) - {p["reference"]})
    return [str(m) for m in p["methods"]] or found


def _score_values(
    part: pd.DataFrame, method: str, p: Parameters
) -> tuple[pd.DataFrame, dict[str, object], pd.Index]:
    mine = part[(part["method"] == method) & (part["reference"] == p["reference"])]
    table = mine.groupby(_KEY, sort=True)["value"].mean().reset_index()
    return table.assign(quantity="score"), {}, mine.index


def _difference_values(
    part: pd.DataFrame, method: str, p: Parameters
) -> tuple[pd.DataFrame, dict[str, object], pd.Index]:
    reference = str(p["reference"])
    key = pair_key("method", [], p["pool"])
    pairs = form_pairs(part, "method", (method, reference), key, key)
    table = pairs.table
    table = table.assign(value=table["a"] - table["b"], quantity="difference")
    missing: dict[str, object] = {
        "n_only_method": pairs.n_only_a, "n_only_reference": pairs.n_only_b,
    }  # fmt: skip
    return table, missing, pairs.used


def _summaries(
    table: pd.DataFrame, missing: dict[str, object], p: Parameters, *, by_site: bool
) -> list[dict[str, object]]:
    if p["unit"] == "person" and len(table):
        numbers = [c for c in ("value", "a", "b") if c in table]
        n_scans = table.groupby(["person_key", "site"], sort=True).size().to_numpy()
        groups = table.groupby(["person_key", "site", "quantity"], sort=True)
        table = groups[numbers].mean().reset_index().assign(n_scans=n_scans)
    rows = [{"site": ALL_SITES, **missing, **summary(table, int(p["ddof"]))}]
    if by_site:
        for site, part in table.groupby("site", sort=True):
            rows.append({"site": str(site), **summary(part, int(p["ddof"]))})
    return rows


def summary(table: pd.DataFrame, ddof: int) -> dict[str, object]:
    """Summary of scores or differences: moments, quantiles, limits of agreement.

    Parameters
    ----------
    table : DataFrame
        ``value`` (score, or method minus reference), ``quantity``, ``person_key``; for
        differences ``a`` and ``b`` too.
    ddof : int
        Of the SD.
    """
    if table.empty:
        return {"n_scans": 0, "n_persons": 0, "flag": "undefined", "reason": "no usable value"}
    values = np.sort(table["value"].to_numpy(dtype=float))
    n = len(values)
    sd = float(values.std(ddof=ddof)) if n > 1 else math.nan
    quantity = str(table["quantity"].iloc[0])
    row: dict[str, object] = {
        "quantity": quantity,
        "n_scans": int(table["n_scans"].sum()) if "n_scans" in table else n,
        "n_persons": int(table["person_key"].nunique()),
        "mean": float(values.mean()), "sd": sd, "median": float(np.median(values)),
        "q25": float(np.quantile(values, 0.25)), "q75": float(np.quantile(values, 0.75)),
        "min": float(values[0]), "max": float(values[-1]), "n_zero": int((values == 0).sum()),
        "mean_absolute": float(np.abs(values).mean()),
    }  # fmt: skip
    row |= _mean_interval(table, values)
    if quantity == "difference":
        row |= _limits(table, values, sd)
    repeated = n > row["n_persons"] if isinstance(row["n_persons"], int) else False
    return row | _flag(n, repeated=repeated)


def _mean_interval(table: pd.DataFrame, values: np.ndarray) -> dict[str, object]:
    """Interval of the mean; by person when persons have several scans (a scan is no unit then)."""
    by_person = table.groupby("person_key", sort=True)["value"].mean().to_numpy(dtype=float)
    if len(values) < 2:  # noqa: PLR2004 - a spread needs two values
        interval = NO_INTERVAL
    elif len(by_person) < len(values):
        interval = bootstrap_interval(by_person, means_of_resamples)
    else:
        interval = mean_interval(float(values.mean()), float(values.std(ddof=1)), len(values))
    return {"ci_low": interval.low, "ci_high": interval.high, "ci_method": interval.method}


def _limits(table: pd.DataFrame, values: np.ndarray, sd: float) -> dict[str, object]:
    """Limits of agreement; their SE is ``SD sqrt(1/n + 1.96^2 / (2 (n - 1)))``."""
    n, bias = len(values), float(values.mean())
    reference = float(np.sort(table["b"].to_numpy(dtype=float)).mean())
    row: dict[str, object] = {
        "mean_reference": reference,
        "mean_percent": 100 * bias / reference if reference != 0 else math.nan,
    }
    if n < MIN_FOR_LIMITS:
        return row
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1))
    half *= sd * math.sqrt(1 / n + LIMIT_SD**2 / (2 * (n - 1)))
    low, high = bias - LIMIT_SD * sd, bias + LIMIT_SD * sd
    return row | {
        "loa_low": low, "loa_high": high, "loa_low_ci_low": low - half,
        "loa_low_ci_high": low + half, "loa_high_ci_low": high - half,
        "loa_high_ci_high": high + half,
    }  # fmt: skip


def _flag(n: int, *, repeated: bool) -> dict[str, str]:
    if n == 1:
        return {"flag": "warning", "reason": "one value: no SD, no interval"}
    if repeated:
        reason = "several values a person: the SD and limits treat them as independent"
        return {"flag": "warning", "reason": reason}
    if n < MIN_FOR_LIMITS:
        return {"flag": "warning", "reason": "two values: no limits of agreement"}
    return {"flag": "", "reason": ""}


def _method_text(p: Parameters) -> str:
    sd = "sample SD (ddof 1)" if p["ddof"] else "population SD (ddof 0)"
    return (
        f"Agreement with {p['reference']}, one observation a {p['unit']}, over all sites and by "
        f"site: overlap and error scores as mean, {sd} and quartiles; values of single methods as "
        "differences (method minus reference) of pairs formed by scan, with bias, limits of "
        "agreement (bias +- 1.96 SD) and their intervals. The interval of a mean is Student's, or "
        "a percentile bootstrap by person where persons have several values."
    )
