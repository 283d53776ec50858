"""Linear and mixed models of a measure on covariates: effects, standardised, with diagnostics."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy import stats

from cordcohort.statistics.components import LEVELS, estimable
from cordcohort.statistics.corrections import CORRECTION_PARAMETERS, with_correction
from cordcohort.statistics.covariates import COVARIATES_PARAMETER, design_of
from cordcohort.statistics.intervals import CONFIDENCE
from cordcohort.statistics.mixed import fit_mixed
from cordcohort.statistics.normality import normality_row
from cordcohort.statistics.registry import Outcome, Parameters, analysis
from cordcohort.statistics.select import Selection

MIN_FREE = 3
Row = dict[str, object]
COLUMNS = [
    "term", "n_values", "n_persons", "n_incomplete", "estimate", "se", "df", "t", "p", "ci_low",
    "ci_high", "standardised", "standardised_ci_low", "standardised_ci_high", "r_squared",
    "residual_sd", "residual_normality_p", "breusch_pagan_p", "max_vif", "max_cook", "random",
    "p_adjusted", "correction", "family", "n_family", "flag", "reason",
]  # fmt: skip
PARAMETERS = {
    "covariates": {**COVARIATES_PARAMETER, "minItems": 1},
    "random": {
        "type": "array",
        "items": {"enum": ["person", "site", "vendor"]},
        "uniqueItems": True,
        "default": [],
        "description": "random intercepts; empty: ordinary least squares on one value a person",
    },
    **CORRECTION_PARAMETERS,
}
_SCAN = ["person_key", "site", "vendor", "session", "acquisition", "run", "contrast"]


@analysis(
    "linear_model",
    headline="estimate",
    columns=COLUMNS,
    parameters=PARAMETERS,
    required=["covariates"],
)
def linear_model(selection: Selection, p: Parameters) -> Outcome:
    """Model a measure on covariates, by least squares or with random intercepts.

    Parameters
    ----------
    selection : Selection
        Rows of the long table; covariates are columns or score variables.
    p : mapping
        ``covariates``, ``random``, ``correction``, ``family``.

    Returns
    -------
    Outcome
        A row a term: estimate in units of the measure per unit of the covariate (or against the
        first category), SE, t, p, interval; standardised by the SDs of the measure and, for
        numbers, of the covariate. Least squares brings R squared, Breusch-Pagan, largest variance
        inflation and Cook's distance; the mixed model (REML) Wald tests with residual degrees of
        freedom, which are too many when sites or persons are few.
    """
    rows: list[Row] = []
    used: list[pd.Index] = [selection.rows.index[:0]]
    for stratum, part in selection.groups():
        keys = _SCAN if p["random"] else ["person_key"]
        table, labels = observations(part, list(p["covariates"]), keys)
        complete = table.dropna().reset_index(drop=True)
        used.append(part.index[part["person_key"].isin(set(complete["person_key"]))])
        head: Row = {"n_values": len(complete), "n_persons": complete["person_key"].nunique(),
                     "n_incomplete": len(table) - len(complete),
                     "random": ", ".join(p["random"])}  # fmt: skip
        rows += [{**stratum, **head, **row} for row in _model_rows(complete, labels, p)]
    table = pd.DataFrame(rows)
    table = table if "p" in table else table.assign(p=math.nan)
    terms = table.assign(p=table["p"].mask(table["term"] == "intercept"))
    corrected = with_correction(terms, str(p["correction"]), p["family"]).assign(p=table["p"])
    kind = "Linear mixed model (REML) with random intercepts of " + ", ".join(p["random"])
    text = (
        f"{kind if p['random'] else 'Ordinary least squares on one value a person'}; fixed effects "
        f"{', '.join(p['covariates'])}; 95 % Wald intervals; standardised effects; "
        f"{p['correction']} correction over the terms."
    )
    facts = {"correction": p["correction"], "random": p["random"], "ddof": 1}
    unit = "scan" if p["random"] else "person"
    return Outcome(corrected, text, unit, used[0].append(used[1:]).unique(), facts=facts)


def observations(
    part: pd.DataFrame, covariates: list[str], keys: list[str]
) -> tuple[pd.DataFrame, list[str]]:
    """One row an observation with its covariates (missing where unknown or ambiguous).

    Parameters
    ----------
    part : DataFrame
        Usable rows of one stratum, with the covariates as columns.
    covariates : list of str
        Columns; numbers when every known value reads as one, else text.
    keys : list of str
        What makes one observation.

    Returns
    -------
    table : DataFrame
        ``keys``, ``value`` and the covariates under the names in ``labels``.
    labels : list of str
        ``covariate_0`` ..., which collide with no column.
    """
    labels = [f"covariate_{i}" for i in range(len(covariates))]
    frame = part[[*dict.fromkeys(["value", *keys])]].copy()
    for label, covariate in zip(labels, covariates, strict=True):
        text = part[covariate].astype("str")
        number = pd.to_numeric(text.mask(text == ""), errors="coerce")
        numeric = number.notna().eq(text != "").all()
        frame[label] = number.astype("float64") if numeric else text.mask(text == "")
    groups = frame.groupby(keys, sort=True)
    out = groups["value"].mean().reset_index()
    for label in labels:
        if pd.api.types.is_numeric_dtype(frame[label]):
            column = groups[label].mean()
        else:
            column = groups[label].first().where(groups[label].nunique() == 1)
        out[label] = column.to_numpy()
    return out, labels


def _model_rows(complete: pd.DataFrame, labels: list[str], p: Parameters) -> list[Row]:
    design = design_of(complete[labels])
    names = {f"covariate_{i}": str(c) for i, c in enumerate(p["covariates"])}
    design.columns = [_named(str(c), names) for c in design.columns]
    y = complete["value"].to_numpy(dtype=float)
    x = np.column_stack([np.ones(len(y)), design.to_numpy(dtype=float)])
    reason = ""
    if len(y) - x.shape[1] < MIN_FREE:
        reason = f"{len(y)} complete observations for {x.shape[1]} terms: too few"
    elif np.ptp(y) == 0:
        reason = "the measure is constant"
    elif design.shape[1] == 0 or np.linalg.matrix_rank(x) < x.shape[1]:
        reason = "covariates are collinear or constant: one cannot be told from the others"
    if reason:
        return [{"term": "", "flag": "undefined", "reason": reason}]
    terms = ["intercept", *[str(c) for c in design.columns]]
    if p["random"]:
        return _mixed_rows(complete, x, terms, p)
    return _ols_rows(y, x, terms)


def _named(column: str, names: dict[str, str]) -> str:
    base, bracket, rest = column.partition("[")
    return names[base] + bracket + rest


def _ols_rows(y: np.ndarray, x: np.ndarray, terms: list[str]) -> list[Row]:
    from statsmodels.regression.linear_model import OLS  # noqa: PLC0415 - slow import
    from statsmodels.stats.diagnostic import het_breuschpagan  # noqa: PLC0415 - slow import

    fit = OLS(y, x).fit()
    residual = np.asarray(fit.resid)
    exact = float(np.abs(residual).max()) < 1e-10 * float(np.abs(y).max())
    shared: Row = {
        "r_squared": float(fit.rsquared), "residual_sd": math.sqrt(float(fit.scale)),
        "max_vif": _max_vif(x), "flag": "", "reason": "",
    }  # fmt: skip
    if not exact:
        shared |= {
            "residual_normality_p": normality_row(residual).get("p"),
            "breusch_pagan_p": float(het_breuschpagan(residual, x)[1]),
            "max_cook": float(np.nanmax(fit.get_influence().cooks_distance[0])),
        }
    covariance = np.asarray(fit.cov_params())
    rows = _term_rows(np.asarray(fit.params), covariance, float(fit.df_resid), (x, y))
    return [{"term": t, **shared, **row} for t, row in zip(terms, rows, strict=True)]


def _mixed_rows(
    complete: pd.DataFrame, x: np.ndarray, terms: list[str], p: Parameters
) -> list[Row]:
    codes, refused = estimable(complete, [c for c in p["random"] if c in LEVELS])
    if refused:
        reason = "; ".join(f"{c}: {why}" for c, why in refused.items())
        return [{"term": "", "flag": "undefined", "reason": reason}]
    y = complete["value"].to_numpy(dtype=float)
    fit = fit_mixed(y, x, codes)
    said = [f"{n} variance estimated as zero" for n, v in fit.variance.items() if v == 0]
    said += [] if fit.converged else ["the optimiser did not converge"]
    shared: Row = {
        "residual_sd": math.sqrt(fit.variance["residual"]), "max_vif": _max_vif(x),
        "residual_normality_p": normality_row(y - x @ fit.beta).get("p"),
        "r_squared": float((x @ fit.beta).var() / ((x @ fit.beta).var() + sum(
            fit.variance.values()))),
        "flag": "warning" if said else "", "reason": "; ".join(said),
    }  # fmt: skip
    rows = _term_rows(fit.beta, fit.covariance, float(len(y) - x.shape[1]), (x, y))
    return [{"term": t, **shared, **row} for t, row in zip(terms, rows, strict=True)]


def _term_rows(
    beta: np.ndarray, covariance: np.ndarray, df: float, data: tuple[np.ndarray, np.ndarray]
) -> list[Row]:
    x, y = data
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, df))
    rows: list[Row] = []
    for i, (estimate, variance) in enumerate(zip(beta, np.diag(covariance), strict=True)):
        se = math.sqrt(max(float(variance), 0.0))
        t = float(estimate) / se if se > 0 else math.nan
        scale = _scale(x[:, i]) / float(y.std(ddof=1))
        row: Row = {
            "estimate": float(estimate), "se": se, "df": df, "t": t,
            "p": float(2 * stats.t.sf(abs(t), df)) if se > 0 else math.nan,
            "ci_low": float(estimate) - half * se, "ci_high": float(estimate) + half * se,
        }  # fmt: skip
        if i:
            row |= {
                "standardised": float(estimate) * scale,
                "standardised_ci_low": (float(estimate) - half * se) * scale,
                "standardised_ci_high": (float(estimate) + half * se) * scale,
            }
        rows.append(row)
    return rows


def _scale(column: np.ndarray) -> float:
    """SD of a number; 1 for an indicator (its effect is a difference already)."""
    return 1.0 if np.isin(column, (0.0, 1.0)).all() else float(column.std(ddof=1))


def _max_vif(x: np.ndarray) -> float:
    """Largest variance inflation of the covariates (1: independent; above 5 to 10: tangled)."""
    if x.shape[1] < 3:  # noqa: PLR2004 - one covariate besides the intercept
        return 1.0
    correlation = np.corrcoef(x[:, 1:], rowvar=False)
    return float(np.diag(np.linalg.inv(correlation)).max())
