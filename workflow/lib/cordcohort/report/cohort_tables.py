"""The tables of the index page: counts, cohort by site, failures by reason, all scans."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from typing import Any

import pandas as pd

from cordcohort.cohort.failures import method_failures
from cordcohort.cohort.scans import STATES
from cordcohort.fault_codes import codes_of, meaning_of
from cordcohort.report.field_strength import subject_fields, subject_text
from cordcohort.report.inputs import Inputs, records
from cordcohort.report.links import scan_anchor, subject_link
from cordcohort.report.privacy import AGE_VARIABLES, age_text, public_text
from cordcohort.report.words import STATE_TEXT, scan_text, structure_text
from cordcohort.table import SCAN_KEY

Record = dict[str, Any]

ALL_SITES = "all sites"
NOT_REPORTED = "–"
NO_SITE = "no site named"
SEX_VARIABLES = ("sex", "gender")
WITHOUT_REASON = {
    "no_image": "there is no image",
    "not_measured": "there is no mask, so nothing could be measured",
}
SEX_TEXT = {"f": "F", "female": "F", "m": "M", "male": "M", "o": "other", "other": "other"}
_DETAILS = re.compile(r"\s*\([^()]*\d[^()]*\)")  # the numbers of one scan
_SUBJECT = ["dataset", "subject"]


def site_names(scans: pd.DataFrame) -> list[str]:
    """The sites of a study in the order that every table and figure uses."""
    return sorted(set(scans["site"]))


def headline_counts(scans: pd.DataFrame) -> list[Record]:
    """Scans found, measured, failed, excluded, without image and not measured, by site and in all.

    Parameters
    ----------
    scans : DataFrame
        One row a scan with ``site`` and ``state``.

    Returns
    -------
    list of dict
        ``site, found`` and one count a state; the last row is the sum.

    Examples
    --------
    >>> frame = pd.DataFrame({"site": ["a", "b", "b"], "state": ["measured", "measured", "failed"]})
    >>> [(r["site"], r["found"], r["measured"], r["failed"]) for r in headline_counts(frame)]
    [('a', 1, 1, 0), ('b', 2, 1, 1), ('all sites', 3, 2, 1)]
    """
    groups: list[tuple[str, pd.DataFrame]] = [
        (site, scans[scans["site"] == site]) for site in site_names(scans)
    ]
    rows: list[Record] = []
    for site, part in [*groups, (ALL_SITES, scans)]:
        row: Record = {"site": public_text(site) or NO_SITE, "found": len(part)}
        row["total"] = part is scans
        row |= {state: int((part["state"] == state).sum()) for state in STATES}
        rows.append(row)
    return rows


def people_of(inputs: Inputs) -> pd.DataFrame:
    """Age, sex and field strength of each subject, from the allowed variables and the sidecars."""
    people = inputs.scans[_SUBJECT].drop_duplicates()
    scores = inputs.scores.assign(variable=inputs.scores["variable"].str.lower())
    wanted = {"age": AGE_VARIABLES, "sex": SEX_VARIABLES}
    for column, names in wanted.items():
        rows = scores[scores["variable"].isin(names) & (scores["value"] != "")]
        first = rows.drop_duplicates(_SUBJECT)[[*_SUBJECT, "value"]]
        people = people.merge(first.rename(columns={"value": column}), on=_SUBJECT, how="left")
    people["age"] = pd.to_numeric(people["age"], errors="coerce")
    people["sex"] = people["sex"].str.lower().map(SEX_TEXT)
    fields = subject_fields(inputs)
    told = [subject_text(row["sheet"], row["images"]) for row in records(fields)]
    return people.merge(fields[_SUBJECT].assign(field_strength=told), on=_SUBJECT, how="left")


def subject_facts(scans: pd.DataFrame, person: pd.DataFrame) -> Record:
    """Site, vendor, person, age and sex of one subject, fit to be shown.

    Parameters
    ----------
    scans : DataFrame
        The subject's scans.
    person : DataFrame
        The subject's row of :func:`people_of`, or none.
    """
    persons = sorted(set(scans["person"]) - {"", *scans["subject"]})
    sex = person["sex"].dropna()
    return {
        "site": _listed(scans["site"]),
        "vendor": _listed(scans["vendor"]),
        "field_strength": _listed(person["field_strength"]),
        "age": age_text(float(person["age"].iloc[0])) if len(person) else "",
        "sex": str(sex.iloc[0]) if len(sex) else "",
        "person": ", ".join(public_text(p) for p in persons),
    }


def _listed(values: pd.Series) -> str:
    words = sorted({public_text(v) for v in values.dropna()} - {""})
    return ", ".join(words) or NOT_REPORTED


def failure_groups(inputs: Inputs) -> list[Record]:
    """Scans that failed, are missing, or were excluded, gathered by the codes of their reasons.

    Returns
    -------
    list of dict
        ``state, reason, n, scans``: one entry for each code or, without one, reason; failed before
        missing before excluded, the most frequent first; ``scans`` names each with the link to
        its page.
    """
    bad = inputs.scans[inputs.scans["state"] != "measured"]
    bad = bad.assign(group=bad["reason"].map(_group_name))
    groups = [
        _group(state, name if part["reason"].nunique() > 1 else part["reason"].iloc[0], part)
        for (state, name), part in _grouped(bad, ["state", "group"])
    ]
    order = {"failed": 0, "no_image": 1, "not_measured": 2, "excluded": 3}
    return sorted(groups, key=lambda g: (order.get(g["state"], 9), -g["n"], g["reason"]))


def failed_methods(measures: pd.DataFrame) -> list[Record]:
    """Methods that failed on scans, each with the numbers of scans and the reasons.

    Parameters
    ----------
    measures : DataFrame
        Long table.

    Returns
    -------
    list of dict
        ``method, structure, n_failed, n_scans, reasons``: one entry a method (with its seed) and
        structure, the most frequent first; ``reasons`` with the scans that each befell.
    """
    columns = ["method", "seed", "structure"]
    failed = method_failures(measures)
    used = measures[measures["flag"] != "excluded"]
    looked_at = used[[*SCAN_KEY, *columns]].drop_duplicates().groupby(columns).size().to_dict()
    entries: list[Record] = []
    for key, part in failed.groupby(columns, sort=True):
        method, seed, structure = (str(k) for k in key)  # pyright: ignore
        reasons = part.assign(reason=part["reason"].map(_group_name)).drop_duplicates()
        counts = reasons["reason"].value_counts()
        entries.append({
            "method": public_text(f"{method}, seed {seed}" if seed else method),
            "structure": structure_text(public_text(structure)),
            "n_failed": len(part.drop_duplicates(SCAN_KEY)),
            "n_scans": int(looked_at[key]),
            "reasons": "; ".join(public_text(f"{r} ({n})") for r, n in counts.items()),
        })  # fmt: skip
    return sorted(entries, key=lambda e: -e["n_failed"])


def _group_name(reason: str) -> str:
    """What the faults of a reason have in common with those of other files."""
    return meaning_of(codes_of(reason)) or _DETAILS.sub("", reason).strip() or reason


def _grouped(
    frame: pd.DataFrame, columns: list[str]
) -> Iterable[tuple[tuple[str, ...], pd.DataFrame]]:
    def labels(key: Hashable) -> tuple[str, ...]:
        return tuple(str(k) for k in key) if isinstance(key, tuple) else (str(key),)

    return ((labels(key), part) for key, part in frame.groupby(columns, sort=True))


def _group(state: str, reason: str, part: pd.DataFrame) -> Record:
    rows = records(part.drop_duplicates(SCAN_KEY))
    scans = [
        {
            "site": public_text(row["site"]),
            "dataset": public_text(row["dataset"]),
            "subject": public_text(row["subject"]),
            "scan": public_text(scan_text(row)),
            "link": f"{subject_link(row['dataset'], row['subject'])}#{scan_anchor(row)}",
        }
        for row in rows
    ]
    text = public_text(reason) or WITHOUT_REASON.get(state, "no reason was written")
    return {"state": state, "title": STATE_TEXT[state], "reason": text, "scans": scans,
            "n": len(scans)}  # fmt: skip
