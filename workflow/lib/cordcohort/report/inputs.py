"""Everything that the report is made from, read once and brought to one shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc

from cordcohort.cohort.scans import with_state
from cordcohort.errors import SheetError
from cordcohort.files import read_record, recorded_file
from cordcohort.lent_cord import lent_rows
from cordcohort.report.privacy import public_text
from cordcohort.table import LONG_COLUMNS, SCAN_KEY, SCHEMA_VERSION, read_parquet, read_tsv

Config = Any  # the validated configuration: an object with attributes, or a plain mapping

SCAN_COLUMNS = [*SCAN_KEY, "site", "vendor", "person", "status", "reason", "warning", "failures"]
SCORE_COLUMNS = ["dataset", "subject", "person", "session", "time_point", "variable", "value"]
PARTICIPANT_COLUMNS = ["dataset", "subject", "field_strength"]
INDEX_COLUMNS = [*SCAN_KEY, "site", "vendor", "person", "stem", "folder", "image", "masks"]


@dataclass(frozen=True)
class Analysis:
    """One declared analysis: its results, its counts and what was done, in words.

    Attributes
    ----------
    name, kind : str
        As in the config.
    table, counts : DataFrame
        Tidy results; n found, excluded, failed and used by site (empty if not made).
    about : dict
        The method text and settings that were written beside the results.
    title : str
        Heading of the analysis.
    """

    name: str
    kind: str
    table: pd.DataFrame
    counts: pd.DataFrame
    about: dict[str, Any] = field(default_factory=dict)
    title: str = ""

    @property
    def whole(self) -> pd.DataFrame:
        """The result rows over all sites, which the page shows and draws."""
        return whole_rows(self.table)


@dataclass(frozen=True)
class Inputs:
    """The tables of one study.

    Attributes
    ----------
    results : Path
        The study's ``results`` folder.
    index, scores, scans, measures : DataFrame
        Index of images, clinical scores, one row a scan with its status, whole-scan measures
        (no per-slice rows).
    analyses : tuple of Analysis
        In the order of the config.
    config : mapping
        The study's configuration.
    participants : DataFrame
        Everyone, with the field strengths that the sidecars of the images name.
    """

    results: Path
    index: pd.DataFrame
    scores: pd.DataFrame
    scans: pd.DataFrame
    measures: pd.DataFrame
    analyses: tuple[Analysis, ...]
    config: Config
    participants: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=PARTICIPANT_COLUMNS, dtype="str")
    )


def report_folder(study_dir: Path | str) -> Path:
    """Where the report of a study lies."""
    return Path(study_dir) / "results" / "report"


def read_inputs(study_dir: Path | str, config: Config, *, statistics: bool = True) -> Inputs:
    """Read all tables of a study; what an empty study has not made yet is an empty table.

    Parameters
    ----------
    study_dir : path
        The folder that holds ``config`` and ``results``.
    config : mapping
        The study's configuration.
    statistics : bool
        Whether the analyses are wanted too (subject pages do without).

    Raises
    ------
    SheetError
        If a table exists but lacks a column.
    """
    results = Path(study_dir) / "results"
    scans = with_state(_table(results / "cohort" / "scans.parquet", SCAN_COLUMNS))
    return Inputs(
        results=results,
        index=_table(results / "bids" / "index.parquet", INDEX_COLUMNS),
        scores=_table(results / "bids" / "scores.parquet", SCORE_COLUMNS),
        scans=scans.sort_values(SCAN_KEY, kind="stable", ignore_index=True),
        measures=whole_scan_measures(results / "cohort" / "measures.parquet"),
        analyses=tuple(_analyses(results / "statistics", config)) if statistics else (),
        config=config,
        participants=_table(results / "bids" / "participants.parquet", PARTICIPANT_COLUMNS),
    )


def _table(path: Path, columns: list[str]) -> pd.DataFrame:
    """A table of strings with at least ``columns``; without the file an empty one."""
    if not path.is_file():
        return pd.DataFrame({c: pd.Series(dtype="str") for c in columns})
    frame = read_parquet(path)
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        raise SheetError(
            path, f"columns {columns}", f"none named {missing}", "delete and run again"
        )
    for column in columns:
        frame[column] = frame[column].astype("object").fillna("").astype("str")
    return frame


def whole_scan_measures(path: Path) -> pd.DataFrame:
    """The rows of the long table that describe a scan, a level or an object, not one slice.

    Measurements repeated on purpose (``variant``) are left to the analyses that name them; a cord
    that one model hands on is told once (:mod:`cordcohort.lent_cord`).
    """
    if not path.is_file():
        frame = pd.DataFrame({c: pd.Series(dtype="str") for c in LONG_COLUMNS})
        return frame.astype({"value": "float64", "slice": "Int64", "n_voxels": "Int64"})
    usual = pc.field("slice").is_null() & (pc.field("variant") == "")
    frame = read_parquet(path, columns=LONG_COLUMNS, filters=usual)
    return frame[~lent_rows(frame)].reset_index(drop=True)


def _analyses(folder: Path, config: Config) -> list[Analysis]:
    """The declared analyses that have been computed, in the order of the config."""
    found: list[Analysis] = []
    for declared in setting(config, "analyses", []):
        name = str(setting(declared, "name", ""))
        path = folder / f"{name}.tsv"
        if not path.is_file():
            continue
        counts, about = folder / f"{name}.counts.tsv", folder / f"{name}.json"
        told = read_record(about, SCHEMA_VERSION) if about.is_file() else {}
        for file, digest in told.get("files", {}).items():
            recorded_file(about, file, digest)
        found.append(
            Analysis(
                name=name,
                kind=str(setting(declared, "kind", "")),
                table=read_tsv(path).fillna(""),
                counts=read_tsv(counts).fillna("") if counts.is_file() else pd.DataFrame(),
                about=told,
                title=str(setting(declared, "title", "") or name),
            )
        )
    return found


def whole_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Rows over all sites of a table; the repetitions without one stay in the table file.

    Examples
    --------
    >>> whole_rows(pd.DataFrame({"left_out": ["", "x"], "rho": [0.5, 0.4]})).to_dict("records")
    [{'rho': 0.5}]
    """
    if "left_out" not in table:
        return table
    return table[table["left_out"] == ""].drop(columns="left_out").reset_index(drop=True)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as plain mappings.

    Examples
    --------
    >>> records(pd.DataFrame({"a": [1, 2]}))
    [{'a': 1}, {'a': 2}]
    """
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]


def setting(config: Config, key: str, default: Any) -> Any:
    """A value of the configuration by its dotted key, or the default where it is not set.

    Examples
    --------
    >>> setting({"study": {"name": "demo"}}, "study.name", ""), setting({}, "report.slices", 12)
    ('demo', 12)
    """
    value = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else getattr(value, part, None)
        if value is None:
            return default
    return value


def study_title(config: Config) -> str:
    """The title of the study, or its name, or a plain word."""
    name = setting(config, "study.name", "")
    return public_text(setting(config, "study.title", "") or name) or "Spinal cord study"


def contact_of(config: Config) -> str:
    """Whom a reader may ask, as the config says."""
    return public_text(setting(config, "report.contact", ""))
