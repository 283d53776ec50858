"""Which scans failed, and which methods failed on a scan that did not.

A scan is failed when something that it should give was given by none of the methods that the study
relies on, structure by structure: the configured models; where none of them draws the structure on
the scan the masks that were found and measures from elsewhere; and the models of experiments, which
are compared with the others, only on scans that have nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cordcohort.lent_cord import lent_rows
from cordcohort.measures.catalogue import CATALOGUE
from cordcohort.table import SCAN_KEY

FAILED, EXCLUDED = "failed", "excluded"
_MODEL, _OTHER, _COMPARED = range(3)
# Between two sessions: what failed may be the other one.
_OF_SESSIONS = ("followup", "followup_n")
# What agreement and follow-up write: a fault of the reference, and the earlier session.
_REFERENCE_FAILED, _SESSION = "reference: ", "ses-"
_WHAT = ["method", "seed", "structure", "reason"]


@dataclass(frozen=True)
class Methods:
    """Whom a study relies on.

    Attributes
    ----------
    models : collection of str
        Methods of the configured models.
    compared : collection of str
        Methods of the models of experiments.
    """

    models: Collection[str] = ()
    compared: Collection[str] = ()

    @classmethod
    def of(cls, models: Iterable[str], seeds: Mapping[str, Sequence[str]]) -> Methods:
        """From all models of a study, and those of experiments with their method and seed.

        Examples
        --------
        >>> Methods.of(["cord-v1", "own-phase1-seed7"], {"own-phase1-seed7": ("own-phase1", "7")})
        Methods(models=['cord-v1'], compared=['own-phase1'])
        """
        compared = dict.fromkeys(method for method, _ in seeds.values())
        return cls([m for m in models if m not in seeds], list(compared))

    def rank(self, methods: pd.Series) -> NDArray[np.int64]:
        """0 for configured models, 1 for what was found, 2 for models of experiments."""
        compared = methods.isin(list(self.compared))
        rank = np.where(compared, _COMPARED, _OTHER)
        return np.asarray(np.where(methods.isin(list(self.models)), _MODEL, rank), dtype=np.int64)


def decisive_rows(cohort: pd.DataFrame, codes: NDArray[np.int64], methods: Methods) -> pd.Series:
    """Rows whose failure makes their scan a failed one.

    Parameters
    ----------
    cohort : DataFrame
        Long table.
    codes : array of int
        Number of the scan of each row.
    methods : Methods
        Whom the study relies on.

    Returns
    -------
    Series of bool
        On the table's index: failed rows of a measure of a structure that no method gave of the
        best rank (:meth:`Methods.rank`) that the structure has on the scan, rows without a method
        beside them; of experiments only where the scan has no other method.
    """
    decisive = pd.Series(data=False, index=cohort.index)
    failing = np.isin(codes, np.unique(codes[(cohort["flag"] == FAILED).to_numpy()]))
    rows = cohort.loc[failing, ["method", "reference", "structure", "measure", "flag"]]
    rows = rows.assign(scan=codes[failing], rank=methods.rank(rows["method"]))
    rows = _own_values(rows[rows["flag"] != EXCLUDED])
    named = rows["method"] != ""
    rank = rows["rank"].where(named, _COMPARED)
    # One model may be run on the scan for a structure that is not this one.
    best = rank.groupby([rows["scan"], rows["structure"]]).transform("min")
    relied_on = (rank < _COMPARED) | (rank.groupby(rows["scan"]).transform("min") == _COMPARED)
    rows = rows[~named | ((rows["rank"] == best) & relied_on)]
    given = rows.assign(given=rows["flag"] != FAILED)
    given = given.groupby(["scan", "structure", "measure"])["given"].transform("any")
    decisive.loc[given.index[~given]] = True
    return decisive


def _own_values(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the scan alone, not against a reference; all where a scan has no other."""
    of_sessions = [m for m, about in CATALOGUE.items() if about.kind in _OF_SESSIONS]
    rows = rows[~rows["measure"].isin(of_sessions)]
    own = rows["reference"] == ""
    return rows[own | ~own.groupby(rows["scan"]).transform("any")]


def method_failures(cohort: pd.DataFrame) -> pd.DataFrame:
    """Which method failed on which scan at what, and why.

    Returns
    -------
    DataFrame
        ``SCAN_KEY`` and ``method, seed, structure, reason``, each once. A measure against a
        reference, or an earlier session, is told where it failed by itself (two cords that could
        not be registered); where it failed with one of its two masks that mask's failure is told.
        A cord that one model hands on (:mod:`cordcohort.lent_cord`) fails once, as its lender's.
    """
    failed = cohort[(cohort["flag"] == FAILED) & (cohort["method"] != "")]
    failed = failed[[*SCAN_KEY, *_WHAT, "reference"]].drop_duplicates()
    own = failed["reference"] == ""
    told = failed[own | ~_is_explained(failed, failed[own])]
    told = told[[*SCAN_KEY, *_WHAT]].drop_duplicates()
    return told[~lent_rows(told)].reset_index(drop=True)


def _is_explained(failed: pd.DataFrame, own: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether the method, its reference or the earlier session failed alone for that reason."""
    reference = own.assign(reference=own["method"], reason=_REFERENCE_FAILED + own["reason"])
    earlier = own.assign(reference=_SESSION + own["session"])
    explained = np.zeros(len(failed), dtype=bool)
    for source, columns in (
        (own, [*SCAN_KEY, *_WHAT]),
        (reference, [*SCAN_KEY, "reference", "structure", "reason"]),
        (earlier, ["dataset", "subject", "reference", *_WHAT]),
    ):
        known = pd.MultiIndex.from_frame(source[columns])
        explained |= pd.MultiIndex.from_frame(failed[columns]).isin(known)
    return explained


def failures_text(failures: pd.DataFrame) -> str:
    """What failed on one scan, reason by reason.

    Examples
    --------
    >>> failures_text(pd.DataFrame({"method": ["a", "a", "b"], "seed": ["7", "42", ""],
    ...     "structure": ["cord", "cord", "lesion"], "reason": ["no cord", "no cord", "size"]}))
    'a (seeds 7, 42; cord): no cord; b (lesion): size'
    """
    parts: list[str] = []
    for (method, reason), own in failures.groupby(["method", "reason"], sort=True):
        seeds = sorted({s for s in own["seed"] if s}, key=lambda s: (len(s), s))
        about = [f"seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}"] if seeds else []
        about += [", ".join(sorted({s for s in own["structure"] if s}))]
        inside = "; ".join(text for text in about if text)
        parts.append(f"{method} ({inside}): {reason}" if inside else f"{method}: {reason}")
    return "; ".join(parts)
