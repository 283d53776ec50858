"""Clinical scores that hold text where numbers are expected."""

from __future__ import annotations

import pandas as pd

from cordcohort.report.privacy import AGE_VARIABLES


def text_cells(scores: pd.DataFrame) -> pd.DataFrame:
    """Filled cells that hold text where numbers are expected.

    Numbers are expected of an age, and where at least half of the cells of a score are numbers:
    else it is one of categories, such as sex.

    Parameters
    ----------
    scores : DataFrame
        Long, as :attr:`cordcohort.bids.index.Index.scores`.

    Returns
    -------
    DataFrame
        These rows.

    Examples
    --------
    >>> cells = {"variable": ["lems"] * 3 + ["sex"] * 2, "value": ["44", "ca. 50", "", "F", "1?"]}
    >>> text_cells(pd.DataFrame(cells)).values.tolist()
    [['lems', 'ca. 50']]
    """
    filled = scores[scores["value"] != ""]
    is_text = pd.to_numeric(filled["value"], errors="coerce").isna()
    share = is_text.groupby(filled["variable"]).transform("mean")
    is_age = filled["variable"].str.lower().isin(AGE_VARIABLES)
    return filled[is_text & (is_age | (share <= 1 / 2))]
