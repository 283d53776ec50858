"""Where tables of other libraries come in: columns are renamed to ours, and must be there."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import pandas as pd

from cordcohort.errors import CordcohortError

MIN_P = 1e-300  # smaller ones underflow to an impossible zero
LIBRARIES = ("numpy", "scipy", "pandas", "pingouin", "statsmodels")


def renamed(table: pd.DataFrame, names: Mapping[str, str], source: str) -> pd.DataFrame:
    """Take the named columns of a third-party table under our names.

    Parameters
    ----------
    table : DataFrame
        What the library returned.
    names : mapping
        Their column -> ours.
    source : str
        Library and function, for the message.

    Raises
    ------
    CordcohortError
        If a column is not there, which is how a rename upstream shows.

    Examples
    --------
    >>> renamed(pd.DataFrame({"p_val": [0.5]}), {"p_val": "p"}, "pingouin.wilcoxon")["p"].tolist()
    [0.5]
    """
    missing = [c for c in names if c not in table.columns]
    if missing:
        library = source.split(".", maxsplit=1)[0]
        raise CordcohortError(
            f"{source} of {library} {version(library)} gave {list(table.columns)}, expected also "
            f"{missing}; install the version of requirements.lock"
        )
    return table[list(names)].rename(columns=dict(names))


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as dictionaries."""
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


def statistic_and_p(result: Any) -> tuple[float, float]:
    """The statistic and the p-value (at least :data:`MIN_P`) of a scipy test result.

    Raises
    ------
    CordcohortError
        If the result has neither, which is how a rename upstream shows.
    """
    if not hasattr(result, "statistic") or not hasattr(result, "pvalue"):
        raise CordcohortError(
            f"scipy {version('scipy')} gave {type(result).__name__} without statistic and pvalue; "
            "install the version of requirements.lock"
        )
    p = float(result.pvalue)
    return float(result.statistic), max(p, MIN_P) if p == p else p  # noqa: PLR0124 - keeps NaN


def library_versions() -> dict[str, str]:
    """Versions of the libraries behind the numbers."""
    return {name: version(name) for name in LIBRARIES}
