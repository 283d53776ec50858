"""The page of one subject: its scans, pictures, masks, and its numbers against the cohort."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cordcohort.errors import SheetError
from cordcohort.experiments.declared import seeds_of_models
from cordcohort.files import read_record
from cordcohort.report.against_cohort import CHANCE, against, scan_values, strip
from cordcohort.report.cohort_tables import WITHOUT_REASON, people_of, subject_facts
from cordcohort.report.inputs import Config, Inputs, contact_of, records, setting, study_title
from cordcohort.report.links import picture_record, scan_anchor, subject_link
from cordcohort.report.model_notes import Notes, notes_on
from cordcohort.report.mosaic import GAP_PX, N_COLUMNS
from cordcohort.report.pages import write_page
from cordcohort.report.palette import declared_methods, method_order
from cordcohort.report.privacy import public_text
from cordcohort.report.profiles import profile_of, slice_values
from cordcohort.report.views import TILE_PX
from cordcohort.report.words import (
    STATE_TEXT,
    measure_text,
    number_text,
    scan_text,
    signed_text,
    structure_text,
    unit_text,
)
from cordcohort.scan import RECORD_SCHEMA
from cordcohort.table import SCAN_KEY

Record = dict[str, Any]

ROOT = "../../"
STRIP_WIDTH_PX = 120.0
MAX_FLAG_CHARACTERS = 90  # the whole reason stands with the mask and with the scan
_FACTS = {
    "site": "Site", "vendor": "Vendor", "field_strength": "Field [T]", "age": "Age",
    "sex": "Sex", "person": "Person",
}  # fmt: skip
_KIND_TEXT = {"seg": "mask", "softseg": "soft mask", "dseg": "label map", "dlabel": "points"}
_MEASURE_ORDER = ("csa_mm2", "dice")
_OF_LESIONS = {"sum": ", all lesions", "max": ", largest", "min": ", smallest"}
# What a reader looks at first; an unusual value of any measure is shown with them.
MAIN_MEASURES = (
    "csa_mm2", "volume_mm3", "diameter_ap_mm", "diameter_rl_mm", "dice", "rve_percent", "fa",
    "md_mm2_per_s", "lesion_count", "lesion_volume_mm3", "lesion_length_mm", "lesion_width_mm",
    "lesion_damage_ratio",
)  # fmt: skip


@dataclass(frozen=True)
class SubjectTables:
    """What the tables hold about one subject of one data set.

    Attributes
    ----------
    dataset, subject : str
        Whose.
    scans, measures, slices, people : DataFrame
        The subject's rows of the scans, of the whole-scan measures, of the area by slice, and of
        who is who; empty where there are none.
    """

    dataset: str
    subject: str
    scans: pd.DataFrame
    measures: pd.DataFrame
    slices: pd.DataFrame
    people: pd.DataFrame


def tables_by_subject(inputs: Inputs) -> dict[tuple[str, str], SubjectTables]:
    """The study's tables dealt out to its subjects, in the order of the labels.

    Parameters
    ----------
    inputs : Inputs
        The study's tables.
    """
    stems = inputs.index[[*SCAN_KEY, "stem"]].drop_duplicates(SCAN_KEY)
    scans = inputs.scans.merge(stems, on=SCAN_KEY, how="left").fillna({"stem": ""})
    slices = slice_values(inputs.results / "cohort" / "measures.parquet")
    whole = scan_values(inputs.measures)
    frames = [scans, whole, slices, people_of(inputs)]
    dealt = [_dealt(frame) for frame in frames]
    return {
        key: SubjectTables(
            *key, *[parts.get(key, f.iloc[:0]) for parts, f in zip(dealt, frames, strict=True)]
        )
        for key in dealt[0]
    }


def _dealt(frame: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    groups = frame.groupby(["dataset", "subject"], sort=True)
    return {(str(key[0]), str(key[1])): part for key, part in groups}


def write_subject_page(
    tables: SubjectTables, ranges: pd.DataFrame, report: Path, config: Config,
    notes: Notes | None = None,
) -> Path:  # fmt: skip
    """Write the page of one subject of one data set.

    Parameters
    ----------
    tables : SubjectTables
        What is known about the subject.
    ranges : DataFrame
        The cohort's ranges (:func:`cordcohort.report.against_cohort.cohort_ranges`).
    report : Path
        The report's folder.
    config : Config or mapping
        The study's configuration.
    notes : mapping, optional
        What a reader must know of the models (:func:`cordcohort.report.model_notes.model_notes`).

    Returns
    -------
    Path
        The page.
    """
    compared = against(tables.measures, ranges)
    rows = records(tables.scans)
    methods = declared_methods(config)
    profiles = [profile_of(_same_scan(tables.slices, row), methods) for row in rows]
    seeds = seeds_of_models(setting(config, "training", ()))
    drawn = [_of_methods(_picture_record(row, report), seeds) for row in rows]
    scans = [
        _scan_entry(row, _same_scan(compared, row), profile, pictures, notes or {})
        for row, profile, pictures in zip(rows, profiles, drawn, strict=True)
    ]
    facts = subject_facts(tables.scans, tables.people)
    path = report / subject_link(tables.dataset, tables.subject)
    write_page(
        path, "subject.html", ROOT,
        title=study_title(config), contact=contact_of(config),
        dataset=public_text(tables.dataset), subject=public_text(tables.subject),
        tile=TILE_PX, step=TILE_PX + GAP_PX, columns=N_COLUMNS,
        scans=scans, chance=CHANCE, n_compared=_n_compared(ranges),
        facts=[{"name": n, "value": facts[k]} for k, n in _FACTS.items() if _told(facts[k])],
    )  # fmt: skip
    return path


def _n_compared(ranges: pd.DataFrame) -> int:
    return int(ranges["n_compared"].max()) if len(ranges) else 0


def _told(value: str) -> bool:
    return value not in ("", "–")


def _same_scan(frame: pd.DataFrame, scan: Record) -> pd.DataFrame:
    keep = pd.Series(data=True, index=frame.index)
    for column in SCAN_KEY:
        keep &= frame[column] == scan[column]
    return frame[keep]


def _scan_entry(
    scan: Record, compared: pd.DataFrame, profile: Record | None, drawn: Record, notes: Notes
) -> Record:
    """All that the page says about one scan."""
    state = scan["state"]
    methods = {*compared["method"], *(mask["method"] for mask in drawn.get("masks", []))}
    return {
        "name": public_text(scan_text(scan)),
        "anchor": scan_anchor(scan),
        "state": state,
        "state_text": STATE_TEXT[state],
        "reason": public_text(scan["reason"]) or WITHOUT_REASON.get(state, ""),
        "failures": public_text(scan["failures"]) if state != "failed" else "",
        "pictures": [_picture_entry(p) for p in drawn.get("pictures", [])],
        "picture_reason": public_text(drawn.get("reason", "")),
        "notes": notes_on(notes, methods),
        "picture_note": public_text(drawn.get("note", "")),
        "masks": [_mask_entry(m, compared) for m in drawn.get("masks", [])],
        "profile": profile,
        "numbers": _numbers(compared),
    }


def _picture_record(scan: Record, report: Path) -> Record:
    """What the picture job wrote for this scan; without one the page says so."""
    path = report / picture_record(scan)
    if not scan["stem"] or not path.is_file():
        return {}
    try:
        return read_record(path, RECORD_SCHEMA)
    except (SheetError, TypeError, ValueError):
        return {"reason": "the record of its pictures could not be read"}


def _of_methods(drawn: Record, seeds: Mapping[str, tuple[str, str]]) -> Record:
    """Say of each mask under which method its numbers stand: of a seed, the experiment's."""
    masks = [
        mask | {"counted": seeds[mask["method"]][0] if mask["method"] in seeds else mask["method"]}
        for mask in drawn.get("masks", [])
    ]
    return drawn | {"masks": masks}


