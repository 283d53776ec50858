"""Result tables of the declared analyses as people read them, and copies for spreadsheets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cordcohort.lent_cord import without_lent
from cordcohort.report.curve_figures import curve_figures
from cordcohort.report.flow import write_analysis_flow
from cordcohort.report.grids import cell_text, frame_grid, head_text
from cordcohort.report.inputs import Analysis, records, whole_rows
from cordcohort.report.layouts import Block, laid_out_blocks
from cordcohort.report.links import TABLES
from cordcohort.report.model_notes import Notes, notes_on_table
from cordcohort.report.planning_figures import planning_figures
from cordcohort.report.privacy import public_text, safe_name, spreadsheet_safe
from cordcohort.report.published import source_of, with_published
from cordcohort.report.words import measure_text, structure_text, unit_text
from cordcohort.table import write_tsv

MAX_ROWS = 60
MAX_TEXT = 4000
# Columns that say which rows were taken: told once, in a sentence, where they do not vary.
_SELECTING = (
    "contrast", "acquisition", "method", "reference", "structure", "level_kind", "level",
    "measure", "statistic", "unit", "split", "over", "ddof", "definition", "time_point",
    "quantity", "scope", "with", "correction", "compared", "a", "b", "unit_of_pairing",
)  # fmt: skip
# What only the table file tells: how an interval was made, intervals of limits, further averages.
_LEFT_OUT = (
    "ci_method", "loa_low_ci_low", "loa_low_ci_high", "loa_high_ci_low", "loa_high_ci_high",
    "cov_sd_percent", "cov_median_percent", "cov_rms_percent", "cov_pooled_percent",
    "mean_ci_low", "mean_ci_high", "mean_absolute", "mean_percent", "mean_reference",
    "family", "n_family", "p_method", "min", "max", "n_zero", "median_a", "median_b",
    "w_plus", "w_minus", "n_nonzero",
)  # fmt: skip
_ENDS = {
    ("ci_low", "ci_high"): "95 % interval",
    ("ci_low_percent", "ci_high_percent"): "95 % interval [%]",
    ("loa_low", "loa_high"): "limits of agreement",
    ("lowest", "highest"): "range with one left out",
    ("p_lowest", "p_highest"): "range of p",
    ("q25", "q75"): "quartiles",
    ("rank_biserial_ci_low", "rank_biserial_ci_high"): "95 % interval of rank biserial",
}
_OF_90 = "90 %"  # how the method of such an interval ends
# Counts that are told only where some scan is among them.
_RARE = (
    "n_undefined",
    "n_unpaired",
    "n_only_method",
    "n_only_reference",
    "n_only_a",
    "n_only_b",
    "n_incomplete",
    "n_tied",
)
_COUNTS = ("n_found", "n_excluded", "n_failed", "n_used")
COUNTS_TITLE = "scans: found / excluded / failed / used"
REMARK = "remark"
# Of these a scan may have several values; it is of one contrast, site, sex or vendor.
OF_VALUES = ("method", "seed", "structure", "measure", "level", "statistic", "variant")
FLAG = "flag"  # never printed: it greys a row out
_SPELLED = ("definition", "scope", "quantity", "group")


def analysis_entry(
    analysis: Analysis, report: Path, published: str = "", notes: Notes | None = None
) -> dict[str, Any]:
    """One analysis as the index page shows it; its tables are copied for spreadsheets.

    Parameters
    ----------
    analysis : Analysis
        Results, counts and method text.
    report : Path
        The report's folder.
    published : str
        The set of published values that stand beside the results, if any.
    notes : mapping, optional
        What a reader must know of the models (:func:`cordcohort.report.model_notes.model_notes`).
    """
    result = with_published(analysis.table, published)
    file = f"{TABLES}/{safe_name(analysis.name)}.tsv"
    counts_file = f"{TABLES}/{safe_name(analysis.name)}.counts.tsv"
    write_people_table(report / file, result)
    if not analysis.counts.empty:
        write_people_table(report / counts_file, analysis.counts)
    shown, lent = without_lent(whole_rows(result))
    table, remarks = _numbered_remarks(shown)
    varying, constants = readable(table)
    varying = varying.rename(columns={COUNTS_TITLE: counts_title(result, analysis.counts)})
    counts = _in_words(analysis.counts)
    laid_out = laid_out_blocks(analysis.kind, whole_rows(result))
    told = notes_on_table(notes or {}, result)
    return {
        "name": analysis.name,
        "anchor": f"analysis-{safe_name(analysis.name)}",
        "title": public_text(analysis.title),
        "kind": public_text(analysis.kind.replace("_", " ")),
        "text": public_text(analysis.about.get("method_text", ""), MAX_TEXT),
        "constants": constants,
        "notes": [*told, *([lent] if lent and not laid_out else [])],
        "remarks": [] if laid_out else [public_text(r) for r in remarks],
        "blocks": [_printed(block) for block in laid_out or [Block("", varying)]],
        "figures": [*curve_figures(analysis, report), *planning_figures(analysis, report)],
        "counts": frame_grid(counts.head(MAX_ROWS)),
        "left_out": left_out_label(analysis),
        "sensitivity": frame_grid(sensitivity_table(analysis).head(MAX_ROWS)),
        "file": file,
        "source": " ".join([source_of(published)[0].text, source_of(published)[1]])
        if published
        else "",
        "flow": write_analysis_flow(analysis, report),
        "counts_file": "" if analysis.counts.empty else counts_file,
    }


def counts_title(result: pd.DataFrame, counts: pd.DataFrame) -> str:
    """Heading of the counts beside the results: a scan counts once for each value compared.

    Examples
    --------
    >>> beside = pd.DataFrame({"method": ["a", "b"], "site": ["x", "x"], "n_found": [3, 3]})
    >>> counts_title(pd.DataFrame({"rho": [0.5]}), beside)
    'scans, once for each method: found / excluded / failed / used'
    """
    added = [c for c in counts.columns if c in OF_VALUES and c not in result.columns]
    added = [c for c in added if counts[c].nunique() > 1]
    if not added:
        return COUNTS_TITLE
    each = f"scans, once for each {' and '.join(head_text(c).lower() for c in added)}"
    return COUNTS_TITLE.replace("scans", each, 1)


def left_out_label(analysis: Analysis) -> str:
    """What was left out in turn (site, vendor ...); empty where the analysis was not repeated."""
    declared = analysis.about.get("parameters", {}).get("declared", {})
    return public_text(declared.get("leave_one_out", ""))


def sensitivity_table(analysis: Analysis) -> pd.DataFrame:
    """Each result of a repeated analysis: over all, its range, and what moves it most."""
    told = pd.DataFrame(analysis.about.get("sensitivity", []), dtype="object").fillna("")
    if "largest_change" not in told:
        return pd.DataFrame()
    moved = told[told["largest_change"] != ""]
    if "verdict_holds" in moved:
        holds = moved["verdict_holds"].map({True: "yes", False: "no"}).fillna("")
        moved = moved.assign(verdict_holds=holds)
    drop = [c for c in ("n_repeated", "largest_change_percent", "p_whole") if c in moved]
    return readable(moved.drop(columns=drop).rename(columns={"whole": "value"}))[0]


def _printed(block: Block) -> dict[str, Any]:
    """One table of an analysis as the page prints it."""
    return {
        "title": block.title,
        "table": frame_grid(block.table.head(MAX_ROWS)),
        "n_hidden": max(len(block.table) - MAX_ROWS, 0),
        "note": public_text(block.note),
    }


def readable(frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """A result table for people: fewer columns, words for labels, ends of ranges in one cell.

    Returns
    -------
    DataFrame, str
        What varies, and a sentence of what does not.
    """
    if frame.empty:
        return frame, ""
    kept = frame.drop(columns=[c for c in _LEFT_OUT if c in frame.columns])
    rare = [c for c in _RARE if c in kept and not _any_above_zero(kept[c])]
    ends = _ENDS | _ends_of_90(frame)
    kept = _in_words(_joined_counts(_joined_ends(kept.drop(columns=rare), ends)))
    kept = kept[[c for c in kept.columns if c == FLAG or (kept[c].astype("str") != "").any()]]
    constant = [c for c in kept.columns if c in _SELECTING and kept[c].nunique() == 1]
    told = [f"{head_text(c)} {cell_text(kept[c].iloc[0], c)}" for c in constant]
    rest = kept.drop(columns=constant)
    return (rest, ", ".join(told)) if len(rest.columns) else (kept, "")


def _ends_of_90(frame: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Title of the interval where it is one of 90 %, as a test of equivalence has it."""
    made = frame.get("ci_method", pd.Series(dtype=str)).astype(str)
    told = made[~made.isin(["", "none"])]
    of_90 = len(told) > 0 and bool(told.str.endswith(_OF_90).all())
    return {("ci_low", "ci_high"): "90 % interval"} if of_90 else {}


