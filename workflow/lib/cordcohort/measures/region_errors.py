"""Error of a map's mean in a region: of the region that a method drew against the reference's.

``100 |F - R| / R`` with ``F`` and ``R`` the means of one map in the method's and in the reference's
region. What has no mean (an empty region, too few voxels) has no error either, and is counted.

References
----------
N. Fei et al. Diagnostics 2023;13:817; S. Yang et al. Bioengineering 2025;12:709. Their formula is
not published; this is the reading of "percentage of the mean absolute error".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from cordcohort.measures.catalogue import CATALOGUE
from cordcohort.measures.region_rows import MEAN, NO_VOXELS, WEIGHTED
from cordcohort.measures.rows import NAN, Row, valued

PERCENT = 100.0
OF_MEANS = (MEAN, WEIGHTED)
WHOLE: Mapping[str, object] = {"level_kind": "", "level": "", "slice": None}
_PLACE = ("structure", "level_kind", "level", "slice", "measure")
Key = tuple[object, ...]


def absolute_percent(value: float, reference: float) -> float:
    """Absolute error in percent of the reference; NaN where that is 0.

    Examples
    --------
    >>> absolute_percent(0.57, 0.6)
    5.0
    """
    return abs(signed_percent(value, reference))


def signed_percent(value: float, reference: float) -> float:
    """Error in percent of the reference, positive where the value is too high.

    Examples
    --------
    >>> signed_percent(0.57, 0.6)
    -5.0
    """
    if not reference:
        return NAN
    return round(PERCENT * (value - reference) / reference, 10)


def error_rows(
    rows: Sequence[Mapping[str, object]], reference: str, structures: Collection[str]
) -> list[Row]:
    """Errors of every method's means, from the rows of all methods of a scan.

    Parameters
    ----------
    rows : sequence of mappings
        Rows of the kind ``diffusion``.
    reference : str
        Method that the others are compared with.
    structures : collection of str
        Regions that are compared.

    Returns
    -------
    list of dict
        Two rows (absolute, signed) for each mean of the reference and each method and statistic.
    """
    wanted = [r for r in rows if r["structure"] in structures and r["statistic"] in OF_MEANS]
    truth = {_place(r): r for r in wanted if r["method"] == reference and r["statistic"] == MEAN}
    if not truth:
        return []
    out: list[Row] = []
    for method, statistic in _drawers(wanted, reference):
        found = {
            _place(r): r for r in wanted if (r["method"], r["statistic"]) == (method, statistic)
        }
        for place, true in truth.items():
            whole = found.get(_place({**true, **WHOLE}))
            if whole is None or whole["flag"] != "failed":
                out += _pair_rows(found.get(place), true, method, statistic)
            elif _is_whole(true):  # what failed as a whole has one row
                out += _pair_rows(whole, true, method, statistic)
    return out


def _place(row: Mapping[str, object]) -> Key:
    return tuple(row.get(column, WHOLE.get(column)) for column in _PLACE)


def _is_whole(row: Mapping[str, object]) -> bool:
    return _place(row) == _place({**row, **WHOLE})


def _drawers(rows: Iterable[Mapping[str, object]], reference: str) -> list[tuple[str, str]]:
    """Every method and statistic, in the order in which they come."""
    pairs = ((str(r["method"]), str(r["statistic"])) for r in rows)
    return [p for p in dict.fromkeys(pairs) if p[0] != reference]


def _pair_rows(
    row: Mapping[str, object] | None, true: Mapping[str, object], method: str, statistic: str
) -> list[Row]:
    """Absolute and signed error of one mean."""
    base: Row = {c: true[c] for c in ("structure", "level_kind", "level", "slice") if c in true}
    base |= {"method": method, "reference": true["method"], "statistic": statistic}
    name = str(true["measure"]).split("_")[0]
    flag, reason = _state(row, true)
    out: list[Row] = []
    for ending, error in (("error", absolute_percent), ("signed_error", signed_percent)):
        measure = CATALOGUE[f"{name}_{ending}_percent"]
        value = NAN
        if row is not None and flag not in ("failed", "undefined"):
            value = error(_number(row), _number(true))
        n = 0 if row is None else row.get("n_voxels", 0)
        out.append(base | valued(measure, value, flag, reason) | {"n_voxels": n})
    return out


def _state(row: Mapping[str, object] | None, true: Mapping[str, object]) -> tuple[str, str]:
    """Flag and reason of an error: the worse of both means'."""
    if true["flag"] in ("failed", "undefined"):
        return str(true["flag"]), f"reference: {true['reason']}"
    if row is None:
        return "undefined", NO_VOXELS
    return str(row["flag"]), str(row["reason"])


def _number(row: Mapping[str, object]) -> float:
    return float(str(row["value"]))
