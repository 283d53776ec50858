"""Summary of scores or differences: moments, quantiles, limits of agreement with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cordcohort.statistics.intervals import (
    NO_INTERVAL,
    Interval,
    bootstrap_interval,
    mean_interval,
    remembered,
)
from cordcohort.statistics.limits import MIN_FOR_LIMITS, limits_around


@dataclass(frozen=True)
class Observations:
    """Scores, or differences from a reference, one an observation.

    Parameters
    ----------
    value : array (n,)
        Score, or method minus reference.
    reference : array (n,) or None
        The reference's own value; None for scores.
    person, site : array (n,) of int
        Code of the person and of the site.
    n_scans : array (n,) of int
        Scans behind each observation.
    """

    value: np.ndarray
    reference: np.ndarray | None
    person: np.ndarray
    site: np.ndarray
    n_scans: np.ndarray

    def at(self, site: int) -> Observations:
        """The observations of one site."""
        here = self.site == site
        reference = None if self.reference is None else self.reference[here]
        return Observations(
            self.value[here], reference, self.person[here], self.site[here], self.n_scans[here]
        )


def observations(table: pd.DataFrame) -> tuple[Observations, list[str]]:
    """Observations of a table (``value``, ``person_key``, ``site``; ``b``, ``n_scans`` if any).

    Returns
    -------
    observations : Observations
    sites : list of str
        Names of the site codes.
    """
    site, sites = pd.factorize(table["site"], sort=True)
    person, _ = pd.factorize(table["person_key"], sort=True)
    reference = table["b"].to_numpy(dtype=float) if "b" in table else None
    n_scans = table["n_scans"] if "n_scans" in table else pd.Series(1, index=table.index)
    value = table["value"].to_numpy(dtype=float)
    numbers = n_scans.to_numpy(dtype=np.int64)
    return Observations(value, reference, person, site, numbers), [str(s) for s in sites]


def summary(sample: Observations, ddof: int, *, bounded: bool = False) -> dict[str, object]:
    """Moments and quantiles of the observations; for differences the limits of agreement too.

    Parameters
    ----------
    sample : Observations
    ddof : int
        Of the SD.
    bounded : bool
        Whether the measure cannot leave a range (Dice: 0 to 1). Student's interval could; the
        interval is then a percentile bootstrap, which cannot.

    Examples
    --------
    >>> three = np.arange(3)
    >>> sample = Observations(np.array([1.0, 2.0, 3.0]), np.full(3, 50.0), three, three, three)
    >>> row = summary(sample, 1)
    >>> row["mean"], row["sd"], row["mean_percent"], row["loa_high"]
    (2.0, 1.0, 4.0, 3.96)
    """
    n = len(sample.value)
    if n == 0:
        return {"n_scans": 0, "n_persons": 0, "flag": "undefined", "reason": "no usable value"}
    values = np.sort(sample.value)
    sd = float(values.std(ddof=ddof)) if n > 1 else math.nan
    n_persons = len(np.unique(sample.person))
    q25, median, q75 = np.quantile(values, [0.25, 0.5, 0.75])
    row: dict[str, object] = {
        "quantity": "score" if sample.reference is None else "difference",
        "n_scans": int(sample.n_scans.sum()), "n_persons": n_persons,
        "mean": float(values.mean()), "sd": sd, "median": float(median), "q25": float(q25),
        "q75": float(q75), "min": float(values[0]), "max": float(values[-1]),
        "n_zero": int((values == 0).sum()), "mean_absolute": float(np.abs(values).mean()),
    }  # fmt: skip
    by_person = n > n_persons or (bounded and sample.reference is None)
    row |= _mean_interval(sample, values, by_person=by_person)
    if sample.reference is not None:
        row |= _limits(values, np.sort(sample.reference), sd)
    return row | _flag(n, repeated=n > n_persons)


def _mean_interval(
    sample: Observations, values: np.ndarray, *, by_person: bool
) -> dict[str, object]:
    """Interval of the mean; by person when persons have several scans (a scan is no unit then)."""
    if len(values) < 2:  # noqa: PLR2004 - a spread needs two values
        interval = NO_INTERVAL
    elif by_person:
        interval = _interval_by_person(sample)
    else:
        interval = mean_interval(float(values.mean()), float(values.std(ddof=1)), len(values))
    return {"ci_low": interval.low, "ci_high": interval.high, "ci_method": interval.method}


def _interval_by_person(sample: Observations) -> Interval:
    """Bootstrap the mean over scans by drawing persons with all their scans."""
    _, person = np.unique(sample.person, return_inverse=True)
    return _mean_over_scans_interval(np.bincount(person, weights=sample.value), np.bincount(person))


@remembered
def _mean_over_scans_interval(sums: np.ndarray, counts: np.ndarray) -> Interval:
    def mean_over_scans(drawn: np.ndarray) -> np.ndarray:
        return sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)

    return bootstrap_interval(np.arange(len(sums)), mean_over_scans)


def _limits(values: np.ndarray, reference: np.ndarray, sd: float) -> dict[str, object]:
    """Limits of agreement with their intervals; bias as a share of the reference's mean."""
    n, bias, scale = len(values), float(values.mean()), float(reference.mean())
    row: dict[str, object] = {
        "mean_reference": scale,
        "mean_percent": 100 * bias / scale if scale != 0 else math.nan,
    }
    if n < MIN_FOR_LIMITS:
        return row
    found = limits_around(bias, sd, n)
    half = found.half_width
    return row | {
        "loa_low": found.low, "loa_high": found.high, "loa_low_ci_low": found.low - half,
        "loa_low_ci_high": found.low + half, "loa_high_ci_low": found.high - half,
        "loa_high_ci_high": found.high + half,
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
