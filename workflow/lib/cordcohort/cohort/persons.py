"""Who is who: one key a person, across data sets that reuse subject labels."""

from __future__ import annotations

import pandas as pd


def person_keys(rows: pd.DataFrame) -> pd.Series:
    """Key of the person behind each row.

    A label in ``person`` holds across data sets: the index gives one person one label, and two
    people who share a subject label two. Where it is empty (a table from elsewhere that names no
    person), the subject of the data set is the person.

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
    >>> rows = pd.DataFrame({"dataset": ["a", "b", "b"], "subject": ["T", "T", "02"],
    ...                      "person": ["T", "T", ""]})
    >>> person_keys(rows).tolist()
    ['person:T', 'person:T', 'b/02']
    """
    own = rows["dataset"].astype("str") + "/" + rows["subject"].astype("str")
    shared = "person:" + rows["person"].astype("str")
    return own.where(rows["person"] == "", shared).astype("str")
