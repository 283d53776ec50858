"""The contact sheet: every scan's picture, the most unusual first, to be passed or failed.

What is decided there is saved by the page as a download in the form of the exclusion list, which
the next run reads (:mod:`cordcohort.exclusion_files`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.cohort.exclusion import PART_KEYS, STEP, Entry, read_entries, scan_matches
from cordcohort.errors import SheetError
from cordcohort.files import read_json
from cordcohort.report.inputs import Inputs, contact_of, records, study_title
from cordcohort.report.links import REVIEW_PAGE, REVIEW_SCRIPT, picture_record, scan_anchor
from cordcohort.report.links import subject_link as link_of
from cordcohort.report.pages import write_page
from cordcohort.report.palette import method_order
from cordcohort.report.privacy import public_text
from cordcohort.report.words import STATE_TEXT, scan_text, signed_text
from cordcohort.table import SCAN_KEY

Record = dict[str, Any]

DECISIONS_FILE = "qc_decisions.yaml"
MAX_REASON_CHARACTERS = 200
FILTERS = ("dataset", "site", "vendor", "session", "contrast", "state")


def write_review_page(
    inputs: Inputs, scans: pd.DataFrame, report: Path, exclusions: Sequence[Entry] = ()
) -> Path:
    """Write the contact sheet.

    Parameters
    ----------
    inputs : Inputs
        The study's tables.
    scans : DataFrame
        From :func:`cordcohort.report.scan_list.scans_with_numbers`.
    report : Path
        The report's folder.
    exclusions : sequence of mappings
        Entries of the exclusion lists; the scans that they name start as failed.

    Returns
    -------
    Path
        The page.
    """
    stems = inputs.index[[*SCAN_KEY, "stem"]].drop_duplicates(SCAN_KEY)
    scans = scans.merge(stems, on=SCAN_KEY, how="left").fillna({"stem": ""})
    scans = _ordered(scans)
    methods = _methods(inputs.measures)
    earlier = _earlier(read_entries(exclusions), scans)
    cards = [_card(row, methods.get(key, []), report) | {"earlier": earlier.get(key, [])}
             for row in records(scans) for key in [tuple(row[k] for k in SCAN_KEY)]]  # fmt: skip
    path = report / REVIEW_PAGE
    write_page(
        path, "review.html", "",
        title=study_title(inputs.config), contact=contact_of(inputs.config),
        review_script=REVIEW_SCRIPT, decisions_file=DECISIONS_FILE, cards=cards,
        filters=_filters(cards),
    )  # fmt: skip
    return path


def _earlier(entries: Sequence[Entry], scans: pd.DataFrame) -> dict[tuple[str, ...], list[Record]]:
    """What was decided of each scan before: entries for it, or for one of its masks, as a whole.

    The page saves one list; it must hold these too, or it would undo them in the place of its
    predecessor. Entries for a measure or a step are no decision of this page and stay where they
    are, as does a mask's entry that names no subject.
    """
    found: dict[tuple[str, ...], list[Record]] = {}
    for entry in entries:
        parts = {key for key in (*PART_KEYS, STEP) if key in entry}
        if parts - {"method"} or (parts and "subject" not in entry):
            continue
        decision = {"part": entry.get("method", ""), "reason": public_text(entry["reason"])}
        decision |= {key: public_text(entry.get(key, "")) for key in ("by", "date")}
        for row in records(scans.loc[scan_matches(scans, entry), SCAN_KEY]):
            own = found.setdefault(tuple(row[k] for k in SCAN_KEY), [])
            if all(one["part"] != decision["part"] for one in own):
                own.append(decision)
    return found


def _ordered(scans: pd.DataFrame) -> pd.DataFrame:
    """Failed scans first, then the most unusual; excluded ones, already decided, last."""
    place = scans["state"].map({"failed": 0, "excluded": 2}).fillna(1)
    chance = scans["chance"].fillna(np.inf)
    far = -scans["z"].abs().fillna(0.0)
    ordered = scans.assign(place=place, order_chance=chance, order_far=far)
    keys = ["place", "order_chance", "order_far", *SCAN_KEY]
    return ordered.sort_values(keys, kind="stable", ignore_index=True)


def _methods(measures: pd.DataFrame) -> dict[tuple[str, ...], list[str]]:
    """Methods that measured each scan."""
    pairs = measures.loc[measures["method"] != "", [*SCAN_KEY, "method"]].drop_duplicates()
    groups = pairs.groupby(SCAN_KEY, sort=False)["method"]
    return {tuple(map(str, key)): sorted(own, key=method_order)  # pyright: ignore
            for key, own in groups}  # fmt: skip


def _card(row: Record, methods: list[str], report: Path) -> Record:
    """What the page needs of one scan: labels as they are for the list, words to be shown."""
    picture = _first_picture(row, report)
    return {
        "key": [row[k] for k in SCAN_KEY],
        "name": public_text(f"{row['dataset']} sub-{row['subject']} {scan_text(row)}"),
        "link": f"{link_of(row['dataset'], row['subject'])}#{scan_anchor(row)}",
        "site": public_text(row["site"]),
        "vendor": public_text(row["vendor"]),
        "state": STATE_TEXT[row["state"]],
        "unusual": bool(row["unusual"]),
        "distance": signed_text(float(row["z"])),
        "what": public_text(row["what"]),
        "reason": public_text(row["reason"], MAX_REASON_CHARACTERS),
        "methods": methods,
        "picture": picture,
    }


def _first_picture(row: Record, report: Path) -> list[Any]:
    """File, width, height and text of the first picture; empty without one."""
    path = report / picture_record(row)
    if not row["stem"] or not path.is_file():
        return []
    try:
        pictures = read_json(path).get("pictures", [])
    except (SheetError, AttributeError):
        return []
    return [pictures[0][k] for k in ("file", "width", "height", "alt")] if pictures else []


def _filters(cards: list[Record]) -> list[Record]:
    """Filters with more than one choice; the page looks the values up by name."""
    values = {
        "dataset": [c["key"][0] for c in cards], "session": [c["key"][2] for c in cards],
        "contrast": [c["key"][5] for c in cards], "site": [c["site"] for c in cards],
        "vendor": [c["vendor"] for c in cards], "state": [c["state"] for c in cards],
    }  # fmt: skip
    found = {name: sorted(set(values[name]) - {""}) for name in FILTERS}
    return [{"name": n, "choices": found[n]} for n in FILTERS if len(found[n]) > 1]
