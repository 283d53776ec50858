"""One row a scan: what became of it, for the report and for the count at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.cohort.exclusion import is_of_scan, read_entries, scan_matches
from cordcohort.cohort.gather import scan_codes, without_folders
from cordcohort.table import JOINED_COLUMNS, SCAN_KEY

SCAN_COLUMNS = [
    *SCAN_KEY, *JOINED_COLUMNS, "origin", "status", "reason",
    "n_values", "n_warning", "n_failed", "n_undefined", "n_excluded", "warning",
]  # fmt: skip
STATUSES = ("ok", "failed", "excluded", "no_image")
_MAX_REASONS = 5


def scans_table(
    index: pd.DataFrame, cohort: pd.DataFrame, exclusions: Sequence[Mapping[str, Any]] = ()
) -> pd.DataFrame:
    """Say of every scan of the study whether it is ok, failed, excluded or without an image.

    ``excluded`` goes before ``failed`` before ``no_image``: a scan is excluded when all its rows
    are; failed when it could not be read or any of its methods failed; ``no_image`` when only
    masks or outside measures exist and nothing failed.

    Parameters
    ----------
    index : DataFrame
        One row a scan, with ``status`` (``ok``, ``failed``, ``no_image``) and ``reason``.
    cohort : DataFrame
        The long table with exclusions applied.
    exclusions : list of mappings
        The exclusion list; an entry for a whole scan excludes a scan that has no row at all, too.

    Returns
    -------
    DataFrame
        ``SCAN_COLUMNS``; ``origin`` is ``images`` for scans of the index, else ``external``;
        ``n_*`` count rows of the long table by flag (``n_values`` the unflagged ones);
        ``warning`` tells what is suspicious about the cord masks of a scan, method by method.
    """
    counts = _rows_by_flag(cohort)
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
    scans["row_reason"] = scans["row_reason"].fillna("")
    scans["warning"] = scans["warning"].fillna("")
    scans = _with_status(scans)
    for entry in reversed(read_entries(exclusions)):
        hit = scan_matches(scans, entry) & is_of_scan(entry)
        scans.loc[hit, ["status", "reason"]] = ["excluded", entry["reason"]]
    for column in (*JOINED_COLUMNS, "reason", "warning"):
        scans[column] = scans[column].astype("object").fillna("").astype("str")
    return without_folders(scans)[SCAN_COLUMNS].sort_values(SCAN_KEY, ignore_index=True)


def _rows_by_flag(cohort: pd.DataFrame) -> pd.DataFrame:
    codes, scans = scan_codes(cohort)
    out = scans.copy()
    for flag in ("values", "warning", "failed", "undefined", "excluded"):
        name = "" if flag == "values" else flag
        hits = (cohort["flag"] == name).groupby(codes).sum()
        out[f"n_{flag}"] = hits.reindex(range(len(scans)), fill_value=0).to_numpy()
    told = cohort["flag"].isin(("failed", "excluded"))
    lines = cohort.loc[told, ["flag", "method", "reason"]].assign(scan=codes[told.to_numpy()])
    lines = lines.drop_duplicates()
    text = {scan: _joined_reasons(part) for scan, part in lines.groupby("scan")}
    out["row_reason"] = [text.get(scan, "") for scan in range(len(scans))]
    out["warning"] = _warnings(cohort, codes, len(scans))
    return out


def _warnings(cohort: pd.DataFrame, codes: np.ndarray, n_scans: int) -> list[str]:
    """Warnings on the mean area of the whole cord, which every suspicious cord mask has."""
    told = (cohort["flag"] == "warning") & (cohort["measure"] == "csa_mm2")
    told &= (cohort["structure"] == "cord") & (cohort["statistic"] == "mean")
    told &= (cohort["level"] == "") & cohort["slice"].isna()
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
    failed = ~excluded & ((scans["n_failed"] > 0) | (scans["status"] == "failed"))
    status = scans["status"].mask(failed, "failed").mask(excluded, "excluded")
    reason = scans["reason"].fillna("").astype("str")
    told = (excluded | failed) & (scans["row_reason"] != "")
    return scans.assign(status=status, reason=reason.mask(told, scans["row_reason"]))
