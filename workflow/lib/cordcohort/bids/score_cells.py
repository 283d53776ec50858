"""Clinical scores as sheets give them: text where numbers are expected, time points that exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from cordcohort.bids.index import Index
from cordcohort.config import Config
from cordcohort.errors import ConfigError
from cordcohort.text_scores import text_cells
from cordcohort.validation import nearest

MAX_CELLS = 5  # named for each score
MAX_SCORES = 10  # told of those that no analysis uses


def all_scores(config: Config, index: Index) -> pd.DataFrame:
    """Scores of the sheets and of the tables from elsewhere, long and as text."""
    tables = [table for table in config.external_measures if table["scores"]]
    if not tables:
        return index.scores
    from cordcohort.cohort.external import external_scores  # noqa: PLC0415 - slow, rarely needed

    return pd.concat([index.scores, *map(external_scores, tables)], ignore_index=True)


def text_score_lines(config: Config, index: Index) -> list[str]:
    """Cells of scores that are to be numbers and hold text: a line a score and analysis.

    A score that no analysis uses has a line of its own. A covariate is named where most of its
    cells are numbers: its text would turn all of them into categories.
    """
    scores = all_scores(config, index)
    doubtful = text_cells(scores)
    lines: list[str] = []
    used: set[str] = set()
    for analysis in config.analyses:
        for variable, all_text in _numbers_of(analysis):
            used.add(variable)
            cells = scores[scores["variable"] == variable]
            text = cells[pd.to_numeric(cells["value"], errors="coerce").isna()]
            if not all_text:  # else categories
                text = doubtful[doubtful["variable"] == variable]
            if len(text):
                named = f"analysis {analysis['name']!r}: score {variable!r} is to be a number, but"
                lines.append(f"{named} {_cells(text, len(cells))}")
    more: list[str] = []
    for variable, text in doubtful[~doubtful["variable"].isin(used)].groupby("variable"):
        n_cells = int((scores["variable"] == variable).sum())
        more.append(f"score {variable!r}, which no analysis uses: {_cells(text, n_cells)}")
    hidden = len(more) - MAX_SCORES
    return [*lines, *more[:MAX_SCORES], *([f"and {hidden} more scores"] if hidden > 0 else [])]


def _cells(text: pd.DataFrame, n_cells: int) -> str:
    """How many cells are text, and the first of them by name."""
    named = [
        f"{row.dataset}/sub-{row.subject}{f'/ses-{row.session}' if row.session else ''} "
        f"{row.value!r}"
        for row in text.head(MAX_CELLS).itertuples()
    ]
    more = f" and {len(text) - len(named)} more" if len(text) > len(named) else ""
    told = f"{len(text)} of {n_cells} cells are text: {', '.join(named)}{more}"
    return f"{told}; expected numbers, correct the sheet"


def _numbers_of(analysis: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Scores that an analysis takes as numbers, and whether text can never be meant."""
    for variable in _correlated(analysis):
        yield variable, True
    for variable in analysis.get("covariates", ()):
        yield variable, False


def _correlated(analysis: Mapping[str, Any]) -> list[str]:
    """Scores that measures of an analysis are correlated with."""
    alone = analysis.get("score", ())
    alone = [alone] if isinstance(alone, str) else alone
    return [str(name) for name in (*(analysis.get("with") or {}).get("score", ()), *alone)]


def _time_points_of(analysis: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Key of the time points of its scores that an analysis names, and these; often none."""
    partner = (analysis.get("with") or {}).get("time_point", ())
    return ("with.time_point", [*partner]) if partner else (
        "time_point", [*analysis.get("time_point", ())])  # fmt: skip


def check_time_points(config: Config, index: Index) -> None:
    """Refuse a time point that none of an analysis' scores has.

    Raises
    ------
    ConfigError
        With those that they have, or how a sheet tells time points.
    """
    for analysis, key, points, known in _named_points(config, index):
        there = {one for own in known.values() for one in own}
        for point in points:
            if point not in there:
                expected = f"a time point of {', '.join(known)}"
                raise ConfigError(key, point, expected, _way_out(point, there, analysis))


def _way_out(point: str, there: set[str], analysis: str) -> str:
    if there - {""}:
        return nearest(point, there)
    return (
        f"no sheet tells time points of it: remove time_point from {analysis}, or give a column "
        "time_point in sub-X_sessions.tsv or a sheet of phenotype/"
    )


def time_point_lines(config: Config, index: Index) -> list[str]:
    """Scores of an analysis that lack one of the time points it names, a line each."""
    lines: list[str] = []
    for analysis, _, points, known in _named_points(config, index):
        for variable, there in known.items():
            lacking = [point for point in points if point not in there]
            if lacking:
                have = ", ".join(sorted(there - {""})) or "none"
                lines.append(
                    f"analysis {analysis!r}: score {variable!r} has no cell of time point "
                    f"{', '.join(lacking)}, so these rows stay empty (it has: {have})"
                )
    return lines


def _named_points(
    config: Config, index: Index
) -> Iterator[tuple[str, str, list[str], dict[str, set[str]]]]:
    """Analyses that name time points: name, key, time points, and those each of its scores has."""
    asking = [(one, *_time_points_of(one)) for one in config.analyses]
    asking = [(one, key, points) for one, key, points in asking if points and _correlated(one)]
    if not asking:
        return
    scores = all_scores(config, index)
    for one, key, points in asking:
        own = scores[scores["variable"].isin(_correlated(one))]
        known = {name: set(own.loc[own["variable"] == name, "time_point"])
                 for name in _correlated(one)}  # fmt: skip
        yield str(one["name"]), f"analyses[{one['name']}].{key}", [str(p) for p in points], known
