"""The one long table: its columns, how rows are made, and how tables are read and written.

Every number that an image yields is a row. What does not apply is an empty string, never missing;
only ``value``, ``slice`` and ``n_voxels`` may be missing.

``variant`` names a measurement that was repeated on purpose under another condition, such as
``threshold 0.3`` or ``voxel 1.2 mm``; it is empty for the usual one. Analyses leave variants out
unless they name the column, and the report's figures and lists of scans show the usual ones only.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from cordcohort.errors import SheetError
from cordcohort.files import atomic_path, refuse_newer, refuse_no_file, write_bytes, write_json
from cordcohort.scan import SCAN_KEY
from cordcohort.seal import EMPTY_SEAL, check_seal, sealed

SCHEMA_VERSION = 1
SCHEMA_KEY = b"cordcohort_schema"  # of the metadata of a Parquet file
MAX_TSV_BYTES = 500_000_000  # a sheet of a hundred thousand people takes some 20 MB
FOLDER_SCHEMA = "schema.json"
JOINED_COLUMNS = ["site", "vendor", "person", "resolution", "split"]
LONG_COLUMNS = [
    "dataset", "site", "vendor", "subject", "person", "session", "acquisition", "run", "contrast",
    "resolution", "split", "method", "seed", "reference", "structure", "object", "variant",
    "level_kind", "level", "slice", "measure", "statistic", "unit", "value", "n_voxels", "flag",
    "reason",
]  # fmt: skip
# The tables of single scans are read by the ten thousand: compression would save no byte of them
# (their text is in dictionaries) and make reading take 2.6 times as long.
SMALL_TABLE_ROWS = 5000
TSV_CHUNK_ROWS = 100_000
READ_ROWS = 200_000
MISSING = "n/a"  # in TSV files
INTEGER_COLUMNS = ["slice", "n_voxels"]
STRING_COLUMNS = [c for c in LONG_COLUMNS if c not in (*INTEGER_COLUMNS, "value")]
NOT_REPORTED = "not reported"  # how a site without a name is shown; in the long table it is empty
FLAGS = ("", "warning", "failed", "undefined", "excluded")


def long_table(rows: Iterable[Mapping[str, Any]], scan: Mapping[str, Any]) -> pd.DataFrame:
    """Make a long table of one scan from partial rows.

    Parameters
    ----------
    rows : iterable of mappings
        Each with ``measure`` and ``value`` and whatever other long-table columns apply.
    scan : mapping
        The scan key (``dataset, subject, session, acquisition, run, contrast``).

    Returns
    -------
    DataFrame
        All columns of ``LONG_COLUMNS`` with their types; the joined columns are still empty.

    Examples
    --------
    >>> scan = dict.fromkeys(SCAN_KEY, "") | {"dataset": "a", "subject": "01", "contrast": "T2w"}
    >>> t = long_table([{"measure": "csa_mm2", "unit": "mm2", "value": 70.0}], scan)
    >>> t.loc[0, ["subject", "measure", "flag"]].tolist(), float(t.loc[0, "value"])
    (['01', 'csa_mm2', ''], 70.0)
    """
    key = {column: str(scan[column]) for column in SCAN_KEY}
    frame = pd.DataFrame([key | dict(row) for row in rows])
    return as_long(frame)


def as_long(frame: pd.DataFrame) -> pd.DataFrame:
    """Bring a table to the columns, order and types of the long table.

    Raises
    ------
    SheetError
        If a column is not of the long table, or a flag is not in :data:`FLAGS`.
    """
    extra = sorted(set(frame.columns) - set(LONG_COLUMNS))
    if extra:
        raise SheetError("long table", f"columns {LONG_COLUMNS}", f"also {extra}", "rename them")
    out = frame.reindex(columns=LONG_COLUMNS)
    for column in STRING_COLUMNS:
        out[column] = out[column].astype("object").where(out[column].notna(), "").astype("str")
    for column in INTEGER_COLUMNS:
        out[column] = pd.array(out[column].to_numpy(dtype=float, na_value=np.nan), dtype="Int64")
    out["value"] = out["value"].astype("float64")
    unknown = sorted(set(out["flag"]) - set(FLAGS))
    if unknown:
        raise SheetError("long table", f"flags {FLAGS}", f"{unknown}", "use one of the five")
    return out.reset_index(drop=True)


def write_parquet(path: Path | str, frame: pd.DataFrame) -> None:
    """Write a sealed table with its schema version, atomically; same table, same bytes."""
    write_bytes(path, parquet_bytes(frame))


def parquet_bytes(frame: pd.DataFrame) -> bytes:
    """The bytes that :func:`write_parquet` would write."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    version = {SCHEMA_KEY: str(SCHEMA_VERSION).encode()}
    table = table.replace_schema_metadata((table.schema.metadata or {}) | version | EMPTY_SEAL)
    buffer = io.BytesIO()
    small = len(frame) < SMALL_TABLE_ROWS
    pq.write_table(table, buffer, compression="none" if small else "zstd")
    return sealed(buffer.getvalue())


