"""Comparisons of the values of a column, in pairs formed by key, for every paired analysis."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from cordcohort.statistics.pairs import Pairs, form_pairs, pair_key
from cordcohort.statistics.registry import Parameters
from cordcohort.statistics.select import Selection

COMPARABLE = [
    "method", "session", "run", "contrast", "acquisition", "resolution", "site", "vendor", "seed",
    "variant", "level", "structure", "statistic", "split",
]  # fmt: skip
PAIR_PARAMETERS = {
    "compare": {"enum": COMPARABLE, "description": "column whose values are compared in pairs"},
    "values": {
        "type": "array",
        "items": {"type": ["string", "integer"]},
        "uniqueItems": True,
        "default": [],
        "description": "values compared, all pairs of them; empty: all that occur. Values that "
        "do not occur stay as rows without a result",
    },
    "against": {
        "type": ["string", "integer", "null"],
        "default": None,
        "description": "compare every other value with this one only",
    },
    "unit": {
        "enum": ["person", "scan", "level"],
        "default": "person",
        "description": "one independent pair: the mean over a person's pairs, each scan, or each "
        "level of a person (levels of one person are not independent; some publications use them)",
    },
}
PAIR_COLUMNS = ["compared", "a", "b", "unit_of_pairing", "n_pairs", "n_only_a", "n_only_b"]


@dataclass(frozen=True)
class Comparison:
    """Two values of a column in one stratum, and the pairs that they form."""

    head: dict[str, object]
    pairs: Pairs

    @property
    def counts(self) -> dict[str, object]:
        """Numbers of complete and one-sided pairs."""
        pairs = self.pairs
        return {
            "n_pairs": len(pairs.table), "n_only_a": pairs.n_only_a, "n_only_b": pairs.n_only_b,
        }  # fmt: skip


def merged_columns(p: Parameters) -> Sequence[str]:
    """Strata that a paired analysis compares or averages over."""
    compared = ("method", "reference") if p["compare"] == "method" else (str(p["compare"]),)
    return (*compared, "level") if p["unit"] == "level" else compared


def comparisons(selection: Selection, p: Parameters) -> Iterator[Comparison]:
    """Every comparison that is declared, in every stratum.

    Parameters
    ----------
    selection : Selection
        Rows of the long table.
    p : mapping
        ``PAIR_PARAMETERS``.
    """
    compare = str(p["compare"])
    key = pair_key(compare, selection.strata, p["pool"])
    key += ["level"] if p["unit"] == "level" else []
    unit = _unit_columns(str(p["unit"]), key)
    strata = selection.groups()
    for a, b in _couples(selection.rows[compare], p):
        for stratum, part in strata:
            head = {"compared": compare, "a": a, "b": b, "unit_of_pairing": p["unit"]}
            yield Comparison({**stratum, **head}, form_pairs(part, compare, (a, b), key, unit))


def used_rows(found: Sequence[Comparison], selection: Selection) -> pd.Index:
    """Labels of the rows behind all pairs."""
    nothing = selection.rows.index[:0]
    return nothing.append([c.pairs.used for c in found]).unique()


def _couples(column: pd.Series, p: Parameters) -> list[tuple[str, str]]:
    values = [str(v) for v in p["values"]] or sorted(set(column.astype("str")))
    if p["compare"] == "method":  # an image that could not be read fails before any method
        values = [v for v in values if v]
    if p["against"] is not None:
        against = str(p["against"])
        return [(value, against) for value in values if value != against]
    return list(itertools.combinations(values, 2))


def _unit_columns(unit: str, key: Sequence[str]) -> list[str]:
    if unit == "scan":
        return list(key)
    return ["person_key", "level"] if unit == "level" else ["person_key"]


def nothing_to_compare(selection: Selection, p: Parameters) -> pd.DataFrame:
    """One undefined row a stratum, where the column has fewer than two values."""
    strata = selection.all_strata()
    compare = str(p["compare"])
    found = sorted(set(selection.rows[compare].astype("str")))
    reason = f"fewer than two values of {compare}: {found}"
    return strata.assign(compared=compare, a="", b="", unit_of_pairing=p["unit"], n_pairs=0,
                         flag="undefined", reason=reason)  # fmt: skip
