"""The index of a study: one row a scan, made once and read by everything else.

:func:`build_index` walks the data sets; :func:`write_index` keeps the result under
``results/bids`` and touches a file only where its content changed; jobs read that file and never
walk a data set.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from cordcohort.bids.dataset import find_scans
from cordcohort.bids.masks import masks_text
from cordcohort.bids.peers import add_peers
from cordcohort.bids.people import absences, list_participants, name_persons, vendor_name
from cordcohort.bids.shards import write_shards
from cordcohort.bids.sheets import SCORE_COLUMNS, Columns, read_sheets
from cordcohort.bids.sidecars import field_strengths, manufacturer
from cordcohort.errors import ConfigError, SheetError
from cordcohort.files import write_if_changed
from cordcohort.scan import INDEX, NO_MASKS, PARTICIPANTS, SCORES, scan_id
from cordcohort.scan import masks_of as _masks_of_row
from cordcohort.table import (
    SCAN_KEY,
    parquet_bytes,
    read_parquet,
    read_tsv,
    write_folder_schema,
)

if TYPE_CHECKING:
    from cordcohort.config import Config

UNMATCHED = "results/bids/unmatched.tsv"
INDEX_COLUMNS = [
    *SCAN_KEY, "site", "vendor", "person", "resolution", "split", "datatype", "suffix", "stem",
    "folder", "image", "sidecar", "bval", "bvec", "image_size", "image_mtime_ns", "status",
    "reason", "masks", "peers",
]  # fmt: skip
NUMBER_COLUMNS = ["image_size", "image_mtime_ns"]
PARTICIPANT_COLUMNS = [
    "dataset", "subject", "person", "site", "vendor", "split", "field_strength", "listed", "found",
]  # fmt: skip
UNMATCHED_COLUMNS = ["dataset", "path", "reason"]
MASK_COLUMNS = ["method", "structure", "kind", "path", "size", "mtime_ns", "status", "reason"]


@dataclass(frozen=True)
class Index:
    """What a study consists of.

    Attributes
    ----------
    scans : DataFrame
        One row a scan (:data:`INDEX_COLUMNS`), sorted by the scan key.
    scores : DataFrame
        Clinical scores and covariates, long: dataset, subject, person, session, time_point,
        variable, value (text).
    participants : DataFrame
        Everyone listed in a sheet or found on disk, with site, vendor and person, and the field
        strengths [T] that the sidecars of their images name.
    unmatched : DataFrame
        What was met but not used, and why: dataset, path, reason.
    """

    scans: pd.DataFrame
    scores: pd.DataFrame
    participants: pd.DataFrame
    unmatched: pd.DataFrame

    @functools.cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The scans as plain dictionaries (:func:`rows_of`), made once."""
        return rows_of(self.scans)


def build_index(config: Config) -> Index:
    """Walk every data set of a study.

    No image is read; a file that cannot be one (pointer, broken link, empty) has status ``failed``.

    Parameters
    ----------
    config : Config
        From :func:`cordcohort.config.load_config`.

    Returns
    -------
    Index

    Raises
    ------
    ConfigError
        If a data set holds no subject.
    SheetError
        If a sheet cannot be used.
    """
    scans: list[dict[str, Any]] = []
    scores: list[dict[str, str]] = []
    people: list[dict[str, Any]] = []
    unmatched: list[tuple[str, str, str]] = []
    for number, dataset in enumerate(config.datasets):
        external = dict(dataset.external)
        found = find_scans(dataset.root, dataset.labels, external, config.contrasts)
        if not found.scans and not found.subjects:
            raise ConfigError(
                f"datasets[{number}].path", str(dataset.path), "a BIDS folder with sub-* folders",
                "name the folder that holds participants.tsv and sub-*",
            )  # fmt: skip
        columns = Columns(
            dataset.site_column, dataset.vendor_column, dataset.person_column, dataset.split_column
        )
        sheets = read_sheets(dataset.root, columns)
        people += list_participants(dataset, found, sheets)
        scans += [{"dataset": dataset.name} | row for row in found.scans.values()]
        scores += [{"dataset": dataset.name} | row for row in sheets.scores]
        notes = sheets.notes + found.unmatched + absences(found, sheets)
        unmatched += [(dataset.name, printable(p), printable(reason)) for p, reason in notes]
    name_persons(people)
    who = {(p["dataset"], p["subject"]): p for p in people}
    frame = _scan_frame(scans, who)
    strengths = field_strengths(scans)
    for person in people:
        person["field_strength"] = strengths.get((person["dataset"], person["subject"]), "")
    return Index(
        scans=frame,
        scores=_score_frame(scores, who),
        participants=pd.DataFrame(people, columns=PARTICIPANT_COLUMNS),
        unmatched=pd.DataFrame(sorted(unmatched), columns=UNMATCHED_COLUMNS, dtype="str"),
    )


