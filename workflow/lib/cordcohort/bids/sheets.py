"""participants.tsv, sessions and phenotype sheets: who was scanned where, and the clinical scores.

Everything is text: ``01`` is not 1 and ``no`` is not false. ``n/a`` and empty cells are missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from cordcohort.bids.names import valid_label
from cordcohort.errors import SheetError
from cordcohort.table import read_tsv

SCORE_COLUMNS = ["dataset", "subject", "person", "session", "time_point", "variable", "value"]
ID_COLUMN = "participant_id"
SESSION_COLUMN = "session_id"
TIME_COLUMN = "time_point"
NO_PARTICIPANTS = "no participants.tsv"
_ADD_COLUMN = "add that column, or save the sheet as tab-separated text"


@dataclass(frozen=True)
class Columns:
    """Columns of participants.tsv that say where and who, as named by the config.

    ``None`` stands for the usual name, used where it is there.
    """

    site: str | None = None
    vendor: str | None = None
    person: str | None = None
    split: str | None = None


SPLITS = ("", "train", "test", "external")
USUAL_COLUMNS = {
    "site": ("site",),
    "vendor": ("vendor", "manufacturer"),
    "person": ("person_id",),
    "split": ("split",),
}


@dataclass
class Sheets:
    """What the sheets of one data set say.

    Attributes
    ----------
    participants : dict
        Subject label to ``{"site", "vendor", "person", "split"}``, empty where not said.
    has_sites : bool
        Whether the sheet has a column of sites.
    scores : list of dict
        ``subject, session, time_point, variable, value`` of every filled cell.
    notes : list of (path, reason)
        What a person should know.
    """

    participants: dict[str, dict[str, str]] = field(default_factory=dict)
    has_sites: bool = False
    scores: list[dict[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)


def read_sheets(root: Path, columns: Columns) -> Sheets:
    """Read all sheets of a data set.

    Parameters
    ----------
    root : Path
        Folder of the data set.
    columns : Columns
        Named columns; a column that the config names must be there.

    Returns
    -------
    Sheets

    Raises
    ------
    SheetError
        If a sheet is no table, lacks a column, or contradicts itself.
    """
    sheets = Sheets()
    _read_participants(root, columns, sheets)
    for path in sorted(root.glob("sub-*/sub-*_sessions.tsv")):
        subject = path.parent.name[4:]
        if not valid_label(subject):
            continue
        frame = _require(read_tsv(path), path, SESSION_COLUMN)
        frame[ID_COLUMN] = subject
        _add_scores(sheets, frame, set())
    for path in sorted(root.glob("phenotype/*.tsv")):
        _add_scores(sheets, _identified(_require(read_tsv(path), path, ID_COLUMN)), set())
    _refuse_contradictions(root, sheets)
    return sheets


def _read_participants(root: Path, columns: Columns, sheets: Sheets) -> None:
    path = root / "participants.tsv"
    if not path.is_file():
        named = [c for c in (columns.site, columns.vendor, columns.person, columns.split) if c]
        if named:
            raise SheetError(path, f"a sheet with {named}", "no file", "add it to the data set")
        reason = f"{NO_PARTICIPANTS}: sites and scores are not known"
        sheets.notes.append((path.name, reason))
        return
    frame = _identified(_require(read_tsv(path), path, ID_COLUMN))
    roles = {role: _column(path, frame, role, columns) for role in USUAL_COLUMNS}
    sheets.has_sites = roles["site"] is not None
    frame = _without_duplicates(path, frame, sheets)
    for row in frame.fillna("").to_dict("records"):
        subject = str(row[ID_COLUMN])
        if not valid_label(subject):
            reason = f"participant {subject!r} is not sub-[0-9A-Za-z+]+; rename it"
            sheets.notes.append((path.name, reason))
            continue
        said = {role: str(row[name]).strip() if name else "" for role, name in roles.items()}
        said["person"] = said["person"].removeprefix("sub-")
        _refuse_split(path, subject, said["split"])
        sheets.participants[subject] = said
    _note_case(path, sheets)
    known = {name for name in roles.values() if name}
    _add_scores(sheets, frame[frame[ID_COLUMN].map(valid_label)], known)


def _refuse_split(path: Path, subject: str, split: str) -> None:
    if split not in SPLITS:
        raise SheetError(
            path, f"split of sub-{subject} among {SPLITS[1:]} or n/a", f"{split!r}",
            "correct it, or name another column (split_column)",
        )  # fmt: skip


def _column(path: Path, frame: pd.DataFrame, role: str, columns: Columns) -> str | None:
    """The sheet's column of a role: the named one, which must be there, or a usual one."""
    named: str | None = getattr(columns, role)
    if named:
        if named not in frame.columns:
            raise SheetError(
                path, f"column {named!r} (`{role}_column` in the config)",
                f"columns {list(frame.columns)}", "name one of these",
            )  # fmt: skip
        return named
    return next((name for name in USUAL_COLUMNS[role] if name in frame.columns), None)


