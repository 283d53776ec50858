"""When a scan is failed, and who is said to have failed on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from cordcohort.cohort import Methods, scans_table
from cordcohort.cohort.failures import method_failures
from cordcohort.table import SCAN_KEY, as_long

MODELS = ["cord-v1", "classical", "sciseg-v1"]
METHODS = Methods(MODELS, ["own-phase1"])
SCAN = dict.fromkeys(SCAN_KEY, "") | {"dataset": "a", "subject": "01", "contrast": "T2w"}
NO_CORD = "no cord found"


def row(method: str, *, structure: str = "cord", failed: bool = False, **more: Any) -> dict:
    measure = {"cord": "csa_mm2", "lesion": "lesion_volume_mm3"}[structure]
    told = {"value": np.nan, "flag": "failed", "reason": NO_CORD} if failed else {"value": 1.0}
    return SCAN | {"method": method, "structure": structure, "measure": measure} | told | more


def scan_of(rows: list[dict], methods: Methods | None = METHODS, **key: str) -> pd.Series:
    """The row of the one scan that the index holds; rows of other sessions may be given."""
    index = pd.DataFrame([SCAN | key | {"site": "", "vendor": "", "person": "01", "resolution": "",
                                  "split": "", "status": "ok", "reason": ""}])  # fmt: skip
    scans = scans_table(index, as_long(pd.DataFrame(rows)), (), methods)
    return scans[scans["session"] == index["session"].iloc[0]].iloc[0]


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
        # A model that is run on the scan for another structure does not stand for the cord ...
        ([row("manual", failed=True), row("sciseg-v1", structure="lesion")], "failed"),
        # ... nor is it asked for where somebody gave it.
        ([row("manual"), row("own-phase1", failed=True), row("sciseg-v1", structure="lesion")],
         "ok"),
        # An experiment's failure stays a comparison where the scan has something else.
        ([row("own-phase1", failed=True), row("sciseg-v1", structure="lesion")], "ok"),
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


LATER = {"session": "2"}
REGISTRATION = "registration: the cords overlap by 0.10, expected 0.50"


def followup(reason: str, **more: Any) -> dict:
    told = {"measure": "lesions_new_n", "reference": "ses-1", "reason": reason}
    return row("sciseg-v1", structure="lesion", failed=True) | LATER | told | more


def test_a_followup_that_failed_by_itself_is_told_though_the_scan_is_in_order() -> None:
    rows = [row("sciseg-v1", structure="lesion") | day for day in ({"session": "1"}, LATER)]
    scan = scan_of([*rows, followup(REGISTRATION)], **LATER)
    assert (scan["status"], scan["reason"], scan["n_failed"]) == ("ok", "", 1)
    assert scan["failures"] == f"sciseg-v1 (lesion): {REGISTRATION}"


@pytest.mark.parametrize("session", ["1", "2"])
def test_a_followup_that_failed_with_a_mask_is_told_at_the_scan_of_the_mask(session: str) -> None:
    mask = row("sciseg-v1", structure="lesion", failed=True, reason="damaged", session=session)
    failures = method_failures(as_long(pd.DataFrame([mask, followup("damaged")])))
    assert failures[["session", "method", "reason"]].to_numpy().tolist() == [
        [session, "sciseg-v1", "damaged"]
    ]


def test_a_damaged_reference_is_told_once_and_not_of_those_compared_with_it() -> None:
    compared = {"reference": "manual", "measure": "dice", "reason": "reference: damaged"}
    rows = [row(m) | {"flag": "failed"} | compared for m in ("cord-v1", "classical")]
    rows += [row("manual", failed=True, reason="damaged"), row("cord-v1"), row("classical")]
    assert scan_of(rows)["failures"] == "manual (cord): damaged"


def test_where_only_the_comparison_failed_it_is_told() -> None:
    compared = {"reference": "manual", "measure": "dice", "reason": "another grid"}
    rows = [row("manual"), row("cord-v1"), row("cord-v1", failed=True) | compared]
    assert scan_of(rows)["failures"] == "cord-v1 (cord): another grid"