def printable(text: str) -> str:
    r"""Write a name so that a terminal or a table can show it, whatever it holds.

    Examples
    --------
    >>> printable("a\nb\x1b[31m")
    'a\\nb\\x1b[31m'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _scan_frame(
    scans: list[dict[str, Any]], who: Mapping[tuple[str, str], Mapping[str, Any]]
) -> pd.DataFrame:
    for row in scans:
        person = who[(row["dataset"], row["subject"])]
        row |= {column: person[column] for column in ("site", "person", "split")}
        row["vendor"] = person["vendor"] or vendor_name(manufacturer(str(row["sidecar"])))
        row["masks"] = masks_text(row["masks"])
    add_peers(scans)
    scans.sort(key=_sort_key)
    frame = pd.DataFrame(scans, columns=INDEX_COLUMNS)
    for column in INDEX_COLUMNS:
        frame[column] = frame[column].astype("Int64" if column in NUMBER_COLUMNS else "str")
    return frame


def _sort_key(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[column]) for column in SCAN_KEY)


def _score_frame(
    scores: list[dict[str, str]], who: Mapping[tuple[str, str], Mapping[str, Any]]
) -> pd.DataFrame:
    for row in scores:
        person = who.get((row["dataset"], row["subject"]), {})
        row["person"] = str(person.get("person", row["subject"]))
    frame = pd.DataFrame(scores, columns=SCORE_COLUMNS, dtype="str")
    return frame.sort_values(SCORE_COLUMNS, ignore_index=True)


def masks_of(scans: pd.DataFrame) -> pd.DataFrame:
    """All masks of some scans, one row each.

    Parameters
    ----------
    scans : DataFrame
        Rows of the index.

    Returns
    -------
    DataFrame
        The scan key, site, vendor, person and ``method, structure, kind, path, size, mtime_ns,
        status, reason`` of the mask.
    """
    columns = [*SCAN_KEY, "site", "vendor", "person"]
    drawn = scans.loc[~scans["masks"].isin(["", NO_MASKS]), [*columns, "masks"]]
    rows = [
        {column: row[column] for column in columns} | mask
        for row in drawn.to_dict("records")
        for mask in json.loads(str(row["masks"]))
    ]
    return pd.DataFrame(rows, columns=[*columns, *MASK_COLUMNS])


def write_index(index: Index, study_dir: Path | str) -> bool:
    """Keep an index under ``results/bids``; a file whose content is the same is left untouched.

    Returns
    -------
    bool
        Whether anything changed.
    """
    study = Path(study_dir)
    unmatched = index.unmatched.to_csv(sep="\t", index=False, lineterminator="\n")
    contents = {
        INDEX: parquet_bytes(index.scans),
        SCORES: parquet_bytes(index.scores),
        PARTICIPANTS: parquet_bytes(index.participants),
        UNMATCHED: unmatched.encode("utf-8"),
    }
    write_folder_schema((study / UNMATCHED).parent)
    changed = [write_if_changed(study / path, data) for path, data in contents.items()]
    write_shards(index.rows, study)
    return any(changed)


def read_index(study_dir: Path | str) -> Index:
    """Read the index that :func:`write_index` kept.

    Raises
    ------
    SheetError
        If there is none.
    """
    study = Path(study_dir)
    if not (study / INDEX).is_file():
        raise SheetError(study / INDEX, "an index", "no file", "run `cordcohort check` first")
    unmatched = read_tsv(study / UNMATCHED).fillna("")
    return Index(
        scans=read_parquet(study / INDEX),
        scores=read_parquet(study / SCORES),
        participants=read_parquet(study / PARTICIPANTS),
        unmatched=unmatched[UNMATCHED_COLUMNS],
    )


def rows_of(scans: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of the index as plain dictionaries; numbers are ``int`` or ``None``."""
    columns = {str(name): _plain(scans[name]) for name in scans.columns}
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


def _plain(column: pd.Series) -> list[Any]:
    """Values of a column; equal texts (sites, contrasts, subjects) share their memory."""
    if column.name in NUMBER_COLUMNS:
        known = column.notna().to_numpy()
        values = column.to_numpy(dtype="int64", na_value=0).tolist()
        return [v if there else None for v, there in zip(values, known, strict=True)]
    seen: dict[Any, Any] = {}
    return [seen.setdefault(v, v) for v in column.to_numpy(dtype=object)]


def read_rows(scan_ids: Iterable[str], study_dir: Path | str = ".") -> list[dict[str, Any]]:
    """Rows of the kept index by :func:`cordcohort.scan.scan_id`, in the order asked for.

    Raises
    ------
    SheetError
        If the index has no such scan.
    """
    path = Path(study_dir).resolve() / INDEX
    by_id = _rows_by_id(path, path.stat().st_mtime_ns) if path.is_file() else {}
    wanted = list(scan_ids)
    missing = [name for name in wanted if name not in by_id]
    if missing:
        raise SheetError(
            Path(study_dir) / INDEX, f"scan {missing[0]}", "an index without it",
            "run `cordcohort check` and start again",
        )  # fmt: skip
    return [dict(by_id[name]) for name in wanted]


@functools.lru_cache(maxsize=1)
def _rows_by_id(path: Path, _mtime_ns: int) -> dict[str, dict[str, Any]]:
    return {scan_id(row): row for row in rows_of(read_parquet(path))}


def unreadable(scans: pd.DataFrame) -> pd.DataFrame:
    """Images and masks that cannot be read: dataset, subject, file name, reason."""
    rows = [
        (row["dataset"], row["subject"], Path(str(row["image"])).name, row["reason"])
        for row in scans.to_dict("records")
        if row["status"] == "failed"
    ]
    rows += [
        (row["dataset"], row["subject"], Path(str(mask["path"])).name, mask["reason"])
        for row in rows_of(scans)
        for mask in _masks_of_row(row)
        if mask["status"] == "failed"
    ]
    return pd.DataFrame(sorted(rows), columns=["dataset", "subject", "file", "reason"])
