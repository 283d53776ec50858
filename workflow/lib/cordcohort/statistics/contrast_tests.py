"""CSA-4: which methods differ in a multi-contrast study, with correction over declared families."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cordcohort.statistics.contrast_tables import NO_VALUE, NOT_SUPPLIED, STD
from cordcohort.statistics.contrast_values import (
    UNIT_PARTICIPANT,
    AreaQuery,
    absolute_errors,
    complete_values,
    contrast_stds,
    per_unit,
    supplied,
    unit_keys,
)
from cordcohort.statistics.corrections import adjust
from cordcohort.statistics.wilcoxon import paired_differences, signed_rank

ABSOLUTE_ERROR = "absolute error"
TEST_COLUMNS = [
    "quantity", "family", "unit_of_pairing", "a", "b", "n_pairs", "w", "p", "p_adjusted",
    "p_method", "rank_biserial", "status", "reason",
]  # fmt: skip
_PAIR_COLUMNS = [
    "a", "b", "n_pairs", "w", "p", "p_method", "rank_biserial", "status", "reason",
]  # fmt: skip


def csa_4(
    values: pd.DataFrame,
    query: AreaQuery,
    families: Mapping[str, Sequence[str]],
    reference: str,
    unit: str = UNIT_PARTICIPANT,
) -> pd.DataFrame:
    """CSA-4: Wilcoxon signed-rank tests of all pairs in each family, for STD and absolute error.

    Parameters
    ----------
    values : DataFrame
        From :func:`area_values`.
    query : AreaQuery
    families : mapping of str to methods
        All pairs in a family are tested and corrected together (Bonferroni). A pair with a method
        that was not supplied stays as a row and is no part of the correction.
    reference : str
        Method that the error is taken to.
    unit : {"participant", "participant x contrast"}
        Independent pair of the tests of the error. The STD has one value a participant.

    Returns
    -------
    DataFrame
        ``TEST_COLUMNS``; ``w`` is the smaller rank sum, p is two-sided.
    """
    complete = complete_values(values, query)
    errors = per_unit(absolute_errors(values, query, reference), unit)
    quantities = [
        (STD, UNIT_PARTICIPANT, contrast_stds(complete), ["participant"]),
        (ABSOLUTE_ERROR, unit, errors, unit_keys(unit)),
    ]
    rows: list[pd.DataFrame] = []
    for (quantity, per, table, keys), (family, methods) in itertools.product(
        quantities, families.items()
    ):
        wide = table.pivot(index=keys, columns="method", values="value")
        known = supplied(values, query.methods)
        tests = [_test(wide, a, b, known) for a, b in itertools.combinations(methods, 2)]
        block = pd.DataFrame(tests, columns=_PAIR_COLUMNS)
        block["p_adjusted"] = adjust(block["p"].to_numpy(dtype=float), "bonferroni")
        rows.append(block.assign(quantity=quantity, family=family, unit_of_pairing=per))
    if not rows:
        return pd.DataFrame(columns=TEST_COLUMNS)
    return pd.concat(rows, ignore_index=True)[TEST_COLUMNS]


def _test(wide: pd.DataFrame, a: str, b: str, known: Sequence[str]) -> dict[str, object]:
    """Compare two methods; what cannot be compared says why."""
    absent = [method for method in (a, b) if method not in known]
    missing = [method for method in (a, b) if method not in wide]
    empty: dict[str, object] = {
        "a": a, "b": b, "n_pairs": 0, "w": np.nan, "p": np.nan, "p_method": "",
        "rank_biserial": np.nan, "status": "", "reason": "",
    }  # fmt: skip
    if absent:
        return empty | {"status": NOT_SUPPLIED, "reason": f"no values of {', '.join(absent)}"}
    if missing:
        what = "nobody has every contrast in every method, or it is the reference"
        return empty | {"status": NO_VALUE, "reason": f"{', '.join(missing)}: {what}"}
    differences = paired_differences(wide[a].to_numpy(), wide[b].to_numpy())
    result = signed_rank(differences[np.isfinite(differences)], with_interval=False)
    return empty | {
        "n_pairs": result.n_pairs, "w": result.w, "p": result.p, "p_method": result.p_method,
        "rank_biserial": result.rank_biserial, "reason": result.reason,
    }  # fmt: skip
