"""Tables of spinal levels: a row a level, a column a site, session, rater or voxel size, and CoVs.

======================= =====================================================================
published table         columns
======================= =====================================================================
table_inter_site        one a site, ``COV``, ``COV_<vendor>`` of each vendor's sites
table_inter_session     one a session, ``COV``
.. of several persons   the same for each participant, and ``COV_mean``
table_inter_rater       one a participant and rater, ``COV_<participant>``, ``COV_mean``
table_inter_resolution  one a voxel size, ``COV``; a last row ``mae``
======================= =====================================================================

Beside each CoV stands the SD in the unit of the measure: the CoV of a distance from a fixed origin
falls with the distance. ``COV_<vendor>`` is what the publication calls inter-vendor; the CoV of the
vendors' means is ``COV_vendor_means``. A level that is missing in a column is an empty cell and is
counted in ``n_missing``.

References
----------
Valosek et al. Automatic segmentation of the spinal cord nerve rootlets. Imaging Neuroscience 2024.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.spinal_names import SPINAL_LEVELS
from cordcohort.statistics.registry import Outcome, Parameters, analysis
from cordcohort.statistics.select import Selection, parts
from cordcohort.statistics.spread import cell_means, grouped_spread
from cordcohort.statistics.variant_curve import USUAL, condition_values

COLUMNS = ["over", "participant", "level", "column", "value", "n", "n_missing", "status", "ddof",
           "flag", "reason"]  # fmt: skip
MAE, COV, SD = "mae", "COV", "SD"
COV_MEAN, VENDOR_MEANS = "COV_mean", "COV_vendor_means"
ORIGINAL = "original"
EVERYBODY = "all"
NO_VALUE = "no value"
COLUMN_OF = {"site": "site", "session": "session", "rater": "method", "voxel": "variant"}
ALSO_MERGED = {
    "site": ("acquisition",),
    "session": (),
    "rater": ("method", "reference"),
    "voxel": ("variant", "acquisition"),
}
PARAMETERS = {
    "over": {
        "enum": list(COLUMN_OF),
        "description": "what the columns are: sites, sessions, raters (methods), or voxel sizes",
    },
    "ddof": {
        "enum": [0, 1],
        "default": 1,
        "description": "1: sample SD (divide by n - 1), as published; 0: population SD",
    },
}
FEWEST = 2


def _merged(p: Parameters) -> Sequence[str]:
    return ("level", "level_kind", *ALSO_MERGED[str(p["over"])])


@analysis("level_table", columns=COLUMNS, parameters=PARAMETERS, required=["over"], merged=_merged)
def level_table(selection: Selection, p: Parameters) -> Outcome:
    """Values of each level in each site, session, rater or voxel size, with CoV and SD.

    Returns
    -------
    Outcome
        A row a participant, level and column. Participants without two columns are left out; of
        those that stay every level and column has a row, with a reason where it has no value.
    """
    over, ddof = str(p["over"]), int(p["ddof"])
    rows: list[dict[str, Any]] = []
    used = selection.rows.index[:0]
    whole = selection.rows[selection.rows["level"] != ""]
    of = parts(whole)
    for code, stratum in enumerate(selection.all_strata().to_dict("records")):
        part = _with_columns(of.get(code, whole.iloc[:0]), over)
        kept = _repeated(part)
        used = used.append(kept.index[kept["usable"]])
        found = _table(kept, over, ddof)
        none = [{"flag": "undefined", "reason": f"nobody was measured in two {over}s"}]
        head = {str(k): v for k, v in stratum.items()}
        head |= {"over": over, "ddof": ddof, "status": ""}
        rows += [head | row for row in found or none]
    kind = "sample SD (ddof 1)" if ddof else "population SD (ddof 0)"
    text = (
        f"Values of each level by {over}, averaged within a cell; CoV = 100 SD / |mean| over the "
        f"{over}s of a participant with the {kind}; missing levels are left out and counted."
    )
    return Outcome(pd.DataFrame(rows), text, "scan", used, [], {"ddof": ddof, "over": over})


def _with_columns(part: pd.DataFrame, over: str) -> pd.DataFrame:
    """Rows with the name of their column in the table."""
    if over != "voxel":
        return part.assign(column=part[COLUMN_OF[over]].astype("str"))
    size = condition_values(part["variant"], "voxel")
    names = ["" if np.isnan(x) else f"{x:g} mm" for x in size]
    names = [
        ORIGINAL if v == USUAL else name for v, name in zip(part["variant"], names, strict=True)
    ]
    kept = (size.notna() | (part["variant"] == USUAL)).to_numpy(dtype=bool)
    return part.assign(column=names)[kept]


def _repeated(part: pd.DataFrame) -> pd.DataFrame:
    """Rows of participants that were measured in two columns at least."""
    usable = part[part["usable"]]
    counts = usable.groupby("person_key")["column"].nunique()
    return part[part["person_key"].isin(list(counts.index[counts >= FEWEST]))]


def _table(part: pd.DataFrame, over: str, ddof: int) -> list[dict[str, object]]:
    """All rows of one stratum."""
    rows: list[dict[str, object]] = []
    levels = in_order(part["level"].unique())
    for person, own in part.groupby("person_key", sort=True):
        columns = _column_order(own, over)
        cells = cell_means(own[own["usable"]], ["level", "column"])
        values = cells.pivot(index="level", columns="column", values="value")
        values = values.reindex(index=levels, columns=columns)
        rows += _cells(str(person), own, values)
        rows += _spreads(str(person), values, ddof, COV, SD)
        if over == "site":
            rows += _by_vendor(str(person), own, values, ddof)
        if over == "voxel" and ORIGINAL in columns:
            rows += _errors(str(person), values)
    return [*rows, *_means(rows)]


def in_order(levels: Iterable[str]) -> list[str]:
    """Levels from above to below, spinal or vertebral.

    Examples
    --------
    >>> in_order(["T1", "C8", "C2"])
    ['C2', 'C8', 'T1']
    """
    order = {name: i for i, name in enumerate(SPINAL_LEVELS)}
    return sorted(levels, key=lambda name: (order.get(name, len(order)), name))


def _column_order(own: pd.DataFrame, over: str) -> list[str]:
    """Sites by vendor, voxel sizes rising behind the original, others by name or number."""
    names = [str(v) for v in own["column"].unique()]
    if over == "site":
        vendors = dict(zip(own["site"].astype("str"), own["vendor"].astype("str"), strict=True))
        return sorted(names, key=lambda n: (vendors[n], n))
    if over == "voxel":
        return sorted(names, key=lambda n: 0.0 if n == ORIGINAL else float(n.split()[0]))
    return sorted(names, key=lambda n: (not n.isdigit(), int(n) if n.isdigit() else 0, n))


def _cells(person: str, own: pd.DataFrame, values: pd.DataFrame) -> list[dict[str, object]]:
    """One row a level and column; an empty one with its reason."""
    told = own[~own["usable"]].drop_duplicates(["level", "column"])
    reasons = {
        (str(a), str(b)): str(r)
        for a, b, r in zip(told["level"], told["column"], told["reason"], strict=True)
    }
    rows: list[dict[str, object]] = []
    for level in values.index:
        for column in values.columns:
            value = float(np.asarray(values.loc[level, column]))
            missing = not np.isfinite(value)
            why = reasons.get((level, column), "no rootlets of it") if missing else ""
            rows.append(_row(person, level, column, value, int(not missing)) | {
                "flag": "undefined" if missing else "", "reason": why,
                "n_missing": int(missing), "status": NO_VALUE if missing else "",
            })  # fmt: skip
    return rows


def _row(person: str, level: str, column: str, value: float, n: int) -> dict[str, object]:
    return {"participant": person, "level": level, "column": column, "value": value, "n": n,
            "n_missing": 0, "flag": "", "reason": ""}  # fmt: skip


def _spreads(
    person: str, values: pd.DataFrame, ddof: int, cov: str, sd: str
) -> list[dict[str, object]]:
    """CoV and SD of each level over the columns of a table."""
    rows: list[dict[str, object]] = []
    for level in values.index:
        known = values.loc[level].dropna().to_numpy(dtype=float)
        spread = grouped_spread(pd.DataFrame({"value": known}), [], ddof=ddof)
        missing = len(values.columns) - len(known)
        found = spread.iloc[0] if len(spread) else None
        for name, column in ((cov, "cov_percent"), (sd, "sd")):
            value = float("nan") if found is None else float(found[column])
            why = "no value" if found is None else str(found["reason"])
            rows.append(_row(person, level, name, value, len(known)) | {
                "n_missing": missing, "reason": why, "flag": "undefined" if why else "",
                "status": NO_VALUE if why else "",
            })  # fmt: skip
    return rows


def _by_vendor(
    person: str, own: pd.DataFrame, values: pd.DataFrame, ddof: int
) -> list[dict[str, object]]:
    """CoV over each vendor's sites, and of the vendors' means."""
    vendors = dict(zip(own["site"].astype("str"), own["vendor"].astype("str"), strict=True))
    rows: list[dict[str, object]] = []
    means: dict[str, pd.Series] = {}
    for vendor in sorted({v for v in vendors.values() if v}):
        mine = values[[c for c in values.columns if vendors[c] == vendor]]
        means[vendor] = mine.mean(axis=1)
        rows += _spreads(person, mine, ddof, f"{COV}_{vendor}", f"{SD}_{vendor}")
    if len(means) >= FEWEST:
        rows += _spreads(person, pd.DataFrame(means), ddof, VENDOR_MEANS, "SD_vendor_means")
    return rows


def _errors(person: str, values: pd.DataFrame) -> list[dict[str, object]]:
    """Mean absolute difference to the original voxel size, over the levels that both have."""
    rows: list[dict[str, object]] = []
    for column in values.columns:
        away = (values[column] - values[ORIGINAL]).abs().dropna()
        missing = len(values) - len(away)
        value = float(away.mean()) if len(away) else float("nan")
        rows.append(_row(person, MAE, column, value, len(away)) | {"n_missing": missing})
    return rows


def _means(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Mean over participants of their CoV, where there are several."""
    covs = pd.DataFrame([r for r in rows if r["column"] == COV])
    if covs.empty or covs["participant"].nunique() < FEWEST:
        return []
    found: list[dict[str, object]] = []
    for level in dict.fromkeys(covs["level"]):
        known = covs.loc[covs["level"] == level, "value"].dropna()
        lost = int((covs["level"] == level).sum()) - len(known)
        value = float(known.mean()) if len(known) else float("nan")
        why = "" if len(known) else "no participant has a CoV"
        found.append(_row(EVERYBODY, str(level), COV_MEAN, value, len(known)) | {
            "n_missing": lost, "flag": "undefined" if why else "", "reason": why,
        })  # fmt: skip
    return found
