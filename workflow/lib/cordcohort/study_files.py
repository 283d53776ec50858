"""Making the folder of a study: its config, its exclusion list, and the demo with its data."""

from __future__ import annotations

import re
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cordcohort.errors import CordcohortError
from cordcohort.files import read_yaml, write_text
from cordcohort.own_data import on_own_data
from cordcohort.progress import Line
from cordcohort.root import workflow_root
from cordcohort.scan import CONFIG_PATH
from cordcohort.template import config_text
from cordcohort.validation import nearest

EXCLUDE_PATH = CONFIG_PATH.with_name("exclude.yaml")
PHANTOM_PATH = CONFIG_PATH.with_name("phantom.yaml")
EXCLUDE_TEXT = """\
# Scans and measures that are not used, and why. A missing key matches all; reason is mandatory.
# Labels are text, with or without sub-, ses-, run-.
#
# - dataset: site_a
#   subject: sub-01
#   session: "1"
#   contrast: T2w
#   measure: csa_mm2
#   reason: motion in the lower half
#   by: initials of the rater
#   date: 2026-01-31
"""
_NAME_CHARS = 64


def make_study(study: Path, bids: Sequence[Path], tables: Sequence[Path] = ()) -> list[Path]:
    """Write the config of a new study.

    Parameters
    ----------
    study : Path
        Folder to make; files that are there stay as they are.
    bids : sequence of Path
        BIDS data sets.
    tables : sequence of Path
        Tables of measures made elsewhere.

    Returns
    -------
    list of Path
        Files written.

    Raises
    ------
    CordcohortError
        If a data set is no folder or holds no subject, a table names no subjects, or there is
        neither.
    """
    if not bids and not tables:
        raise CordcohortError("init: expected --bids FOLDER or --table FILE, got neither; add one")
    name = _plain(study.resolve().name) or "study"
    datasets = _datasets(study, bids)
    manual = False
    if bids:
        from cordcohort.bids.first_look import look_at  # noqa: PLC0415 - slow, rarely needed

        manual = look_at(bids).manual_cord
    text = config_text(name, datasets, _drafted(tables, datasets, study), manual)
    return _write_missing({study / CONFIG_PATH: text, study / EXCLUDE_PATH: EXCLUDE_TEXT})


def _datasets(study: Path, bids: Sequence[Path]) -> list[dict[str, str]]:
    """Name and path of some data sets, after a look at their folders."""
    for path in bids:
        if not path.is_dir():
            raise CordcohortError(f"--bids {path}: expected a folder, found none; mend the path")
        if not any(path.glob("sub-*")) and not any(path.glob("derivatives/*/sub-*")):
            raise CordcohortError(
                f"--bids {path}: expected sub-* folders, found none; "
                "name the folder that holds participants.tsv and sub-*"
            )
    return [
        {"name": name, "path": _path_text(path, study)}
        for name, path in zip(dataset_names(bids), bids, strict=True)
    ]


def published_studies() -> list[str]:
    """Names of the studies that come with cordcohort (``config/studies``)."""
    folder = workflow_root() / "config" / "studies"
    return sorted(path.stem for path in folder.glob("*.yaml") if "." not in path.stem)


def make_published_study(study: Path, name: str, bids: Sequence[Path]) -> list[Path]:
    """Write a study that comes with cordcohort: on the data sets given, or on its phantoms.

    Parameters
    ----------
    study : Path
        Folder to make; files that are there stay as they are.
    name : str
        One of :func:`published_studies`.
    bids : sequence of Path
        BIDS data sets; without any, the phantom cohort of ``<name>.phantom.yaml`` is made.

    Returns
    -------
    list of Path
        Files and folders written.

    Raises
    ------
    CordcohortError
        If there is no such study, or a data set cannot be one.
    """
    if name not in published_studies():
        raise CordcohortError(
            f"--study {name}: expected a study of config/studies; "
            f"{nearest(name, published_studies())}"
        )
    folder = workflow_root() / "config" / "studies"
    text = (folder / f"{name}.yaml").read_text(encoding="utf-8")
    datasets = _datasets(study, bids)
    # What was left out of a config that is not written would mislead.
    if bids and not (study / CONFIG_PATH).exists():
        text = on_own_data(text, name, study, datasets)
    written = _write_missing({study / CONFIG_PATH: text, study / EXCLUDE_PATH: EXCLUDE_TEXT})
    if bids:
        return written
    settings = study / PHANTOM_PATH
    cohort = (folder / f"{name}.phantom.yaml").read_text(encoding="utf-8")
    return [*written, *_write_missing({settings: cohort}), *_write_phantoms(study, settings)]


