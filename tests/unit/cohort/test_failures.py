"""When a scan is failed, and who is said to have failed on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from cordcohort.cohort import Methods, scans_table
from cordcohort.table import SCAN_KEY, as_long

MODELS = ["cord-v1", "classical", "sciseg-v1"]
METHODS = Methods(MODELS, ["own-phase1"])
SCAN = dict.fromkeys(SCAN_KEY, "") | {"dataset": "a", "subject": "01", "contrast": "T2w"}
NO_CORD = "no cord found"


def row(method: str, *, structure: str = "cord", failed: bool = False, **more: Any) -> dict:
    measure = {"cord": "csa_mm2", "lesion": "lesion_volume_mm3"}[structure]
    told = {"value": np.nan, "flag": "failed", "reason": NO_CORD} if failed else {"value": 1.0}
    return SCAN | {"method": method, "structure": structure, "measure": measure} | told | more


def scan_of(rows: list[dict], methods: Methods | None = METHODS) -> pd.Series:
    index = pd.DataFrame([SCAN | {"site": "", "vendor": "", "person": "01", "resolution": "",
                                  "split": "", "status": "ok", "reason": ""}])  # fmt: skip
    return scans_table(index, as_long(pd.DataFrame(rows)), (), methods).iloc[0]


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        # An experiment's weak network is a comparison.
        ([row("cord-v1"), row("own-phase1", failed=True, seed="7")], "ok"),
        # One of several models of the cord is enough.
        ([row("cord-v1"), row("classical", failed=True)], "ok"),
        ([row("cord-v1", failed=True), row("classical", failed=True)], "failed"),
        # A mask drawn by hand, or an experiment's, does not stand for those models.
        ([row("manual"), row("own-phase1"), row("cord-v1", failed=True)], "failed"),
        # The cord is there, but nobody gave the lesions that the scan should give.
        ([row("cord-v1"), row("sciseg-v1", structure="lesion", failed=True)], "failed"),
        # Nor is a damaged mask drawn by hand the models' failure ...
        ([row("cord-v1"), row("manual", failed=True)], "ok"),
        # ... unless none of them is run on the scan.
        ([row("manual", failed=True)], "failed"),
        ([row("manual", failed=True), row("rater-2")], "ok"),
        ([row("own-phase1", failed=True), row("rater-2")], "ok"),
        ([row("own-phase1", failed=True)], "failed"),
        # Against a damaged reference, or an earlier session, is no failure of the scan.
        ([row("cord-v1"), row("cord-v1", failed=True, reference="manual", measure="dice")], "ok"),
        ([row("cord-v1"), row("cord-v1", failed=True, measure="lesions_new_n")], "ok"),
        # What is measured of the whole scan, without a mask.
        ([row("cord-v1"), row("", failed=True, structure="cord", measure="snr")], "failed"),
    ],
)  # fmt: skip
def test_a_scan_is_failed_where_no_model_gave_what_it_should(rows: list[dict], status: str) -> None:
    assert scan_of(rows)["status"] == status


def test_who_failed_is_told_with_seeds_structures_and_reasons_whatever_became_of_the_scan() -> None:
    rows = [row("cord-v1"), *(row("own-phase1", failed=True, seed=s) for s in ("7", "42"))]
    rows += [row("own-phase1", structure="lesion", failed=True, seed=s) for s in ("7", "42")]
    scan = scan_of([*rows, row("classical", failed=True, reason="too dark")])
    assert (scan["status"], scan["reason"], scan["n_failed"]) == ("ok", "", 5)
    assert scan["failures"] == (
        "classical (cord): too dark; own-phase1 (seeds 7, 42; cord, lesion): no cord found"
    )


def test_the_reason_of_a_failed_scan_names_those_who_made_it_one() -> None:
    rows = [row("own-phase1", failed=True, reason="unsure"), row("cord-v1", failed=True)]
    scan = scan_of(rows)
    assert scan["reason"] == f"cord-v1: {NO_CORD}"
    assert "own-phase1 (cord): unsure" in scan["failures"]


def test_without_models_all_methods_count_alike() -> None:
    rows = [row("a", failed=True), row("b")]
    assert scan_of(rows, None)["status"] == "ok"
    assert scan_of(rows[:1], None)["status"] == "failed"
