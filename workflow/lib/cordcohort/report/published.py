"""Published values beside a study's own: which analysis is compared with which paper.

The config says it (``report.published``: name of an analysis to name of a set); the facts with
their sources are in ``published.yaml`` beside this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

import pandas as pd
import yaml

from cordcohort.errors import ConfigError
from cordcohort.report.inputs import Config, setting
from cordcohort.report.references import BY_KEY, Reference
from cordcohort.validation import nearest

COLUMN = "published"


@lru_cache(maxsize=1)
def published_sets() -> dict[str, dict[str, Any]]:
    """The sets by name: ``source`` (key of a reference), ``place`` in it, and ``values``."""
    text = (files("cordcohort.report") / "published.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def published_for(config: Config, analysis: str) -> str:
    """Name of the set that an analysis is compared with; empty where there is none.

    Raises
    ------
    ConfigError
        If the config names a set that is not there.
    """
    declared: Mapping[str, str] = setting(config, "report.published", {})
    name = str(declared.get(analysis, ""))
    if name and name not in published_sets():
        key = f"report.published.{analysis}"
        raise ConfigError(key, name, "a set of values", nearest(name, published_sets()))
    return name


def with_published(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """A result table with the column ``published``: the paper's value where one fits the row.

    Parameters
    ----------
    table : DataFrame
        Result of an analysis.
    name : str
        Of a set; the table is given back as it is where this is empty.

    Examples
    --------
    >>> table = pd.DataFrame({"structure": ["cord", "gm"], "measure": ["dice", "dice"]})
    >>> with_published(table, "sciseg")["published"].tolist()
    ['0.92 ± 0.07 (n = 130)', '']
    """
    if not name:
        return table
    told = pd.Series("", index=table.index, dtype="str")
    for value in reversed(published_sets()[name]["values"]):
        told[_fits(table, value["match"])] = str(value["value"]) + _count(value)
    return table.assign(**{COLUMN: told})


def _fits(table: pd.DataFrame, match: Mapping[str, str]) -> pd.Series:
    fits = pd.Series(data=True, index=table.index)
    known = [c for c in match if c in table.columns]
    for column in known:
        fits &= table[column].astype("str").str.lower() == match[column]
    # A fact that no column of the result is about says nothing of any row.
    return fits & bool(known)


def _count(value: Mapping[str, Any]) -> str:
    return f" (n = {value['n']})" if "n" in value else ""


def source_of(name: str) -> tuple[Reference, str]:
    """The work that a set was taken from, and where in it."""
    told = published_sets()[name]
    return BY_KEY[told["source"]], str(told["place"])
