"""Who is who: one key a person, across data sets that reuse subject labels."""

from __future__ import annotations

import pandas as pd


def person_keys(rows: pd.DataFrame) -> pd.Series:
    """Key of the person behind each row.

    The ``person`` column differs from ``subject`` only where one person was scanned under several
    labels. A person label that always equals the subject label is the default and says nothing
    across data sets: ``sub-01`` of two data sets is two people. A label that stands beside another
    subject label at least once was given on purpose and holds across data sets.

    Parameters
    ----------
    rows : DataFrame
        With the columns ``dataset``, ``subject`` and ``person`` (strings, empty where unknown).

    Returns
    -------
    Series of str
        ``dataset/subject`` or ``person:label``, on the index of ``rows``.

    Examples
    --------
    >>> rows = pd.DataFrame({"dataset": ["a", "b", "b"], "subject": ["01", "01", "02"],
    ...                      "person": ["01", "01", "02"]})
    >>> person_keys(rows).tolist()
    ['a/01', 'b/01', 'b/02']
    >>> rows["person"] = ["01", "", "01"]
    >>> person_keys(rows).tolist()
    ['person:01', 'b/01', 'person:01']
    """
    people = rows[["dataset", "subject", "person"]].drop_duplicates()
    given = people[(people["person"] != people["subject"]) & (people["person"] != "")]
    own = rows["dataset"].astype("str") + "/" + rows["subject"].astype("str")
    shared = "person:" + rows["person"].astype("str")
    return own.where(~rows["person"].isin(set(given["person"])), shared).astype("str")
