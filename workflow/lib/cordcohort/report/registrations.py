"""Registrations behind the soft ground truth: a picture of each, and the list with the worst first.

A picture shows the reference scan with the outline of its own mask and that of the other contrast's
mask after alignment. One that failed is drawn as well: that is the one to look at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from cordcohort.binary import binarised
from cordcohort.errors import ImageError, SheetError
from cordcohort.files import read_record, recorded_file, write_bytes, write_text
from cordcohort.nifti import Image, check_same_grid, read_image, read_mask
from cordcohort.report.grids import Column
from cordcohort.report.inputs import Inputs, records, setting
from cordcohort.report.links import TABLES, picture_file, scan_anchor, subject_link
from cordcohort.report.mosaic import Mosaic
from cordcohort.report.palette import TRUTH_KEY, looks
from cordcohort.report.privacy import public_text
from cordcohort.report.views import scan_views
from cordcohort.report.words import scan_text
from cordcohort.scan import RECORD_SCHEMA, RESULTS, masks_of, soft_truth_record
from cordcohort.table import SCAN_KEY

Record = dict[str, Any]

FAILED_REGISTRATIONS = f"{TABLES}/soft_truth_failed.yml"
_DRAFT = """# Registrations that failed, as entries of config/exclude.yaml: look before you copy.
# A missing key matches all: an entry without run or acquisition is for every one of the contrast.
"""
GROUP = "Registration"
N_SLICES = 12
STATE_TEXT = {
    "ok": "used", "failed": "left out", "excluded": "excluded", "skipped": "not averaged",
}  # fmt: skip
COLUMNS = (
    Column("Scan", numeric=False), Column("Onto", numeric=False), Column("State", numeric=False),
    Column("Dice after", numeric=True), Column("Dice before", numeric=True),
    Column("Worst slice", numeric=True), Column("Largest shift [mm]", numeric=True),
    Column("Largest step [mm]", numeric=True), Column("Slices", numeric=True),
    Column("Reason", numeric=False),
)  # fmt: skip


def truth_record(scan: Mapping[str, Any], results: Path) -> Record:
    """Record of a scan's soft ground truth; empty where none was made."""
    path = results.parent / soft_truth_record(scan)
    try:
        return read_record(path, RECORD_SCHEMA) if path.is_file() else {}
    except (SheetError, TypeError, ValueError):
        return {}


def registration_picture(scan: Mapping[str, Any], results: Path) -> list[Record]:
    """Draw the registration of a scan, if it has one, and give its entry for the picture record.

    Parameters
    ----------
    scan : mapping
        A row of the index.
    results : Path
        The study's ``results`` folder.

    Returns
    -------
    list of dict
        One entry as :func:`cordcohort.report.pictures.draw_scan` makes them, or none.

    Raises
    ------
    ImageError
        If the reference's mask or the carried one cannot be read.
    DamagedError
        If one of them is not as it was written.
    """
    record = truth_record(scan, results)
    told = record.get("registration") or {}
    if not told:
        return []
    about = results.parent / soft_truth_record(scan)
    fixed, carried = (
        recorded_file(about, told[name], told[f"{name}_sha256"])
        for name in ("reference_mask", "carried")
    )
    fixed = read_mask(fixed, kind="softseg")
    carried = read_mask(carried, fixed, kind="softseg").canonical()
    fixed = fixed.canonical()
    image = _background(scan, told, fixed, results)
    union = binarised(fixed.data) | binarised(carried.data)
    mosaic = Mosaic(scan_views(union, image.spacing_mm, N_SLICES), image.data)
    names = [f"{record['reference']['name']} (reference)", f"{record['name']}, aligned"]
    styles = looks(names, names)
    shown = [replace(styles[names[0]], dashed=False), replace(styles[names[1]], dashed=True)]
    parts: list[NDArray[Any]] = [fixed.data, carried.data]
    file = picture_file(scan, GROUP)
    masks = {look: [part] for look, part in zip(shown, parts, strict=True)}
    write_bytes(results / "report" / file, mosaic.png(masks))
    height, width = mosaic.greys.shape
    title = f"{GROUP} of {record['name']} onto {record['reference']['name']}"
    return [
        {
            "file": file, "group": title,
            "width": width, "height": height, "alt": f"{GROUP}: outlines of {' and '.join(names)}",
            "methods": [{"name": k.name, "colour": k.colour, "dashed": k.dashed} for k in shown],
            "slices": [view.slice for view in mosaic.views if view.slice >= 0],
        }
    ]  # fmt: skip


