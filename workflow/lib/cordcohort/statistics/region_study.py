"""Tables of a study of the cord's eight regions: overlap and error of the diffusion index.

====== ================================ =========================================================
table  kind                             columns
====== ================================ =========================================================
SCS-1  ``region_errors``                error of a map's mean, absolute and signed, a region a row
SCS-2  ``region_scores``                precision, recall, Dice, a region a row, a block a network
====== ================================ =========================================================

Scores are given twice: over patients (a patient's scans averaged first), and over the voxels of all
scans together, as earlier work scored regions; there a large region of one patient counts more.

References
----------
S. Yang et al. SCS-Net. Bioengineering 2025;12:709. N. Fei et al. Diagnostics 2023;13:817.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.measures.region_codes import REGION_CODES
from cordcohort.statistics.contrast_tables import NO_VALUE, NOT_SUPPLIED
from cordcohort.statistics.registry import COLUMN_LIST, Outcome, Parameters, analysis
from cordcohort.statistics.select import Selection
from cordcohort.statistics.spread import cell_means, grouped_spread

REGIONS = tuple(REGION_CODES)
OVERLAPS = ("precision", "recall", "dice")
COUNTS = ("both_voxels_n", "mask_voxels_n", "reference_voxels_n")
PER_PATIENT, POOLED = "per patient", "pooled voxels"
ABSOLUTE, SIGNED = "error_percent", "signed_error_percent"
UNITS = {ABSOLUTE: "percent", SIGNED: "percent"}
REASONS = {
    NOT_SUPPLIED: "not supplied: no map of regions of this method in the study",
    NO_VALUE: "no patient has a value",
}
Row = dict[str, Any]
Make = Callable[[pd.DataFrame, pd.DataFrame], list[Row]]
_COLUMNS = [
    "method", "network", "input", "structure", "measure", "unit", "pooling", "mean", "sd", "ddof",
    "median", "n", "n_without", "status", "flag", "reason",
]  # fmt: skip
_PARAMETERS: dict[str, Mapping[str, Any]] = {
    "methods": COLUMN_LIST
    | {
        "description": "methods in the table's order, also those that may not be there: they stay "
        "as rows marked so; empty: all that occur"
    },
    "designs": {
        "type": "object",
        "default": {},
        "additionalProperties": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"network": {"type": "string"}, "input": {"type": "string"}},
        },
        "description": "method to the network that it is and the image that it sees, as told in "
        "the table",
    },
}


def _merged(p: Parameters) -> Sequence[str]:
    columns = ("contrast", "acquisition", "method", "structure", "measure", "unit")
    return [c for c in columns if c not in p["split_by"]]


@analysis("region_scores", headline="mean", columns=_COLUMNS, parameters=_PARAMETERS,
          merged=_merged)  # fmt: skip
def region_scores(selection: Selection, p: Parameters) -> Outcome:
    """SCS-2: precision, recall and Dice of each region, over patients and over pooled voxels.

    Returns
    -------
    Outcome
        A row a method, region, measure and ``pooling``: ``mean``, ``sd`` (ddof 1) and ``median``
        over patients with ``n`` of them, or the score of all voxels; ``n_without`` counts patients
        without a value (an empty reference, or a failed scan).
    """

    def make(rows: pd.DataFrame, known: pd.DataFrame) -> list[Row]:
        return _over_patients(rows, known, OVERLAPS) + _over_voxels(rows)

    text = (
        "Precision, recall and Dice of each region against the reference, in the slices where the "
        "reference drew any region: of a patient (scans averaged first), then mean and sample SD "
        "(ddof 1) over patients; and of the voxels of all patients' scans pooled."
    )
    return _outcome(selection, p, make, text, (*OVERLAPS, *COUNTS))


@analysis(
    "region_errors", headline="mean", columns=_COLUMNS, merged=_merged,
    parameters=_PARAMETERS | {
        "index": {
            "enum": ["fa", "md", "ad", "rd"], "default": "fa",
            "description": "diffusion index whose error is told",
        },
    },
)  # fmt: skip
def region_errors(selection: Selection, p: Parameters) -> Outcome:
    """SCS-1: error of a diffusion index in each region, in percent of the reference's mean.

    Returns
    -------
    Outcome
        A row a method, region and measure (absolute, signed): mean, SD (ddof 1) and median over
        patients; ``n_without`` counts patients in whom a region is empty or too small.
    """
    measures = [f"{p['index']}_{ending}" for ending in (ABSOLUTE, SIGNED)]

    def make(rows: pd.DataFrame, known: pd.DataFrame) -> list[Row]:
        return _over_patients(rows, known, measures)

    text = (
        f"Error of mean {str(p['index']).upper()} of each region: 100 |method - reference| / "
        "reference, and with its sign; a patient's scans averaged first, then mean and sample SD "
        "(ddof 1) over patients. An empty region has no error and is counted. The formula of the "
        "published error rates is not stated; this is a reading of it."
    )
    return _outcome(selection, p, make, text, measures)


def _outcome(
    selection: Selection, p: Parameters, make: Make, text: str, measures: Sequence[str]
) -> Outcome:
    """Rows of every method in every stratum that holds any of the measures."""
    every = selection.rows
    rows = every[every["measure"].isin(measures).to_numpy(dtype=bool)]
    methods = [str(m) for m in p["methods"]] or sorted(set(rows["method"]) - {""})
    out: list[Row] = []
    for code, (stratum, _) in enumerate(selection.groups()):
        known = rows[(rows["stratum"] == code).to_numpy(dtype=bool)]
        labels = {k: v for k, v in stratum.items() if k not in _COLUMNS}
        if known.empty:
            out.append(labels | _nothing(measures))
            continue
        for method in methods:
            design = p["designs"].get(method, {})
            head = labels | {"method": method, "ddof": 1}
            head |= {"network": design.get("network", ""), "input": design.get("input", "")}
            own = known[(known["method"] == method).to_numpy(dtype=bool)]
            usable = own[own["usable"].to_numpy(dtype=bool)]
            found = make(usable, own) if len(own) else [_state(NOT_SUPPLIED)]
            out += [head | row for row in found]
    table = pd.DataFrame(out, columns=[*_labels(selection), *_COLUMNS])
    used = rows.index[(rows["usable"] & rows["method"].isin(methods)).to_numpy(dtype=bool)]
    return Outcome(table, text, "patient", used, ["method"], {"ddof": 1})


def _nothing(measures: Sequence[str]) -> Row:
    reason = f"no row has any of {', '.join(measures)}"
    return {"method": "", "structure": "", "status": "", "flag": "undefined", "reason": reason}


def _labels(selection: Selection) -> list[str]:
    return [c for c in selection.strata if c not in _COLUMNS]


def _over_patients(rows: pd.DataFrame, known: pd.DataFrame, measures: Iterable[str]) -> list[Row]:
    """Mean and SD over patients of every region and measure."""
    values = cell_means(rows, ["person_key", "structure", "measure"])
    spread = grouped_spread(values, ["structure", "measure"], ddof=1)
    found = spread.set_index(["structure", "measure"])
    median = values.groupby(["structure", "measure"])["value"].median()
    persons = known.groupby(["structure", "measure"])["person_key"].nunique()
    out: list[Row] = []
    for key in ((region, measure) for region in REGIONS for measure in measures):
        n = int(found["n"].get(key, 0))
        row: Row = {
            "structure": key[0], "measure": key[1], "unit": UNITS.get(key[1][3:], "1"),
            "pooling": PER_PATIENT, "n": n, "n_without": int(persons.get(key, 0)) - n,
        }  # fmt: skip
        if n:
            row |= {"mean": found["mean"][key], "sd": found["sd"][key], "median": median[key]}
        out.append(row | _state("" if n else NO_VALUE))
    return out


def _over_voxels(rows: pd.DataFrame) -> list[Row]:
    """Scores of the voxels of all scans together."""
    sums = rows.groupby(["structure", "measure"])["value"].sum()
    scans = rows[rows["measure"] == COUNTS[0]].groupby("structure").size()
    out: list[Row] = []
    for region in REGIONS:
        both, mask, reference = (float(sums.get((region, name), 0.0)) for name in COUNTS)
        over = {"precision": mask, "recall": reference, "dice": (mask + reference) / 2}
        for measure in OVERLAPS:
            ok = reference > 0 and over[measure] > 0
            out.append({
                "structure": region, "measure": measure, "unit": "1", "pooling": POOLED,
                "mean": both / over[measure] if ok else np.nan, "n": int(scans.get(region, 0)),
                "n_without": 0, **_state("" if ok else NO_VALUE),
            })  # fmt: skip
    return out


def _state(status: str) -> Row:
    return {
        "status": status, "flag": "undefined" if status else "", "reason": REASONS.get(status, "")
    }  # fmt: skip