def _joined_ends(frame: pd.DataFrame, ends: Mapping[tuple[str, str], str]) -> pd.DataFrame:
    """Low and high end of a range as one cell, in the place of the low end."""
    out = frame.copy()
    for (low, high), title in ends.items():
        if low in out and high in out:
            out[low] = [_range_text(row[low], row[high], low) for row in records(out)]
            out = out.drop(columns=high).rename(columns={low: title})
    return out


def _any_above_zero(values: pd.Series) -> bool:
    return bool((pd.to_numeric(values, errors="coerce") > 0).any())


def _joined_counts(frame: pd.DataFrame) -> pd.DataFrame:
    """Counts of scans as one cell, at the end."""
    out = frame.copy()
    if all(c in out for c in _COUNTS):
        joined = [" / ".join(cell_text(row[c], c) for c in _COUNTS) for row in records(out)]
        out = out.drop(columns=list(_COUNTS)).assign(**{COUNTS_TITLE: joined})
    return out


def _numbered_remarks(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Flag and reason as the number of a remark, and the remarks, each once."""
    if "flag" not in frame or "reason" not in frame:
        return frame, []
    told = [": ".join(str(t) for t in (r["flag"], r["reason"]) if t) for r in records(frame)]
    remarks = list(dict.fromkeys(t for t in told if t))
    numbers = [str(remarks.index(t) + 1) if t else "" for t in told]
    return frame.drop(columns=["reason"]).assign(**{REMARK: numbers}), remarks


def _range_text(low: object, high: object, column: str) -> str:
    ends = [cell_text(v, column) for v in (low, high)]
    return " to ".join(ends) if all(ends) else ""


def _in_words(frame: pd.DataFrame) -> pd.DataFrame:
    """Measures with their unit, structures and definitions in words."""
    out = frame.copy()
    if "measure" in out:
        units = out["unit"] if "unit" in out else pd.Series("", index=out.index)
        out["measure"] = [
            measure_text(m) + (f" [{unit_text(u)}]" if unit_text(u) else "")
            for m, u in zip(out["measure"], units, strict=True)
        ]
        out = out.drop(columns="unit", errors="ignore")
    if "structure" in out:
        out["structure"] = [structure_text(s) for s in out["structure"]]
    for column in _SPELLED:
        if column in out:
            out[column] = [str(v).replace("_", " ") for v in out[column]]
    return out


def write_people_table(path: Path, frame: pd.DataFrame) -> None:
    """Write a table that people open in a spreadsheet: no cell of it is run as a formula."""
    safe = frame.copy()
    for column in safe.columns:
        cells = [public_text(v) if isinstance(v, str) else v for v in safe[column]]
        safe[column] = pd.Series([spreadsheet_safe(v) for v in cells], index=safe.index)
    heads = {c: str(spreadsheet_safe(public_text(c))) for c in safe.columns}
    write_tsv(path, safe.rename(columns=heads))
