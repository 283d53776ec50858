"""What must not move a result: names of sites, excluded against deleted, a subject elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cordcohort.statistics.counts import COUNT_COLUMNS
from cordcohort.statistics.run import run_analysis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MakeLong = Callable[..., pd.DataFrame]
FEW = settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
# Every kind that takes single measures; those of a published study have tests of their own.
DECLARED: dict[str, dict[str, Any]] = {
    "agreement": {},
    "bland_altman": {"compare": "method"},
    "concordance": {"compare": "method"},
    "correlation": {"with": {"score": ["lems"]}},
    "correlation_difference": {"compare": "method", "values": ["manual", "m"], "score": "lems"},
    "equivalence": {"compare": "method", "margin": 1.0},
    "group_test": {"group": "site", "test": "kruskal_wallis"},
    "harmonisation": {"group": "vendor", "fit_on": ["V1"]},
    "linear_model": {"covariates": ["lems"]},
    "method_regression": {"compare": "method"},
    "normality": {},
    "paired_test": {"compare": "method"},
    "reliability": {"over": "session"},
    "repeated_test": {"compare": "session"},
    "variability": {"over": "site"},
    "variance_components": {},
}
NEW_NAMES = {"a": "zurich", "b": "milan", "c": "athens"}  # another order than before


def _cohort(make_long: MakeLong, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    rows, scores = [], []
    for i in range(int(rng.integers(9, 16))):
        site, true = "abc"[i % 3], rng.normal(75, 5)
        scores.append({"subject": f"{i}", "value": str(int(true) - 40)})
        rows += [
            {"subject": f"{i}", "site": site, "session": t, "method": m,
             "value": round(float(true + (m == "m") + rng.normal(0, 1)), 2)}
            for t in "123"[: int(rng.integers(1, 4))] for m in ("manual", "m")
        ]  # fmt: skip
    table = pd.DataFrame(scores).assign(
        dataset="a", person="", session="", time_point="", variable="lems"
    )
    return make_long(rows), table.astype("str")


def _run(kind: str, cohort: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    return run_analysis({"name": "a", "kind": kind, **DECLARED[kind]}, cohort, scores).table


def _same(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    names = [c for c in ours.columns if not pd.api.types.is_numeric_dtype(ours[c])]
    sort = [t.sort_values(names, ignore_index=True) for t in (ours, theirs)]
    # Sums over differently ordered sites differ in the last bits; an optimiser stops within 1e-6.
    pd.testing.assert_frame_equal(*sort, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", sorted(DECLARED))
@FEW
@given(seed=st.integers(0, 10**6))
def test_names_of_sites_move_nothing(kind: str, make_long: MakeLong, seed: int) -> None:
    cohort, scores = _cohort(make_long, seed)
    renamed = cohort.assign(site=cohort["site"].map(NEW_NAMES).astype("str"))
    back = {v: k for k, v in NEW_NAMES.items()}
    table = _run(kind, renamed, scores)
    for column in ("site", "group", "a", "b"):
        if column in table:
            table[column] = table[column].replace(back).astype("str")
    _same(_run(kind, cohort, scores), table)


@pytest.mark.parametrize("kind", sorted(DECLARED))
@FEW
@given(seed=st.integers(0, 10**6))
def test_excluding_by_list_is_deleting(kind: str, make_long: MakeLong, seed: int) -> None:
    cohort, scores = _cohort(make_long, seed)
    out = (cohort["subject"].isin(["1", "5"])) & (cohort["session"] == "1")
    excluded = cohort.assign(
        flag=cohort["flag"].mask(out, "excluded"), reason=cohort["reason"].mask(out, "motion")
    )
    ours, theirs = _run(kind, excluded, scores), _run(kind, cohort[~out], scores)
    kept = [c for c in ours.columns if c not in COUNT_COLUMNS]
    pd.testing.assert_frame_equal(ours[kept], theirs[kept])
    assert (ours["n_used"] == theirs["n_used"]).all()


@FEW
@given(seed=st.integers(0, 10**6), value=st.floats(30, 200))
def test_a_new_subject_at_one_site_leaves_the_others_alone(
    make_long: MakeLong, seed: int, value: float
) -> None:
    cohort, scores = _cohort(make_long, seed)
    new = make_long([
        {"subject": "new", "site": "a", "session": "1", "method": m, "value": value + k}
        for k, m in enumerate(("manual", "m"))
    ])  # fmt: skip
    more = pd.concat([cohort, new], ignore_index=True)
    for kind, column in (("agreement", "site"), ("variability", "group")):
        before, after = (_run(kind, c, scores) for c in (cohort, more))
        own = [t[t[column].isin(["b", "c"])].reset_index(drop=True) for t in (before, after)]
        counted = [c for c in COUNT_COLUMNS if kind == "variability"]
        assert len(own[0])
        pd.testing.assert_frame_equal(*(t.drop(columns=counted) for t in own))
