"""Planning of the next study from the measured variance components of this one."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.statistics.components import component_rows
from cordcohort.statistics.intervals import DEFAULT_SEED
from cordcohort.statistics.power import ALLOCATIONS, Design, power, reason_against
from cordcohort.statistics.registry import Outcome, Parameters, analysis
from cordcohort.statistics.select import Selection
from cordcohort.statistics.spread import cell_means

Row = dict[str, object]
COLUMNS = [
    "allocation", "n_sites", "n_per_arm", "n_scans", "effect", "effect_percent", "sd_person",
    "sd_site", "sd_residual", "power", "power_se", "alpha", "enough", "smallest_enough", "flag",
    "reason",
]  # fmt: skip
_COUNTS: dict[str, Any] = {
    "type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 100_000},
    "minItems": 1, "uniqueItems": True,
}  # fmt: skip
PARAMETERS = {
    "effect": {
        "anyOf": [
            {"type": "number", "exclusiveMinimum": 0},
            {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}, "minItems": 1,
             "uniqueItems": True},
        ],
        "description": "difference to find, or several",
    },
    "relative": {
        "type": "boolean",
        "default": False,
        "description": "the effect is a percentage of the mean of the measure",
    },
    "n_sites": {**_COUNTS, "default": [2, 5, 10], "description": "numbers of sites tried"},
    "n_per_arm": {
        **_COUNTS,
        "default": [10, 20, 30, 50, 75, 100, 150, 200],
        "description": "persons an arm tried, over all sites",
    },
    "n_scans": {"type": "integer", "minimum": 1, "default": 1, "description": "scans a person"},
    "allocation": {
        "enum": list(ALLOCATIONS),
        "default": "within_sites",
        "description": "both arms at every site, or each site in one arm",
    },
    "alpha": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "default": 0.05,
              "description": "two-sided significance level"},
    "target": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "default": 0.8,
               "description": "power that is enough"},
    "n_simulations": {"type": "integer", "minimum": 100, "maximum": 100_000, "default": 4000,
                      "description": "simulated studies of each design"},
}  # fmt: skip
_SCAN = ["person_key", "site", "vendor", "session", "acquisition", "run", "contrast"]


@analysis("planning", columns=COLUMNS, parameters=PARAMETERS, required=["effect"])
def planning(selection: Selection, p: Parameters) -> Outcome:
    """Power of two-arm studies with the variance components that were measured here.

    Parameters
    ----------
    selection : Selection
        Rows of the long table of one group (patients, or controls).
    p : mapping
        ``effect``, ``relative``, ``n_sites``, ``n_per_arm``, ``n_scans``, ``allocation``,
        ``alpha``, ``target``, ``n_simulations``.

    Returns
    -------
    Outcome
        A row a design: ``power`` with its Monte Carlo standard error, ``enough`` (yes/no) and the
        smallest number of persons an arm tried that is enough with as many sites. Components that
        cannot be measured here count as zero and are said.
    """
    rows: list[Row] = []
    for stratum, part in selection.groups():
        cells = cell_means(part, [c for c in _SCAN if c not in stratum])
        rows += [{**stratum, **row} for row in _designs(cells, p)]
    text = (
        "Power of two-arm studies by simulation from the variance components of this cohort "
        f"(person, site, residual; REML), {p['allocation'].replace('_', ' ')}, two-sided alpha "
        f"{p['alpha']:g}, {p['n_simulations']} simulated studies a design."
    )
    facts = {"seed": DEFAULT_SEED, "n_simulations": p["n_simulations"], "target": p["target"]}
    return Outcome(pd.DataFrame(rows), text, "person", facts=facts)


def _designs(cells: pd.DataFrame, p: Parameters) -> list[Row]:
    found = {str(r["component"]): r for r in component_rows(cells, ["person", "site"])}
    if "residual" not in found:
        reason = str(found["total"]["reason"])
        return [{"allocation": p["allocation"], "flag": "undefined", "reason": reason}]
    sds, said = _sds(found)
    mean = float(str(found["total"]["mean"]))
    rows: list[Row] = []
    for asked in sorted(float(e) for e in _listed(p["effect"])):
        effect = asked * (abs(mean) / 100 if p["relative"] else 1.0)
        shared: Row = {
            "allocation": p["allocation"], "n_scans": p["n_scans"], "effect": effect,
            "effect_percent": 100 * effect / abs(mean) if mean else np.nan,
            "sd_person": sds["person"], "sd_site": sds["site"], "sd_residual": sds["residual"],
            "alpha": p["alpha"], "flag": "warning" if said else "", "reason": said,
        }  # fmt: skip
        designs = itertools.product(sorted(p["n_sites"]), sorted(p["n_per_arm"]))
        found_here = [
            {
                **shared,
                **_row(Design(k, n, int(p["n_scans"]), str(p["allocation"])), effect, sds, p),
            }
            for k, n in designs
        ]
        rows += [row | {"smallest_enough": _smallest(row, found_here)} for row in found_here]
    return rows


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _smallest(row: Row, rows: list[Row]) -> object:
    """Fewest persons an arm, of those tried, that are enough with as many sites."""
    enough = [r for r in rows if r["n_sites"] == row["n_sites"] and r.get("enough") == "yes"]
    return enough[0]["n_per_arm"] if enough else None


def _sds(found: dict[str, Row]) -> tuple[dict[str, float], str]:
    """SDs of person, site and residual; what was not measured counts as zero, and is said."""
    sds: dict[str, float] = {}
    said: list[str] = []
    for name in ("person", "site", "residual"):
        row = found.get(name, {})
        sds[name] = float(str(row["sd"])) if "sd" in row else 0.0
        if "sd" not in row:
            said.append(f"{name} not measured here ({row.get('reason', '')}), taken as zero")
    return sds, "; ".join(said)


def _row(design: Design, effect: float, sds: dict[str, float], p: Parameters) -> Row:
    head: Row = {"n_sites": design.n_sites, "n_per_arm": design.n_per_arm}
    reason = reason_against(design)
    if reason:
        return {**head, "enough": "", "flag": "undefined", "reason": reason}
    found, error = power(design, effect, sds, alpha=float(p["alpha"]),
                         n_simulations=int(p["n_simulations"]), seed=DEFAULT_SEED)  # fmt: skip
    enough = "yes" if found >= float(p["target"]) else "no"
    return {**head, "power": found, "power_se": error, "enough": enough}