def _picture_entry(picture: Record) -> Record:
    methods = [m | {"name": public_text(m["name"])} for m in picture["methods"]]
    return {
        **{k: picture[k] for k in ("file", "width", "height")},
        "tiles_left": picture.get("tiles_left"),
        "slices": " ".join(str(int(z)) for z in picture.get("slices", [])),
        "alt": public_text(picture["alt"]),
        "title": public_text(picture["group"]),
        "methods": methods,
    }


def _mask_entry(mask: Record, compared: pd.DataFrame) -> Record:
    """One mask, and what it was used for, as the numbers tell."""
    fine = ~compared["flag"].isin(("failed", "undefined"))
    own = compared[fine & (compared["structure"] == mask["structure"])]
    used: list[str] = []
    if (own.loc[own["reference"] == "", "method"] == mask["counted"]).any():
        used.append("measures")
    if (own.loc[own["reference"] != "", "reference"] == mask["counted"]).any():
        used.append("reference")
    state = "ok" if mask["status"] == "ok" else "failed"
    if state == "ok" and mask["reason"]:
        state = "warning"
    return {
        "method": public_text(mask["method"]),
        "structure": structure_text(public_text(mask["structure"])),
        "kind": _KIND_TEXT.get(mask["kind"], public_text(mask["kind"])),
        "used": ", ".join(used) or "–",
        "state": state,
        "state_text": state,
        "reason": public_text(mask["reason"]),
    }


def _numbers(compared: pd.DataFrame) -> list[Record]:
    """Rows of numbers: cord first, main measures first, methods in their order."""
    entries = records(compared)
    return [_number_entry(row) for row in sorted(entries, key=_number_order)]


def _number_order(row: Record) -> tuple[Any, ...]:
    measure = row["measure"]
    place = _MEASURE_ORDER.index(measure) if measure in _MEASURE_ORDER else len(_MEASURE_ORDER)
    return row["structure"] != "cord", row["structure"], place, measure, method_order(row["method"])


def _number_entry(row: Record) -> Record:
    unusual = bool(row["unusual"])
    flag = _flag_text(row)
    against_what = f" against {row['reference']}" if row["reference"] else ""
    known = row["n"] == row["n"]
    of_lesions = _OF_LESIONS.get(row["statistic"], "")
    unit = f" [{unit_text(row['unit'])}]" if unit_text(row["unit"]) else ""
    return {
        "measure": public_text(f"{measure_text(row['measure'])}{of_lesions}{unit}"),
        "structure": structure_text(public_text(row["structure"])),
        "method": public_text(row["method"] + against_what),
        "value": number_text(row["value"]),
        "median": number_text(row["median"]),
        "range": f"({number_text(row['low'])} to {number_text(row['high'])})" if known else "",
        "n": str(int(row["n"])) if known else "0",
        "z": signed_text(row["z"]),
        "strip": strip(row, STRIP_WIDTH_PX),
        "unusual": unusual,
        "main": unusual or row["measure"] in MAIN_MEASURES,
        "flag": flag or ("unusual" if unusual else ""),
    }


def _flag_text(row: Record) -> str:
    """What befell a whole mask or scan in one word, its reason stands above; else in full."""
    if row["flag"] in ("failed", "excluded"):
        return row["flag"]
    return public_text(": ".join(t for t in (row["flag"], row["reason"]) if t), MAX_FLAG_CHARACTERS)
