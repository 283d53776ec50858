"""A cord that one model hands on as its own is one mask: it counts and is shown once.

A model that looks for lesions in the cord of another model gives that cord with them, so that its
measures have one. In the long table the cord has rows under both names. Beside each other they
would look like two methods that agree perfectly, and a correction over methods would count one mask
twice; so statistics that name no method, and every table, figure and picture, take the lender's.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from cordcohort.model_uses import CORD, shipped_cord_lender
from cordcohort.table import SCAN_KEY


def lent_by(method: str, structure: str, beside: Collection[str]) -> str:
    """Method beside it whose mask this one is; empty where it is a mask of its own.

    Parameters
    ----------
    method, structure : str
        Whose mask, and of what.
    beside : collection of str
        Methods that have a mask of the same structure.

    Examples
    --------
    >>> lent_by("sciseg-v1", "cord", ["cord-v1", "manual"]), lent_by("sciseg-v1", "cord", [])
    ('cord-v1', '')
    >>> lent_by("sciseg-v1", "lesion", ["cord-v1"]), lent_by("manual", "cord", ["cord-v1"])
    ('', '')
    """
    lender = shipped_cord_lender(method) if structure == CORD else ""
    return lender if lender in beside else ""


def lent_rows(rows: pd.DataFrame) -> np.ndarray:
    """Which rows are of a cord that its lender has in the same table, on the same scan.

    Parameters
    ----------
    rows : DataFrame
        With ``method``, ``structure`` and the columns of the scan's name.

    Returns
    -------
    array of bool
        One a row.
    """
    lenders = {str(m): shipped_cord_lender(str(m)) for m in rows["method"].unique()}
    borrowed = {method: lender for method, lender in lenders.items() if lender in lenders}
    lent = np.zeros(len(rows), dtype=bool)
    if not borrowed:
        return lent
    of_cord = (rows["structure"] == CORD).to_numpy(dtype=bool)
    asked = of_cord & rows["method"].isin(borrowed).to_numpy(dtype=bool)
    of_lenders = of_cord & rows["method"].isin(set(borrowed.values())).to_numpy(dtype=bool)
    keys = [*SCAN_KEY, "method"]
    there = rows.loc[of_lenders, keys].drop_duplicates().astype("str").assign(there=True)
    looked = rows.loc[asked, keys].astype("str")
    found = looked.assign(method=looked["method"].map(borrowed)).merge(there, "left", keys)
    lent[asked] = found["there"].notna().to_numpy()
    return lent


def without_lent(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """A table of results without rows of a lent cord whose lender is in it, and a sentence on it.

    Parameters
    ----------
    table : DataFrame
        With ``structure``, and ``method`` or the compared methods ``a`` and ``b``; any other table
        is given back as it is.

    Examples
    --------
    >>> table = pd.DataFrame({"method": ["cord-v1", "sciseg-v1"], "structure": ["cord", "cord"]})
    >>> without_lent(table)[0]["method"].tolist()
    ['cord-v1']
    """
    columns = [c for c in ("method", "a", "b") if c in table]
    if "structure" not in table or not columns:
        return table, ""
    cells = table.loc[table["structure"] == CORD, columns]
    beside = set(cells.to_numpy().ravel().tolist())
    lenders = {str(name): lent_by(str(name), CORD, beside) for name in beside}
    lenders = {name: lender for name, lender in lenders.items() if lender}
    drop = cells.index[cells.isin(list(lenders)).any(axis=1)]
    told = [told_once(name, lender) for name, lender in sorted(lenders.items())]
    return table.drop(index=drop), " ".join(told)


def told_once(method: str, lender: str) -> str:
    """What a reader must know of a lent cord.

    Examples
    --------
    >>> told_once("net", "cord-v1")
    'The cord of net is the mask of cord-v1, not a second one: it is shown once, under that name.'
    """
    mask = f"The cord of {method} is the mask of {lender}"
    return f"{mask}, not a second one: it is shown once, under that name."
