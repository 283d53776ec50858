"""What one table leaves out and another one says: site, vendor, person and split of a subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from cordcohort.trained import KEPT_OUT

SAID_ONCE = ("site", "vendor", "person", "split")


def filled_from(
    rows: pd.DataFrame, known: pd.DataFrame, columns: Sequence[str] = SAID_ONCE
) -> pd.DataFrame:
    """Fill empty cells from rows of the same data set and subject that say one thing.

    A rater's table without a site column belongs to the same scans as the study's own rows; with
    an empty site it would never be paired with them. The session decides first (a travelling
    person has a site a session), then the subject; where several values are known, none is taken.

    Parameters
    ----------
    rows : DataFrame
        With ``dataset``, ``subject``, ``session`` and ``columns``.
    known : DataFrame
        Where to look, with the same columns (``session`` may be absent).
    columns : sequence of str
        What is filled.

    Examples
    --------
    >>> rows = pd.DataFrame({"dataset": "a", "subject": ["1", "2"], "session": "", "site": ""})
    >>> known = pd.DataFrame({"dataset": "a", "subject": ["1"], "session": "x", "site": "rome"})
    >>> filled_from(rows, known, ["site"])["site"].tolist()
    ['rome', '']
    """
    out = rows
    for column in columns:
        for key in (["dataset", "subject", "session"], ["dataset", "subject"]):
            empty = (out[column] == "").to_numpy(dtype=bool)
            if not empty.any() or not set(key) <= set(known.columns):
                continue
            said = known.loc[known[column] != "", [*key, column]].drop_duplicates()
            said = said[~said.duplicated(key, keep=False)]
            found = out.loc[empty, key].merge(said, on=key, how="left")[column].fillna("")
            values = out[column].to_numpy(dtype=object, copy=True)
            values[empty] = found.to_numpy(dtype=object)
            out = out.assign(**{column: pd.Series(values, index=out.index, dtype="str")})
    return out


def with_seeds(table: pd.DataFrame, seeds: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """Tell models of an experiment, one a phase and seed, as method and seed.

    Parameters
    ----------
    table : DataFrame
        Long table, with ``method``, ``reference`` and ``seed``.
    seeds : mapping of str to (str, str)
        Model to method and seed.

    Examples
    --------
    >>> rows = pd.DataFrame({"method": ["own-phase1-seed7", "manual"], "seed": ["", ""]})
    >>> with_seeds(rows, {"own-phase1-seed7": ("own-phase1", "7")}).to_numpy().tolist()
    [['own-phase1', '7'], ['manual', '']]
    """
    if not seeds:
        return table
    told = table["method"].isin(list(seeds))
    methods, numbers = ({model: pair[i] for model, pair in seeds.items()} for i in (0, 1))
    method, seed = (table["method"].map(one) for one in (methods, numbers))
    return table.assign(
        method=table["method"].mask(told, method).astype(table["method"].dtype),
        seed=table["seed"].mask(told, seed).astype(table["seed"].dtype),
    )


def with_test_persons(
    splits: Mapping[str, pd.DataFrame], tested: Mapping[str, Sequence[str]]
) -> dict[str, pd.DataFrame]:
    """Add to the persons of models those whom an experiment keeps for the test in another phase.

    Examples
    --------
    >>> seen = pd.DataFrame({"person": ["1"], "split": ["train"]})
    >>> with_test_persons({"m": seen}, {"m": ["2"]})["m"].to_numpy().tolist()
    [['1', 'train'], ['2', 'test']]
    """
    found = dict(splits)
    for model, people in splits.items():
        further = [p for p in tested.get(model, ()) if p not in set(people["person"])]
        added = pd.DataFrame({"person": further, "split": ["test"] * len(further)}, dtype="str")
        found[model] = pd.concat([people, added], ignore_index=True) if further else people
    return found


def with_trained_splits(
    table: pd.DataFrame,
    splits: Mapping[str, pd.DataFrame],
    seeds: Mapping[str, tuple[str, str]] | None = None,
) -> pd.DataFrame:
    """Say of every row of a model that the study trained whether it saw that person.

    Parameters
    ----------
    table : DataFrame
        Long table, with ``method``, ``person`` and ``split``.
    splits : mapping of str to DataFrame
        Method to ``person`` and ``split``: whom its model trained on, validated on, and left for
        the test. Rows of other methods and of persons not named keep what the sheets say, and so
        do those of whom a sheet keeps out (``external`` stays ``external``).
    seeds : mapping of str to (str, str), optional
        As of :func:`with_seeds`, for models whose rows have their method and seed by now.

    Examples
    --------
    >>> rows = pd.DataFrame({"method": ["own", "own", "manual"], "person": ["1", "2", "1"],
    ...                      "split": ["", "external", ""], "seed": ""})
    >>> seen = pd.DataFrame({"person": ["1", "2"], "split": ["train", "test"]})
    >>> with_trained_splits(rows, {"own": seen})["split"].tolist()
    ['train', 'external', '']
    """
    out = table["split"].astype("object")
    for model, people in splits.items():
        method, seed = (seeds or {}).get(model, (model, ""))
        seen = dict(zip(people["person"].astype("str"), people["split"], strict=True))
        part = table["person"].map(seen).fillna("")
        told = (table["method"] == method) & (part != "")
        told &= (table["seed"] == seed) | (seed == "")
        told &= (part != "test") | ~out.isin(KEPT_OUT)
        out = out.mask(told, part)
    return table.assign(split=out.astype(table["split"].dtype)) if splits else table
