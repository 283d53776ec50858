"""Harmonisation of sites, declared: fitted on a named group, the raw value always beside."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.statistics.covariates import COVARIATES_PARAMETER, design_of
from cordcohort.statistics.location_scale import (
    TRAVELLERS,
    fit_location_scale,
    harmonised,
    reason_against,
    variance_share,
)
from cordcohort.statistics.models import observations
from cordcohort.statistics.registry import Outcome, Parameters, analysis
from cordcohort.statistics.select import Selection

Row = dict[str, object]
COLUMNS = [
    "site", "person", "fitted_on", "raw", "harmonised", "change", "n_fit", "n_sites",
    "site_share_raw", "site_share_harmonised", "flag", "reason",
]  # fmt: skip
PARAMETERS = {
    "group": {
        "type": "string",
        "description": "column or score variable that names the group it is fitted on",
    },
    "fit_on": {
        "type": "array",
        "items": {"type": "string"},
        "minItems": 1,
        "uniqueItems": True,
        "description": "values of that column whose persons serve to fit (healthy controls ...)",
    },
    "covariates": {**COVARIATES_PARAMETER, "description": "columns or scores whose effect is kept"},
}


@analysis(
    "harmonisation",
    columns=COLUMNS,
    parameters=PARAMETERS,
    required=["group", "fit_on"],
)
def harmonisation(selection: Selection, p: Parameters) -> Outcome:
    """Remove each site's shift and scale, estimated on a named group.

    Parameters
    ----------
    selection : Selection
        Rows of the long table.
    p : mapping
        ``group``, ``fit_on``, ``covariates``.

    Returns
    -------
    Outcome
        A row a person: ``raw`` and ``harmonised`` value; share of the variance between sites
        before and after, over the persons of the fit. Refused with a reason for one site, fewer
        than three persons at a site, travelling persons, or sites confounded with a covariate. A
        site without persons in the group keeps its raw value only. The fitted numbers are in the
        record beside the table.
    """
    rows: list[Row] = []
    fits: list[dict[str, Any]] = []
    for stratum, part in selection.groups():
        found, fit = _stratum(part, p)
        rows += [{**stratum, **row} for row in found]
        fits += [{"stratum": stratum, **fit}] if fit else []
    text = (
        "Location-scale harmonisation of sites (the model of ComBat without empirical Bayes), "
        f"fitted on persons with {p['group']} in {list(p['fit_on'])}, covariates "
        f"{list(p['covariates']) or 'none'} kept, applied to all; raw values beside."
    )
    facts = {"fits": fits, "ddof": 1}
    return Outcome(pd.DataFrame(rows), text, "person", facts=facts)


def _stratum(part: pd.DataFrame, p: Parameters) -> tuple[list[Row], dict[str, Any]]:
    group = str(p["group"])
    names = list(dict.fromkeys([group, *p["covariates"]]))
    table, labels = observations(part, names, ["person_key", "site"])
    table = table.assign(group=table[labels[0]].astype("object").fillna("").astype("str"))
    kept_labels = [labels[names.index(c)] for c in p["covariates"]]
    complete = table.dropna(subset=kept_labels).reset_index(drop=True)
    design = design_of(complete[kept_labels]).to_numpy(dtype=float)
    fitted = complete["group"].isin([str(v) for v in p["fit_on"]]).to_numpy(dtype=bool)
    values = complete["value"].to_numpy(dtype=float)
    site = complete["site"].tolist()
    reason = f"nobody with {group} in {list(p['fit_on'])}"
    if fitted.any():
        people = complete["person_key"]
        reason = reason_against(
            complete.loc[fitted, "site"].tolist(), people[fitted].tolist(), design[fitted],
            values[fitted],
        )  # fmt: skip
        if not reason and people.duplicated().any():
            reason = TRAVELLERS
    if reason:
        return [{"n_fit": int(fitted.sum()), "flag": "undefined", "reason": reason}], {}
    fit = fit_location_scale(values[fitted], complete.loc[fitted, "site"].tolist(), design[fitted])
    out = harmonised(fit, values, site, design)
    here = complete.loc[fitted, "site"].tolist()
    shared: Row = {
        "n_fit": int(fitted.sum()), "n_sites": len(fit.sites),
        "site_share_raw": variance_share(values[fitted], here),
        "site_share_harmonised": variance_share(out[fitted], here),
    }  # fmt: skip
    rows = _rows(complete, fitted, out, shared)
    return rows, asdict(fit) | {"covariates": list(p["covariates"])}


def _rows(complete: pd.DataFrame, fitted: np.ndarray, out: np.ndarray, shared: Row) -> list[Row]:
    rows: list[Row] = []
    for i, (person, site, raw) in enumerate(
        zip(complete["person_key"], complete["site"], complete["value"], strict=True)
    ):
        unknown = not np.isfinite(out[i])
        reason = f"nobody of the group was scanned at {site}: raw value only" if unknown else ""
        rows.append({
            **shared, "site": str(site), "person": str(person),
            "fitted_on": "yes" if fitted[i] else "no", "raw": float(raw),
            "harmonised": float(out[i]), "change": float(out[i] - raw),
            "flag": "undefined" if unknown else "", "reason": reason,
        })  # fmt: skip
    return rows