def _require(frame: pd.DataFrame, path: Path, column: str) -> pd.DataFrame:
    if column not in frame.columns:
        came = f"columns {list(frame.columns)}"
        raise SheetError(path, f"column {column!r}", came, _ADD_COLUMN)
    return frame


def _identified(frame: pd.DataFrame) -> pd.DataFrame:
    """Subjects without ``sub-`` and without the rows that name none."""
    frame = frame[frame[ID_COLUMN].notna()].copy()
    frame[ID_COLUMN] = frame[ID_COLUMN].str.strip().str.removeprefix("sub-")
    return frame


def _without_duplicates(path: Path, frame: pd.DataFrame, sheets: Sheets) -> pd.DataFrame:
    """Drop repeated rows; two different rows of one subject are refused."""
    n_rows = len(frame)
    frame = frame.drop_duplicates()
    if len(frame) < n_rows:
        reason = f"{n_rows - len(frame)} repeated rows were dropped"
        sheets.notes.append((path.name, reason))
    twice = sorted(set(frame.loc[frame[ID_COLUMN].duplicated(), ID_COLUMN]))
    if twice:
        raise SheetError(
            path, "one row a participant", f"different rows of sub-{twice[0]}",
            "remove one; scores of several visits go to sub-X_sessions.tsv or phenotype/",
        )  # fmt: skip
    return frame


def _note_case(path: Path, sheets: Sheets) -> None:
    """Tell of sites that differ by case only: they are taken as two, perhaps by mistake."""
    by_folded: dict[str, set[str]] = {}
    for said in sheets.participants.values():
        by_folded.setdefault(said["site"].casefold(), set()).add(said["site"])
    for names in by_folded.values():
        if len(names) > 1:
            reason = f"sites {sorted(names)} differ by case only and are counted as different"
            sheets.notes.append((path.name, reason))


def _add_scores(sheets: Sheets, frame: pd.DataFrame, known: set[str]) -> None:
    """Add every filled cell of a sheet as one row of scores."""
    keys = [c for c in (ID_COLUMN, SESSION_COLUMN, TIME_COLUMN) if c in frame.columns]
    variables = [c for c in frame.columns if c not in {*keys, *known}]
    long = frame.melt(id_vars=keys, value_vars=variables, var_name="variable").dropna(
        subset=["value"]
    )
    for row in long.fillna("").to_dict("records"):
        session = str(row.get(SESSION_COLUMN, "")).strip().removeprefix("ses-")
        sheets.scores.append(
            {
                "subject": str(row[ID_COLUMN]),
                "session": session,
                "time_point": str(row.get(TIME_COLUMN, "")).strip() or session,
                "variable": str(row["variable"]),
                "value": str(row["value"]).strip(),
            }
        )


def _refuse_contradictions(root: Path, sheets: Sheets) -> None:
    """Drop scores that are there twice, and refuse two different values of one score."""
    seen: dict[tuple[str, ...], str] = {}
    for row in sheets.scores:
        key = (row["subject"], row["session"], row["time_point"], row["variable"])
        if seen.setdefault(key, row["value"]) != row["value"]:
            raise SheetError(
                root, f"one value of {key[3]!r} for sub-{key[0]} at {key[2] or 'no time point'}",
                f"{seen[key]!r} and {row['value']!r}",
                "keep one, or tell them apart by session_id or a time_point column",
            )  # fmt: skip
    names = ("subject", "session", "time_point", "variable")
    sheets.scores = [dict(zip(names, key, strict=True)) | {"value": v} for key, v in seen.items()]
