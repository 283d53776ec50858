"""The index of BIDS folders that no study names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cordcohort.bids.index import build_index, rows_of
from cordcohort.config import make_config


def rows_of_folders(folders: Mapping[str, Path]) -> dict[str, list[dict[str, Any]]]:
    """Rows of the index for each of some BIDS folders.

    Parameters
    ----------
    folders
        Name to folder; a name becomes the data set of its rows.

    Returns
    -------
    dict
        Name to rows. People are told apart over all folders, as in a study.

    Raises
    ------
    ConfigError
        A folder without subjects.
    """
    if not folders:
        return {}
    sites = [{"name": name, "path": str(path.resolve())} for name, path in folders.items()]
    config = make_config({"study": {"name": "folders"}, "datasets": sites}, Path(), check=False)
    rows = rows_of(build_index(config).scans)
    return {name: [row for row in rows if row["dataset"] == name] for name in folders}
