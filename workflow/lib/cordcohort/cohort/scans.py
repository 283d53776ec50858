"""One row a scan: what became of it, for the report and for the count at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.cohort.exclusion import is_of_scan, read_entries, scan_matches
from cordcohort.cohort.failures import (
    EXCLUDED,
    FAILED,
    Methods,
    decisive_rows,
    failures_text,
    method_failures,
)
from cordcohort.cohort.gather import scan_codes, without_folders
from cordcohort.lent_cord import lent_rows
from cordcohort.scan import SCANS
from cordcohort.table import JOINED_COLUMNS, SCAN_KEY, read_parquet

SCAN_COLUMNS = [
    *SCAN_KEY, *JOINED_COLUMNS, "origin", "status", "reason",
    "n_values", "n_warning", "n_failed", "n_undefined", "n_excluded", "warning", "failures",
]  # fmt: skip
STATES = ("measured", "failed", "excluded", "no_image", "not_measured")
_MAX_REASONS = 5


def scans_table(
    index: pd.DataFrame,
    cohort: pd.DataFrame,
    exclusions: Sequence[Mapping[str, Any]] = (),
    methods: Methods | None = None,
) -> pd.DataFrame:
    """Say of every scan of the study whether it is ok, failed, excluded or without an image.

    ``excluded`` goes before ``failed`` before ``no_image``: a scan is excluded when all its rows
    are; failed when it could not be read, or when no method that the study relies on gave what the
    scan should give (:mod:`cordcohort.cohort.failures`); ``no_image`` when only masks or outside
    measures exist and it did not fail.

    Parameters
    ----------
    index : DataFrame
        One row a scan, with ``status`` (``ok``, ``failed``, ``no_image``) and ``reason``.
    cohort : DataFrame
        The long table with exclusions applied.
    exclusions : list of mappings
        The exclusion list; an entry for a whole scan excludes a scan that has no row at all, too.
    methods : Methods, optional
        Whom the study relies on; without, all methods alike.

    Returns
    -------
    DataFrame
        ``SCAN_COLUMNS``; ``origin`` is ``images`` for scans of the index, else ``external``;
        ``n_*`` count rows of the long table by flag (``n_values`` the unflagged ones);
        ``warning`` tells what is suspicious about the cord masks of a scan, method by method, and
        ``failures`` which methods failed on it, whatever became of the scan.
    """
    counts = _rows_by_flag(cohort, methods or Methods())
    own = index.reindex(columns=[*SCAN_KEY, *JOINED_COLUMNS, "status", "reason"])
    own = own.assign(origin="images")
    outside = counts[[*SCAN_KEY, *JOINED_COLUMNS]].merge(
        own[SCAN_KEY].assign(_own=1), on=SCAN_KEY, how="left"
    )
    outside = outside[outside["_own"].isna()].drop(columns="_own")
    outside = outside.assign(origin="external", status="ok", reason="")
    scans = pd.concat([own, outside], ignore_index=True)
    scans = scans.merge(counts.drop(columns=JOINED_COLUMNS), on=SCAN_KEY, how="left")
    numbers = [c for c in SCAN_COLUMNS if c.startswith("n_")]
    scans[numbers] = scans[numbers].fillna(0).astype("int64")
    scans["decisive"] = scans["decisive"].eq(other=True)
    for column in ("row_reason", "warning", "failures"):
        scans[column] = scans[column].fillna("")
    scans = _with_status(scans)
    for entry in reversed(read_entries(exclusions)):
        hit = scan_matches(scans, entry) & is_of_scan(entry)
        scans.loc[hit, ["status", "reason"]] = ["excluded", entry["reason"]]
    for column in (*JOINED_COLUMNS, "reason", "warning", "failures"):
        scans[column] = scans[column].astype("object").fillna("").astype("str")
    return without_folders(scans)[SCAN_COLUMNS].sort_values(SCAN_KEY, ignore_index=True)


def with_state(scans: pd.DataFrame) -> pd.DataFrame:
    """Put ``state`` beside: what became of each scan, as the report and the command tell it.

    A scan may be measured without an image, from masks alone; and one that is in order may have
    nothing to measure.

    Examples
    --------
    >>> scans = pd.DataFrame({"status": ["ok", "ok", "no_image", "no_image", "failed"],
    ...                       "n_values": [3, 0, 3, 0, 3]})
    >>> with_state(scans)["state"].tolist()
    ['measured', 'not_measured', 'measured', 'no_image', 'failed']
    """
    if "n_values" in scans.columns:
        has_values = scans["n_values"] > 0
    else:
        has_values = scans["status"] == "ok"
    ended = scans["status"].isin((FAILED, EXCLUDED))
    empty = scans["status"].where(scans["status"] == "no_image", "not_measured")
    state = scans["status"].where(ended, empty.mask(has_values, "measured"))
    return scans.assign(state=state.astype("str"))


def failed_in_part(scans: pd.DataFrame) -> pd.Series:
    """Which scans with their ``state`` are in order although a method failed on them.

    Examples
    --------
    >>> scans = pd.DataFrame({"state": ["measured", "measured", "failed"],
    ...                       "failures": ["net: no cord", "", "net: no cord"]})
    >>> failed_in_part(scans).tolist()
    [True, False, False]
    """
    return (scans["failures"] != "") & ~scans["state"].isin((FAILED, EXCLUDED))


def read_outcomes(study: Path) -> pd.DataFrame | None:
    """The scans of a study with their ``state``, as its last run left them; None before that."""
    path = study / SCANS
    if not path.is_file():
        return None
    scans = read_parquet(path)
    return with_state(scans if "failures" in scans else scans.assign(failures=""))


def _rows_by_flag(cohort: pd.DataFrame, methods: Methods) -> pd.DataFrame:
    codes, scans = scan_codes(cohort)
    out = scans.copy()
    for flag in ("values", "warning", "failed", "undefined", "excluded"):
        name = "" if flag == "values" else flag
        hits = (cohort["flag"] == name).groupby(codes).sum()
        out[f"n_{flag}"] = hits.reindex(range(len(scans)), fill_value=0).to_numpy()
    decisive = decisive_rows(cohort, codes, methods)
    out["decisive"] = np.isin(np.arange(len(scans)), codes[decisive.to_numpy()])
    told = decisive | (cohort["flag"] == "excluded")
    lines = cohort.loc[told, ["flag", "method", "reason"]].assign(scan=codes[told.to_numpy()])
    lines = lines.drop_duplicates()
    text = {scan: _joined_reasons(part) for scan, part in lines.groupby("scan")}
    out["row_reason"] = [text.get(scan, "") for scan in range(len(scans))]
    out["warning"] = _warnings(cohort, codes, len(scans))
    failures = method_failures(without_folders(cohort[cohort["flag"] == "failed"]))
    groups = failures.groupby(SCAN_KEY, sort=False)
    texts = pd.DataFrame([(*key, failures_text(own)) for key, own in groups],
                         columns=[*SCAN_KEY, "failures"])  # fmt: skip
    return out.merge(texts.astype("str"), on=SCAN_KEY, how="left")


def _warnings(cohort: pd.DataFrame, codes: np.ndarray, n_scans: int) -> list[str]:
    """Warnings on the mean area of the whole cord, which every suspicious cord mask has."""
    told = (cohort["flag"] == "warning") & (cohort["measure"] == "csa_mm2")
    told &= (cohort["structure"] == "cord") & (cohort["statistic"] == "mean")
    told &= (cohort["level"] == "") & cohort["slice"].isna()
    told &= ~lent_rows(cohort)
    lines = cohort.loc[told, ["method", "reason"]].assign(scan=codes[told.to_numpy()])
    texts: dict[int, list[str]] = {}
    for row in lines.drop_duplicates().sort_values(["scan", "method"]).to_dict("records"):
        texts.setdefault(row["scan"], []).append(f"{row['method']}: {row['reason']}")
    return ["; ".join(texts.get(scan, [])) for scan in range(n_scans)]


def _joined_reasons(lines: pd.DataFrame) -> str:
    """Reasons of one scan, each once, with the methods it befell; exclusions first."""
    parts: list[str] = []
    for (_, reason), part in lines.groupby(["flag", "reason"], sort=True):
        methods = sorted({m for m in part["method"] if m})
        prefix = f"{', '.join(methods)}: " if methods and part["flag"].iloc[0] == "failed" else ""
        parts.append(f"{prefix}{reason}")
    more = len(parts) - _MAX_REASONS
    return "; ".join(parts[:_MAX_REASONS]) + (f"; and {more} more" if more > 0 else "")


def _with_status(scans: pd.DataFrame) -> pd.DataFrame:
    n_rows = scans[["n_values", "n_warning", "n_failed", "n_undefined", "n_excluded"]].sum(axis=1)
    excluded = (scans["n_excluded"] > 0) & (scans["n_excluded"] == n_rows)
    failed = ~excluded & (scans["decisive"] | (scans["status"] == "failed"))
    status = scans["status"].mask(failed, "failed").mask(excluded, "excluded")
    reason = scans["reason"].fillna("").astype("str")
    told = (excluded | failed) & (scans["row_reason"] != "")
    return scans.assign(status=status, reason=reason.mask(told, scans["row_reason"]))
