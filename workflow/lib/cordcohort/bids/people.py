"""Who was scanned, where and by whose scanner; who is listed but not there."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from cordcohort.bids.found import Found
from cordcohort.bids.sheets import Sheets

if TYPE_CHECKING:
    from cordcohort.config import Dataset

# Spellings of the three manufacturers as scanners write them into sidecars.
_VENDORS = {"siemens": "Siemens", "philips": "Philips", "ge ": "GE", "general electric": "GE"}


def list_participants(dataset: Dataset, found: Found, sheets: Sheets) -> list[dict[str, Any]]:
    """Everyone whom a sheet lists or a folder holds."""
    with_scans = {key[0] for key in found.scans}
    rows: list[dict[str, Any]] = []
    for subject in sorted({*sheets.participants, *found.subjects, *with_scans}):
        said = sheets.participants.get(subject, {})
        # A cell n/a says that the site is not known; a sheet without the row says nothing.
        unsaid_site = "" if sheets.has_sites and said else dataset.name
        rows.append(
            {
                "dataset": dataset.name,
                "subject": subject,
                "person": said.get("person", ""),
                "site": said.get("site") or dataset.site or unsaid_site,
                "vendor": vendor_name(said.get("vendor") or dataset.vendor or ""),
                "split": said.get("split") or dataset.split,
                "listed": subject in sheets.participants,
                "found": subject in found.subjects or subject in with_scans,
            }
        )
    return rows


def vendor_name(name: str) -> str:
    """One spelling for a manufacturer, whatever the scanner writes.

    Examples
    --------
    >>> vendor_name("SIEMENS"), vendor_name("GE MEDICAL SYSTEMS"), vendor_name("Other")
    ('Siemens', 'GE', 'Other')
    """
    folded = name.casefold() + " "
    return next((one for start, one in _VENDORS.items() if folded.startswith(start)), name)


def name_persons(people: list[dict[str, Any]]) -> None:
    """Give everyone a person: the sheet's, or the subject label where that names one person only.

    Two data sets may use one label for two people; without a person column they must stay two, so
    such labels are joined with their data set.
    """
    n_datasets = Counter(p["subject"] for p in people)
    named = {p["person"] for p in people if p["person"]}
    for p in people:
        if not p["person"]:
            alone = n_datasets[p["subject"]] == 1 and p["subject"] not in named
            p["person"] = p["subject"] if alone else f"{p['dataset']}-{p['subject']}"


def absences(found: Found, sheets: Sheets) -> list[tuple[str, str]]:
    """Who and what is listed but not there, and the reverse."""
    with_scans = {key[0] for key in found.scans}
    present = found.subjects | with_scans
    sessions = found.sessions | {(key[0], key[1]) for key in found.scans}
    listed_sessions = {(row["subject"], row["session"]) for row in sheets.scores if row["session"]}
    notes = [
        (f"sub-{s}", "listed in participants.tsv, but no folder is there")
        for s in sorted(set(sheets.participants) - present)
    ]
    if sheets.participants:
        notes += [
            (f"sub-{s}", "has a folder, but no row in participants.tsv")
            for s in sorted(present - set(sheets.participants))
        ]
    notes += [
        (f"sub-{s}", "a folder without any scan or mask that is used")
        for s in sorted(found.subjects - with_scans)
    ]
    notes += [
        (f"sub-{s}/ses-{session}", "session in a sheet, but no folder is there")
        for s, session in sorted(listed_sessions - sessions)
        if s in present
    ]
    if sheets.has_sites:
        notes += [
            (f"sub-{s}", "no site in participants.tsv")
            for s, said in sorted(sheets.participants.items())
            if s in present and not said["site"]
        ]
    return notes
