"""Where each file of the report lies, relative to the report's folder."""

from __future__ import annotations

from collections.abc import Mapping

from cordcohort.report.privacy import safe_name

INDEX_PAGE = "index.html"
PICTURES = "pictures"
FIGURES = "figures"
TABLES = "tables"
STYLE = "assets/report.css"
SCRIPT = "assets/report.js"
REVIEW_PAGE = "review.html"
REVIEW_SCRIPT = "assets/review.js"
SLICES_SCRIPT = "assets/slices.js"


def subject_link(dataset: str, subject: str) -> str:
    """Page of a subject; two datasets may use the same label.

    Examples
    --------
    >>> subject_link("site-a", "01")
    'subjects/site-a/sub-01.html'
    """
    return f"subjects/{safe_name(dataset)}/sub-{safe_name(subject)}.html"


def scan_anchor(scan: Mapping[str, str]) -> str:
    """Name of a scan's place on its subject's page."""
    words = [scan["session"], scan["acquisition"], scan["run"], scan["contrast"]]
    return "scan-" + "-".join(safe_name(w) if w else "0" for w in words)


def picture_record(scan: Mapping[str, str]) -> str:
    """The record that is written for every scan, with or without a picture."""
    return f"{PICTURES}/{safe_name(scan['dataset'])}/{safe_name(scan['stem'])}.json"


def picture_file(scan: Mapping[str, str], group: str) -> str:
    """The picture of one group of structures on one scan."""
    word = "-".join(group.lower().split())
    name = f"{safe_name(scan['stem'])}_{safe_name(word)}.png"
    return f"{PICTURES}/{safe_name(scan['dataset'])}/{name}"
