"""Failures are gathered by the stable code of their fault."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from cordcohort.report.cohort_tables import failed_methods, failure_groups
from cordcohort.report.inputs import Inputs
from cordcohort.table import SCAN_KEY, as_long


def _groups(reasons: list[str]) -> list[dict]:
    rows = [
        dict.fromkeys(SCAN_KEY, "")
        | {"dataset": "a", "subject": f"{n}", "site": "x", "state": "failed", "reason": reason}
        for n, reason in enumerate(reasons)
    ]
    empty = pd.DataFrame()
    scans = pd.DataFrame(rows).assign(folder="", stem="")
    return failure_groups(Inputs(Path(), empty, empty, scans, empty, (), {}))


def test_faults_of_one_code_are_one_group_whatever_their_figures():
    groups = _groups([
        "[truncated] expected 900 bytes as the header claims, got at most 12; copy it",
        "[truncated] expected 800 bytes as the header claims, got at most 13; copy it",
        "[empty] expected an image, got a file of 0 bytes; copy it",
    ])  # fmt: skip
    assert [(g["n"], g["reason"].split("]")[0]) for g in groups] == [
        (2, "[truncated"),
        (1, "[empty"),
    ]
    assert "shorter than its header" in groups[0]["reason"]
    assert "0 bytes" in groups[1]["reason"]


def test_reasons_without_a_code_keep_their_own_groups():
    assert [g["reason"] for g in _groups(["no cord found", "moved"])] == ["moved", "no cord found"]


def test_details_of_one_scan_do_not_part_what_failed_for_one_reason():
    groups = _groups([f"net: no cord found (mean {f} over 88 mm)" for f in (0.61, 0.7)])
    assert [(g["n"], g["reason"]) for g in groups] == [(2, "net: no cord found")]


def test_methods_that_failed_are_counted_with_seed_and_reasons():
    rows = [
        {"subject": f"{k}", "method": method, "seed": seed, "structure": "cord", "measure": m}
        | ({"flag": "failed", "reason": f"no cord found (mean 0.{k})"} if k < n else {"value": 1.0})
        for method, seed, n in (("net", "7", 3), ("net", "42", 0), ("cord-v1", "", 1))
        for k in range(4) for m in ("csa_mm2", "volume_mm3")
    ]  # fmt: skip
    told = [
        (e["method"], e["structure"], e["n_failed"], e["n_scans"], e["reasons"])
        for e in failed_methods(as_long(pd.DataFrame(rows)))
    ]
    assert told == [
        ("net, seed 7", "spinal cord", 3, 4, "no cord found (3)"),
        ("cord-v1", "spinal cord", 1, 4, "no cord found (1)"),
    ]
    assert failed_methods(as_long(pd.DataFrame())) == []


def test_a_method_that_failed_at_comparisons_only_is_counted_among_the_scans_compared():
    compared = {"method": "net", "structure": "ventral horns", "measure": "dice",
                "reference": "manual"}  # fmt: skip
    rows = [compared | {"subject": "1", "flag": "failed", "reason": "another grid"},
            compared | {"subject": "2", "value": 0.9}]  # fmt: skip
    told = failed_methods(as_long(pd.DataFrame(rows)))
    assert [(e["n_failed"], e["n_scans"], e["reasons"]) for e in told] == [
        (1, 2, "another grid (1)")
    ]
