"""What one table leaves out and another one says: site, vendor and person of a subject."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

SAID_ONCE = ("site", "vendor", "person", "split")


def filled_from(
    rows: pd.DataFrame, known: pd.DataFrame, columns: Sequence[str] = SAID_ONCE
) -> pd.DataFrame:
    """Fill empty cells from rows of the same data set and subject that say one thing.

    A rater's table without a site column belongs to the same scans as the study's own rows; with
    an empty site it would never be paired with them. The session decides first (a travelling
    person has a site a session), then the subject; where several values are known, none is taken.

    Parameters
    ----------
    rows : DataFrame
        With ``dataset``, ``subject``, ``session`` and ``columns``.
    known : DataFrame
        Where to look, with the same columns (``session`` may be absent).
    columns : sequence of str
        What is filled.

    Examples
    --------
    >>> rows = pd.DataFrame({"dataset": "a", "subject": ["1", "2"], "session": "", "site": ""})
    >>> known = pd.DataFrame({"dataset": "a", "subject": ["1"], "session": "x", "site": "rome"})
    >>> filled_from(rows, known, ["site"])["site"].tolist()
    ['rome', '']
    """
    out = rows
    for column in columns:
        for key in (["dataset", "subject", "session"], ["dataset", "subject"]):
            empty = (out[column] == "").to_numpy(dtype=bool)
            if not empty.any() or not set(key) <= set(known.columns):
                continue
            said = known.loc[known[column] != "", [*key, column]].drop_duplicates()
            said = said[~said.duplicated(key, keep=False)]
            found = out.loc[empty, key].merge(said, on=key, how="left")[column].fillna("")
            values = out[column].to_numpy(dtype=object, copy=True)
            values[empty] = found.to_numpy(dtype=object)
            out = out.assign(**{column: pd.Series(values, index=out.index, dtype="str")})
    return out
