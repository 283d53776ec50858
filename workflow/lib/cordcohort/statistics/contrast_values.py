"""Areas and errors behind the tables of a multi-contrast study: one value a participant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from cordcohort.errors import ConfigError
from cordcohort.statistics.spread import cell_means, grouped_spread

UNIT_PARTICIPANT = "participant"
UNIT_CONTRAST = "participant x contrast"
UNITS = (UNIT_PARTICIPANT, UNIT_CONTRAST)


@dataclass(frozen=True)
class AreaQuery:
    """Which contrasts and methods are compared.

    Attributes
    ----------
    contrasts : tuple of str
        In the order of the table.
    methods : tuple of str
        In the order of the table; also those that may not have been supplied.
    """

    contrasts: tuple[str, ...]
    methods: tuple[str, ...]


def area_values(rows: pd.DataFrame, query: AreaQuery) -> pd.DataFrame:
    """One area for each participant, method and contrast.

    Parameters
    ----------
    rows : DataFrame
        Usable rows of one measure, structure, level and statistic, with ``person_key``.
    query : AreaQuery

    Returns
    -------
    DataFrame
        ``participant, method, contrast, value`` (mm2). Sessions, runs and acquisitions of a
        contrast are averaged.
    """
    wanted = rows["method"].isin(query.methods) & rows["contrast"].isin(query.contrasts)
    named = rows[wanted].rename(columns={"person_key": "participant"})
    return cell_means(named, ["participant", "method", "contrast"])


def comparison_set(values: pd.DataFrame, query: AreaQuery) -> list[str]:
    """Participants that have every contrast in every method that was supplied.

    Examples
    --------
    >>> v = pd.DataFrame({"participant": list("aab"), "method": "m", "contrast": ["x", "y", "x"],
    ...                   "value": 1.0})
    >>> comparison_set(v, AreaQuery(("x", "y"), ("m", "never ran")))
    ['a']
    """
    cells = len(supplied(values, query.methods)) * len(query.contrasts)
    counts = values.groupby("participant", sort=True).size()
    return [str(name) for name in counts.index[counts == cells]] if cells else []


def supplied(values: pd.DataFrame, methods: Sequence[str]) -> list[str]:
    """The methods that have a value at all, in the order asked for."""
    found = set(values["method"])
    return [method for method in methods if method in found]


def absolute_errors(values: pd.DataFrame, query: AreaQuery, reference: str) -> pd.DataFrame:
    """Absolute difference to the reference method, participant by participant and contrast.

    Returns
    -------
    DataFrame
        ``participant, method, contrast, value`` (mm2) of the methods other than the reference, in
        the comparison set.

    Raises
    ------
    ConfigError
        If the reference is not one of the methods that were asked for.
    """
    if reference not in query.methods:
        raise ConfigError("reference", reference, f"one of {list(query.methods)}", "name one")
    complete = complete_values(values, query)
    own = complete[complete["method"] == reference].drop(columns="method")
    pairs = complete[complete["method"] != reference].merge(
        own, on=["participant", "contrast"], suffixes=("", "_reference"), validate="m:1"
    )
    pairs["value"] = (pairs["value"] - pairs["value_reference"]).abs()
    return pairs.drop(columns="value_reference").reset_index(drop=True)


def complete_values(values: pd.DataFrame, query: AreaQuery) -> pd.DataFrame:
    """Values of the comparison set."""
    return values[values["participant"].isin(comparison_set(values, query))]


def contrast_stds(values: pd.DataFrame, *, percent: bool = False) -> pd.DataFrame:
    """Sample SD over the contrasts (mm2, or % of their mean), for each participant and method."""
    spread = grouped_spread(values, ["participant", "method"], ddof=1)
    column = "cov_percent" if percent else "sd"
    return spread[["participant", "method"]].assign(value=spread[column])


def unit_keys(unit: str) -> list[str]:
    """Columns that make an independent unit.

    Raises
    ------
    ConfigError
        For a unit that is not one of :data:`UNITS`.
    """
    if unit not in UNITS:
        raise ConfigError("unit", unit, f"one of {list(UNITS)}", "choose one")
    return ["participant"] if unit == UNIT_PARTICIPANT else ["participant", "contrast"]


def per_unit(errors: pd.DataFrame, unit: str) -> pd.DataFrame:
    """Errors with one value a method and independent unit."""
    return cell_means(errors, [*unit_keys(unit), "method"])
