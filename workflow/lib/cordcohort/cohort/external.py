"""Measures from elsewhere: any table, mapped by the config, becomes rows of the long table."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.cohort.gather import IDENTITY_COLUMNS, identity_text
from cordcohort.cohort.known import filled_from
from cordcohort.cohort.schema import check_long
from cordcohort.errors import ConfigError, SheetError
from cordcohort.files import refuse_no_file
from cordcohort.table import LONG_COLUMNS, as_long

LAYOUTS = ("wide", "long")
SPEC_KEYS = (
    "name", "file", "layout", "dataset", "columns", "measures", "constants", "values", "scores",
    "time_point",
)  # fmt: skip
SCORE_COLUMNS = ["dataset", "subject", "person", "session", "time_point", "variable", "value"]
MISSING_MARKS = ["", "n/a", "N/A", "NA", "NaN", "nan", "null", "None"]
_PREFIXES = {
    "subject": "sub-", "session": "ses-", "run": "run-", "acquisition": "acq-", "person": "sub-",
}  # fmt: skip
_N_NEAREST = 3

Spec = Mapping[str, Any]


_SEPARATORS = {";": "semicolon", "\t": "tab", ",": "comma", "|": "bar"}


def read_external(spec: Spec, base: Path | str = ".") -> pd.DataFrame:
    r"""Read one table of measures from elsewhere into the long table.

    Parameters
    ----------
    spec : mapping
        ``name`` (the ``method`` of its rows unless mapped), ``file`` (CSV, TSV or Parquet),
        ``layout``, ``columns`` (long-table column: column of the file), and optionally
        ``dataset`` (default: ``name``), ``constants`` (long-table column: text), ``values``
        (long-table column: {text in the file: text in the long table}) and ``measures``.

        *wide*: one column a measure; ``measures`` maps our name to ``{column, unit}``.
        *long*: ``columns`` maps ``measure`` and ``value`` (and ``unit``); ``measures`` may map the
        file's names to ours as ``{our name: {column: their name, unit: unit}}``.
    base : path
        Folder that a relative ``file`` starts from.

    Returns
    -------
    DataFrame
        Checked long table. An empty or ``n/a`` cell is a row without a value, flagged
        ``undefined``, so that it is counted; flags and reasons of the file's own, where they are
        mapped, stay.

    Raises
    ------
    ConfigError
        If the mapping names a column that is not in the file, or not of the long table.
    SheetError
        If the file cannot be read, a measure is not a number, a subject is missing, or two rows
        give the same value.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "t.csv").write_text("id,C2\nsub-01,70.5\n")
    >>> spec = {"name": "lab", "file": "t.csv", "layout": "wide",
    ...         "columns": {"subject": "id"}, "constants": {"level": "C2", "contrast": "T2w"},
    ...         "measures": {"csa_mm2": {"column": "C2", "unit": "mm2"}}}
    >>> read_external(spec, folder)[["subject", "level", "measure", "value"]].values.tolist()
    [['01', 'C2', 'csa_mm2', 70.5]]
    """
    where = f"external_measures {spec.get('name')!r}"
    _check_spec(spec, where)
    path = Path(base) / str(spec["file"])
    source = read_sheet(path)
    keys = _mapped_columns(spec, source, where)
    if spec.get("layout", "wide") == "wide":
        rows = _from_wide(spec, source, keys, where)
    else:
        rows = _from_long(spec, keys, where)
    rows = _with_values(rows, path)
    table = as_long(rows)
    doubled = table.duplicated(IDENTITY_COLUMNS).to_numpy()
    if doubled.any():
        came = identity_text(table, int(np.argmax(doubled)))
        way_out = "map the column (session, run, level ...) that tells the rows apart"
        raise SheetError(path, "each value once", f"twice {came}", way_out)
    return check_long(table, path)


def external_scores(spec: Spec, base: Path | str = ".") -> pd.DataFrame:
    """Read covariates and scores of the same file (``scores: {variable: column}``), long.

    Returns
    -------
    DataFrame
        ``dataset, subject, person, session, time_point, variable, value`` (text), one row a
        subject (and session, where it is mapped), each once, as ``results/bids/scores.parquet``.
    """
    where = f"external_measures {spec.get('name')!r}"
    _check_spec(spec, where)
    wanted: Mapping[str, str] = spec.get("scores") or {}
    if not wanted:
        return pd.DataFrame(columns=SCORE_COLUMNS, dtype="str")
    source = read_sheet(Path(base) / str(spec["file"]))
    keys = _mapped_columns(spec, source, where)
    keys = keys.assign(time_point=str(spec.get("time_point", "")))
    parts = [
        keys.assign(variable=variable, value=_column(source, column, f"scores.{variable}", where))
        for variable, column in sorted(wanted.items())
    ]
    table = pd.concat(parts, ignore_index=True).reindex(columns=SCORE_COLUMNS)
    table = table[table["value"].fillna("") != ""].fillna("").drop_duplicates()
    return table.astype("str").sort_values(SCORE_COLUMNS, ignore_index=True)


def with_external_scores(
    scores: pd.DataFrame, specs: Sequence[Spec], cohort: pd.DataFrame
) -> pd.DataFrame:
    """Put the scores of tables from elsewhere below those of the BIDS sheets.

    Parameters
    ----------
    scores : DataFrame
        Of the index.
    specs : sequence of mappings
        Declared tables; those without ``scores`` add nothing.
    cohort : DataFrame
        The long table, which knows who the subjects of a table are.
    """
    more = [external_scores(spec) for spec in specs if spec.get("scores")]
    if more:
        people = cohort[["dataset", "subject", "person"]].drop_duplicates()
        more = [filled_from(table, people, ["person"]) for table in more]
    return pd.concat([scores, *more], ignore_index=True)


def read_sheet(path: Path) -> pd.DataFrame:
    """Read a CSV, TSV or Parquet file as text, missing cells as empty text.

    Raises
    ------
    SheetError
        If the file is absent, of another format, or has repeated column names.
    """
    suffix = path.suffix.lower()
    refuse_no_file(path, "a table")
    try:
        if suffix == ".parquet":
            frame = pd.read_parquet(path)
            frame = frame.astype("object").where(frame.notna(), "").astype("str")
        elif suffix in (".csv", ".tsv", ".txt"):
            separator = "," if suffix == ".csv" else "\t"
            frame = pd.read_csv(
                path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig",
                skipinitialspace=True, index_col=False, header=None,
            )  # fmt: skip
        else:
            raise SheetError(path, "a .csv, .tsv or .parquet file", suffix, "convert it")
    except (OSError, ValueError) as error:
        way_out = "check the path and save it as UTF-8"
        raise SheetError(path, "a readable table", str(error), way_out) from error
    if suffix != ".parquet":  # the header is read as text: pandas would rename repeated columns
        frame = frame.iloc[1:].set_axis(list(frame.iloc[0]), axis=1).reset_index(drop=True)
    frame.columns = [str(c).strip() for c in frame.columns]
    _refuse_other_separator(path, frame)
    if frame.columns.has_duplicates:
        twice = sorted(set(frame.columns[frame.columns.duplicated()]))
        raise SheetError(path, "unique columns", f"twice {twice}", "rename one of them")
    frame = frame.apply(_stripped)
    return frame.mask(frame.isin(MISSING_MARKS), "")


def _refuse_other_separator(path: Path, frame: pd.DataFrame) -> None:
    """A sheet saved with another separator is one column whose name holds it."""
    if len(frame.columns) != 1:
        return
    for separator, name in _SEPARATORS.items():
        if separator in frame.columns[0]:
            way_out = f"save it with {_SEPARATORS[',']}s, or with tabs as .tsv"
            raise SheetError(path, "several columns", f"one, with {name}s in its name", way_out)


def _stripped(column: pd.Series) -> pd.Series:
    return column.str.strip()


def _check_spec(spec: Spec, where: str) -> None:
    unknown = sorted(set(spec) - set(SPEC_KEYS))
    if unknown:
        raise ConfigError(where, unknown, f"keys among {list(SPEC_KEYS)}", "remove or rename them")
    if spec.get("layout", "wide") not in LAYOUTS:
        raise ConfigError(where, spec["layout"], f"a layout among {list(LAYOUTS)}", "choose one")
    for part in ("columns", "constants", "values"):
        strange = sorted(set(spec.get(part) or {}) - set(LONG_COLUMNS))
        if strange:
            near = difflib.get_close_matches(strange[0], LONG_COLUMNS, _N_NEAREST, 0.0)
            raise ConfigError(
                f"{where}.{part}", strange, "columns of the long table", f"nearest: {near}"
            )
    if "subject" not in (spec.get("columns") or {}) | (spec.get("constants") or {}):
        raise ConfigError(f"{where}.columns", None, "a column for subject", "map 'subject'")


def _column(source: pd.DataFrame, column: str, key: str, where: str) -> pd.Series:
    if column not in source.columns:
        near = difflib.get_close_matches(column, list(source.columns), _N_NEAREST, 0.0)
        way_out = f"nearest columns: {near}"
        raise ConfigError(f"{where}.{key}", column, "a column of the file", way_out)
    return source[column]


def _mapped_columns(spec: Spec, source: pd.DataFrame, where: str) -> pd.DataFrame:
    """The identity of each row of the file, in long-table columns."""
    constants: dict[str, str] = {"dataset": str(spec.get("dataset") or spec["name"])}
    constants["method"] = str(spec["name"])
    constants |= {k: str(v) for k, v in (spec.get("constants") or {}).items()}
    out = pd.DataFrame(constants, index=source.index, dtype="str")
    for name, column in (spec.get("columns") or {}).items():
        out[name] = _column(source, str(column), f"columns.{name}", where)
    for name, mapping in (spec.get("values") or {}).items():
        if name not in out:
            raise ConfigError(f"{where}.values", name, "a mapped column or constant", "map it")
        texts = {str(k): str(v) for k, v in mapping.items()}
        out[name] = out[name].map(texts).fillna(out[name]).astype("str")
    for name, prefix in _PREFIXES.items():
        if name in out:
            out[name] = out[name].str.removeprefix(prefix)
    if (out["subject"] == "").any():
        line = int(np.argmax(out["subject"] == "")) + 2  # the header is line 1
        raise SheetError(str(spec["file"]), "a subject on every line", f"none on line {line}",
                         "fill it in")  # fmt: skip
    if "person" not in out:
        out["person"] = ""  # the subjects of this table are people of its own
    return out


def _from_wide(spec: Spec, source: pd.DataFrame, keys: pd.DataFrame, where: str) -> pd.DataFrame:
    measures: Mapping[str, Mapping[str, str]] = spec.get("measures") or {}
    if not measures:
        raise ConfigError(f"{where}.measures", None, "at least one measure", "map the columns")
    parts = [
        keys.assign(
            measure=name,
            unit=str(about.get("unit", "")),
            text=_column(source, str(about.get("column", name)), f"measures.{name}", where),
        )
        for name, about in measures.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _from_long(spec: Spec, keys: pd.DataFrame, where: str) -> pd.DataFrame:
    for needed in ("measure", "value"):
        if needed not in keys:
            raise ConfigError(f"{where}.columns", None, f"a column for {needed}", f"map '{needed}'")
    rows = keys.rename(columns={"value": "text"})
    measures: Mapping[str, Mapping[str, str]] = spec.get("measures") or {}
    if measures:
        theirs = {str(about.get("column", name)): name for name, about in measures.items()}
        units = {name: str(about.get("unit", "")) for name, about in measures.items()}
        rows = rows[rows["measure"].isin(theirs)]
        rows = rows.assign(measure=rows["measure"].map(theirs).astype("str"))
        unit = rows["measure"].map(units).astype("str")
        rows = rows.assign(unit=rows["unit"].mask(unit != "", unit) if "unit" in rows else unit)
    return rows.reset_index(drop=True)


def _with_values(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Turn the text of the measures into numbers; an empty cell becomes an undefined row."""
    text = rows["text"]
    value = pd.to_numeric(text.mask(text == ""), errors="coerce").astype("float64")
    wrong = (text != "") & (value.isna() | value.abs().eq(float("inf")))
    if wrong.any():
        row = rows.iloc[int(np.argmax(wrong))]
        came = f"{row['text']!r} for {row['measure']} of subject {row['subject']}"
        raise SheetError(path, "a finite number", came, "correct the cell or write n/a")
    for column in ("slice", "n_voxels"):
        if column in rows:
            numbers = pd.to_numeric(rows[column].mask(rows[column] == ""), errors="coerce")
            rows = rows.assign(**{column: numbers})
    return rows.drop(columns="text").assign(value=value, **_flagged(rows, value.isna()))


def _flagged(rows: pd.DataFrame, missing: pd.Series) -> dict[str, pd.Series]:
    """Flag and reason of each row: the file's own where it has them, else whether it is empty."""
    default = {"flag": "undefined", "reason": "no value in the file"}
    found: dict[str, pd.Series] = {}
    for column, text in default.items():
        ours = missing.map({True: text, False: ""}).astype("str")
        found[column] = rows[column].mask(rows[column] == "", ours) if column in rows else ours
    return found
