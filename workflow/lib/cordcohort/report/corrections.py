"""Which masks a person should look at and correct next, the most urgent first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from cordcohort.files import write_text
from cordcohort.report.against_cohort import CHANCE, most_unusual
from cordcohort.report.analysis_tables import write_people_table
from cordcohort.report.inputs import Inputs, records
from cordcohort.report.links import TABLES, scan_anchor, subject_link
from cordcohort.report.privacy import public_text
from cordcohort.report.scan_list import measured_text
from cordcohort.report.words import number_text, scan_text, signed_text, structure_text, unit_text
from cordcohort.table import SCAN_KEY

Record = dict[str, Any]

CORRECTIONS_TABLE = f"{TABLES}/masks_to_correct.tsv"
CORRECTIONS_LIST = f"{TABLES}/masks_to_correct.yml"
MASK_KEY = [*SCAN_KEY, "method", "structure"]
SHOWN_MASKS = 10
# Blocks of the list that the Spinal Cord Toolbox's manual-correction script reads.
_BLOCKS = {"cord": "FILES_SEG", "gm": "FILES_GMSEG", "lesion": "FILES_LESION"}
_COLUMNS = [*MASK_KEY, "site", "why", "measure", "value", "median", "unit", "n", "z", "chance",
            "reason"]  # fmt: skip


def corrections(inputs: Inputs, compared: pd.DataFrame) -> pd.DataFrame:
    """Masks to correct: those that failed, then those whose most unusual value is the rarest.

    Parameters
    ----------
    inputs : Inputs
        The study's tables.
    compared : DataFrame
        The cohort's values, from :func:`cordcohort.report.against_cohort.against`.

    Returns
    -------
    DataFrame
        One row a mask: scan, ``method``, ``structure``, ``why`` (``failed``: nothing of it could be
        measured; or ``unusual``), the
        measure with value, cohort median and distance, ``chance`` and ``reason``. A mask is listed
        when its ``chance`` is below 0.05; so one in twenty is there without a fault, which is fit
        for a list of what to look at, unlike the marks on the pages. Excluded scans are left out.
    """
    gone = inputs.scans.loc[inputs.scans["state"] == "excluded", SCAN_KEY].assign(gone=True)
    rows = compared[(compared["method"] != "") & (compared["structure"] != "")]
    rows = rows.merge(gone, on=SCAN_KEY, how="left")
    rows = rows[rows["gone"].isna()]
    failed = rows[rows["flag"] == "failed"].drop_duplicates(MASK_KEY)
    # A mask that was measured is there: what failed is something else, such as a gradient table.
    measured = rows[rows["flag"].isin(["", "warning"]) & rows["value"].notna()][MASK_KEY]
    failed = failed.merge(measured.drop_duplicates().assign(measured=True), "left", on=MASK_KEY)
    failed = failed[failed["measured"].isna()]
    failed = failed.assign(why="failed", chance=0.0, z=float("nan"))
    far = most_unusual(rows, MASK_KEY)
    far = far[far["chance"] < CHANCE].assign(why="unusual")
    both = pd.concat([failed, far], ignore_index=True).drop_duplicates(MASK_KEY)
    return both.reindex(columns=_COLUMNS).reset_index(drop=True)


def write_corrections(table: pd.DataFrame, inputs: Inputs, report: Path) -> list[Record]:
    """Write the list as a table and for the manual-correction script; give what the page shows.

    Parameters
    ----------
    table : DataFrame
        From :func:`corrections`.
    inputs : Inputs
        The study's tables.
    report : Path
        The report's folder.
    """
    write_people_table(report / CORRECTIONS_TABLE, table)
    stems = inputs.index[[*SCAN_KEY, "stem"]].drop_duplicates(SCAN_KEY)
    named = table.merge(stems, on=SCAN_KEY, how="left").fillna({"stem": ""})
    write_text(report / CORRECTIONS_LIST, _list_text(named[named["stem"] != ""]))
    return [_entry(row) for row in records(table.head(SHOWN_MASKS))]


def _list_text(named: pd.DataFrame) -> str:
    blocks: dict[str, list[str]] = {}
    for row in records(named):
        block = _BLOCKS.get(row["structure"])
        if block:
            blocks.setdefault(block, []).append(f"{row['stem']}.nii.gz")
    unique = {block: list(dict.fromkeys(names)) for block, names in blocks.items()}
    return yaml.safe_dump(unique, sort_keys=True) if unique else "{}\n"


def _entry(row: Mapping[str, Any]) -> Record:
    reason = row["reason"]
    if row["why"] == "unusual":
        unit = unit_text(str(row["unit"]))
        value, median = (f"{number_text(row[k])} {unit}".strip() for k in ("value", "median"))
        reason = (
            f"{measured_text(dict(row))} {value}, cohort median {median} "
            f"(distance {signed_text(row['z'])}, n = {int(row['n'])})"
        )
    return {
        "link": f"{subject_link(row['dataset'], row['subject'])}#{scan_anchor(row)}",
        "subject": public_text(f"{row['dataset']} sub-{row['subject']}"),
        "scan": public_text(scan_text(row)),
        "mask": public_text(f"{structure_text(row['structure'])}, {row['method']}"),
        "why": row["why"],
        "reason": public_text(reason),
    }
