"""Reliability: intraclass correlations by name, measurement error and detectable change."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from cordcohort.statistics.boundary import records
from cordcohort.statistics.icc import FORMS, MEAN_NAMES, NAMES, Icc, of_mean, one_way, two_way
from cordcohort.statistics.icc_mixed import MIXED_FORMS, mixed_two_way
from cordcohort.statistics.mixed import MAX_LEVELS
from cordcohort.statistics.registry import Outcome, Parameters, analysis
from cordcohort.statistics.select import Selection, parts
from cordcohort.statistics.spread import cell_means, is_constant
from cordcohort.statistics.variability import (
    ALSO_MERGED,
    COLUMN_OF,
    HELD,
    REPEATABILITY_FACTOR,
)

MIN_TARGETS = 3
COLUMNS = [
    "over", "form", "n_targets", "n_persons", "n_values", "n_single", "k", "icc", "ci_low",
    "ci_high", "ci_method", "f", "df1", "df2", "p", "ms_between", "ms_error", "sem",
    "smallest_detectable_change", "flag", "reason",
]  # fmt: skip
PARAMETERS = {
    "over": {"enum": list(HELD), "description": "what is repeated: session, run, site, method ..."},
    "forms": {
        "type": "array",
        "items": {"enum": [*FORMS, *MIXED_FORMS]},
        "uniqueItems": True,
        "minItems": 1,
        "default": list(FORMS),
        "description": "one_way: ICC(1,1), unequal repeats allowed; agreement: ICC(A,1); "
        "consistency: ICC(C,1), these two on targets with every repeat; agreement_mixed and "
        "consistency_mixed: the same two on all targets, by a mixed model",
    },
    "of_mean": {
        "type": "boolean",
        "default": False,
        "description": "also the forms for the mean of k repeats",
    },
}


def _merged(p: Parameters) -> Sequence[str]:
    return ALSO_MERGED.get(p["over"], (str(p["over"]),))


@analysis(
    "reliability",
    headline="icc",
    columns=COLUMNS,
    parameters=PARAMETERS,
    required=["over"],
    merged=_merged,
)
def reliability(selection: Selection, p: Parameters) -> Outcome:
    """Intraclass correlations over a factor, with interval and measurement error.

    A target is a person (at one site, in one session ... as the factor asks; the scan, for
    methods). Targets without a repeat are counted and left out.

    Parameters
    ----------
    selection : Selection
        Rows of the long table.
    p : mapping
        ``over``, ``forms``, ``of_mean``.

    Returns
    -------
    Outcome
        One row a form: ``icc`` with its F interval, ``k`` (n0 for unequal repeats), mean squares,
        ``sem`` = sqrt(MS error) and ``smallest_detectable_change`` = 1.96 sqrt(2) SEM, in the
        unit of the measure. The two-way forms use the targets that have every repeat.
    """
    factor = str(p["over"])
    held = [c for c in HELD[factor] if c not in selection.strata]
    target = ["person_key", *held]
    column = COLUMN_OF.get(factor, factor)
    cells = cell_means(selection.usable, ["stratum", *target, column])
    cells_of = parts(cells)
    rows: list[dict[str, object]] = []
    for code, stratum in enumerate(records(selection.all_strata())):
        mine = cells_of.get(code, cells.iloc[:0])
        for form in p["forms"]:
            head = {**stratum, "over": factor}
            rows += [{**head, **row} for row in _form_rows(mine, target, column, form, p)]
    return Outcome(
        table=pd.DataFrame(rows), method_text=_method_text(factor, target), unit="target",
        facts={"ddof": 1, "targets": target, "over": factor},
    )  # fmt: skip


def _form_rows(
    cells: pd.DataFrame, target: list[str], factor: str, form: str, p: Parameters
) -> list[dict[str, object]]:
    if form in MIXED_FORMS:
        return _mixed_rows(cells, target, factor, form)
    wide = cells.pivot_table(index=target, columns=factor, values="value") if len(cells) else cells
    n_repeats = wide.notna().sum(axis=1) if len(cells) else pd.Series(dtype=float)
    n_full = wide.shape[1] if form != "one_way" else 2
    kept = wide[n_repeats >= max(n_full, 2)] if len(cells) else cells
    head: dict[str, object] = {
        "form": NAMES[form], "n_targets": len(kept), "n_single": len(wide) - len(kept),
        "n_persons": len(kept.index.unique("person_key")) if len(kept) else 0,
        "n_values": int(kept.notna().to_numpy().sum()) if len(kept) else 0,
    }  # fmt: skip
    if len(kept) < MIN_TARGETS:
        what = "complete targets" if form != "one_way" else "targets with repeats"
        reason = f"{len(kept)} {what}: needs {MIN_TARGETS}"
        return [{**head, "flag": "undefined", "reason": reason}]
    values = kept.to_numpy(dtype=float)
    if form == "one_way":
        there = np.isfinite(values)
        icc = one_way(values[there], np.nonzero(there)[0])
    else:
        icc = two_way(values, form)
    rows = [{**head, **_numbers(icc)}]
    if p["of_mean"]:
        rows.append({**head, **_numbers(of_mean(icc)), "form": MEAN_NAMES[form]})
    return rows


def _mixed_rows(
    cells: pd.DataFrame, target: list[str], factor: str, form: str
) -> list[dict[str, object]]:
    """Row of a form by mixed model: every target counts, also those without a repeat."""
    if len(cells):
        cells = cells.pivot_table(index=target, columns=factor, values="value")
    values = cells.to_numpy(dtype=float) if len(cells) else np.zeros((0, 0))
    n_repeats = np.isfinite(values).sum(axis=1)
    n_repeated = int((n_repeats > 1).sum())
    head: dict[str, object] = {
        "form": MIXED_FORMS[form], "n_targets": len(values), "n_single": len(values) - n_repeated,
        "n_persons": len(cells.index.unique("person_key")) if len(cells) else 0,
        "n_values": int(n_repeats.sum()),
    }  # fmt: skip
    reason = ""
    if n_repeated < MIN_TARGETS:
        reason = f"{n_repeated} targets with repeats: needs {MIN_TARGETS}"
    elif is_constant(values[np.isfinite(values)]):
        reason = "the measure is constant"
    elif sum(values.shape) > MAX_LEVELS:
        reason = f"more than {MAX_LEVELS} targets and repeats: select a part"
    if reason:
        return [{**head, "flag": "undefined", "reason": reason}]
    icc, said = mixed_two_way(values, form)
    sem = math.sqrt(icc.ms_error)
    return [{
        **head, "k": icc.k, "icc": icc.value, "ci_low": icc.interval.low,
        "ci_high": icc.interval.high, "ci_method": icc.interval.method, "sem": sem,
        "smallest_detectable_change": REPEATABILITY_FACTOR * sem,
        "flag": "warning" if said else "", "reason": said,
    }]  # fmt: skip


def _numbers(icc: Icc) -> dict[str, object]:
    if not math.isfinite(icc.value):
        return {"k": icc.k, "flag": "undefined", "reason": "the measure is constant"}
    sem = math.sqrt(icc.ms_error)
    said = "negative: targets differ less than their repeats do" if icc.value < 0 else ""
    if not math.isfinite(icc.f):
        said = "repeats are identical: no F test, no interval"
    f, p = (icc.f, icc.p) if math.isfinite(icc.f) else (math.nan, math.nan)
    return {
        "k": icc.k, "icc": icc.value, "ci_low": icc.interval.low, "ci_high": icc.interval.high,
        "ci_method": icc.interval.method, "f": f, "df1": icc.df1, "df2": icc.df2, "p": p,
        "ms_between": icc.ms_between, "ms_error": icc.ms_error, "sem": sem,
        "smallest_detectable_change": REPEATABILITY_FACTOR * sem,
        "flag": "warning" if said else "",
        "reason": said,
    }  # fmt: skip


def _method_text(factor: str, target: Sequence[str]) -> str:
    what = " and ".join(c.removesuffix("_key") for c in target)
    return (
        f"Intraclass correlations over {factor}, targets being {what}: ICC(1,1) by one-way "
        "analysis of variance with n0 for unequal numbers of repeats, ICC(A,1) and ICC(C,1) by "
        "two-way analysis of variance on complete targets (McGraw and Wong 1996), with 95 % "
        "intervals from the F distribution; the forms named mixed use all targets, with variance "
        "components by restricted maximum likelihood and Wald intervals on the logit; standard "
        "error of measurement sqrt(MS error) and smallest detectable change 1.96 sqrt(2) SEM."
    )
