"""The table of who and what each site gave, in the papers' layout: one column a site.

A person counts once in each site and once in the whole, however many subject labels or scans there
are. Every row says for how many persons or scans it was not reported (n/r).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.cohort.persons import person_keys
from cordcohort.errors import SheetError
from cordcohort.files import read_json
from cordcohort.report.cohort_tables import (
    ALL_SITES,
    NO_SITE,
    NOT_REPORTED,
    SEX_TEXT,
    SEX_VARIABLES,
    site_names,
)
from cordcohort.report.dealt_people import dealt_seed, splits_of
from cordcohort.report.field_strength import of_persons, subject_fields
from cordcohort.report.inputs import Inputs, records
from cordcohort.report.links import picture_record
from cordcohort.report.privacy import AGE_VARIABLES, age_text, binned_age_years, public_text
from cordcohort.table import SCAN_KEY
from cordcohort.text_scores import text_cells

# Names under which sheets give what the table tells, lower case; the first that a person has.
VARIABLES: dict[str, tuple[str, ...]] = {
    "age": AGE_VARIABLES,
    "sex": SEX_VARIABLES,
    "group": ("group", "pathology", "diagnosis"),
    "days": ("days_since_injury", "days_injury_to_mri", "time_since_injury_days"),
    "implants": ("implants", "implant"),
    "origin": ("lesion_origin", "injury_origin", "aetiology", "etiology"),
    "level": ("injury_level", "lesion_level", "level_of_injury"),
}
REGIONS = {"c": "cervical", "t": "thoracic", "l": "lumbar", "s": "sacral"}
AXES = ("sagittal", "coronal", "axial")
ISOTROPIC = 1.05  # a voxel whose sides differ by less than this factor has no slice direction
MAX_CATEGORIES = 8
MAX_CATEGORY_CHARACTERS = 30
_YES_NO = {"yes": "yes", "1": "yes", "true": "yes", "no": "no", "0": "no", "false": "no"}


@dataclass(frozen=True)
class Site:
    """What a column is made from: scans, persons, voxels, field strengths, scores that are text."""

    scans: pd.DataFrame
    people: pd.DataFrame
    voxels: pd.DataFrame
    fields: pd.Series
    text: pd.DataFrame


def characteristics(inputs: Inputs) -> tuple[list[str], list[dict[str, str]]]:
    """The table: names of its columns, and its rows from label to text.

    Parameters
    ----------
    inputs : Inputs
        The study's tables.

    Returns
    -------
    list of str, list of dict
        Columns (``characteristic``, one a site, all sites), and one mapping a row.
    """
    scans = inputs.scans.assign(person_key=person_keys(inputs.scans))
    people, voxels = people_table(inputs), voxel_table(inputs)
    keys = scans[["dataset", "subject", "person_key"]].drop_duplicates()
    fields = subject_fields(inputs).merge(keys, on=["dataset", "subject"])
    text = text_cells(inputs.scores.assign(person_key=person_keys(inputs.scores)))
    names = site_names(scans)
    columns: dict[str, Site] = {}
    for name in [*names, None]:
        own = scans if name is None else scans[scans["site"] == name]
        title = ALL_SITES if name is None else public_text(name) or NO_SITE
        columns[title] = Site(
            own,
            people.loc[sorted(set(own["person_key"]))],
            voxels.merge(own[SCAN_KEY], on=SCAN_KEY),
            of_persons(fields, own),
            text[text["person_key"].isin(own["person_key"])],
        )
    if len(names) == 1:
        columns.pop(ALL_SITES)
    rows = [
        {"characteristic": label} | {title: told(site) for title, site in columns.items()}
        for label, told in _rows_of(people, dealt_seed(inputs)).items()
        if label != TEXT_ROW or len(text)
    ]
    return ["characteristic", *columns], rows


def people_table(inputs: Inputs) -> pd.DataFrame:
    """One row a person (index: person key) with the columns of :data:`VARIABLES`, as text."""
    persons = sorted(set(person_keys(inputs.scans)))
    table = pd.DataFrame("", index=pd.Index(persons, dtype="str"), columns=list(VARIABLES))
    scores = inputs.scores
    scores = scores.assign(key=person_keys(scores), name=scores["variable"].str.lower())
    scores = scores[(scores["value"] != "") & scores["key"].isin(persons)]
    for column, names in VARIABLES.items():
        for name in reversed(names):
            first = scores[scores["name"] == name].sort_values(["session"], kind="stable")
            first = first.drop_duplicates("key").set_index("key")["value"]
            table.loc[first.index, column] = first
    return table.assign(split=splits_of(inputs, persons))


def voxel_table(inputs: Inputs) -> pd.DataFrame:
    """Scans whose image was drawn: scan key, ``plane`` and voxel sides ``in_plane``, ``thick``.

    Sides are in mm; ``plane`` is ``isotropic``, or across which way the slices lie.
    """
    rows: list[dict[str, Any]] = []
    for scan in records(inputs.index[[*SCAN_KEY, "stem"]]):
        path = inputs.results / "report" / picture_record(scan)
        spacing = _spacing_mm(path)
        if len(spacing) != len(AXES):
            continue
        sides = np.array(spacing)
        axis = int(sides.argmax())
        isotropic = sides.max() <= ISOTROPIC * sides.min()
        told = {"plane": "isotropic" if isotropic else AXES[axis], "thick": float(sides.max()),
                "in_plane": [float(s) for s in np.delete(sides, axis)]}  # fmt: skip
        rows.append({k: scan[k] for k in SCAN_KEY} | told)
    return pd.DataFrame(rows, columns=[*SCAN_KEY, "plane", "in_plane", "thick"])


def _spacing_mm(path: Path) -> Sequence[float]:
    try:
        told = read_json(path).get("spacing_mm") if path.is_file() else None
    except (SheetError, AttributeError):
        return []
    return told or []


def _with_missing(text: str, n_missing: int) -> str:
    if not text:
        return NOT_REPORTED
    return f"{text}; {n_missing} n/r" if n_missing else text


def _categories(values: pd.Series) -> str:
    """``7 F, 3 M``: most frequent first, what was not reported last."""
    known = values[values != ""]
    counts = known.map(lambda v: public_text(v, MAX_CATEGORY_CHARACTERS)).value_counts()
    ordered = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    shown = [f"{n} {name}" for name, n in ordered[:MAX_CATEGORIES]]
    rest = sum(n for _, n in ordered[MAX_CATEGORIES:])
    return _with_missing(", ".join([*shown, *([f"{rest} other"] if rest else [])]),
                         len(values) - len(known))  # fmt: skip


def _numbers(values: pd.Series) -> np.ndarray:
    number = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float)
    return number[np.isfinite(number)]


def _age(site: Site) -> str:
    years = np.array([binned_age_years(a) for a in _numbers(site.people["age"])])
    if not len(years):
        return NOT_REPORTED
    span = f"({age_text(float(years.min()))}–{age_text(float(years.max()))})"
    if len(years) == 1:
        span = ""
    return _with_missing(f"{_mean_sd(years)} {span}".strip(), len(site.people) - len(years))


def _mean_sd(values: np.ndarray) -> str:
    if len(values) == 1:
        return f"{values[0]:.0f}"
    return f"{values.mean():.1f} ± {values.std(ddof=1):.1f}"


def _days(site: Site) -> str:
    days = _numbers(site.people["days"])
    if not len(days):
        return NOT_REPORTED
    text = f"{_mean_sd(days)}, median {np.median(days):g}"
    return _with_missing(text, len(site.people) - len(days))


def _mapped(column: str, words: Mapping[str, str]) -> Callable[[Site], str]:
    def told(site: Site) -> str:
        values = site.people[column]
        return _categories(values.map(lambda v: words.get(str(v).strip().lower(), str(v))))

    return told


def _level(site: Site) -> str:
    def region(level: str) -> str:
        short = level[:1].lower()
        return REGIONS[short] if level[1:2].isdigit() and short in REGIONS else level

    return _categories(site.people["level"].map(region))


def _field(site: Site) -> str:
    return _categories(site.fields)


def _vendor(site: Site) -> str:
    pairs = site.scans[["person_key", "vendor"]].drop_duplicates()
    return _categories(pairs["vendor"])


def _orientation(site: Site) -> str:
    missing = len(site.scans) - len(site.voxels)
    counts = site.voxels["plane"].value_counts().sort_index()
    return _with_missing(", ".join(f"{n} {plane}" for plane, n in counts.items()), missing)


def _voxels(site: Site) -> str:
    parts: list[str] = []
    for plane, own in site.voxels.groupby("plane", sort=True):
        inside = np.array([side for pair in own["in_plane"] for side in pair])
        if plane == "isotropic":
            parts.append(f"isotropic {_span(np.append(inside, own['thick']))} mm")
        else:
            thick = own["thick"].to_numpy(dtype=float)
            parts.append(f"{plane} {_span(inside)} mm in plane, {_span(thick)} mm thick")
    return _with_missing("; ".join(parts), len(site.scans) - len(site.voxels))


def _span(values: np.ndarray) -> str:
    low, high = f"{values.min():.2f}", f"{values.max():.2f}"
    return low if low == high else f"{low}–{high}"


def _n_sessions(site: Site) -> str:
    return str(len(site.scans[["dataset", "subject", "session"]].drop_duplicates()))


def _n_followed(site: Site) -> str:
    """Persons with more than one session under one label: other sites of a person are no visit."""
    subjects = ["person_key", "dataset", "subject"]
    visits = site.scans[[*subjects, "session"]].drop_duplicates().groupby(subjects).size()
    return str(visits[visits > 1].reset_index()["person_key"].nunique())


def _dealt(split: str) -> Callable[[Site], str]:
    """Persons of a split, and how many of them were hurt at which part of the cord."""

    def told(site: Site) -> str:
        own = replace(site, people=site.people[site.people["split"] == split])
        levels = _level(own)
        n = str(len(own.people))
        return n if levels == NOT_REPORTED else f"{n}: {levels}"

    return told


def _rows_of(people: pd.DataFrame, seed: str) -> dict[str, Callable[[Site], str]]:
    """Rows by their titles: of training and test with the seed, and by level where anybody was."""
    left_out = set() if people["split"].isin(_BY_LEVEL.values()).any() else set(_BY_LEVEL)
    of_seed = {SPLIT_ROW, *_BY_LEVEL} if seed else set()
    return {
        f"{label}, seed {seed}" if label in of_seed else label: told
        for label, told in _ROWS.items()
        if label not in left_out
    }


SPLIT_ROW = "Training and test (persons)"
TEXT_ROW = "Scores with text in place of a number (cells)"
_BY_LEVEL = {"Training (persons by level)": "train", "Test (persons by level)": "test"}
_ROWS: dict[str, Callable[[Site], str]] = {
    "Persons": lambda site: str(len(site.people)),
    "Group": lambda site: _categories(site.people["group"]),
    SPLIT_ROW: lambda site: _categories(site.people["split"]),
    **{label: _dealt(split) for label, split in _BY_LEVEL.items()},
    "Sessions": _n_sessions,
    "Persons with follow-up": _n_followed,
    "Scans": lambda site: str(len(site.scans)),
    "Contrasts (scans)": lambda site: _categories(site.scans["contrast"]),
    "Sex": _mapped("sex", SEX_TEXT),
    "Age [years], mean ± SD (range)": _age,
    "Days since injury, mean ± SD": _days,
    "Implants": _mapped("implants", _YES_NO),
    "Origin of lesion": lambda site: _categories(site.people["origin"]),
    "Level of injury": _level,
    "Vendor (persons)": _vendor,
    "Field strength (persons)": _field,
    "Slice orientation (scans)": _orientation,
    "Voxel size": _voxels,
    TEXT_ROW: lambda site: _categories(site.text["variable"]) if len(site.text) else "none",
}
