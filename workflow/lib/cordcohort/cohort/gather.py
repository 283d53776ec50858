"""Many small tables into the one long table: join, exclude, check, sort."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cordcohort.cohort.exclusion import apply_entries, check_entries, read_entries
from cordcohort.cohort.known import SAID_ONCE, filled_from, with_seeds, with_trained_splits
from cordcohort.cohort.order import ordered
from cordcohort.cohort.schema import check_long
from cordcohort.errors import SheetError
from cordcohort.report.privacy import public_text
from cordcohort.seal import check_seal
from cordcohort.table import (
    INTEGER_COLUMNS,
    JOINED_COLUMNS,
    LONG_COLUMNS,
    SCAN_KEY,
    as_long,
    refuse_newer_table,
)

IDENTITY_COLUMNS = [
    c for c in LONG_COLUMNS if c not in ("value", "n_voxels", "flag", "reason", *JOINED_COLUMNS)
]
_CHUNK_FILES = 1000


def identity_text(table: pd.DataFrame, row: int) -> str:
    """What identifies a row of the long table, without the columns that do not apply."""
    cells = table[IDENTITY_COLUMNS].iloc[row].to_dict()
    return str({k: v for k, v in cells.items() if not pd.isna(v) and v != ""})


def build_cohort(
    small_tables: Iterable[Path | str],
    index: pd.DataFrame,
    exclusions: Sequence[Mapping[str, Any]] = (),
    external: Iterable[pd.DataFrame] = (),
    splits: Mapping[str, pd.DataFrame] | None = None,
    *,
    seeds: Mapping[str, tuple[str, str]] | None = None,
) -> pd.DataFrame:
    """Make the one long table of a study.

    Parameters
    ----------
    small_tables : iterable of path
        Long tables as Parquet, one a scan and kind of measure; their joined columns are ignored.
    index : DataFrame
        One row a scan, with the scan key, ``site``, ``vendor``, ``person``, ``resolution`` and,
        where there is one, ``split``.
    exclusions : list of mappings
        The exclusion list (:mod:`cordcohort.cohort.exclusion`).
    external : iterable of DataFrame
        Long tables of measures from elsewhere, which bring their own site, vendor and person; what
        they leave out is taken from the index or another table (:mod:`cordcohort.cohort.known`).
    splits : mapping of str to DataFrame
        Method to the persons (``person``, ``split``) of a model that the study trained; their rows
        of that method say in ``split`` whether the model saw the person.
    seeds : mapping of str to (str, str)
        Models of experiments to their method and seed.

    Returns
    -------
    DataFrame
        The long table, checked, in an order that depends on its content alone.

    Raises
    ------
    DamagedError
        If a small table is not as it was written.
    SheetError
        If a small table is no long table, holds a scan that is not in the index, or a value appears
        twice; if an exclusion matches no scan.
    """
    own = with_seeds(_join_index(_read_small_tables(small_tables), index), seeds or {})
    others = list(external)
    columns = [*SCAN_KEY[:3], *SAID_ONCE]
    said = [index.reindex(columns=columns).fillna(""), *(t[columns] for t in others)]
    known = pd.concat(said, ignore_index=True).drop_duplicates() if others else index
    tables = [t for t in (own, *(filled_from(t, known) for t in others)) if len(t)]
    table = pd.concat(tables, ignore_index=True) if tables else as_long(pd.DataFrame())
    codes, scans = scan_codes(table)
    entries = read_entries(exclusions)
    known = pd.concat([index[SCAN_KEY], scans[SCAN_KEY]], ignore_index=True).drop_duplicates()
    check_entries(entries, known)
    table = apply_entries(table, codes, scans, entries)
    table, repeated = ordered(table, IDENTITY_COLUMNS)
    if repeated.any():
        came = identity_text(table, int(np.argmax(repeated)))
        way_out = "map the column that tells the rows apart, or remove the stale table"
        raise SheetError("long table", "each value once", f"twice {came}", way_out)
    return check_long(without_folders(with_trained_splits(table, splits or {}, seeds)))


def without_folders(table: pd.DataFrame) -> pd.DataFrame:
    """Cut folders out of the reasons: the table is meant for sharing."""
    told = {reason: public_text(reason) for reason in table["reason"].unique()}
    return table.assign(reason=table["reason"].map(told).astype(table["reason"].dtype))


def _read_small_tables(paths: Iterable[Path | str]) -> pd.DataFrame:
    """Concatenate small Parquet tables; the cost is about 1 ms a file."""
    parts: list[pa.Table] = []
    chunk: list[pa.Table] = []
    for path in paths:
        chunk.append(_read_one(path))
        if len(chunk) == _CHUNK_FILES:
            parts.append(pa.concat_tables(chunk).combine_chunks())
            chunk = []
    parts += chunk
    if not parts:
        return as_long(pd.DataFrame())
    frame = pa.concat_tables(parts).to_pandas().assign(**dict.fromkeys(JOINED_COLUMNS, ""))
    frame = frame.astype(dict.fromkeys(JOINED_COLUMNS, "str"))[LONG_COLUMNS]
    for column in INTEGER_COLUMNS:
        frame[column] = frame[column].astype("Int64")
    return frame


def _arrow_schema() -> pa.Schema:
    """Columns of a small table; the joined ones come from the index and are not even read."""
    types = {c: pa.int64() for c in INTEGER_COLUMNS} | {"value": pa.float64()}
    own = [c for c in LONG_COLUMNS if c not in JOINED_COLUMNS]
    return pa.schema([(c, types.get(c, pa.large_string())) for c in own])


_SCHEMA = _arrow_schema()


def _read_one(path: Path | str) -> pa.Table:
    check_seal(path)
    try:
        # From memory: the reader's own look at the path takes a third of the time of a small file.
        file = pq.ParquetFile(pa.BufferReader(Path(path).read_bytes()))
        refuse_newer_table(path, file.metadata.metadata)
        table = file.read(columns=_SCHEMA.names, use_threads=False).select(_SCHEMA.names)
        table = table.replace_schema_metadata(None)
        return table if table.schema == _SCHEMA else table.cast(_SCHEMA)
    except (OSError, pa.ArrowException, KeyError) as error:
        way_out = "delete it and run again"
        raise SheetError(path, "a long table as Parquet", str(error), way_out) from error


def scan_codes(table: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """Number the scans of a long table.

    Returns
    -------
    codes : array of int
        Row in ``scans`` of each row of ``table``.
    scans : DataFrame
        The distinct scans (columns of ``SCAN_KEY`` and the joined columns), first seen first.
    """
    key = table[SCAN_KEY[0]].astype("str")
    for column in SCAN_KEY[1:]:
        key = key + "\x1f" + table[column]
    codes, distinct = pd.factorize(key)
    first = np.full(len(distinct), -1, dtype=np.int64)
    first[codes[::-1]] = np.arange(len(table) - 1, -1, -1)
    return codes, table.iloc[first][[*SCAN_KEY, *JOINED_COLUMNS]].reset_index(drop=True)


def _join_index(table: pd.DataFrame, index: pd.DataFrame) -> pd.DataFrame:
    """Fill site, vendor, person, resolution and split from the index, scan by scan."""
    codes, scans = scan_codes(table)
    columns = [c for c in JOINED_COLUMNS if c in index.columns]
    doubled = index.duplicated(SCAN_KEY).to_numpy()
    if doubled.any():
        came = str(index[SCAN_KEY].iloc[int(np.argmax(doubled))].to_dict())
        raise SheetError("index", "each scan once", f"twice {came}", "run `cordcohort check`")
    joined = scans[SCAN_KEY].merge(
        index[[*SCAN_KEY, *columns]].assign(_known=1), on=SCAN_KEY, how="left", validate="1:1"
    )
    if joined["_known"].isna().any():
        came = str(joined.loc[joined["_known"].isna(), SCAN_KEY].iloc[0].to_dict())
        way_out = "its table is stale: delete it and run again"
        raise SheetError("small tables", "scans of the index", f"also {came}", way_out)
    filled = {c: joined[c].fillna("").astype("str").take(codes).array for c in columns}
    return table.assign(**filled)