def _drafted(
    tables: Sequence[Path], datasets: Sequence[dict[str, str]], study: Path
) -> list[dict[str, Any]]:
    """Entries of ``external_measures``, as far as the headers tell."""
    if not tables:
        return []
    from cordcohort.cohort.draft import draft_mapping  # noqa: PLC0415 - slow, rarely needed

    taken = {d["name"].casefold() for d in datasets}
    drafted: list[dict[str, Any]] = []
    for name, path in zip(dataset_names([t.with_suffix("") for t in tables]), tables, strict=True):
        own = f"{name}_table" if name.casefold() in taken else name
        drafted.append({"name": own, "file": _path_text(path, study), **draft_mapping(path)})
        if drafted[-1]["left_out"]:
            columns = ", ".join(drafted[-1]["left_out"])
            sys.stderr.write(f"{path}: left out, as most cells are no numbers: {columns}\n")
    return drafted


def make_demo(study: Path) -> list[Path]:
    """Write the demo study: phantoms of three sites and the config that goes with them.

    Returns
    -------
    list of Path
        Files and folders written; data that are there stay.
    """
    config = workflow_root() / "config"
    texts = {
        study / CONFIG_PATH: (config / "config.yaml").read_text(encoding="utf-8"),
        study / EXCLUDE_PATH: (config / "exclude.yaml").read_text(encoding="utf-8"),
    }
    return [*_write_missing(texts), *_write_phantoms(study)]


def _write_phantoms(study: Path, settings: Path | None = None) -> list[Path]:
    """Make the phantoms of a study (the demo's without settings), unless its data are there."""
    from cordcohort.phantom.study import (  # noqa: PLC0415 - slow
        PhantomStudy,
        study_from_dict,
        write_study,
    )

    data = study / "data"
    if data.is_dir():
        return []
    wanted = PhantomStudy()
    if settings is not None:
        wanted = study_from_dict(read_yaml(settings) or {}, where=settings.name)
    line = Line(sys.stderr)
    partial = data.with_name("data.partial")
    shutil.rmtree(partial, ignore_errors=True)

    def tell(done: int, total: int, name: str) -> None:
        line.show(f"phantoms: {done + 1}/{total} | {name}")

    write_study(wanted, partial, progress=tell)
    line.end()
    partial.rename(data)
    return [data]


def _write_missing(texts: dict[Path, str]) -> list[Path]:
    missing = {path: text for path, text in texts.items() if not path.exists()}
    for path, text in missing.items():
        write_text(path, text)
    return list(missing)


def dataset_names(paths: Sequence[Path]) -> list[str]:
    """Short unique names for some folders: their own, or with their parent's where two are alike.

    Examples
    --------
    >>> dataset_names([Path("/data/London"), Path("/a/bids"), Path("/b/bids")])
    ['London', 'a_bids', 'b_bids']
    """
    whole = [path.resolve() for path in paths]
    names = [_plain(path.name) or "data" for path in whole]
    for alike in (1, 2):
        counts = Counter(name.casefold() for name in names)
        names = [
            name
            if counts[name.casefold()] == 1
            else _plain(f"{path.parents[alike - 1].name}_{name}") or name
            for name, path in zip(names, whole, strict=True)
        ]
    seen: Counter[str] = Counter()
    for position, name in enumerate(names):
        seen[name.casefold()] += 1
        if seen[name.casefold()] > 1:
            names[position] = f"{name}_{seen[name.casefold()]}"
    return names


def _plain(text: str) -> str:
    """Letters, digits, ``_`` and ``-`` of a text, other characters as ``_``."""
    return re.sub(r"[^0-9A-Za-z]+", "_", text).strip("_")[:_NAME_CHARS]


def _path_text(path: Path, study: Path) -> str:
    """Relative inside the study, so that the study can be moved; else absolute."""
    path, study = path.resolve(), study.resolve()
    return str(path.relative_to(study)) if path.is_relative_to(study) else str(path)


def named_folders(texts: Sequence[str]) -> dict[str, Path]:
    """``KEY=FOLDER`` arguments as a mapping.

    Raises
    ------
    CordcohortError
        If one has no ``=`` or its folder is not there.
    """
    folders: dict[str, Path] = {}
    for text in texts:
        key, separator, folder = text.partition("=")
        if not separator or not Path(folder).is_dir():
            raise CordcohortError(
                f"--source {text}: expected KEY=FOLDER with a folder that exists; mend it"
            )
        folders[key] = Path(folder)
    return folders
