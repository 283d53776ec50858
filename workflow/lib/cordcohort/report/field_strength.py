"""Field strength of the scanners: as the sheets say, else as the sidecars of the images do."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pandas as pd

from cordcohort.report.inputs import Inputs, records
from cordcohort.report.privacy import public_text

FIELD_VARIABLES = ("field_strength_t", "field_strength", "magneticfieldstrength")
MAX_TOLD = 8
NOMINAL = 0.05
"""Share within which a half is meant: magnets of 3 T name themselves 2.89 T, of 1.5 T 1.494 T."""
_TESLA = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:T|tesla)?\s*", re.IGNORECASE)
_SUBJECT = ["dataset", "subject"]


def nominal_tesla(text: str) -> tuple[str, ...]:
    """Nominal field strengths that a cell names, rising; none where a part of it is no number.

    Examples
    --------
    >>> nominal_tesla("2.89362"), nominal_tesla("3T"), nominal_tesla("1.494, 3"), nominal_tesla("?")
    (('3',), ('3',), ('1.5', '3'), ())
    >>> nominal_tesla("0.55"), nominal_tesla("")
    (('0.55',), ())
    """
    found = [_TESLA.fullmatch(part) for part in text.split(",")]
    values = {_nominal(float(one[1])) for one in found if one}
    return () if None in found else tuple(f"{tesla:g}" for tesla in sorted(values))


def _nominal(tesla: float) -> float:
    half = round(2 * tesla) / 2
    return half if abs(tesla - half) <= NOMINAL * half else tesla


def subject_fields(inputs: Inputs) -> pd.DataFrame:
    """What sheets and sidecars say of each subject with a scan.

    Returns
    -------
    DataFrame
        ``dataset``, ``subject``, ``sheet``, ``images``: text, empty where nothing is said.
    """
    people = inputs.scans[_SUBJECT].drop_duplicates()
    names = {name: place for place, name in enumerate(FIELD_VARIABLES)}
    said = inputs.scores.assign(place=inputs.scores["variable"].str.lower().map(names))
    said = said[said["place"].notna() & (said["value"] != "")]
    said = said.sort_values(["place", "session"], kind="stable").drop_duplicates(_SUBJECT)
    people = people.merge(
        said[[*_SUBJECT, "value"]].rename(columns={"value": "sheet"}), on=_SUBJECT, how="left"
    )
    written = inputs.participants[[*_SUBJECT, "field_strength"]]
    people = people.merge(written.rename(columns={"field_strength": "images"}), "left", _SUBJECT)
    return people.fillna({"sheet": "", "images": ""})


def told_tesla(sheet: str, images: str) -> tuple[str, ...]:
    """The sheet's field strengths; those of the images where it has none."""
    return nominal_tesla(sheet) or nominal_tesla(images)


def subject_text(sheet: str, images: str) -> str:
    """Field strength of one subject; both where sheet and images differ.

    Examples
    --------
    >>> subject_text("", "2.89"), subject_text("3", "3"), subject_text("3", "1.5")
    ('3', '3', '3 in the sheet, 1.5 in the images')
    """
    told = ", ".join(told_tesla(sheet, images)) or sheet
    if not _differ(sheet, images):
        return public_text(told)
    return f"{told} in the sheet, {', '.join(nominal_tesla(images))} in the images"


def _differ(sheet: str, images: str) -> bool:
    both = nominal_tesla(sheet), nominal_tesla(images)
    return all(both) and both[0] != both[1]


def of_persons(fields: pd.DataFrame, rows: pd.DataFrame) -> pd.Series:
    """Field strengths of the persons of some scans, in words.

    Parameters
    ----------
    fields : DataFrame
        From :func:`subject_fields`, with ``person_key``.
    rows : DataFrame
        The scans of one site, with ``person_key``: a person who was scanned at several counts at
        each with the scanner there, or without word of it with what is known of the person.

    Returns
    -------
    Series of str
        By ``person_key``.
    """
    here = fields.merge(rows[_SUBJECT].drop_duplicates(), on=_SUBJECT)
    elsewhere = _by_person(fields)
    told = _by_person(here)
    return pd.Series({p: _in_words(told[p] or elsewhere[p]) for p in sorted(told)}, dtype="str")


def _by_person(fields: pd.DataFrame) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in records(fields):
        found.setdefault(row["person_key"], set()).update(told_tesla(row["sheet"], row["images"]))
    return found


def _in_words(tesla: Iterable[str]) -> str:
    values = sorted(tesla, key=float)
    return f"at {' and '.join(values)} T" if values else ""


def field_note(fields: pd.DataFrame) -> str:
    """Whose sheet and images differ; empty where nobody's do."""
    rows = [row for row in records(fields) if _differ(row["sheet"], row["images"])]
    if not rows:
        return ""
    told = [
        f"{public_text(row['dataset'])} sub-{public_text(row['subject'])} "
        f"({_bare(row['sheet'])} against {_bare(row['images'])} T)"
        for row in rows[:MAX_TOLD]
    ]
    more = f" and {len(rows) - MAX_TOLD} more" if len(rows) > MAX_TOLD else ""
    plural = "s" if len(rows) > 1 else ""
    return (
        f"Field strength of {len(rows)} subject{plural}: the sheet, which is counted, says "
        f"otherwise than the sidecars of the images: {', '.join(told)}{more}."
    )


def _bare(text: str) -> str:
    return " and ".join(nominal_tesla(text))
