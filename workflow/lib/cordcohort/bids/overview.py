"""What ``cordcohort check`` prints: found, unreadable, not matched, by data set and site."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cordcohort.bids.identity import identifying_fields, identity_lines
from cordcohort.bids.index import UNMATCHED, Index, masks_of, unreadable
from cordcohort.config import Config
from cordcohort.table import NOT_REPORTED, SCAN_KEY

MAX_LINES = 12
PIPE_WIDTH = 120
BY_SITE = ["dataset", "site"]
TOTAL = "total"
_IDENTIFYING = "May tell who was scanned (never copied into reports, shared tables or masks)"
BY_CONTRAST = ["dataset", "contrast", "acquisition"]
BY_SCAN = ["dataset", "site", *SCAN_KEY[1:]]


def overview(index: Index, by: list[str]) -> pd.DataFrame:
    """Count scans and labels in groups.

    Parameters
    ----------
    index : Index
        The study.
    by : list of str
        Columns of the index that make the groups.

    Returns
    -------
    DataFrame
        One row a group: ``by``, numbers of subjects, sessions and scans, scans without an image,
        unreadable images and masks, and ``labels`` such as ``cord manual 12, gm rater-2 3``.
    """
    rows: list[dict[str, Any]] = []
    for key, scans in index.scans.groupby(by, sort=True):
        masks = masks_of(scans)
        n_unreadable = (scans["status"] == "failed").sum() + (masks["status"] == "failed").sum()
        rows.append(
            dict(zip(by, key, strict=True))
            | {
                "vendor": ", ".join(sorted(set(scans["vendor"]) - {""})),
                "subjects": scans["subject"].nunique(),
                "sessions": len(scans[["subject", "session"]].drop_duplicates()),
                "scans": len(scans),
                "no image": int((scans["status"] == "no_image").sum()),
                "unreadable": int(n_unreadable),
                "labels": _counted(masks["structure"] + " " + masks["method"]),
            }
        )
    counts = ["vendor", "subjects", "sessions", "scans", "no image", "unreadable", "labels"]
    table = pd.DataFrame(rows, columns=[*by, *counts])
    return table.replace({"site": {"": NOT_REPORTED}})


def with_total(groups: pd.DataFrame) -> pd.DataFrame:
    """Add the sum of the counts as a last row; one group alone is its own sum.

    Examples
    --------
    >>> with_total(pd.DataFrame({"dataset": ["a", "b"], "scans": [2, 3]})).values.tolist()
    [['a', 2], ['b', 3], ['total', 5]]
    """
    if len(groups) < 2:  # noqa: PLR2004
        return groups
    numbers = groups.select_dtypes("number").columns
    row = dict.fromkeys(groups.columns, "") | {groups.columns[0]: TOTAL}
    row |= {name: int(groups[name].sum()) for name in numbers}
    return pd.concat([groups, pd.DataFrame([row])], ignore_index=True)


def tables_overview(config: Config) -> pd.DataFrame:
    """Count what the tables from elsewhere hold, one row a table and measure."""
    from cordcohort.cohort.external import read_external  # noqa: PLC0415 - slow, rarely needed
    from cordcohort.cohort.persons import person_keys  # noqa: PLC0415

    rows: list[dict[str, Any]] = []
    for spec in config.external_measures:
        table = read_external(spec)
        for (measure, unit), part in table.groupby(["measure", "unit"], sort=True):
            rows.append({
                "table": spec["name"], "measure": measure, "unit": unit, "rows": len(part),
                "without a value": int(part["value"].isna().sum()),
                "persons": person_keys(part).nunique(),
                "sites": len(set(part["site"]) - {""}),
                "sessions": len(part[["subject", "session"]].drop_duplicates()),
                "contrasts": ", ".join(sorted(set(part["contrast"]) - {""})),
            })  # fmt: skip
    counts = ["rows", "without a value", "persons", "sites", "sessions", "contrasts"]
    return pd.DataFrame(rows, columns=["table", "measure", "unit", *counts])


def _counted(values: pd.Series) -> str:
    """``cord manual 12, gm manual 3``, most frequent first."""
    ordered = sorted(Counter(map(str, values)).items(), key=_by_count)
    return ", ".join(f"{name} {number}" for name, number in ordered)


def _by_count(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def print_overview(
    config: Config,
    index: Index,
    *,
    every_scan: bool = False,
    deep: bool = False,
    console: Console | None = None,
) -> None:
    """Print the counts, what cannot be read, and what was not matched and why.

    Parameters
    ----------
    config, index
        The study.
    every_scan : bool
        Also a line for every scan.
    deep : bool
        Look for identifying fields in every scan, not in some of each data set.
    console : Console, optional
        Where to print.
    """
    console = console or _console()
    if len(index.scans) or config.datasets:
        console.print(_table(f"{config.study.title}: sites", with_total(overview(index, BY_SITE))))
        console.print(_table("contrasts", overview(index, BY_CONTRAST).drop(columns="vendor")))
    if config.external_measures:
        console.print(_table("tables from elsewhere", tables_overview(config)))
    if every_scan:
        counts = ["vendor", "subjects", "sessions", "scans"]
        console.print(_table("scans", overview(index, BY_SCAN).drop(columns=counts)))
    unread = [f"{r.dataset}: {r.file}: {r.reason}" for r in unreadable(index.scans).itertuples()]
    _print_list(console, "Cannot be read (the study goes on without them)", unread)
    _print_list(console, "Not matched, or worth knowing", unmatched_lines(index))
    fields = identifying_fields(config, index, every_scan=deep)
    _print_list(console, _IDENTIFYING, identity_lines(fields))
    if len(index.unmatched):
        console.print(f"all of these: {UNMATCHED}", markup=False, highlight=False)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_WIDTH)


def unmatched_lines(index: Index) -> list[str]:
    """One line a data set and reason, with the first path of each."""
    lines: list[str] = []
    for (dataset, reason), part in index.unmatched.groupby(["dataset", "reason"], sort=True):
        more = f" and {len(part) - 1} more" if len(part) > 1 else ""
        lines.append(f"{dataset}: {part['path'].iloc[0]}{more}: {reason}")
    return lines


def _print_list(console: Console, title: str, lines: list[str]) -> None:
    if not lines:
        return
    console.print(f"[bold]{title}[/bold]")
    for line in lines[:MAX_LINES]:
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    if len(lines) > MAX_LINES:
        console.print(f"  ... and {len(lines) - MAX_LINES} more")


def _table(title: str, frame: pd.DataFrame) -> Table:
    """A table for the terminal; columns that say nothing are left out, labels are not markup."""
    table = Table(title=escape(title), title_justify="left", box=None, padding=(0, 2, 0, 0))
    shown = [c for c in frame.columns if any(str(value) not in ("", "0") for value in frame[c])]
    for column in shown:
        number = pd.api.types.is_numeric_dtype(frame[column])
        table.add_column(column, justify="right" if number else "left", overflow="fold")
    for row in frame[shown].itertuples(index=False):
        table.add_row(*(escape(str(value)) for value in row))
    return table


def _counted_faults(n: int) -> str:
    return "1 fault" if n == 1 else f"{n} faults"


def closing_lines(n_faults: int | None, study: Path, n_scans: int) -> list[str]:
    """What `check` says last: whether to run, and what it did not look at.

    Parameters
    ----------
    n_faults : int or None
        Faults of files; None where they were not opened.
    study : Path
    n_scans : int
    """
    run = f"`cordcohort run {study}`"
    if n_faults:
        return [
            f"config and sheets stop no run, but the files have {_counted_faults(n_faults)}, "
            "listed above by code; mend or exclude them, or go on without what they spoil: " + run
        ]
    if n_faults is None and n_scans:
        return [
            "config and sheets stop no run; images and masks were not opened: "
            f"`cordcohort check {study} --deep` finds damaged ones; next: {run}"
        ]
    return [f"config and sheets stop no run; next: {run}"]