def read_parquet(
    path: Path | str, columns: list[str] | None = None, filters: pc.Expression | None = None
) -> pd.DataFrame:
    """Read a Parquet table that :func:`write_parquet` wrote.

    Parameters
    ----------
    path : path
        The table.
    columns : list of str, optional
        Only these.
    filters : pyarrow expression, optional
        Only rows that fulfil it.

    Raises
    ------
    DamagedError
        If it is gone or a byte of it has changed.
    SheetError
        If it is no Parquet table, or one of a newer schema.
    """
    check_seal(path)
    try:
        plain = pq.read_schema(path)
        refuse_newer_table(path, plain.metadata)
        # Text stays numbers of a dictionary until the rows that nobody wants are gone.
        text = [f.name for f in plain if pa.types.is_large_string(f.type)]
        file = pq.ParquetFile(path, read_dictionary=text)
        batches = file.iter_batches(READ_ROWS, columns=columns if filters is None else None)
        parts = [pa.Table.from_batches([batch]) for batch in batches]
        kept = parts if filters is None else [part.filter(filters) for part in parts]
        table = pa.concat_tables(kept) if kept else file.schema_arrow.empty_table()
        table = table if columns is None else table.select(columns)
        wanted = pa.schema([plain.field(n) for n in table.column_names], plain.metadata)
        return table.cast(wanted).to_pandas()
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise SheetError(path, "a Parquet table", str(error), "delete it and run again") from error


def refuse_newer_table(path: Path | str, metadata: Mapping[bytes, bytes] | None) -> None:
    """Refuse a table that a newer version wrote; one without a version is of the first schema.

    Raises
    ------
    SheetError
        Naming both versions.
    """
    text = (metadata or {}).get(SCHEMA_KEY, b"1").decode("ascii", "replace")
    refuse_newer(path, int(text) if text.isdecimal() else text, SCHEMA_VERSION)


def write_folder_schema(folder: Path | str) -> None:
    """Write ``schema.json``: the schema version of every TSV file that lies in a folder."""
    text = {"schema": SCHEMA_VERSION, "tables": "all .tsv files of this folder"}
    write_json(Path(folder) / FOLDER_SCHEMA, text)


def write_tsv(path: Path | str, frame: pd.DataFrame) -> None:
    """Write a table as TSV with full-precision numbers and ``n/a`` where a value is missing."""
    with atomic_path(path) as tmp, tmp.open("wb") as handle:
        handle.write(_tsv_bytes(frame.iloc[:0]))
        for first in range(0, len(frame), TSV_CHUNK_ROWS):
            part = frame.iloc[first : first + TSV_CHUNK_ROWS]
            handle.write(_tsv_bytes(part, header=False))


def _tsv_bytes(frame: pd.DataFrame, *, header: bool = True) -> bytes:
    if not header and len(frame) > SMALL_TABLE_ROWS and len(frame.columns) > 1:
        try:
            return _tsv_rows_by_arrow(frame)
        except pa.ArrowException:
            pass  # a cell that needs quotes, or a column of mixed types
    text = frame.to_csv(
        sep="\t", index=False, na_rep=MISSING, lineterminator="\n", header=header
    )  # fmt: skip
    return text.encode("utf-8")


def _tsv_rows_by_arrow(frame: pd.DataFrame) -> bytes:
    """The bytes that pandas gives, in a fifth of the time: a long table has millions of rows."""
    columns: list[pa.Array] = []
    for name in frame.columns:
        values = pa.array(frame[name], from_pandas=True)
        if pa.types.is_float64(values.type):
            cells = [MISSING if v is None else repr(v) for v in values.to_pylist()]
            values = pa.array(cells, pa.large_string())
        elif pa.types.is_boolean(values.type) or pa.types.is_floating(values.type):
            raise pa.ArrowTypeError("its text is not that of pandas")
        columns.append(pc.fill_null(values.cast(pa.large_string()), MISSING))
    buffer = io.BytesIO()
    options = pa_csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    pa_csv.write_csv(pa.table(columns, [str(c) for c in frame.columns]), buffer, options)
    return buffer.getvalue()


def read_tsv(path: Path | str) -> pd.DataFrame:
    """Read a TSV as text: labels stay what they are (``01`` is not 1), ``n/a`` becomes missing.

    Raises
    ------
    SheetError
        If the file is not a UTF-8 tab-separated table with unique column names.
    """
    refuse_no_file(path, "a tab-separated table", MAX_TSV_BYTES)
    try:
        # Read without a header: then no name is altered, and a line longer than the first one is
        # an error instead of an unasked-for index.
        cells = pd.read_csv(
            path, sep="\t", header=None, dtype=str, na_values=[MISSING, ""], keep_default_na=False,
            encoding="utf-8-sig",
        )  # fmt: skip
    except pd.errors.EmptyDataError as error:
        way_out = "fill it, starting with a row of column names, or delete it"
        raise SheetError(path, "a tab-separated table", "an empty file", way_out) from error
    except (ValueError, OSError) as error:
        raise SheetError(
            path, "a tab-separated table", str(error), "save it as UTF-8 TSV"
        ) from error
    names = [str(name).strip() for name in cells.iloc[0]]
    if len(set(names)) < len(names):
        raise SheetError(path, "unique column names", f"{names}", "rename the repeated one")
    return cells.iloc[1:].set_axis(names, axis=1).reset_index(drop=True)
