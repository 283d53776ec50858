"""Failures are gathered by the stable code of their fault."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from cordcohort.report.cohort_tables import failure_groups
from cordcohort.report.inputs import Inputs
from cordcohort.table import SCAN_KEY


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