def _found(scan: Mapping[str, Any], place: str, results: Path) -> Path | None:
    """An image by its place in the study, or in the data set that the scan's own files lie in."""
    if place.startswith(f"{RESULTS}/"):
        return results.parent / place
    own = [str(scan["image"]), *(str(mask["path"]) for mask in masks_of(scan))]
    folders = (folder for path in own if path for folder in Path(path).parents)
    return next((folder / place for folder in folders if (folder / place).is_file()), None)


def _background(scan: Mapping[str, Any], told: Record, fixed: Image, results: Path) -> Image:
    """The reference's scan, or black where only masks were given."""
    place = told.get("reference_image") or ""
    path = _found(scan, place, results) if place else None
    if path is not None:
        try:
            image = read_image(path).canonical()
            check_same_grid(fixed, image)
        except ImageError:
            pass
        else:
            return image
    return replace(fixed, data=np.zeros(fixed.data.shape, dtype=np.float32))


def registration_list(inputs: Inputs) -> Record:
    """Rows of the list of registrations, the worst first; none where no soft truth is made.

    Parameters
    ----------
    inputs : Inputs
        The study's tables.
    """
    if not setting(inputs.config, TRUTH_KEY, default=False):
        return {"registrations": []}
    found = [(row, truth_record(row, inputs.results)) for row in records(inputs.index)]
    rows = [_row(scan, told) for scan, told in found if _is_shown(told)]
    return {"registration_columns": COLUMNS, "registrations": sorted(rows, key=_worst_first)}


def write_failed_registrations(inputs: Inputs, report: Path) -> None:
    """Write the registrations that failed as entries of the exclusion list, to be looked through.

    Parameters
    ----------
    inputs : Inputs
        The study's tables.
    report : Path
        The report's folder.
    """
    if not setting(inputs.config, TRUTH_KEY, default=False):
        return
    entries: list[Record] = []
    for row in records(inputs.index):
        told = truth_record(row, inputs.results)
        if told and told["status"] == "failed" and told["registration"]:
            labels = {key: str(row[key]) for key in SCAN_KEY if row[key]}
            reason = public_text(told["reason"])
            entries.append(labels | {"from": "soft_truth", "reason": reason})
    text = yaml.safe_dump(entries, sort_keys=False, allow_unicode=True)
    write_text(report / FAILED_REGISTRATIONS, f"{_DRAFT}{text}")


def _is_shown(told: Record) -> bool:
    """Whether a scan was registered, or should have been: the reference itself is not."""
    return bool(told) and (bool(told["registration"]) or told["status"] in ("failed", "excluded"))


def _row(scan: Record, told: Record) -> Record:
    quality = told["registration"]
    warnings = "; ".join(told["warnings"])
    state = "warning" if told["status"] == "ok" and warnings else told["status"]
    dice = quality.get("dice_after")
    session = scan_text(scan)
    return {
        "link": f"{subject_link(scan['dataset'], scan['subject'])}#{scan_anchor(scan)}",
        "scan": f"{public_text(scan['dataset'])} sub-{public_text(scan['subject'])} "
        f"{public_text(session)}",
        "onto": public_text(told["reference"].get("name", "")),
        "state": {"ok": "ok", "warning": "warning", "failed": "failed"}.get(state, "excluded"),
        "state_text": "used, look at it" if state == "warning" else STATE_TEXT[told["status"]],
        "numbers": [
            _number(quality.get(key), digits)
            for key, digits in (
                ("dice_after", 3), ("dice_before", 3), ("smallest_dice", 3),
                ("largest_shift_mm", 1), ("largest_step_mm", 1), ("n_slices", 0),
            )
        ],
        "reason": public_text(told["reason"] or warnings),
        "order": (told["status"] == "ok" and not warnings, -1.0 if dice is None else dice),
    }  # fmt: skip


def _worst_first(row: Record) -> tuple[bool, float, str]:
    good, dice = row["order"]
    return good, dice, row["scan"]


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
