"""What the pages name is there."""

from __future__ import annotations

import re

import pytest


def _pages(root) -> str:
    files = [*root.glob("*.md"), *root.glob("docs/*.md"), *root.glob("config/**/*.md")]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


@pytest.mark.parametrize(
    ("named", "defined", "where"),
    [
        (r"`(test_\w+)`", r"^\s*def (test_\w+)", "tests/**/*.py"),
        (r"`make ([a-z][\w-]*)", r"^([a-z][\w-]*):", "Makefile"),
    ],
)
def test_every_test_and_target_that_a_page_names_is_there(root, named, defined, where):
    pages = set(re.findall(named, _pages(root)))
    texts = (file.read_text(encoding="utf-8") for file in root.glob(where))
    there = {name for text in texts for name in re.findall(defined, text, re.MULTILINE)}
    assert len(pages) > 5
    assert pages - there == set()
