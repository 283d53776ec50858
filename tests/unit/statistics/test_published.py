"""Published analyses stand in the docs as lines of a config: every one of them is accepted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from cordcohort.statistics.catalogue import check_analysis, kinds

PAGE = (Path(__file__).parents[3] / "docs" / "analyses.md").read_text()
LINES = sorted(set(re.findall(r"`(\{kind: [^`]*\})`", PAGE)))


@pytest.mark.parametrize("line", LINES)
def test_a_published_analysis_is_one_valid_line(line: str) -> None:
    check_analysis({"name": "a", **yaml.safe_load(line)})


def test_the_page_names_every_paper_and_only_kinds_that_exist() -> None:
    assert len(LINES) > 25
    assert {yaml.safe_load(line)["kind"] for line in LINES} <= set(kinds())
    for study in ("spine-generic", "Rootlets", "Contrast-agnostic", "SCIseg", "SCS-Net"):
        assert f"## {study}" in PAGE
